"""The opponent some updates ahead: `unroll` in the game.

A function of what the looking player does: G's samples enter each of D's updates, D's parameters each of G's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
from jax import Array

from gan_jax.experiment.experiment import Discriminator, Experiment, Generator, Unroll
from gan_jax.networks.network import Variables
from gan_jax.training.player_losses import (
    Batch,
    discriminator_loss,
    generator_loss,
    make_batch,
    num_devices,
    sample_latent,
    shard,
)
from gan_jax.unroll import Exact, FirstOrder, unroll

# Far from the small numbers that `split` and other callers fold in: `fold_in(key, i)` is `split(key, n)[i]`.
_FRESH = 0x5EED


def unrolled_discriminator(
    experiment: Experiment,
    source: Any,
    variables: Variables,
    opt_state: Any,
    batch: Batch,
    key: Array,
    step: Array,
    *,
    done: int = 0,
    axis_name: str | None = None,
) -> Variables:
    """D after K of its updates against a G that stands still; D itself if G is not unrolled.

    Args:
        experiment: with the settings in `generator.unroll`.
        source: of fresh real examples, where the settings ask for them.
        variables: D's, where the rollout starts.
        opt_state: of D's own optimiser.
        batch: of the first update, made once for all of them if the data stay the same; fresh fakes are of its G.
        key: of the loss transforms in the first update.
        step: of the run, for schedules.
        done: updates of the K that are done already: 1 if `variables` are those after D's own.
        axis_name: the mapped axis over which inner gradients are averaged, if any.
    """
    settings = experiment.generator.unroll
    if settings is None or settings.num_steps == 0:
        return variables
    _check_source(settings, source)
    inner = _inner_experiment(experiment, settings)

    def loss(params: Any, fresh: Any, kept: Variables) -> tuple[Array, Variables]:
        seen, inner_key = batch, key
        if fresh is not None:
            inner_key, key_real, key_latent = jax.random.split(fresh, 3)
            num = num_devices(axis_name) * batch.real.shape[0]
            real, latent = shard(source.sample(key_real, num), axis_name), batch.latent
            if settings.inner_data == "fresh":
                latent = shard(sample_latent(experiment, key_latent, num), axis_name)
            if settings.inner_data == "fresh" or experiment.inference is not None:
                seen, _ = make_batch(experiment, batch.generator, real, latent, axis_name=axis_name)
            else:
                seen = batch._replace(real=real)
        player = kept._replace(params=params)
        if inner is not experiment:  # the bare objective remembers nothing
            player = player._replace(memory=())
        value, (advanced, _) = discriminator_loss(inner, player, seen, inner_key, step, axis_name=axis_name)
        return value, advanced if inner is experiment else advanced._replace(memory=kept.memory)

    return _ahead(settings, experiment.discriminator, loss, variables, opt_state, key, done, axis_name)


def unrolled_generator(
    experiment: Experiment,
    source: Any,
    variables: Variables,
    opt_state: Any,
    discriminator: Variables,
    real: Array,
    latent: Array,
    key: Array,
    step: Array,
    *,
    axis_name: str | None = None,
) -> Variables:
    """G after K of its updates against a D that stands still; G itself if D is not unrolled.

    Arguments are as in `unrolled_discriminator`, but for `latent` [batch, latent_dim], of the first update.
    """
    settings = experiment.discriminator.unroll
    if settings is None or settings.num_steps == 0:
        return variables
    _check_source(settings, source)

    def loss(params: Any, fresh: Any, kept: Variables) -> tuple[Array, Variables]:
        reals, latents, inner_key = real, latent, key
        if fresh is not None:
            inner_key, key_real, key_latent = jax.random.split(fresh, 3)
            num = num_devices(axis_name) * real.shape[0]
            reals = shard(source.sample(key_real, num), axis_name)
            if settings.inner_data == "fresh":
                latents = shard(sample_latent(experiment, key_latent, num), axis_name)
        player = kept._replace(params=params)
        batch, statistics = make_batch(experiment, player, reals, latents, axis_name=axis_name)
        value, memory = generator_loss(experiment, discriminator, batch, inner_key, step, axis_name=axis_name)
        return value, Variables((), statistics, memory)

    return _ahead(settings, experiment.generator, loss, variables, opt_state, key, 0, axis_name)


def _check_source(settings: Unroll, source: Any) -> None:
    if source is None and settings.inner_data != "same":
        raise ValueError(
            f"Unroll.inner_data is {settings.inner_data!r}, which draws real examples: give the step "
            "source=experiment.data.source(dataset)"
        )


def _fresh_keys(key: Array, num: int) -> Array:
    """Keys of the updates on fresh data: unlike those of the first update."""
    return jax.random.split(jax.random.fold_in(key, _FRESH), num)


def _inner_experiment(experiment: Experiment, settings: Unroll) -> Experiment:
    if settings.inner_loss == "as_trained":
        return experiment
    bare: dict[str, Any] = {"transforms": (), "penalties": (), "replay": None, "instance_noise": None, "augment": ()}
    return dataclasses.replace(experiment, discriminator=dataclasses.replace(experiment.discriminator, **bare))


def _ahead(
    settings: Unroll,
    player: Generator | Discriminator,
    loss: Callable[[Any, Any, Any], tuple[Array, Any]],
    variables: Variables,
    opt_state: Any,
    key: Array,
    done: int,
    axis_name: str | None,
) -> Variables:
    """K - `done` updates: one on the batch at hand if none is done, the others on what the settings say."""
    if settings.optimizer is None:
        optimizer = player.optimizer.make(player.learning_rate)
    else:
        rate = player.learning_rate if settings.learning_rate is None else settings.learning_rate
        optimizer = settings.optimizer.make(rate)
        opt_state = optimizer.init(variables.params)

    def inner(params: Any, batch: Any, kept: Variables) -> tuple[Array, Variables]:
        value, advanced = loss(params, batch, kept)
        return value, kept if settings.inner_statistics == "frozen" else advanced

    # The first update is on the batch at hand. Where the others are not, they are a rollout of their own.
    num_steps = settings.num_steps - done
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
            _fresh_keys(key, length) if fresh else None,
            num_steps=length,
            model_state=kept,
            gradient=settings.gradient if ends or not rest else Exact() if differentiated else FirstOrder(),
            memory=settings.memory,
            axis_name=axis_name,
        )
        params, opt_state, kept = rollout.params, rollout.opt_state, rollout.model_state
    return kept._replace(params=params)
