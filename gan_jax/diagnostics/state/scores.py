"""D's score as a function of a sample, for landscapes, scans and gradients; the examples that a diagnosis uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.data.images import normalise
from gan_jax.data.mixtures import MixtureSource
from gan_jax.data.stacked import ImageData, StackedImages, draw_triples, stack_channels
from gan_jax.data.weighted import WeightedSource
from gan_jax.diagnostics.scans import Score
from gan_jax.experiment.experiment import Experiment
from gan_jax.networks.committee import num_heads
from gan_jax.networks.packing import pack_size
from gan_jax.training.batches import sample_latent
from gan_jax.training.evaluations import sample_modes
from gan_jax.training.growth import at_stage, at_step, num_stages
from gan_jax.training.state import TrainState


def check_scored(experiment: Experiment, what: str) -> None:
    """Raises an error if the experiment's D does not score single samples.

    Args:
        experiment: its D is checked.
        what: the diagnosis, for the beginning of the message.

    Raises:
        ValueError: if D scores packs of samples, pairs of a sample and a latent, or a sample relative to its batch.
    """
    network: Any = experiment.discriminator.network
    if pack_size(network) > 1:
        raise ValueError(
            f"{what} needs D's score of one sample, and this D scores {pack_size(network)} at once: train without "
            "packing, or diagnose its magnitudes or support"
        )
    if experiment.inference is not None:
        raise ValueError(
            f"{what} needs D's score of a sample, and this D scores pairs of a sample and a latent "
            f"({type(experiment.inference).__name__}): train without inference, or diagnose its magnitudes or support"
        )
    while network is not None:
        if getattr(network, "minibatch", None) is not None:
            raise ValueError(
                f"{what} needs D's score of one sample, and this D's score depends on the batch around it "
                f"({type(network.minibatch).__name__}): train without that layer"
            )
        network = getattr(network, "network", None)


def describe_score(experiment: Experiment) -> str:
    """Description of `score_at`, for tables."""
    heads = num_heads(experiment.discriminator.network)
    mean = f", mean of the committee's {heads} members" if heads > 1 else ""
    return f"D's raw score, with running statistics where it has batch norm{mean}"


def staged(experiment: Experiment, step: int) -> Experiment:
    """The experiment at the stage of growth of a step; unchanged if it does not grow."""
    if experiment.growth is None:
        return experiment
    return at_stage(experiment, experiment.growth.stage(step, num_stages(experiment)))


def score_at(experiment: Experiment, state: TrainState) -> Score:
    """D's score function at a state, see `describe_score`. The experiment is `staged`; traceable."""
    network = at_step(experiment, state.step).discriminator.network
    heads = num_heads(network)

    def score(samples: Array) -> Array:
        scores, _ = network.apply(state.discriminator.variables, samples, train=False)
        return scores if heads == 1 else jnp.mean(scores.reshape(-1, heads), axis=1)

    return score


def fakes_at(experiment: Experiment, state: TrainState, latent: Array) -> Array:
    """Fakes as D sees them in training: G's current parameters, batch norm in training mode where there is one.

    Args:
        experiment: `staged`.
        state: of the run.
        latent: [n, latent_dim].

    Returns:
        [n, *shape].
    """
    modes = sample_modes(at_step(experiment, state.step), state.generator.variables, latent)
    return modes.get("batch", modes["running"])


def generator_losses(experiment: Experiment, score: Score, real: Array) -> Callable[[Array], Array]:
    """G's loss of single samples under the bare objective, without transforms and penalties.

    A relativistic objective compares each fake with all the given real examples, and with no other fake.

    Args:
        experiment: gives the objective.
        score: D.
        real: [m, *shape], real examples.

    Returns:
        A function [n, *shape] -> losses [n].
    """
    criterion = experiment.objective.criterion()
    key, step = jax.random.key(0), jnp.int32(0)  # arguments of transforms; objectives ignore them
    real_scores = score(real)

    def loss_of(value: Array) -> Array:
        related_real, related_fake = criterion.relate(real_scores, jnp.full_like(real_scores, value))
        loss = jnp.mean(criterion.generator(related_fake, key, step))
        if criterion.generator_real is not None:
            loss = loss + jnp.mean(criterion.generator_real(related_real, key, step))
        return loss

    return lambda samples: jax.vmap(loss_of)(score(samples))


class Examples(NamedTuple):
    """Real examples and latents of a diagnosis.

    Attributes:
        groups: [n, *shape] by kind: "training" and "held-out" where these differ, else "real".
        latent: [n, latent_dim], of the fakes.
        key: for further random draws.
    """

    groups: dict[str, Array]
    latent: Array
    key: Array

    @property
    def real(self) -> Array:
        """Training examples, or fresh real ones where there is no training set."""
        return self.groups["training"] if "training" in self.groups else self.groups["real"]

    @property
    def kinds(self) -> list[str]:
        """Kinds of real examples in a fixed order. (A compiled function returns `groups` sorted by name.)"""
        return [kind for kind in ("training", "real", "held-out") if kind in self.groups]


def examples(experiment: Experiment, dataset: Any, seed: int, num: int) -> Examples:
    """Draws `num` examples of each kind with replacement, and as many latents.

    Images have training and held-out examples. A `Weighted` mixture has training points, and fresh points are held out;
    every other mixture has fresh points only. Held-out stacked images consist of test images.

    Args:
        experiment: of the run.
        dataset: of the run.
        seed: of the draws.
        num: examples of each kind.

    Returns:
        The examples, on the device.
    """
    source = experiment.data.source(dataset)
    key_real, key_held, key_latent, key = jax.random.split(jax.random.key(seed), 4)
    groups: dict[str, Array] = {}
    if isinstance(experiment.data, ImageData):
        groups["training"] = source.sample(key_real, num)
        shown = dataset.test_images
        if isinstance(experiment.data, StackedImages):
            held = stack_channels(shown, draw_triples(key_held, num, shown.shape[0]))
        else:
            held = shown[jax.random.randint(key_held, (num,), 0, shown.shape[0])]
        groups["held-out"] = normalise(held)
    elif isinstance(source, WeightedSource):
        groups = {"training": source.sample(key_real, num), "held-out": source.mixture.sample(key_held, num)}
    else:
        groups["real"] = source.sample(key_real, num)
    return Examples(groups, sample_latent(experiment, key_latent, num), key)


def as_seen(experiment: Experiment, state: TrainState, real: Array) -> Array:
    """Real examples as D sees them at this stage of growth.

    Args:
        experiment: `staged`.
        state: of the run.
        real: [n, *shape] at full resolution.

    Returns:
        [n, *shape]; unchanged if the experiment does not grow.
    """
    network: Any = at_step(experiment, state.step).discriminator.network
    return real if experiment.growth is None else network.faded(real)


def mixture_of(source: Any) -> MixtureSource:
    """The true mixture behind a source of vectors."""
    return source.mixture if isinstance(source, WeightedSource) else source
