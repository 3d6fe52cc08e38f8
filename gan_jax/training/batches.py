"""Batches: real examples and G's samples, and the inputs of D made of both (by replay, augmentation, noise)."""

from __future__ import annotations

import contextlib
import math
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.schedules import value_at
from gan_jax.losses.augmentation import augmented
from gan_jax.networks.network import Variables
from gan_jax.training.context import StepContext
from gan_jax.training.replay import Fakes

# Constants that the key of a loss is folded with; far from the small numbers that `split` folds in.
_REPLAY, _NOISE, _AUGMENT, _ENCODER = 0xB0FF, 0x0153, 0xA465, 0xE2C0


class Batch(NamedTuple):
    """Inputs of a player's loss: examples of both sides as D sees them, and how the fakes were made.

    Attributes:
        real: [batch, *discriminator_input_shape].
        fake: of the same shape, fakes, after replay, augmentation and noise if there are any.
        fresh: of the same shape, the fakes before these changes.
        latent: [batch, latent_dim].
        sample: [batch, *data.shape], G's output; `fresh` is this, or this joined with the latent.
        generator: variables of the G that made it.
    """

    real: Array
    fake: Array
    fresh: Array
    latent: Array
    sample: Array
    generator: Variables


def sample_latent(experiment: Experiment, key: Key[Array, ""], num: int) -> Float[Array, "n latent_dim"]:
    """Latents from the generator's prior.

    Args:
        experiment: with `generator.latent` and `generator.latent_dim`.
        key: of the draw.
        num: number of latents.

    Returns:
        [num, latent_dim].
    """
    shape = (num, experiment.generator.latent_dim)
    # jax's default hashes twice as often for each number, so that arrays which the compiler splits over devices need no
    # communication. No array here is split so, and latents are the largest ones drawn.
    with getattr(jax, "threefry_partitionable", contextlib.nullcontext)(False):
        if experiment.generator.latent == "uniform":
            return jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
        return jax.random.normal(key, shape)


def generate(
    context: StepContext, variables: Variables, latent: Float[Array, "n latent_dim"], *, train: bool
) -> tuple[Float[Array, "n *shape"], Any]:
    """G's samples.

    Args:
        context: of the step.
        variables: of G.
        latent: [batch, latent_dim].
        train: whether batch norm uses the batch's own statistics and advances the running ones.

    Returns:
        (samples [batch, *data.shape] of at least float32, G's new statistics).
    """
    network, shape = context.experiment.generator.network, context.experiment.data.shape
    samples, statistics = network.apply(variables, latent, shape, train=train, axis_name=context.statistics_axis)
    return samples.astype(jnp.promote_types(samples.dtype, jnp.float32)), _averaged(context, statistics)


def encode(
    context: StepContext, generator: Variables, samples: Float[Array, "n *shape"]
) -> Float[Array, "n latent_dim"]:
    """Latents [batch, latent_dim] of samples [batch, *data.shape], by G's encoder in training mode.

    Args:
        context: of the step.
        generator: variables of G.
        samples: [batch, *data.shape].

    Returns:
        [batch, latent_dim].
    """
    network: Any = context.experiment.generator.network
    latent_dim = context.experiment.generator.latent_dim
    return network.encode(generator, samples, latent_dim, train=True, axis_name=context.statistics_axis)


def make_batch(
    context: StepContext, generator: Variables, real: Float[Array, "n *shape"], latent: Float[Array, "n latent_dim"]
) -> tuple[Batch, Any]:
    """The batch of real examples and of the samples that G makes of latents, in training mode.

    Args:
        context: of the step.
        generator: variables of G.
        real: [batch, *data.shape].
        latent: [batch, latent_dim].

    Returns:
        (the batch, G's new statistics).
    """
    experiment = context.experiment
    chex.assert_shape(real, (latent.shape[0], *experiment.data.shape))
    sample, statistics = generate(context, generator, latent, train=True)
    network: Any = experiment.discriminator.network
    if experiment.growth is not None:
        real = network.faded(real)
    real_input = real
    if experiment.inference is not None:
        encoder: Any = experiment.generator.network
        code = encode(context, generator, real)
        real_input = beside(real, code if experiment.inference.adversarial else jax.lax.stop_gradient(code))
        if jax.tree.leaves(statistics):
            axis = context.statistics_axis
            statistics = encoder.advance(generator._replace(statistics=statistics), real, axis_name=axis)
            statistics = context.mean(statistics) if axis is None else statistics
    fake = discriminator_input(experiment, sample, latent)
    return Batch(real_input, fake, fake, latent, sample, generator), statistics


def beside(samples: Float[Array, "n *shape"], latent: Float[Array, "n latent_dim"]) -> Float[Array, "n values"]:
    """Flattened samples joined with their latents: [batch, values + latent_dim]."""
    return jnp.concatenate([samples.reshape(samples.shape[0], -1), latent.astype(samples.dtype)], axis=1)


