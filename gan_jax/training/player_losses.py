"""The two players' losses, put together from the experiment's components."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.schedules import value_at
from gan_jax.losses.augmentation import augmented
from gan_jax.losses.inference import VEEGAN
from gan_jax.losses.objectives import Criterion
from gan_jax.losses.penalties import Penalty, StatefulPenalty, View
from gan_jax.losses.transforms import chain
from gan_jax.networks.committee import num_heads
from gan_jax.networks.network import Variables
from gan_jax.training.replay import Fakes

# What the key of a loss is folded with; far from the small numbers that `split` folds in.
_PENALTY, _REPLAY, _NOISE, _AUGMENT = 0xFEE0, 0xB0FF, 0x0153, 0xA465


class Batch(NamedTuple):
    """What a loss is of: examples of both sides as D sees them, and how the fakes came about.

    Attributes:
        real: [batch, *discriminator_input_shape].
        fake: [batch, *discriminator_input_shape]; after replay, augmentation and noise, if there are any.
        fresh: [batch, *discriminator_input_shape], the fakes before these.
        latent: [batch, latent_dim].
        sample: [batch, *data.shape], what G made; `fake` is that, but where D sees its latent beside it.
        generator: variables of the G that made it.
    """

    real: Array
    fake: Array
    fresh: Array
    latent: Array
    sample: Array
    generator: Variables


class Memory(NamedTuple):
    """What a player's remedies remember: see `Variables.memory`.

    Attributes:
        replay: of its replay; () for none.
        penalties: of each of its penalties; () for those that remember nothing.
    """

    replay: Any
    penalties: tuple[Any, ...]


def sample_latent(experiment: Experiment, key: Array, num: int) -> Array:
    """Latents [num, latent_dim] from the generator's prior."""
    shape = (num, experiment.generator.latent_dim)
    # jax's default hashes twice as often for each number, so that arrays which the compiler splits over devices need no
    # communication. No array here is split so, and latents are the largest ones drawn.
    with getattr(jax, "threefry_partitionable", contextlib.nullcontext)(False):
        if experiment.generator.latent == "uniform":
            return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        return jax.random.normal(key, shape)


def num_devices(axis_name: str | None) -> int:
    """Members of a mapped axis; 1 without one."""
    return 1 if axis_name is None else jax.lax.axis_size(axis_name)


def shard(batch: Array, axis_name: str | None) -> Array:
    """A device's part of a batch that every device draws whole, from the same key; all of it without an axis.

    So the random numbers are those of one device. Shares are in the order of the batch.

    Raises:
        ValueError: while tracing, if the batch does not divide evenly.
    """
    if axis_name is None:
        return batch
    num = num_devices(axis_name)
    if batch.shape[0] % num:
        raise ValueError(f"a batch of {batch.shape[0]} does not divide evenly over {num} devices")
    size = batch.shape[0] // num
    return jax.lax.dynamic_slice_in_dim(batch, jax.lax.axis_index(axis_name) * size, size)


def mean_over_devices(tree: Any, axis_name: str | None) -> Any:
    """The mean of every leaf over a mapped axis; the tree itself without one."""
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)


def generate(
    experiment: Experiment, variables: Variables, latent: Array, *, train: bool, axis_name: str | None = None
) -> tuple[Array, Any]:
    """(samples [batch, *data.shape], G's new statistics). `train` uses and advances batch statistics."""
    apply = functools.partial(experiment.generator.network.apply, variables, latent, experiment.data.shape)
    return _apply(experiment, functools.partial(apply, train=train), axis_name)


def make_batch(
    experiment: Experiment, generator: Variables, real: Array, latent: Array, *, axis_name: str | None = None
) -> tuple[Batch, Any]:
    """(the batch that G makes of latents beside real examples, G's new statistics), in training mode."""
    sample, statistics = generate(experiment, generator, latent, train=True, axis_name=axis_name)
    network: Any = experiment.discriminator.network
    if experiment.growth is not None:
        real = network.faded(real)
    seen_real = real
    if experiment.inference is not None:
        encoder: Any = experiment.generator.network
        code = encode(experiment, generator, real, axis_name=axis_name)
        seen_real = _beside(real, code if experiment.inference.adversarial else jax.lax.stop_gradient(code))
        if jax.tree.leaves(statistics):
            joint = axis_name if experiment.device_statistics == "joint" else None
            statistics = encoder.advance(generator._replace(statistics=statistics), real, axis_name=joint)
            statistics = mean_over_devices(statistics, axis_name if joint is None else None)
    fake = _seen(experiment, sample, latent)
    return Batch(seen_real, fake, fake, latent, sample, generator), statistics


