"""The two players' losses, put together from the experiment's components."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
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


def num_devices(axis_name: str | None) -> int:
    """Members of a mapped axis; 1 without one."""
    return 1 if axis_name is None else jax.lax.axis_size(axis_name)


def local_share(batch: Array, axis_name: str | None) -> Array:
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


def generate(
    experiment: Experiment, variables: Variables, latent: Array, *, train: bool, axis_name: str | None = None
) -> tuple[Array, Any]:
    """(samples [batch, *data.shape], G's new statistics). `train` uses and advances batch statistics."""
    apply = functools.partial(experiment.generator.network.apply, variables, latent, experiment.data.shape)
    return _apply(experiment, functools.partial(apply, train=train), axis_name)


def score(
    experiment: Experiment, variables: Variables, real: Array, fake: Array, *, axis_name: str | None = None
) -> tuple[Array, Array, Any]:
    """D's raw scores of both sides in training mode: (real [batch], fake [batch], D's new statistics).

    With `batch_statistics="separate"` the real and the fake batch are normalised apart, real first, as published.

    With an axis, `real` and `fake` are a device's shares, and the scores are those of all devices' in order: losses,
    and what transforms draw, are of the whole batch, on every device alike.
    """
    if experiment.discriminator.batch_statistics == "joint":
        scores, statistics = _scores(experiment, variables, jnp.concatenate([real, fake]), axis_name)
        real_scores, fake_scores = scores[: real.shape[0]], scores[real.shape[0] :]
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
        fake_scores, _ = _scores(experiment, discriminator, fake, axis_name)
        if axis_name is not None:
            fake_scores = jax.lax.all_gather(fake_scores, axis_name, tiled=True)
        return jnp.mean(criterion.generator(fake_scores, key_fake, step))
    real_scores, fake_scores, _ = score(experiment, discriminator, real, fake, axis_name=axis_name)
    real_scores, fake_scores = criterion.relate(real_scores, fake_scores)
    loss = jnp.mean(criterion.generator(fake_scores, key_fake, step))
    return loss + jnp.mean(criterion.generator_real(real_scores, key_real, step))


def _scores(experiment: Experiment, variables: Variables, samples: Array, axis_name: str | None) -> tuple[Array, Any]:
    network = experiment.discriminator.network
    return _apply(experiment, functools.partial(network.apply, variables, samples, train=True), axis_name)


def _apply(experiment: Experiment, apply: Callable[..., tuple[Array, Any]], axis_name: str | None) -> tuple[Array, Any]:
    """A network's outputs, and its new statistics, which are the same on every device."""
    if axis_name is None or experiment.device_statistics == "joint":
        return apply(axis_name=axis_name)
    outputs, statistics = apply()
    return outputs, jax.lax.pmean(statistics, axis_name)
