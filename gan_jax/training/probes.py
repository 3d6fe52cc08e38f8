"""A look at both players in the middle of a run: what the recorder notes. A pure function of the state.

ProbeValues are scalars by name, with slashes:

    generator/activation/LAYER             root mean square of a layer's outputs, on the look's fakes
    discriminator/activation_real/LAYER    the same, on training examples; activation_fake: on the fakes
    generator/gradient/LAYER               root mean square of the gradient of the player's loss by a layer's parameters
    generator/singular/LAYER               largest singular value of a layer's weights
    scores/real_mean, _min, _max, fake_..  D's raw scores
    scores/fooled                          share of fakes that D takes for real
    input_gradient/real, fake              root mean square of dD/dx: what G is taught with
    forgetting/cosine                      of dD/dx between this look and the last, at the same points, mean
    forgetting/reversed                    share of points at which it is negative
    forgetting/old_fakes_AGE               D's accuracy on the fakes of AGE looks ago
    memorisation/train, held_out, fake     D's accuracy by running statistics; _batch: by the batch's own
    memorisation/gap                       train less held-out

A discriminator without a decision threshold (energies, Wasserstein scores) has no accuracies. Old fakes that are not
there yet give NaN.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.data.images import Images, normalise
from gan_jax.data.weighted import Weighted
from gan_jax.diagnostics.forgetting import accuracy_on_fakes, gradient_cosines
from gan_jax.diagnostics.magnitudes import init_vectors, layer_rms, relative_change, rms, top_singular_values
from gan_jax.diagnostics.recorder import AGES
from gan_jax.diagnostics.scans import score_gradients
from gan_jax.experiment.experiment import Experiment
from gan_jax.losses.objectives import Criterion
from gan_jax.networks.network import Variables
from gan_jax.training.player_losses import discriminator_loss, generator_loss, make_batch, sample_latent

ProbeValues = dict[str, Array]

_LOOK = 0x100C
"""What a run's key is folded with for the examples of a look."""


class ProbeState(NamedTuple):
    """What one look hands on to the next.

    Attributes:
        num_done: int32, looks so far.
        points: [2 m, *discriminator_input_shape], where D's gradient was taken: m training examples, m fakes.
        gradients: [2 m, *discriminator_input_shape], D's gradient there.
        fakes: [max(AGES), m, *discriminator_input_shape], fakes of the last looks, newest first.
        vectors: of power iteration, for G and for D.
    """

    num_done: Array
    points: Array
    gradients: Array
    fakes: Array
    vectors: tuple[dict[str, Array], dict[str, Array]]


def init_probe_state(experiment: Experiment, generator: Variables, discriminator: Variables) -> Any:
    """The memory before the first look; () without a recorder."""
    if experiment.recorder is None:
        return ()
    shape, num = experiment.discriminator_input_shape, _num_points(experiment)
    keys = jax.random.split(jax.random.key(_LOOK))
    nothing = jnp.zeros((2 * num, *shape))
    return ProbeState(
        num_done=jnp.int32(0),
        points=nothing,
        gradients=nothing,
        fakes=jnp.zeros((max(AGES), num, *shape)),
        vectors=(init_vectors(generator.params, keys[0]), init_vectors(discriminator.params, keys[1])),
    )


def look(
    experiment: Experiment,
    dataset: Any,
    generator: Variables,
    discriminator: Variables,
    memory: ProbeState,
    key: Array,
    step: Array,
) -> tuple[ProbeState, ProbeValues]:
    """What the recorder notes of two players.

    Args:
        experiment: with a recorder; at its present stage, if it grows.
        dataset: what `experiment.data.load` returned.
        generator: the one player.
        discriminator: the other.
        memory: of the last look.
        key: the run's: the examples of all looks follow from it and are the same.
        step: int32, steps done.

    Returns:
        (memory for the next look, scalars by name).
    """
    assert experiment.recorder is not None
    num = experiment.recorder.num_examples
    key_real, key_latent, key_held, key_loss = jax.random.split(jax.random.fold_in(key, _LOOK), 4)
    real = experiment.data.source(dataset).sample(key_real, num)
    latent = sample_latent(experiment, key_latent, num)
    batch, _ = make_batch(experiment, generator, real, latent)
    signals: ProbeValues = {}

    def discriminator_pays(params: Any) -> Array:
        return discriminator_loss(experiment, discriminator._replace(params=params), batch, key_loss, step)[0]

    def generator_pays(params: Any) -> Array:
        made, _ = make_batch(experiment, generator._replace(params=params), real, latent)
        return generator_loss(experiment, discriminator, made, key_loss, step)[0]

    grads = jax.grad(generator_pays)(generator.params), jax.grad(discriminator_pays)(discriminator.params)
    vectors = []
    for name, variables, gradient, start in zip(
        ("generator", "discriminator"), (generator, discriminator), grads, memory.vectors, strict=True
    ):
        signals |= {f"{name}/gradient/{layer}": value for layer, value in layer_rms(gradient).items()}
        values, advanced = top_singular_values(variables.params, start, experiment.recorder.num_iterations)
        signals |= {f"{name}/singular/{layer}": value for layer, value in values.items()}
        vectors.append(advanced)

    scores, activations = {}, {}
    for side, samples in (("real", batch.real), ("fake", batch.fresh)):
        scores[side], activations[f"discriminator/activation_{side}"] = experiment.discriminator.network.features(
            discriminator, samples, train=True
        )
        found = {"mean": jnp.mean(scores[side]), "min": jnp.min(scores[side]), "max": jnp.max(scores[side])}
        signals |= {f"scores/{side}_{what}": value for what, value in found.items()}
    network: Any = experiment.generator.network
    if hasattr(network, "features"):
        shape = experiment.data.shape
        activations["generator/activation"] = network.features(generator, latent, shape, train=True)[1]
    for group, layers in activations.items():
        signals |= {f"{group}/{layer}": rms(value) for layer, value in layers.items()}

    criterion = experiment.objective.criterion()
    signals |= _memorised(experiment, dataset, discriminator, criterion, batch.real, batch.fresh, key_held)
    if criterion.decision_threshold is not None:
        signals["scores/fooled"] = jnp.mean(scores["fake"] > criterion.decision_threshold)
    advanced_memory, forgotten = _forgotten(experiment, discriminator, criterion, memory, batch.real, batch.fresh)
    return advanced_memory._replace(vectors=(vectors[0], vectors[1])), signals | forgotten