def encode(experiment: Experiment, generator: Variables, samples: Array, *, axis_name: str | None = None) -> Array:
    """Latents [batch, latent_dim] of samples, by G's encoder."""
    network: Any = experiment.generator.network
    joint = experiment.device_statistics == "joint"
    latent_dim = experiment.generator.latent_dim
    return network.encode(generator, samples, latent_dim, train=True, axis_name=axis_name if joint else None)


def score(
    experiment: Experiment,
    variables: Variables,
    real: Array,
    fake: Array,
    *,
    axis_name: str | None = None,
) -> tuple[Array, Array, Any]:
    """D's raw scores of both sides in training mode: (real [batch], fake [batch], D's new statistics).

    With `batch_statistics="separate"` the real and the fake batch are normalised apart, real first, as published.

    With an axis, `real` and `fake` are a device's shares, and the scores are those of all devices' in order: losses,
    and what transforms draw, are of the whole batch, on every device alike.
    """
    if experiment.discriminator.batch_statistics == "joint":
        scores, statistics = _scores(experiment, variables, jnp.concatenate([real, fake]), axis_name)
        real_scores, fake_scores = scores[: scores.shape[0] // 2], scores[scores.shape[0] // 2 :]
    else:
        real_scores, statistics = _scores(experiment, variables, real, axis_name)
        variables = variables._replace(statistics=statistics)
        fake_scores, statistics = _scores(experiment, variables, fake, axis_name)
    if axis_name is not None:
        real_scores, fake_scores = jax.lax.all_gather(
            jnp.stack([real_scores, fake_scores]), axis_name, axis=1, tiled=True
        )
    return real_scores, fake_scores, statistics


def discriminator_loss(
    experiment: Experiment,
    variables: Variables,
    batch: Batch,
    key: Array,
    step: Array,
    *,
    axis_name: str | None = None,
) -> tuple[Array, tuple[Variables, dict[str, Array]]]:
    """What D pays: the mean loss on real examples plus the mean loss on fakes, through the transforms, and penalties.

    Returns:
        The loss (scalar, the objective's unit: nats for the log losses) and (D's new statistics and memory, as
        `Variables` without parameters, and metrics).
    """
    settings = experiment.discriminator
    criterion = chain(experiment.objective.criterion(), settings.transforms)
    memory = variables.memory or Memory((), ((),) * len(settings.penalties))
    replayed = memory.replay
    if settings.replay is not None:
        shown, replayed = _replayed(experiment, memory.replay, batch, jax.random.fold_in(key, _REPLAY), step, axis_name)
        batch = batch._replace(fake=shown)
    batch = _noisy(experiment, _augmented(experiment, batch, key, axis_name), key, step, axis_name)
    real_scores, fake_scores, statistics = score(experiment, variables, batch.real, batch.fake, axis_name=axis_name)
    related = criterion.relate(real_scores, fake_scores)
    key_real, key_fake = jax.random.split(key)
    real_loss = jnp.mean(criterion.real(related[0], key_real, step))
    fake_loss = jnp.mean(criterion.fake(related[1], key_fake, step))
    loss = real_loss + fake_loss
    metrics = {
        "discriminator_loss": loss,
        "discriminator_loss_real": real_loss,
        "discriminator_loss_fake": fake_loss,
        "real_score": jnp.mean(real_scores),
        "fake_score": jnp.mean(fake_scores),
    }
    if criterion.decision_threshold is not None:
        metrics["real_accuracy"] = jnp.mean(related[0] > criterion.decision_threshold)
        metrics["fake_accuracy"] = jnp.mean(related[1] < criterion.decision_threshold)
    view = _view(experiment, variables, variables.params, batch, (real_scores, fake_scores), key, step, axis_name)
    penalty, advanced = _penalised(settings.penalties, memory.penalties, view)
    if settings.penalties:
        metrics["discriminator_penalty"] = penalty
        loss = loss + penalty
    return loss, (Variables((), statistics, _remembered(replayed, advanced)), metrics)


def generator_loss(
    experiment: Experiment,
    discriminator: Variables,
    batch: Batch,
    key: Array,
    step: Array,
    *,
    axis_name: str | None = None,
) -> tuple[Array, Any]:
    """What G pays for samples shown to a given D: (a scalar, in the objective's unit; the memory of its remedies).

    Real examples are scored only if the objective has a term for them (`generator_real`, or related scores), which
    enters G's gradient where D is unrolled, or if their latents are G's own. D's statistics are used in training mode
    and left as they are.
    """
    settings, own = experiment.generator, batch.generator
    memory = own.memory or Memory((), ((),) * len(settings.penalties))
    batch = _noisy(experiment, _augmented(experiment, batch, key, axis_name), key, step, axis_name)
    replayed = memory.replay
    if settings.replay is not None:
        discriminator, replayed = settings.replay.opponent(
            memory.replay, discriminator, jax.random.fold_in(key, _REPLAY), step
        )
    value = jnp.zeros(())
    if not any(getattr(penalty, "replaces", False) for penalty in settings.penalties):
        value = _adversarial(experiment, discriminator, batch, key, step, axis_name)
    if settings.penalties:
        nothing = jnp.zeros(batch.real.shape[0])
        view = _view(experiment, discriminator, own.params, batch, (nothing, nothing), key, step, axis_name)
        penalty, advanced = _penalised(settings.penalties, memory.penalties, view)
        return value + penalty, _remembered(replayed, advanced)
    return value, _remembered(replayed, ())


def init_memory(experiment: Experiment, generator: Variables, discriminator: Variables) -> tuple[Any, Any]:
    """What the remedies of G and of D remember before the first step."""
    gen, disc = experiment.generator, experiment.discriminator

    def of(penalties: tuple[Penalty, ...], params: Any) -> tuple[Any, ...]:
        return tuple(p.init(params) if isinstance(p, StatefulPenalty) else () for p in penalties)

    replayed: Any = ()
    if disc.replay is not None:
        nothing = jnp.zeros((1, *experiment.discriminator_input_shape))
        replayed = disc.replay.init(Fakes(nothing, generator, lambda old: nothing))
    faced = () if gen.replay is None else gen.replay.init(discriminator)
    return (
        _remembered(faced, of(gen.penalties, generator.params)),
        _remembered(replayed, of(disc.penalties, discriminator.params)),
    )


def _adversarial(
    experiment: Experiment, discriminator: Variables, batch: Batch, key: Array, step: Array, axis_name: str | None
) -> Array:
    """G's own loss under the objective."""
    criterion = chain(experiment.objective.criterion(), experiment.generator.transforms)
    key_fake, key_real = jax.random.split(key)
    judged = _paid_for_real(experiment, criterion)
    if judged is None:
        fake_scores, _ = _scores(experiment, discriminator, batch.fake, axis_name)
        if axis_name is not None:
            fake_scores = jax.lax.all_gather(fake_scores, axis_name, tiled=True)
        if isinstance(experiment.inference, VEEGAN) and experiment.inference.generator_loss == "score":
            return _mixed(experiment, -fake_scores)
        return _mixed(experiment, criterion.generator(fake_scores, key_fake, step))
    real_scores, fake_scores, _ = score(experiment, discriminator, batch.real, batch.fake, axis_name=axis_name)
    real_scores, fake_scores = criterion.relate(real_scores, fake_scores)
    losses = criterion.generator(fake_scores, key_fake, step), judged(real_scores, key_real, step)
    if experiment.generator.aggregation is not None:
        return _mixed(experiment, losses[0] + losses[1])
    return jnp.mean(losses[0]) + jnp.mean(losses[1])


def _paid_for_real(experiment: Experiment, criterion: Criterion) -> Any:
    """G's losses on real examples, or None: where their latents are G's own, it pays what D pays for fakes."""
    if criterion.generator_real is None and experiment.inference is not None and experiment.inference.adversarial:
        return criterion.fake
    return criterion.generator_real


def _mixed(experiment: Experiment, losses: Array) -> Array:
    """One number of G's losses: their mean, or what it pays to the several discriminators of a committee."""
    if experiment.generator.aggregation is None:
        return jnp.mean(losses)
    heads = num_heads(experiment.discriminator.network)
    return experiment.generator.aggregation(jnp.mean(losses.reshape(-1, heads), axis=0))


def _replayed(
    experiment: Experiment, memory: Any, batch: Batch, key: Array, step: Array, axis_name: str | None
) -> tuple[Array, Any]:
    """(a device's share of what D sees instead of the fakes at hand, the replay's memory)."""
    assert experiment.discriminator.replay is not None

    def whole(samples: Array) -> Array:
        return samples if axis_name is None else jax.lax.all_gather(samples, axis_name, tiled=True)

    def make(old: Variables) -> Array:
        sample, _ = generate(experiment, old, batch.latent, train=True, axis_name=axis_name)
        return whole(_seen(experiment, sample, batch.latent))

    fakes = Fakes(whole(batch.fake), batch.generator, make)
    shown, memory = experiment.discriminator.replay.show(memory, fakes, key, step)
    return shard(shown, axis_name), memory


def _penalised(penalties: tuple[Penalty, ...], memories: tuple[Any, ...], view: View) -> tuple[Array, tuple[Any, ...]]:
    """(the sum of the penalties, their memories after this loss)."""
    total, advanced = jnp.zeros(()), []
    for index, (penalty, memory) in enumerate(zip(penalties, memories, strict=True)):
        own = view._replace(memory=memory, key=jax.random.fold_in(view.key, index))
        total = total + penalty(own)
        advanced.append(jax.lax.stop_gradient(penalty.advance(own)) if isinstance(penalty, StatefulPenalty) else ())
    return total, tuple(advanced)


def _view(
    experiment: Experiment,
    discriminator: Variables,
    params: Any,
    batch: Batch,
    scores: tuple[Array, Array],
    key: Array,
    step: Array,
    axis_name: str | None,
) -> View:
    network = experiment.discriminator.network
    inner_axis = axis_name if experiment.device_statistics == "joint" else None

    def score_at(at: Any, samples: Array) -> Array:
        return _scores(experiment, discriminator._replace(params=at), samples, axis_name)[0]

    def features(samples: Array) -> dict[str, Array]:
        return network.features(discriminator, samples, train=True, axis_name=inner_axis)[1]

    encoder = None
    if hasattr(experiment.generator.network, "encode"):
        encoder = functools.partial(encode, experiment, batch.generator, axis_name=axis_name)
    return View(
        params=params,
        memory=(),
        score=functools.partial(score_at, discriminator.params),
        score_at=score_at,
        features=features,
        real=batch.real,
        fake=batch.fake,
        latent=batch.latent,
        real_scores=scores[0],
        fake_scores=scores[1],
        key=jax.random.fold_in(key, _PENALTY),
        step=step,
        batch_size=batch.real.shape[0] * num_devices(axis_name),
        num_heads=num_heads(network),
        share=functools.partial(shard, axis_name=axis_name),
        mean=functools.partial(mean_over_devices, axis_name=axis_name),
        fresh=batch.fresh,
        sample=batch.sample,
        encode=encoder,
    )


def _remembered(replay: Any, penalties: tuple[Any, ...]) -> Any:
    """() rather than an empty `Memory`, so that a run without remedies carries none."""
    memory = Memory(replay, penalties)
    return memory if jax.tree.leaves(memory) else ()


def _beside(samples: Array, latent: Array) -> Array:
    return jnp.concatenate([samples.reshape(samples.shape[0], -1), latent.astype(samples.dtype)], axis=1)


def _seen(experiment: Experiment, sample: Array, latent: Array) -> Array:
    """Fakes as D sees them."""
    return sample if experiment.inference is None else _beside(sample, latent)


def _augmented(experiment: Experiment, batch: Batch, key: Array, axis_name: str | None) -> Batch:
    """The batch with the images of both sides augmented, each by draws of its own; latents beside them stay."""
    augmentations, shape = experiment.discriminator.augment, experiment.data.shape
    if not augmentations:
        return batch

    def changed(seen: Array, key: Array) -> Array:
        num, size = seen.shape[0], math.prod(shape)
        keys = shard(jax.random.split(key, num * num_devices(axis_name)), axis_name)
        if experiment.inference is None:
            return augmented(augmentations, seen, keys)
        images = augmented(augmentations, seen[:, :size].reshape(num, *shape), keys)
        return _beside(images, seen[:, size:])

    keys = jax.random.split(jax.random.fold_in(key, _AUGMENT))
    return batch._replace(real=changed(batch.real, keys[0]), fake=changed(batch.fake, keys[1]))


def _noisy(experiment: Experiment, batch: Batch, key: Array, step: Array, axis_name: str | None) -> Batch:
    """The batch with instance noise on the samples of both sides, a draw for each; latents beside them stay."""
    if experiment.discriminator.instance_noise is None:
        return batch
    deviation = value_at(experiment.discriminator.instance_noise, step)
    size = math.prod(experiment.data.shape)

    def disturbed(seen: Array, key: Array) -> Array:
        shape = (seen.shape[0] * num_devices(axis_name), *seen.shape[1:])
        noise = shard(jax.random.normal(key, shape, seen.dtype), axis_name)
        if experiment.inference is not None:
            noise = noise.at[:, size:].set(0.0)
        return seen + deviation * noise

    keys = jax.random.split(jax.random.fold_in(key, _NOISE))
    return batch._replace(real=disturbed(batch.real, keys[0]), fake=disturbed(batch.fake, keys[1]))


def _scores(experiment: Experiment, variables: Variables, samples: Array, axis_name: str | None) -> tuple[Array, Any]:
    network = experiment.discriminator.network
    return _apply(experiment, functools.partial(network.apply, variables, samples, train=True), axis_name)


def _apply(experiment: Experiment, apply: Callable[..., tuple[Array, Any]], axis_name: str | None) -> tuple[Array, Any]:
    """A network's outputs, and its new statistics, which are the same on every device."""
    if axis_name is None or experiment.device_statistics == "joint":
        return apply(axis_name=axis_name)
    outputs, statistics = apply()
    return outputs, jax.lax.pmean(statistics, axis_name)