def discriminator_input(
    experiment: Experiment, sample: Float[Array, "n *shape"], latent: Float[Array, "n latent_dim"]
) -> Float[Array, "n *input_shape"]:
    """Fakes as D sees them: samples alone, or joined with their latents if the experiment has `inference`.

    Args:
        experiment: the settings.
        sample: [batch, *data.shape].
        latent: [batch, latent_dim].

    Returns:
        [batch, *discriminator_input_shape].
    """
    return sample if experiment.inference is None else beside(sample, latent)


def replayed(context: StepContext, replay_state: Any, batch: Batch, key: Key[Array, ""]) -> tuple[Batch, Any]:
    """The batch in which replay has replaced some of the fakes by old ones.

    Args:
        context: of the step; without `discriminator.replay` in its experiment the batch is unchanged.
        replay_state: of that replay.
        batch: to change.
        key: of D's loss.

    Returns:
        (the new batch, the replay's new state).
    """
    replay = context.experiment.discriminator.replay
    if replay is None:
        return batch, replay_state

    def make(old: Variables) -> Array:
        sample, _ = generate(context, old, batch.latent, train=True)
        return context.gather(discriminator_input(context.experiment, sample, batch.latent))

    fakes = Fakes(context.gather(batch.fake), batch.generator, make)
    shown, replay_state = replay.show(replay_state, fakes, jax.random.fold_in(key, _REPLAY), context.step)
    return batch._replace(fake=context.shard(shown)), replay_state


def faced_discriminator(
    context: StepContext, replay_state: Any, discriminator: Variables, key: Key[Array, ""]
) -> tuple[Variables, Any]:
    """The D that G faces: the present one or, with `generator.replay`, an old one in some steps.

    Args:
        context: of the step.
        replay_state: of G's replay.
        discriminator: variables of the present D.
        key: of G's loss.

    Returns:
        (variables of the D that G faces, the replay's new state).
    """
    replay = context.experiment.generator.replay
    if replay is None:
        return discriminator, replay_state
    return replay.opponent(replay_state, discriminator, jax.random.fold_in(key, _REPLAY), context.step)


def disturbed(context: StepContext, batch: Batch, key: Key[Array, ""]) -> Batch:
    """The batch with both sides augmented, then with instance noise, by independent draws.

    Latents are unchanged, except those of real examples, which get the noise of the experiment's `inference`.

    Args:
        context: of the step.
        batch: the batch.
        key: of the loss.

    Returns:
        The batch.
    """
    return _noisy(context, _augmented(context, _encoded(context, batch, key), key), key)


def _encoded(context: StepContext, batch: Batch, key: Array) -> Batch:
    """The batch with latents of real examples that are drawn around the encoder's outputs."""
    inference = context.experiment.inference
    if inference is None or inference.noise is None:
        return batch
    shape = (batch.real.shape[0] * context.axis_size, context.experiment.generator.latent_dim)
    noise = context.shard(jax.random.normal(jax.random.fold_in(key, _ENCODER), shape, batch.real.dtype))
    size = math.prod(context.experiment.data.shape)
    return batch._replace(real=batch.real.at[:, size:].add(inference.noise * noise))


def _augmented(context: StepContext, batch: Batch, key: Array) -> Batch:
    experiment = context.experiment
    augmentations, shape = experiment.discriminator.augment, experiment.data.shape
    if not augmentations:
        return batch

    def changed(inputs: Array, key: Array) -> Array:
        num, size = inputs.shape[0], math.prod(shape)
        keys = context.shard(jax.random.split(key, num * context.axis_size))
        if experiment.inference is None:
            return augmented(augmentations, inputs, keys)
        images = augmented(augmentations, inputs[:, :size].reshape(num, *shape), keys)
        return beside(images, inputs[:, size:])

    keys = jax.random.split(jax.random.fold_in(key, _AUGMENT))
    return batch._replace(real=changed(batch.real, keys[0]), fake=changed(batch.fake, keys[1]))


def _noisy(context: StepContext, batch: Batch, key: Array) -> Batch:
    experiment = context.experiment
    if experiment.discriminator.instance_noise is None:
        return batch
    deviation = value_at(experiment.discriminator.instance_noise, context.step)
    size = math.prod(experiment.data.shape)

    def changed(inputs: Array, key: Array) -> Array:
        shape = (inputs.shape[0] * context.axis_size, *inputs.shape[1:])
        noise = context.shard(jax.random.normal(key, shape, inputs.dtype))
        if experiment.inference is not None:
            noise = noise.at[:, size:].set(0.0)
        return inputs + deviation * noise

    keys = jax.random.split(jax.random.fold_in(key, _NOISE))
    return batch._replace(real=changed(batch.real, keys[0]), fake=changed(batch.fake, keys[1]))


def _averaged(context: StepContext, statistics: Any) -> Any:
    """New statistics, the same on every device: batch norm's own over all devices, or the mean of the devices'."""
    return statistics if context.statistics_axis is not None else context.mean(statistics)
