"""The recorder: measurements of both players during a run. It is a pure function of the state.

Probe values are scalars by name:

    generator/activation/LAYER             root mean square of a layer's outputs, on the probe's fakes
    discriminator/activation_real/LAYER    the same, on training examples; activation_fake: on the fakes
    generator/gradient/LAYER               root mean square of the gradient of the player's loss by a layer's parameters
    generator/singular/LAYER               largest singular value of a layer's weights
    scores/real_mean, _min, _max, fake_..  D's raw scores
    scores/fooled                          share of fakes that D classifies as real
    input_gradient/real, fake              root mean square of dD/dx: the gradient that G is trained with
    forgetting/cosine                      mean cosine of dD/dx between this probe and the last, at the same points
    forgetting/reversed                    share of points at which it is negative
    forgetting/old_fakes_AGE               D's accuracy on the fakes of AGE probes before
    memorisation/train, held_out, fake     D's accuracy by running statistics; _batch: by the batch's own
    memorisation/gap                       train minus held_out

A discriminator without a decision threshold (energies, Wasserstein scores) has no accuracies. Accuracies on old
fakes that do not exist yet are NaN.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Key

from gan_jax.data.images import Images, normalise
from gan_jax.data.weighted import Weighted
from gan_jax.diagnostics.forgetting import accuracy_on_fakes, gradient_cosines
from gan_jax.diagnostics.magnitudes import init_vectors, layer_rms, relative_change, rms, top_singular_values
from gan_jax.diagnostics.recorder import AGES
from gan_jax.diagnostics.scans import input_gradients
from gan_jax.experiment.experiment import Experiment
from gan_jax.losses.objectives import Criterion
from gan_jax.networks.network import Variables
from gan_jax.training.batches import make_batch, sample_latent
from gan_jax.training.context import StepContext, step_context
from gan_jax.training.player_losses import discriminator_loss, generator_loss
from gan_jax.training.precision import in_precision

ProbeValues = dict[str, Array]
Players = tuple[Variables, Variables]
"""Variables of G and of D."""

_PROBE = 0x100C
"""Constant that a run's key is folded with for the examples of a probe."""


class ProbeState(NamedTuple):
    """The state that one probe passes to the next.

    Attributes:
        num_done: int32, probes so far.
        points: [2 m, *discriminator_input_shape], where D's gradient was taken: m training examples, m fakes.
        gradients: [2 m, *discriminator_input_shape], D's gradient there.
        fakes: [max(AGES), m, *discriminator_input_shape], fakes of the last probes, newest first.
        vectors: of power iteration, for G and for D.
    """

    num_done: Array
    points: Array
    gradients: Array
    fakes: Array
    vectors: tuple[dict[str, Array], dict[str, Array]]


def init_probe_state(experiment: Experiment, generator: Variables, discriminator: Variables) -> Any:
    """The state before the first probe.

    Args:
        experiment: the settings.
        generator: variables of G.
        discriminator: variables of D.

    Returns:
        A `ProbeState`; () without a recorder.
    """
    if experiment.recorder is None:
        return ()
    shape, num = experiment.discriminator_input_shape, _num_points(experiment)
    keys = jax.random.split(jax.random.key(_PROBE))
    nothing = jnp.zeros((2 * num, *shape))
    return ProbeState(
        num_done=jnp.int32(0),
        points=nothing,
        gradients=nothing,
        fakes=jnp.zeros((max(AGES), num, *shape)),
        vectors=(init_vectors(generator.params, keys[0]), init_vectors(discriminator.params, keys[1])),
    )


@in_precision
def record(
    experiment: Experiment,
    dataset: Any,
    players: Players,
    probe_state: ProbeState,
    key: Key[Array, ""],
    step: Int[Array, ""],
) -> tuple[ProbeState, ProbeValues]:
    """The probe values of two players.

    Args:
        experiment: with a recorder; at its present stage, if it grows.
        dataset: what `experiment.data.load` returned.
        players: variables of G and of D.
        probe_state: of the last probe.
        key: of the run. It determines the examples, which are the same in all probes.
        step: int32, steps done.

    Returns:
        (state for the next probe, scalars by name).
    """
    context = step_context(experiment, dataset, step)
    experiment, (generator, discriminator) = context.experiment, players
    assert experiment.recorder is not None
    num = experiment.recorder.num_examples
    key_real, key_latent, key_held, key_loss = jax.random.split(jax.random.fold_in(key, _PROBE), 4)
    real = context.source.sample(key_real, num)
    latent = sample_latent(experiment, key_latent, num)
    batch, _ = make_batch(context, generator, real, latent)
    values: ProbeValues = {}

    def loss_of_discriminator(params: Any) -> Array:
        return discriminator_loss(context, discriminator._replace(params=params), batch, key_loss)[0]

    def loss_of_generator(params: Any) -> Array:
        made, _ = make_batch(context, generator._replace(params=params), real, latent)
        return generator_loss(context, discriminator, made, key_loss)[0]

    grads = jax.grad(loss_of_generator)(generator.params), jax.grad(loss_of_discriminator)(discriminator.params)
    vectors = []
    for name, variables, gradient, start in zip(
        ("generator", "discriminator"), players, grads, probe_state.vectors, strict=True
    ):
        values |= {f"{name}/gradient/{layer}": value for layer, value in layer_rms(gradient).items()}
        largest, advanced = top_singular_values(variables.params, start, experiment.recorder.num_iterations)
        values |= {f"{name}/singular/{layer}": value for layer, value in largest.items()}
        vectors.append(advanced)

    scores, activations = {}, {}
    for side, samples in (("real", batch.real), ("fake", batch.fresh)):
        scores[side], activations[f"discriminator/activation_{side}"] = experiment.discriminator.network.features(
            discriminator, samples, train=True
        )
        found = {"mean": jnp.mean(scores[side]), "min": jnp.min(scores[side]), "max": jnp.max(scores[side])}
        values |= {f"scores/{side}_{what}": value for what, value in found.items()}
    network: Any = experiment.generator.network
    if hasattr(network, "features"):
        shape = experiment.data.shape
        activations["generator/activation"] = network.features(generator, latent, shape, train=True)[1]
    for group, layers in activations.items():
        values |= {f"{group}/{layer}": rms(value) for layer, value in layers.items()}

    criterion = experiment.objective.criterion()
    sides = batch.real, batch.fresh
    values |= _memorisation(context, dataset, discriminator, criterion, sides, key_held)
    if criterion.decision_threshold is not None:
        values["scores/fooled"] = jnp.mean(scores["fake"] > criterion.decision_threshold)
    advanced_state, forgetting = _forgetting(experiment, discriminator, criterion, probe_state, sides)
    return advanced_state._replace(vectors=(vectors[0], vectors[1])), values | forgetting


