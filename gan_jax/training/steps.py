"""One training step: an update of D and an update of G. Pure functions of (experiment, state, batch, key)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.diagnostics.detector import DetectorState
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.networks.network import Variables
from gan_jax.training.dynamics import Alternating, Pair, Simultaneous
from gan_jax.training.growth import at_step
from gan_jax.training.player_losses import (
    Batch,
    discriminator_loss,
    generator_loss,
    make_batch,
    mean_over_devices,
    sample_latent,
    shard,
)
from gan_jax.training.probes import update_ratios
from gan_jax.training.rollout import unrolled_discriminator, unrolled_generator
from gan_jax.unroll import Implicit, value_and_hypergradient

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
        probe_state: what the recorder hands from one probe to the next; () without a recorder.
    """

    generator: Player
    discriminator: Player
    average: Any
    detector: DetectorState
    key: Array
    step: Array
    nonfinite_step: Array
    probe_state: Any = ()


DATA, TRAINING, BANK, INIT = range(4)
"""Purposes of randomness within a run: what `TrainState.key` is folded with first."""
INNER = 0x1EAD
"""What a step's key is folded with for D's unrolled updates; far from the small numbers that `split` folds in."""


def discriminator_step(
    experiment: Experiment,
    state: TrainState,
    real: Array,
    latent: Array,
    key: Array,
    *,
    source: Any = None,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One update of D on a batch of real examples and G's samples for the given latents.

    If D is unrolled, it answers what becomes of G; `source` then gives the fresh examples of `Unroll.inner_data`.
    """
    if not is_unrolled(experiment.discriminator):
        batch, _ = make_batch(experiment, state.generator.variables, real, latent, axis_name=axis_name)
        player, metrics = _update_discriminator(experiment, state, batch, key, axis_name)
        return state._replace(discriminator=player), metrics

    def loss(params: Any) -> tuple[Array, tuple[Variables, Metrics]]:
        variables = state.discriminator.variables._replace(params=params)
        ahead = unrolled_generator(
            experiment, source, *state.generator, variables, real, latent, key, state.step, axis_name=axis_name
        )
        batch, _ = make_batch(experiment, ahead, real, latent, axis_name=axis_name)
        return discriminator_loss(experiment, variables, batch, key, state.step, axis_name=axis_name)

    player, metrics = _descend(experiment.discriminator, "discriminator", state.discriminator, loss, axis_name)
    return state._replace(discriminator=player), metrics


def generator_step(
    experiment: Experiment,
    state: TrainState,
    real: Array,
    latent: Array,
    key: Array,
    *,
    inner_key: Array | None = None,
    source: Any = None,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One update of G, for the given latents, against the D in the state, or what becomes of it if G is unrolled.

    `inner_key` is of the loss transforms in D's updates (`key` folded, if not given); `source` as in
    `discriminator_step`.
    """
    inner_key = jax.random.fold_in(key, INNER) if inner_key is None else inner_key
    loss = generator_objective(
        experiment, state, real, latent, key, inner_key=inner_key, source=source, axis_name=axis_name
    )
    player, metrics = _descend(experiment.generator, "generator", state.generator, loss, axis_name)
    return _with_generator(experiment, state, player), metrics


def generator_objective(
    experiment: Experiment,
    state: TrainState,
    real: Array,
    latent: Array,
    key: Array,
    *,
    inner_key: Array,
    source: Any = None,
    axis_name: str | None = None,
) -> Callable[[Any], tuple[Array, tuple[Any, Metrics]]]:
    """What G descends on a batch: params -> (loss, (what G keeps, metrics)); through D's updates if unrolled.

    What it keeps is its new statistics and memory, as `Variables` without parameters.
    """

    def loss(params: Any) -> tuple[Array, tuple[Variables, Metrics]]:
        variables = state.generator.variables._replace(params=params)
        batch, statistics = make_batch(experiment, variables, real, latent, axis_name=axis_name)
        opponent = unrolled_discriminator(
            experiment, source, *state.discriminator, batch, inner_key, state.step, axis_name=axis_name
        )
        value, memory = generator_loss(experiment, opponent, batch, key, state.step, axis_name=axis_name)
        return value, (Variables((), statistics, memory), {"generator_loss": value})

    return loss


def unrolled_step(
    experiment: Experiment,
    state: TrainState,
    real: Array,
    latent: Array,
    key_disc: Array,
    key_gen: Array,
    *,
    source: Any = None,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """Both players at once, where the first of D's unrolled updates is D's own: see `shares_first_update`.

    Equal to `discriminator_step` and `generator_step` from the same state, without doing D's step twice: it is the
    first update of the rollout, and G's samples are made once.
    """
    settings, step = experiment.generator.unroll, state.step
    assert settings is not None

    def loss(params: Any) -> tuple[Array, tuple[Variables, Metrics, Player]]:
        variables = state.generator.variables._replace(params=params)
        batch, statistics = make_batch(experiment, variables, real, latent, axis_name=axis_name)
        moved, metrics = _update_discriminator(experiment, state, batch, key_disc, axis_name)
        opponent = moved
        if settings.inner_statistics == "frozen":
            still = state.discriminator.variables._replace(params=moved.variables.params)
            opponent = opponent._replace(variables=still)
        if settings.gradient.last_steps(settings.num_steps) < settings.num_steps:
            opponent = jax.lax.stop_gradient(opponent)
        ahead = unrolled_discriminator(
            experiment, source, *opponent, batch, key_disc, step, done=1, axis_name=axis_name
        )
        value, memory = generator_loss(experiment, ahead, batch, key_gen, step, axis_name=axis_name)
        return value, (Variables((), statistics, memory), {**metrics, "generator_loss": value}, moved)

    own = state.generator
    (_, (kept, metrics, moved)), grads = value_and_hypergradient(loss, own.variables.params, mode=settings.mode)
    grads, metrics = mean_over_devices((grads, metrics), axis_name)
    metrics["generator_grad_norm"] = optax.tree.norm(grads)
    player = _update(experiment.generator, own, grads, kept)
    return _with_generator(experiment, state, player)._replace(discriminator=moved), metrics


def dynamics_step(
    experiment: Experiment,
    state: TrainState,
    real: Array,
    latent: Array,
    key_disc: Array,
    key_gen: Array,
    *,
    source: Any = None,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """Both players at once, by a rule of `gan_jax.training.dynamics` on their gradients."""
    players = Pair(state.generator, state.discriminator)
    settings = Pair(experiment.generator, experiment.discriminator)

    def losses(params: Pair) -> tuple[Pair, Any]:
        at = Pair(*(player.variables._replace(params=p) for player, p in zip(players, params, strict=True)))
        batch, gen_statistics = make_batch(experiment, at.generator, real, latent, axis_name=axis_name)
        gen, disc = (Player(v, player.opt_state) for player, v in zip(players, at, strict=True))
        ahead = unrolled_generator(
            experiment, source, *gen, at.discriminator, real, latent, key_disc, state.step, axis_name=axis_name
        )
        moved = ahead is not at.generator
        seen = make_batch(experiment, ahead, real, latent, axis_name=axis_name)[0] if moved else batch
        disc_value, (disc_kept, metrics) = discriminator_loss(
            experiment, at.discriminator, seen, key_disc, state.step, axis_name=axis_name
        )
        opponent = unrolled_discriminator(experiment, source, *disc, batch, key_disc, state.step, axis_name=axis_name)
        value, memory = generator_loss(experiment, opponent, batch, key_gen, state.step, axis_name=axis_name)
        gen_kept = Variables((), gen_statistics, memory)
        return Pair(value, disc_value), (gen_kept, disc_kept, {**metrics, "generator_loss": value})

    def updated(direction: Pair) -> Pair:
        kept = (player.variables for player in players)
        return Pair(*map(_update, settings, players, direction, kept))

    def move(direction: Pair) -> Pair:
        return Pair(*(player.variables.params for player in updated(direction)))

    params = Pair(*(player.variables.params for player in players))
    rates = Pair(*(player.learning_rate for player in settings))
    direction, aux = experiment.dynamics.direction(
        losses, params, move, rates, lambda tree: mean_over_devices(tree, axis_name)
    )
    gen_kept, disc_kept, metrics = aux
    metrics = dict(mean_over_devices(metrics, axis_name))
    for name, part in direction._asdict().items():
        metrics[f"{name}_grad_norm"] = optax.tree.norm(part)
    moved = updated(direction)
    generator, discriminator = (
        player._replace(variables=kept._replace(params=player.variables.params))
        for player, kept in zip(moved, (gen_kept, disc_kept), strict=True)
    )
    return _with_generator(experiment, state, generator)._replace(discriminator=discriminator), metrics


def is_unrolled(player: Generator | Discriminator) -> bool:
    """Whether a player looks ahead at all: K = 0 is the plain game, bit for bit."""
    return player.unroll is not None and player.unroll.num_steps > 0


def shares_first_update(experiment: Experiment) -> bool:
    """Whether the first of D's unrolled updates is the one that D makes anyway.

    That is so where both players move at once, from the same batch, and D's updates inside are as those outside.
    """
    gen, disc = experiment.generator, experiment.discriminator
    return (
        is_unrolled(gen)
        and not is_unrolled(disc)
        and isinstance(experiment.dynamics, Simultaneous)
        and gen.updates_per_step == disc.updates_per_step == 1
        and experiment.reuse_fakes
        and gen.unroll is not None
        and gen.unroll.optimizer is None
        and gen.unroll.inner_loss == "as_trained"
        and (gen.unroll.num_steps > 1 or not isinstance(gen.unroll.gradient, Implicit))
    )


def train_step(
    experiment: Experiment,
    dataset: Any,
    state: TrainState,
    *,
    count: int | None = None,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One step: `updates_per_step` updates of D on fresh batches, and those of G, in the order that the dynamics say.

    With `reuse_fakes` G's first update is on the latents of D's last one. With one update each, G is then computed once
    for both, since XLA merges the two identical forward passes.

    Args:
        experiment: the settings.
        dataset: what `experiment.data.load` returned.
        state: where to step from.
        count: examples in this batch, if fewer than `batch_size`: the epoch's short last batch.
        axis_name: the mapped axis, if any, over whose devices each batch is split: each draws it whole and keeps its
            share, and gradients and batch statistics are averaged, so that the step is that of one device.

    Returns:
        The next state, and metrics of the last update of each player (scalars; losses in the objective's unit).
    """
    experiment = at_step(experiment, state.step)
    batch_size = count or experiment.batch_size
    num_disc, num_gen = experiment.discriminator.updates_per_step, experiment.generator.updates_per_step
    source = experiment.data.source(dataset)
    key_data = jax.random.fold_in(state.key, DATA)
    key_step = jax.random.fold_in(jax.random.fold_in(state.key, TRAINING), state.step)
    key_latent, key_disc, key_gen = jax.random.split(key_step, 3)
    more: dict[str, Any] = {"source": source, "axis_name": axis_name}

    def real_batch(index: Array | int) -> Array:
        batch = source.batch(key_data, state.step * num_disc + index, experiment.batch_size, count=count)
        return shard(batch, axis_name)

    def latents(index: Array | int) -> Array:
        latent = sample_latent(experiment, jax.random.fold_in(key_latent, index), batch_size)
        return shard(latent, axis_name)

    # Drawn once and handed to both players: XLA merges identical products, but not the loops that random numbers are.
    first = real_batch(0), latents(0)

    def update_discriminator(carry: TrainState, index: Array | int) -> tuple[TrainState, Metrics]:
        real, latent = first if num_disc == 1 else (real_batch(index), latents(index))
        return discriminator_step(experiment, carry, real, latent, jax.random.fold_in(key_disc, index), **more)

    def update_generator(carry: TrainState, index: Array | int) -> tuple[TrainState, Metrics]:
        last = num_disc - 1
        real, latent = first if num_disc == 1 else (real_batch(last), None)
        if latent is None or num_gen > 1 or not experiment.reuse_fakes:
            latent = latents(num_disc - int(experiment.reuse_fakes) + index)
        key, inner_key = jax.random.fold_in(key_gen, index), jax.random.fold_in(key_disc, last)
        return generator_step(experiment, carry, real, latent, key, inner_key=inner_key, **more)

    keys = jax.random.fold_in(key_disc, 0), jax.random.fold_in(key_gen, 0)
    if shares_first_update(experiment):
        after, metrics = unrolled_step(experiment, state, *first, *keys, **more)
    elif not isinstance(experiment.dynamics, (Alternating, Simultaneous)):
        after, metrics = dynamics_step(experiment, state, *first, *keys, **more)
    else:
        after, disc_metrics = _repeat(update_discriminator, state, num_disc)
        start = state if isinstance(experiment.dynamics, Simultaneous) else after
        last, gen_metrics = _repeat(update_generator, start, num_gen)
        after, metrics = last._replace(discriminator=after.discriminator), {**disc_metrics, **gen_metrics}
    if experiment.recorder is not None:
        moved = ((at.generator.variables, at.discriminator.variables) for at in (state, after))
        metrics = {**metrics, **update_ratios(*moved)}
    finite = jnp.all(jnp.isfinite(jnp.stack(jax.tree.leaves(metrics))))
    nonfinite_step = jnp.where((state.nonfinite_step < 0) & ~finite, state.step, state.nonfinite_step)
    return after._replace(step=state.step + 1, nonfinite_step=nonfinite_step), metrics


def _repeat(update: Any, state: TrainState, num: int) -> tuple[TrainState, Metrics]:
    """`num` updates in a row. One is called plainly: in a scan its work could not be shared."""
    if num == 1:
        return update(state, 0)
    state, metrics = jax.lax.scan(update, state, jnp.arange(num))
    return state, jax.tree.map(lambda values: values[-1], metrics)


def _update_discriminator(
    experiment: Experiment, state: TrainState, batch: Batch, key: Array, axis_name: str | None
) -> tuple[Player, Metrics]:
    """D after one update on a given batch; differentiable, as a step of a rollout."""

    def loss(params: Any) -> tuple[Array, tuple[Variables, Metrics]]:
        variables = state.discriminator.variables._replace(params=params)
        return discriminator_loss(experiment, variables, batch, key, state.step, axis_name=axis_name)

    return _descend(experiment.discriminator, "discriminator", state.discriminator, loss, axis_name)


def _descend(
    settings: Generator | Discriminator, name: str, player: Player, loss: Any, axis_name: str | None
) -> tuple[Player, Metrics]:
    """One update of a player on `loss(params) -> (value, (what it keeps, metrics))`."""
    mode = settings.unroll.mode if settings.unroll is not None and is_unrolled(settings) else "reverse"
    (_, (kept, metrics)), grads = value_and_hypergradient(loss, player.variables.params, mode=mode)
    grads, metrics = mean_over_devices((grads, metrics), axis_name)
    metrics[f"{name}_grad_norm"] = optax.tree.norm(grads)
    return _update(settings, player, grads, kept), metrics


def _with_generator(experiment: Experiment, state: TrainState, player: Player) -> TrainState:
    """The state with G moved, and its moving average after it."""
    average, decay = state.average, experiment.generator.average_decay
    if decay is not None:
        average = optax.incremental_update(player.variables.params, average, 1 - decay)
    return state._replace(generator=player, average=average)


def _update(settings: Generator | Discriminator, player: Player, grads: Any, kept: Variables) -> Player:
    optimizer = settings.optimizer.make(settings.learning_rate)
    updates, opt_state = optimizer.update(grads, player.opt_state, player.variables.params)
    params = optax.apply_updates(player.variables.params, updates)
    return Player(kept._replace(params=params), opt_state)
