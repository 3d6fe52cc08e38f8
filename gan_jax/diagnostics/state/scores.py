"""D as a function of a sample, which is what landscapes, scans and gradients are of; and the samples they look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.data.images import normalise
from gan_jax.data.mixtures import MixtureSource
from gan_jax.data.stacked import ImageData, draw_triples, stack_channels
from gan_jax.data.weighted import WeightedSource
from gan_jax.diagnostics.scans import Score
from gan_jax.experiment.experiment import Experiment
from gan_jax.networks.committee import num_heads
from gan_jax.networks.packing import pack_size
from gan_jax.runs.run_directory import RunError
from gan_jax.training.batches import sample_latent
from gan_jax.training.evaluations import sample_modes
from gan_jax.training.growth import at_stage, at_step, num_stages
from gan_jax.training.state import TrainState


def check_scored(experiment: Experiment, what: str) -> None:
    """Refuses a D that has no score of a sample by itself.

    Args:
        experiment: whose D.
        what: is asked for, to begin the message with.

    Raises:
        RunError: if D judges packs, joint vectors, or a sample by the batch around it.
    """
    network: Any = experiment.discriminator.network
    if pack_size(network) > 1:
        raise RunError(
            f"{what} is of D's score of one sample, and this D judges {pack_size(network)} at once: train without "
            "packing, or diagnose its magnitudes or support"
        )
    if experiment.inference is not None:
        raise RunError(
            f"{what} is of D's score of a sample, and this D judges a sample beside a latent "
            f"({type(experiment.inference).__name__}): train without inference, or diagnose its magnitudes or support"
        )
    while network is not None:
        if getattr(network, "minibatch", None) is not None:
            raise RunError(
                f"{what} is of D's score of one sample, and this D's score depends on the batch around it "
                f"({type(network.minibatch).__name__}): train without that layer"
            )
        network = getattr(network, "network", None)


def describe_score(experiment: Experiment) -> str:
    """What `score_at` is, in words."""
    heads = num_heads(experiment.discriminator.network)
    mean = f", mean of the committee's {heads} members" if heads > 1 else ""
    return f"D's raw score, with running statistics where it has batch norm{mean}"


def staged(experiment: Experiment, step: int) -> Experiment:
    """The experiment with its networks as large as they are at a step; as it is if it does not grow."""
    if experiment.growth is None:
        return experiment
    return at_stage(experiment, experiment.growth.stage(step, num_stages(experiment)))


def score_at(experiment: Experiment, state: TrainState) -> Score:
    """D of a state, as `describe_score` says. The experiment is `staged`; traceable."""
    network = at_step(experiment, state.step).discriminator.network
    heads = num_heads(network)

    def score(samples: Array) -> Array:
        scores, _ = network.apply(state.discriminator.variables, samples, train=False)
        return scores if heads == 1 else jnp.mean(scores.reshape(-1, heads), axis=1)

    return score


def fakes_at(experiment: Experiment, state: TrainState, latent: Array) -> Array:
    """What the G that D faces makes of latents [n, latent_dim]: its current parameters, batch norm as in training."""
    modes = sample_modes(at_step(experiment, state.step), state.generator.variables, latent)
    return modes.get("batch", modes["running"])


def generator_losses(experiment: Experiment, score: Score, real: Array) -> Callable[[Array], Array]:
    """What G pays for each of some samples: [n, *shape] -> [n]. The bare objective, without transforms and penalties.

    Where scores are related (relativistic objectives), each fake is held against all the given real examples alone.
    """
    criterion = experiment.objective.criterion()
    key, step = jax.random.key(0), jnp.int32(0)  # what transforms take; objectives ignore them
    real_scores = score(real)

    def of(value: Array) -> Array:
        related_real, related_fake = criterion.relate(real_scores, jnp.full_like(real_scores, value))
        loss = jnp.mean(criterion.generator(related_fake, key, step))
        if criterion.generator_real is not None:
            loss = loss + jnp.mean(criterion.generator_real(related_real, key, step))
        return loss

    return lambda samples: jax.vmap(of)(score(samples))


class Examples(NamedTuple):
    """Samples that a diagnosis looks at.

    Attributes:
        groups: by kind, [n, *shape]: "training" and "held-out" where these differ, else "real".
        latent: [n, latent_dim], of the fakes.
        key: for what else is drawn.
    """

    groups: dict[str, Array]
    latent: Array
    key: Array

    @property
    def real(self) -> Array:
        """Those that D was trained on, or their like."""
        return self.groups["training"] if "training" in self.groups else self.groups["real"]

    @property
    def kinds(self) -> list[str]:
        """Of real examples, in order: a compiled function sorts the groups by name."""
        return [kind for kind in ("training", "real", "held-out") if kind in self.groups]


def examples(experiment: Experiment, dataset: Any, seed: int, num: int) -> Examples:
    """`num` examples of each kind, drawn with replacement, and as many latents, by a seed.

    Images have training and held-out ones; a `Weighted` mixture has training points, and fresh points are its held-out
    ones; any other mixture gives fresh points only. Held-out stacked images are made of test images.
    """
    source = experiment.data.source(dataset)
    key_real, key_held, key_latent, key = jax.random.split(jax.random.key(seed), 4)
    groups: dict[str, Array] = {}
    if isinstance(experiment.data, ImageData):
        groups["training"] = source.sample(key_real, num)
        shown, channels = dataset.test_images, experiment.data.shape[-1]
        if channels == 1:
            held = shown[jax.random.randint(key_held, (num,), 0, shown.shape[0])]
        else:
            held = stack_channels(shown, draw_triples(key_held, num, shown.shape[0]))
        groups["held-out"] = normalise(held)
    elif isinstance(source, WeightedSource):
        groups = {"training": source.sample(key_real, num), "held-out": source.mixture.sample(key_held, num)}
    else:
        groups["real"] = source.sample(key_real, num)
    return Examples(groups, sample_latent(experiment, key_latent, num), key)


def as_seen(experiment: Experiment, state: TrainState, real: Array) -> Array:
    """Real examples as D sees them at this stage of growth; the experiment is `staged`."""
    network: Any = at_step(experiment, state.step).discriminator.network
    return real if experiment.growth is None else network.faded(real)


def mixture_of(source: Any) -> MixtureSource:
    """The true mixture behind a source of vectors."""
    return source.mixture if isinstance(source, WeightedSource) else source