def update_ratios(before: Players, after: Players) -> ProbeValues:
    """Length of each player's last step relative to its parameters. Players in the order G, D."""
    return {
        f"{name}_update_ratio": relative_change(old.params, new.params)
        for name, old, new in zip(("generator", "discriminator"), before, after, strict=True)
    }


def held_out(experiment: Experiment, dataset: Any, key: Key[Array, ""], num: int) -> Float[Array, "n *shape"] | None:
    """Examples of the data that training does not use; None for data without a fixed training set.

    For images they are drawn from the test set, with replacement; for a mixture with a fixed set of points they are new
    points. For other mixtures, whose training points are all new, the result is None.

    Args:
        experiment: the settings.
        dataset: what `experiment.data.load` returned.
        key: of the draw.
        num: number of examples.

    Returns:
        [num, *shape], or None.
    """
    if isinstance(experiment.data, Images):
        index = jax.random.randint(key, (num,), 0, dataset.test_images.shape[0])
        return normalise(dataset.test_images[index])
    if isinstance(experiment.data, Weighted) and experiment.data.num_points is not None:
        mixture: Any = experiment.data.data
        return mixture.source(()).sample(key, num)
    return None


def _memorisation(
    context: StepContext,
    dataset: Any,
    discriminator: Variables,
    criterion: Criterion,
    sides: tuple[Array, Array],
    key: Array,
) -> ProbeValues:
    """D's accuracies on training examples, on held-out ones, and on fakes. `sides` are (real, fake)."""
    experiment, threshold, (real, fake) = context.experiment, criterion.decision_threshold, sides
    if threshold is None:
        return {}
    unseen = held_out(experiment, dataset, key, real.shape[0]) if experiment.inference is None else None
    values: ProbeValues = {}
    modes = {"": False} | ({"_batch": True} if jax.tree.leaves(discriminator.statistics) else {})
    for mode, train in modes.items():

        def accuracy(samples: Array, sign: float, train: bool = train) -> Array:
            scores, _ = experiment.discriminator.network.apply(discriminator, samples, train=train)
            return jnp.mean(sign * (scores - threshold) > 0)

        values[f"memorisation/train{mode}"] = accuracy(real, 1.0)
        values[f"memorisation/fake{mode}"] = accuracy(fake, -1.0)
        if unseen is not None:
            values[f"memorisation/held_out{mode}"] = accuracy(unseen, 1.0)
            gap = values[f"memorisation/train{mode}"] - values[f"memorisation/held_out{mode}"]
            values[f"memorisation/gap{mode}"] = gap
    return values


def _forgetting(
    experiment: Experiment,
    discriminator: Variables,
    criterion: Criterion,
    probe_state: ProbeState,
    sides: tuple[Array, Array],
) -> tuple[ProbeState, ProbeValues]:
    """The change of D's gradient since the last probe, and D's accuracy on old fakes. `sides` are (real, fake)."""
    num, (real, fake) = _num_points(experiment), sides
    network = experiment.discriminator.network

    def score(samples: Array) -> Array:
        return network.apply(discriminator, samples, train=False)[0]

    points = jnp.concatenate([real[:num], fake[:num]])
    both = input_gradients(score, jnp.concatenate([probe_state.points, points]), size=4 * num)
    now, new = both[: 2 * num], both[2 * num :]
    turned = gradient_cosines(probe_state.gradients, now)
    values = {
        "forgetting/cosine": turned.mean,
        "forgetting/reversed": turned.reversed_share,
        "input_gradient/real": rms(new[:num]),
        "input_gradient/fake": rms(new[num:]),
    }
    if criterion.decision_threshold is not None:
        for age in AGES:
            share = accuracy_on_fakes(score(probe_state.fakes[age - 1]), criterion.decision_threshold)
            values[f"forgetting/old_fakes_{age}"] = jnp.where(probe_state.num_done >= age, share, jnp.nan)
    fakes = jnp.concatenate([fake[None, :num], probe_state.fakes[:-1]])
    return ProbeState(probe_state.num_done + 1, points, new, fakes, probe_state.vectors), values


def _num_points(experiment: Experiment) -> int:
    assert experiment.recorder is not None
    return experiment.recorder.num_examples // 2
