"""The unrolled opponent: a player's parameters after K more of its updates, differentiable in the other player.

G's samples enter each of D's updates, and D's parameters each of G's, so that the result is a function of the player
that is unrolled against.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from jax import Array
from jaxtyping import Float, Key

from gan_jax.experiment.experiment import Discriminator, Experiment, Generator, Unroll
from gan_jax.networks.network import Variables
from gan_jax.training.batches import Batch, make_batch, sample_latent
from gan_jax.training.context import StepContext
from gan_jax.training.optimizers import optimizer_of
from gan_jax.training.player_losses import discriminator_loss, generator_loss
from gan_jax.unroll import Exact, FirstOrder, unroll

# Far from the small numbers that `split` and other callers fold in: `fold_in(key, i)` is `split(key, n)[i]`.
_FRESH = 0x5EED


def unrolled_discriminator(
    context: StepContext,
    variables: Variables,
    opt_state: Any,
    batch: Batch,
    key: Key[Array, ""],
    *,
    num_done: int = 0,
) -> Variables:
    """D after K of its updates against a fixed G; D itself if G is not unrolled.

    Args:
        context: of the step, with the settings in `generator.unroll`.
        variables: D's, where the rollout starts.
        opt_state: of D's own optimiser.
        batch: of the first update, made once for all of them if the data stay the same; fresh fakes come from its G.
        key: of the loss in the first update.
        num_done: number of the K updates that are done already: 1 if `variables` are those after D's own update.

    Returns:
        Variables of D, differentiable in the batch (through its fakes) and in where the rollout starts.

    Raises:
        ValueError: if the settings ask for fresh real examples and the context has no source.
    """
    settings, experiment = context.experiment.generator.unroll, context.experiment
    if settings is None or settings.num_steps == 0:
        return variables
    _check_source(settings, context)
    inner = _inner_context(context, settings)

    def loss(params: Any, fresh: Any, kept: Variables) -> tuple[Array, Variables]:
        inputs, inner_key = batch, key
        if fresh is not None:
            inner_key, real, latent = _fresh_examples(context, settings, fresh, batch.latent)
            if settings.inner_data == "fresh" or experiment.inference is not None:
                inputs, _ = make_batch(context, batch.generator, real, latent)
            else:
                inputs = batch._replace(real=real)
        player = kept._replace(params=params)
        if inner is not context:  # the bare objective has no state
            player = player._replace(memory=())
        value, (advanced, _) = discriminator_loss(inner, player, inputs, inner_key)
        return value, advanced if inner is context else advanced._replace(memory=kept.memory)

    return _rollout(context, settings, experiment.discriminator, loss, (variables, opt_state), key, num_done)


def unrolled_generator(
    context: StepContext,
    variables: Variables,
    opt_state: Any,
    discriminator: Variables,
    examples: tuple[Float[Array, "n *shape"], Float[Array, "n latent_dim"]],
    key: Key[Array, ""],
) -> Variables:
    """G after K of its updates against a fixed D; G itself if D is not unrolled.

    Args:
        context: of the step, with the settings in `discriminator.unroll`.
        variables: G's, where the rollout starts.
        opt_state: of G's own optimiser.
        discriminator: variables of D.
        examples: (real [batch, *shape], latent [batch, latent_dim]) of the first update.
        key: of the loss in the first update.

    Returns:
        Variables of G, differentiable in D's.

    Raises:
        ValueError: if the settings ask for fresh real examples and the context has no source.
    """
    settings = context.experiment.discriminator.unroll
    if settings is None or settings.num_steps == 0:
        return variables
    _check_source(settings, context)

    def loss(params: Any, fresh: Any, kept: Variables) -> tuple[Array, Variables]:
        (real, latent), inner_key = examples, key
        if fresh is not None:
            inner_key, real, latent = _fresh_examples(context, settings, fresh, latent)
        batch, statistics = make_batch(context, kept._replace(params=params), real, latent)
        value, memory = generator_loss(context, discriminator, batch, inner_key)
        return value, Variables((), statistics, memory)

    return _rollout(context, settings, context.experiment.generator, loss, (variables, opt_state), key, 0)


def _check_source(settings: Unroll, context: StepContext) -> None:
    if context.source is None and settings.inner_data != "same":
        raise ValueError(
            f"Unroll.inner_data is {settings.inner_data!r}, which draws real examples: give the step context a "
            "source, experiment.data.source(dataset)"
        )


def _fresh_examples(context: StepContext, settings: Unroll, fresh: Array, latent: Array) -> tuple[Array, Array, Array]:
    """(key of the loss, real examples, latents) of an inner update on fresh data; latents are fresh only if set so."""
    inner_key, key_real, key_latent = jax.random.split(fresh, 3)
    num = context.axis_size * latent.shape[0]
    real = context.shard(context.source.sample(key_real, num))
    if settings.inner_data == "fresh":
        latent = context.shard(sample_latent(context.experiment, key_latent, num))
    return inner_key, real, latent


def _inner_context(context: StepContext, settings: Unroll) -> StepContext:
    if settings.inner_loss == "as_trained":
        return context
    experiment: Experiment = context.experiment
    bare: dict[str, Any] = {"transforms": (), "penalties": (), "replay": None, "instance_noise": None, "augment": ()}
    discriminator = dataclasses.replace(experiment.discriminator, **bare)
    return context.replace(dataclasses.replace(experiment, discriminator=discriminator))


def _rollout(
    context: StepContext,
    settings: Unroll,
    player: Generator | Discriminator,
    loss: Callable[[Any, Any, Any], tuple[Array, Any]],
    start: tuple[Variables, Any],
    key: Array,
    num_done: int,
) -> Variables:
    """K - `num_done` updates: the first of the K on the given batch, the others on the data of the settings."""
    variables, opt_state = start
    if settings.optimizer is None:
        optimizer = optimizer_of(player)
    else:
        rate = player.learning_rate if settings.learning_rate is None else settings.learning_rate
        optimizer = optimizer_of(dataclasses.replace(player, optimizer=settings.optimizer, learning_rate=rate))
        opt_state = optimizer.init(variables.params)

    def inner(params: Any, batch: Any, kept: Variables) -> tuple[Array, Variables]:
        value, advanced = loss(params, batch, kept)
        return value, kept if settings.inner_statistics == "frozen" else advanced

    # The first update is on the given batch. If the others are on other data, they are a separate rollout.
    num_steps = settings.num_steps - num_done
    rest = num_steps if settings.inner_data == "same" else min(num_steps, settings.num_steps - 1)
    params, kept = variables.params, variables._replace(params=())
    for length, ends in ((num_steps - rest, False), (rest, True)):
        if length == 0:
            continue
        fresh = ends and settings.inner_data != "same"
        differentiated = settings.gradient.last_steps(settings.num_steps) > rest
        rollout = unroll(
            inner,
            optimizer,
            params,
            opt_state,
            # Keys of the updates on fresh data, different from those of the first update.
            jax.random.split(jax.random.fold_in(key, _FRESH), length) if fresh else None,
            num_steps=length,
            model_state=kept,
            gradient=settings.gradient if ends or not rest else Exact() if differentiated else FirstOrder(),
            memory=settings.memory,
            axis_name=context.axis_name,
        )
        params, opt_state, kept = rollout.params, rollout.opt_state, rollout.model_state
    return kept._replace(params=params)
