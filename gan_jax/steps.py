"""One training step: D updates, then G updates. Pure functions of (experiment, state, batch, key)."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.diagnostics.detector import DetectorState
from gan_jax.experiment import Discriminator, Experiment, Generator
from gan_jax.game import discriminator_loss, generate, generator_loss, sample_latent
from gan_jax.networks.network import Variables

Metrics = dict[str, Array]


class Player(NamedTuple):
    """One player: its network's variables and its optimiser's state."""

    variables: Variables
    opt_state: Any


class TrainState(NamedTuple):
    """Everything that a run carries from step to step. Arrays only.

    Attributes:
        generator, discriminator: the players.
        average: moving average of G's parameters, or None.
        detector: the collapse detector's memory.
        key: the run's key. It never changes: every random number comes from it folded with a purpose and the step.
        step: int32, steps done.
        nonfinite_step: int32, the first step with a loss or gradient that was not finite; -1 if none.
    """

    generator: Player
    discriminator: Player
    average: Any
    detector: DetectorState
    key: Array
    step: Array
    nonfinite_step: Array


DATA, TRAINING, BANK, INIT = range(4)
"""Purposes of randomness within a run: what `TrainState.key` is folded with first."""


def discriminator_step(
    experiment: Experiment,
    state: TrainState,
    real: Array,
    latent: Array,
    key: Array,
    *,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One update of D on a batch of real examples and G's samples for the given latents."""
    player = state.discriminator
    fake, _ = generate(experiment, state.generator.variables, latent, train=True, axis_name=axis_name)

    def loss(params: Any) -> tuple[Array, tuple[Any, Metrics]]:
        variables = player.variables._replace(params=params)
        return discriminator_loss(experiment, variables, real, fake, key, state.step, axis_name=axis_name)

    grads, (statistics, metrics) = jax.grad(loss, has_aux=True)(player.variables.params)
    grads, metrics = _mean_over_devices((grads, metrics), axis_name)
    metrics["discriminator_grad_norm"] = optax.tree.norm(grads)
    player = _update(experiment.discriminator, player, grads, statistics)
    return state._replace(discriminator=player), metrics


def generator_step(
    experiment: Experiment,
    state: TrainState,
    real: Array,
    latent: Array,
    key: Array,
    *,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One update of G, for the given latents, against the D in the state."""
    player = state.generator

    def loss(params: Any) -> tuple[Array, tuple[Any, Metrics]]:
        variables = player.variables._replace(params=params)
        return generator_loss(
            experiment, variables, state.discriminator.variables, real, latent, key, state.step, axis_name=axis_name
        )

    grads, (statistics, metrics) = jax.grad(loss, has_aux=True)(player.variables.params)
    grads, metrics = _mean_over_devices((grads, metrics), axis_name)
    metrics["generator_grad_norm"] = optax.tree.norm(grads)
    player = _update(experiment.generator, player, grads, statistics)
    average = state.average
    if experiment.generator.average_decay is not None:
        average = optax.incremental_update(player.variables.params, average, 1 - experiment.generator.average_decay)
    return state._replace(generator=player, average=average), metrics


def train_step(
    experiment: Experiment,
    dataset: Any,
    state: TrainState,
    *,
    count: int | None = None,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One step: `updates_per_step` updates of D on fresh batches, then those of G.

    With `reuse_fakes` G's first update is on the latents of D's last one. G is then computed once for both, since XLA
    merges the two identical forward passes.

    Args:
        experiment: the settings.
        dataset: what `experiment.data.load` returned.
        state: where to step from.
        count: examples in this batch, if fewer than `batch_size`: the epoch's short last batch.
        axis_name: the mapped axis over which gradients and batch statistics are averaged, if any.

    Returns:
        The next state, and metrics of the last update of each player (scalars; losses in the objective's unit).
    """
    batch_size = count or experiment.batch_size
    num_disc, num_gen = experiment.discriminator.updates_per_step, experiment.generator.updates_per_step
    source = experiment.data.source(dataset)
    key_data = jax.random.fold_in(state.key, DATA)
    key_step = jax.random.fold_in(jax.random.fold_in(state.key, TRAINING), state.step)
    key_latent, key_disc, key_gen = jax.random.split(key_step, 3)

    def real_batch(index: Array | int) -> Array:
        return source.batch(key_data, state.step * num_disc + index, experiment.batch_size, count=count)

    def latents(index: Array | int) -> Array:
        return sample_latent(experiment, jax.random.fold_in(key_latent, index), batch_size)

    def update_discriminator(carry: TrainState, index: Array | int) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(key_disc, index)
        return discriminator_step(experiment, carry, real_batch(index), latents(index), key, axis_name=axis_name)

    def update_generator(carry: TrainState, index: Array | int) -> tuple[TrainState, Metrics]:
        fresh = num_disc - int(experiment.reuse_fakes) + index
        key = jax.random.fold_in(key_gen, index)
        return generator_step(experiment, carry, real_batch(num_disc - 1), latents(fresh), key, axis_name=axis_name)

    after_disc, disc_metrics = _repeat(update_discriminator, state, num_disc)
    if experiment.update_order == "simultaneous":
        after_gen, gen_metrics = _repeat(update_generator, state, num_gen)
        after_gen = after_gen._replace(discriminator=after_disc.discriminator)
    else:
        after_gen, gen_metrics = _repeat(update_generator, after_disc, num_gen)
    metrics = {**disc_metrics, **gen_metrics}
    finite = jnp.all(jnp.isfinite(jnp.stack(jax.tree.leaves(metrics))))
    nonfinite_step = jnp.where((state.nonfinite_step < 0) & ~finite, state.step, state.nonfinite_step)
    return after_gen._replace(step=state.step + 1, nonfinite_step=nonfinite_step), metrics


def _repeat(update: Any, state: TrainState, num: int) -> tuple[TrainState, Metrics]:
    """`num` updates in a row. One is called plainly: in a scan its work could not be shared."""
    if num == 1:
        return update(state, 0)
    state, metrics = jax.lax.scan(update, state, jnp.arange(num))
    return state, jax.tree.map(lambda values: values[-1], metrics)


def _update(settings: Generator | Discriminator, player: Player, grads: Any, statistics: Any) -> Player:
    optimizer = settings.optimizer.make(settings.learning_rate)
    updates, opt_state = optimizer.update(grads, player.opt_state, player.variables.params)
    params = optax.apply_updates(player.variables.params, updates)
    return Player(Variables(params, statistics), opt_state)


def _mean_over_devices(tree: Any, axis_name: str | None) -> Any:
    return tree if axis_name is None else jax.lax.pmean(tree, axis_name)