def update_ratios(before: tuple[Variables, Variables], after: tuple[Variables, Variables]) -> ProbeValues:
    """Length of each player's last step relative to its parameters. Players in the order G, D."""
    return {
        f"{name}_update_ratio": relative_change(old.params, new.params)
        for name, old, new in zip(("generator", "discriminator"), before, after, strict=True)
    }


def held_out(experiment: Experiment, dataset: Any, key: Array, num: int) -> Array | None:
    """Examples [num, *shape] of the data that training does not see; None where there are none apart from these.

    Of images, the test set (drawn with replacement); of a mixture with a fixed set of points, fresh points. Every point
    of other mixtures is fresh.
    """
    if isinstance(experiment.data, Images):
        index = jax.random.randint(key, (num,), 0, dataset.test_images.shape[0])
        return normalise(dataset.test_images[index])
    if isinstance(experiment.data, Weighted) and experiment.data.num_points is not None:
        mixture: Any = experiment.data.data
        return mixture.source(()).sample(key, num)
    return None


def _memorised(
    experiment: Experiment,
    dataset: Any,
    discriminator: Variables,
    criterion: Criterion,
    real: Array,
    fake: Array,
    key: Array,
) -> ProbeValues:
    """D's accuracies on what it was trained on, on what it was not, and on fakes."""
    decision_threshold = criterion.decision_threshold
    if decision_threshold is None:
        return {}
    unseen = held_out(experiment, dataset, key, real.shape[0]) if experiment.inference is None else None
    signals: ProbeValues = {}
    modes = {"": False} | ({"_batch": True} if jax.tree.leaves(discriminator.statistics) else {})
    for mode, train in modes.items():

        def accuracy(samples: Array, sign: float, train: bool = train) -> Array:
            scores, _ = experiment.discriminator.network.apply(discriminator, samples, train=train)
            return jnp.mean(sign * (scores - decision_threshold) > 0)

        signals[f"memorisation/train{mode}"] = accuracy(real, 1.0)
        signals[f"memorisation/fake{mode}"] = accuracy(fake, -1.0)
        if unseen is not None:
            signals[f"memorisation/held_out{mode}"] = accuracy(unseen, 1.0)
            gap = signals[f"memorisation/train{mode}"] - signals[f"memorisation/held_out{mode}"]
            signals[f"memorisation/gap{mode}"] = gap
    return signals


def _forgotten(
    experiment: Experiment,
    discriminator: Variables,
    criterion: Criterion,
    memory: ProbeState,
    real: Array,
    fake: Array,
) -> tuple[ProbeState, ProbeValues]:
    """How far D's gradient has turned since the last look, and what D makes of old fakes."""
    num = _num_points(experiment)
    network = experiment.discriminator.network

    def score(samples: Array) -> Array:
        return network.apply(discriminator, samples, train=False)[0]

    points = jnp.concatenate([real[:num], fake[:num]])
    both = score_gradients(score, jnp.concatenate([memory.points, points]), size=4 * num)
    now, new = both[: 2 * num], both[2 * num :]
    cosines = gradient_cosines(memory.gradients, now)
    signals = {
        "forgetting/cosine": cosines.mean,
        "forgetting/reversed": cosines.reversed_share,
        "input_gradient/real": rms(new[:num]),
        "input_gradient/fake": rms(new[num:]),
    }
    if criterion.decision_threshold is not None:
        for age in AGES:
            share = accuracy_on_fakes(score(memory.fakes[age - 1]), criterion.decision_threshold)
            signals[f"forgetting/old_fakes_{age}"] = jnp.where(memory.num_done >= age, share, jnp.nan)
    fakes = jnp.concatenate([fake[None, :num], memory.fakes[:-1]])
    return ProbeState(memory.num_done + 1, points, new, fakes, memory.vectors), signals


def _num_points(experiment: Experiment) -> int:
    assert experiment.recorder is not None
    return experiment.recorder.num_examples // 2
