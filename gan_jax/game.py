"""The two players' losses, put together from the experiment's components."""

from __future__ import annotations

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment import Experiment
from gan_jax.networks.network import Variables
from gan_jax.transforms import chain


def sample_latent(experiment: Experiment, key: Array, num: int) -> Array:
    """Latents [num, latent_dim] from the generator's prior."""
    shape = (num, experiment.generator.latent_dim)
    # jax's default hashes twice as often for each number, so that arrays which the compiler splits over devices need no
    # communication. No array here is split so, and latents are the largest ones drawn.
    with getattr(jax, "threefry_partitionable", contextlib.nullcontext)(False):
        if experiment.generator.latent == "uniform":
            return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        return jax.random.normal(key, shape)


def generate(
    experiment: Experiment, variables: Variables, latent: Array, *, train: bool, axis_name: str | None = None
) -> tuple[Array, Any]:
    """(samples [batch, *data.shape], G's new statistics). `train` uses and advances batch statistics."""
    network = experiment.generator.network
    return network.apply(variables, latent, experiment.data.shape, train=train, axis_name=axis_name)


def score(
    experiment: Experiment, variables: Variables, real: Array, fake: Array, *, axis_name: str | None = None
) -> tuple[Array, Array, Any]:
    """D's raw scores of both sides in training mode: (real [batch], fake [batch], D's new statistics).

    With `batch_statistics="separate"` the real and the fake batch are normalised apart, real first, as published.
    """
    network = experiment.discriminator.network
    if experiment.discriminator.batch_statistics == "joint":
        both = jnp.concatenate([real, fake])
        scores, statistics = network.apply(variables, both, train=True, axis_name=axis_name)
        return scores[: real.shape[0]], scores[real.shape[0] :], statistics
    real_scores, statistics = network.apply(variables, real, train=True, axis_name=axis_name)
    variables = variables._replace(statistics=statistics)
    fake_scores, statistics = network.apply(variables, fake, train=True, axis_name=axis_name)
    return real_scores, fake_scores, statistics


def discriminator_loss(
    experiment: Experiment,
    variables: Variables,
    real: Array,
    fake: Array,
    key: Array,
    step: Array,
    *,
    axis_name: str | None = None,
) -> tuple[Array, tuple[Any, dict[str, Array]]]:
    """What D pays: the mean loss on real examples plus the mean loss on fakes, through the loss transforms.

    Returns:
        The loss (scalar, the objective's unit: nats for the log losses) and (D's new statistics, metrics).
    """
    criterion = chain(experiment.objective.criterion(), experiment.discriminator.transforms)
    real_scores, fake_scores, statistics = score(experiment, variables, real, fake, axis_name=axis_name)
    related = criterion.relate(real_scores, fake_scores)
    key_real, key_fake = jax.random.split(key)
    real_loss = jnp.mean(criterion.real(related[0], key_real, step))
    fake_loss = jnp.mean(criterion.fake(related[1], key_fake, step))
    metrics = {
        "discriminator_loss": real_loss + fake_loss,
        "discriminator_loss_real": real_loss,
        "discriminator_loss_fake": fake_loss,
        "real_score": jnp.mean(real_scores),
        "fake_score": jnp.mean(fake_scores),
        "real_accuracy": jnp.mean(real_scores > 0),
        "fake_accuracy": jnp.mean(fake_scores < 0),
    }
    return real_loss + fake_loss, (statistics, metrics)


def generator_loss(
    experiment: Experiment,
    discriminator: Variables,
    real: Array,
    fake: Array,
    key: Array,
    step: Array,
    *,
    axis_name: str | None = None,
) -> Array:
    """What G pays for samples shown to a given D: a scalar, in the objective's unit.

    Real examples are scored only if the objective has a term for them (`generator_real`, or related scores), which
    enters G's gradient where D is unrolled. D's statistics are used in training mode and left as they are.
    """
    criterion = experiment.objective.criterion()
    key_fake, key_real = jax.random.split(key)
    if criterion.generator_real is None:
        network = experiment.discriminator.network
        fake_scores, _ = network.apply(discriminator, fake, train=True, axis_name=axis_name)
        return jnp.mean(criterion.generator(fake_scores, key_fake, step))
    real_scores, fake_scores, _ = score(experiment, discriminator, real, fake, axis_name=axis_name)
    real_scores, fake_scores = criterion.relate(real_scores, fake_scores)
    loss = jnp.mean(criterion.generator(fake_scores, key_fake, step))
    return loss + jnp.mean(criterion.generator_real(real_scores, key_real, step))
