"""The losses of the two players, composed from the experiment's components."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from gan_jax.experiment.experiment import Experiment
from gan_jax.losses.inference import VEEGAN
from gan_jax.losses.objectives import Criterion
from gan_jax.losses.penalties import Penalty, StatefulPenalty, View
from gan_jax.losses.transforms import chain
from gan_jax.networks.committee import num_heads
from gan_jax.networks.network import Variables
from gan_jax.training.batches import Batch, disturbed, encode, faced_discriminator, replayed
from gan_jax.training.context import StepContext
from gan_jax.training.replay import Fakes

_PENALTY = 0xFEE0  # constant that the key of a loss is folded with; far from the small numbers that `split` folds in


class PlayerMemory(NamedTuple):
    """State of a player's remedies, in `Variables.memory`.

    Attributes:
        replay: state of its replay; () without one.
        penalties: state of each penalty; () for penalties without state.
    """

    replay: Any
    penalties: tuple[Any, ...]


def scores_of(
    context: StepContext, discriminator: Variables, samples: Float[Array, "n *shape"]
) -> tuple[Float[Array, "scores"], Any]:
    """D's raw scores of one device's samples in training mode.

    Args:
        context: of the step.
        discriminator: variables of D.
        samples: [batch, *discriminator_input_shape].

    Returns:
        (scores [batch], D's new statistics, the same on every device).
    """
    network, axis = context.experiment.discriminator.network, context.statistics_axis
    scores, statistics = network.apply(discriminator, samples, train=True, axis_name=axis)
    chex.assert_rank(scores, 1)
    return scores, statistics if axis is not None else context.mean(statistics)


def score(
    context: StepContext, discriminator: Variables, real: Float[Array, "n *shape"], fake: Float[Array, "n *shape"]
) -> tuple[Float[Array, "scores"], Float[Array, "scores"], Any]:
    """D's raw scores of both sides in training mode.

    With `batch_statistics="separate"` batch norm normalises the real and the fake batch separately, real first, as
    published.

    Args:
        context: of the step.
        discriminator: variables of D.
        real: [batch, *discriminator_input_shape]; with an axis this device's shard.
        fake: the same.

    Returns:
        (real scores [batch], fake scores [batch], D's new statistics). With an axis the scores are those of all devices
        in order, so that losses and the draws of transforms are those of the whole batch on every device.
    """
    if context.experiment.discriminator.batch_statistics == "joint":
        scores, statistics = scores_of(context, discriminator, jnp.concatenate([real, fake]))
        real_scores, fake_scores = scores[: scores.shape[0] // 2], scores[scores.shape[0] // 2 :]
    else:
        real_scores, statistics = scores_of(context, discriminator, real)
        fake_scores, statistics = scores_of(context, discriminator._replace(statistics=statistics), fake)
    if context.axis_name is not None:
        real_scores, fake_scores = context.gather(jnp.stack([real_scores, fake_scores]), axis=1)
    return real_scores, fake_scores, statistics


def discriminator_loss(
    context: StepContext, discriminator: Variables, batch: Batch, key: Key[Array, ""]
) -> tuple[Float[Array, ""], tuple[Variables, dict[str, Float[Array, ""]]]]:
    """D's loss: the mean over real examples plus the mean over fakes, through the transforms, plus the penalties.

    Args:
        context: of the step.
        discriminator: variables of D.
        batch: with fakes of the G that D is trained against.
        key: of all draws of this loss.

    Returns:
        The loss (scalar, in the objective's unit: nats for the log losses) and (D's new statistics and memory, as
        `Variables` without parameters, and metrics).
    """
    experiment, settings = context.experiment, context.experiment.discriminator
    criterion = chain(experiment.objective.criterion(), settings.transforms)
    memory = discriminator.memory or PlayerMemory((), ((),) * len(settings.penalties))
    batch, replay_state = replayed(context, memory.replay, batch, key)
    batch = disturbed(context, batch, key)
    real_scores, fake_scores, statistics = score(context, discriminator, batch.real, batch.fake)
    related = criterion.relate(real_scores, fake_scores)
    key_real, key_fake = jax.random.split(key)
    real_loss = jnp.mean(criterion.real(related[0], key_real, context.step))
    fake_loss = jnp.mean(criterion.fake(related[1], key_fake, context.step))
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
    view = _view(context, discriminator, discriminator.params, batch, (real_scores, fake_scores), key)
    penalty, advanced = _penalised(settings.penalties, memory.penalties, view)
    if settings.penalties:
        metrics["discriminator_penalty"] = penalty
        loss = loss + penalty
    return loss, (Variables((), statistics, _player_memory(replay_state, advanced)), metrics)


def generator_loss(
    context: StepContext, discriminator: Variables, batch: Batch, key: Key[Array, ""]
) -> tuple[Float[Array, ""], Any]:
    """G's loss for samples that a given D scores.

    Real examples are scored only if the objective has a term for them (`generator_real`, or related scores), which
    enters G's gradient where D is unrolled, or if their latents are G's own. D runs in training mode, and its
    new statistics are discarded.

    Args:
        context: of the step.
        discriminator: variables of the D that G faces.
        batch: made by the G whose loss this is.
        key: of all draws of this loss.

    Returns:
        (the loss, a scalar in the objective's unit; the state of G's remedies).
    """
    settings, own = context.experiment.generator, batch.generator
    memory = own.memory or PlayerMemory((), ((),) * len(settings.penalties))
    batch = disturbed(context, batch, key)
    discriminator, replay_state = faced_discriminator(context, memory.replay, discriminator, key)
    value = jnp.zeros(())
    if not any(getattr(penalty, "replaces", False) for penalty in settings.penalties):
        value = _adversarial(context, discriminator, batch, key)
    if settings.penalties:
        nothing = jnp.zeros(batch.real.shape[0])
        view = _view(context, discriminator, own.params, batch, (nothing, nothing), key)
        penalty, advanced = _penalised(settings.penalties, memory.penalties, view)
        return value + penalty, _player_memory(replay_state, advanced)
    return value, _player_memory(replay_state, ())


def init_memory(experiment: Experiment, generator: Variables, discriminator: Variables) -> tuple[Any, Any]:
    """The state of the remedies of G and of D before the first step.

    Args:
        experiment: the settings.
        generator: variables of G.
        discriminator: variables of D.

    Returns:
        (of G, of D), each a `PlayerMemory`, or () for a player without such remedies.
    """
    gen, disc = experiment.generator, experiment.discriminator

    def states(penalties: tuple[Penalty, ...], params: Any) -> tuple[Any, ...]:
        return tuple(p.init(params) if isinstance(p, StatefulPenalty) else () for p in penalties)

    shown: Any = ()
    if disc.replay is not None:
        nothing = jnp.zeros((1, *experiment.discriminator_input_shape))
        shown = disc.replay.init(Fakes(nothing, generator, lambda old: nothing))
    faced = () if gen.replay is None else gen.replay.init(discriminator)
    return (
        _player_memory(faced, states(gen.penalties, generator.params)),
        _player_memory(shown, states(disc.penalties, discriminator.params)),
    )


def _adversarial(context: StepContext, discriminator: Variables, batch: Batch, key: Array) -> Array:
    """G's loss under the objective, without penalties."""
    experiment, step = context.experiment, context.step
    criterion = chain(experiment.objective.criterion(), experiment.generator.transforms)
    key_fake, key_real = jax.random.split(key)
    real_losses = _generator_real(experiment, criterion)
    if real_losses is None:
        fake_scores = context.gather(scores_of(context, discriminator, batch.fake)[0])
        if isinstance(experiment.inference, VEEGAN) and experiment.inference.generator_loss == "score":
            return _aggregated(experiment, -fake_scores)
        return _aggregated(experiment, criterion.generator(fake_scores, key_fake, step))
    real_scores, fake_scores, _ = score(context, discriminator, batch.real, batch.fake)
    real_scores, fake_scores = criterion.relate(real_scores, fake_scores)
    losses = criterion.generator(fake_scores, key_fake, step), real_losses(real_scores, key_real, step)
    if experiment.generator.aggregation is not None:
        return _aggregated(experiment, losses[0] + losses[1])
    return jnp.mean(losses[0]) + jnp.mean(losses[1])


def _generator_real(experiment: Experiment, criterion: Criterion) -> Any:
    """G's losses on real examples, or None. Where their latents are G's own, they are D's losses on fakes."""
    if criterion.generator_real is None and experiment.inference is not None and experiment.inference.adversarial:
        return criterion.fake
    return criterion.generator_real


def _aggregated(experiment: Experiment, losses: Array) -> Array:
    """One number of G's losses [batch * heads]: their mean, or the aggregate over a committee's discriminators."""
    if experiment.generator.aggregation is None:
        return jnp.mean(losses)
    heads = num_heads(experiment.discriminator.network)
    return experiment.generator.aggregation(jnp.mean(losses.reshape(-1, heads), axis=0))


def _penalised(penalties: tuple[Penalty, ...], states: tuple[Any, ...], view: View) -> tuple[Array, tuple[Any, ...]]:
    """(the sum of the penalties, their states after this loss)."""
    total, advanced = jnp.zeros(()), []
    for index, (penalty, state) in enumerate(zip(penalties, states, strict=True)):
        own = view._replace(memory=state, key=jax.random.fold_in(view.key, index))
        total = total + penalty(own)
        advanced.append(jax.lax.stop_gradient(penalty.advance(own)) if isinstance(penalty, StatefulPenalty) else ())
    return total, tuple(advanced)


def _view(
    context: StepContext,
    discriminator: Variables,
    params: Any,
    batch: Batch,
    scores: tuple[Array, Array],
    key: Array,
) -> View:
    network = context.experiment.discriminator.network

    def score_at(at: Any, samples: Array) -> Array:
        return scores_of(context, discriminator._replace(params=at), samples)[0]

    def features(samples: Array) -> dict[str, Array]:
        return network.features(discriminator, samples, train=True, axis_name=context.statistics_axis)[1]

    has_encoder = hasattr(context.experiment.generator.network, "encode")
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
        step=context.step,
        batch_size=batch.real.shape[0] * context.axis_size,
        num_heads=num_heads(network),
        shard=context.shard,
        mean=context.mean,
        fresh=batch.fresh,
        sample=batch.sample,
        encode=functools.partial(encode, context, batch.generator) if has_encoder else None,
    )


def _player_memory(replay: Any, penalties: tuple[Any, ...]) -> Any:
    """A `PlayerMemory`, or () if it would be empty, so that a run without remedies carries none."""
    memory = PlayerMemory(replay, penalties)
    return memory if jax.tree.leaves(memory) else ()
