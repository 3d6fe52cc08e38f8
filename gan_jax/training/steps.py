"""One training step: updates of D and of G. Pure functions of a context, a state and a batch.

`train_step` draws the batches and calls one of three forms of a step:

    the players one after the other (alternating, or both from the same state):  discriminator_step, generator_step
    G unrolled, where the first of D's unrolled updates is D's own:               unrolled_step
    a rule on both gradients (extragradient, consensus, ...):                     dynamics_step
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Key

from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.schedules import value_at
from gan_jax.networks.network import Variables
from gan_jax.training.batches import Batch, make_batch, sample_latent
from gan_jax.training.context import StepContext, step_context
from gan_jax.training.dynamics import Alternating, Pair, Simultaneous
from gan_jax.training.evolution import Evolution, evolution_gradient
from gan_jax.training.optimizers import optimizer_of
from gan_jax.training.player_losses import discriminator_loss, generator_loss
from gan_jax.training.precision import in_precision
from gan_jax.training.probes import update_ratios
from gan_jax.training.rollout import unrolled_discriminator, unrolled_generator
from gan_jax.training.state import DATA, TRAINING, Player, TrainState
from gan_jax.unroll import Implicit, value_and_hypergradient

Metrics = dict[str, Array]
LossOfParams = Callable[[Any], tuple[Array, tuple[Variables, Metrics]]]
"""params -> (loss, (new statistics and memory as `Variables` without parameters, metrics))."""

BEFORE_UNROLLING = "generator_loss_before_unrolling"
"""Metric of a step: G's loss against the present D, where G's own loss is the one against the unrolled D."""
INNER = 0x1EAD
"""Folded into a step's key for D's unrolled updates; far from the small numbers that `split` folds in."""
_EVOLUTION = 0xE501
"""Folded into a loss's key for the perturbations of `Evolution`."""


class Draws(NamedTuple):
    """All random inputs of an update.

    Attributes:
        real: [batch, *shape], real examples; this device's shard.
        latent: [batch, latent_dim]; this device's shard.
        key: of the loss.
        inner_key: of the losses of unrolled updates of the opponent.
    """

    real: Array
    latent: Array
    key: Array
    inner_key: Array


def make_draws(
    real: Float[Array, "n *shape"],
    latent: Float[Array, "n latent_dim"],
    key: Key[Array, ""],
    inner_key: Key[Array, ""] | None = None,
) -> Draws:
    """The draws of an update.

    Args:
        real: [batch, *shape].
        latent: [batch, latent_dim].
        key: of the loss.
        inner_key: of the losses of unrolled updates; None derives it from `key`.

    Returns:
        The draws.
    """
    return Draws(real, latent, key, jax.random.fold_in(key, INNER) if inner_key is None else inner_key)


def discriminator_step(context: StepContext, state: TrainState, draws: Draws) -> tuple[TrainState, Metrics]:
    """One update of D on real examples and on G's samples, or on those of the unrolled G.

    Args:
        context: of the step.
        state: where to step from.
        draws: of the update.

    Returns:
        (the state with the new D, metrics of the update).
    """
    loss = _discriminator_loss(context, state, draws)
    player, metrics = _descend(context, "discriminator", state.discriminator, loss, draws.key)
    return state._replace(discriminator=player), metrics


def generator_step(context: StepContext, state: TrainState, draws: Draws) -> tuple[TrainState, Metrics]:
    """One update of G against the D of the state, or against the unrolled D.

    Args:
        context: of the step.
        state: where to step from.
        draws: of the update.

    Returns:
        (the state with the new G and its average, metrics of the update).
    """
    loss = generator_objective(context, state, draws)
    player, metrics = _descend(context, "generator", state.generator, loss, draws.key)
    return _with_generator(context.experiment, state, player), metrics


def generator_objective(context: StepContext, state: TrainState, draws: Draws) -> LossOfParams:
    """G's loss as a function of its parameters, through D's updates if G is unrolled.

    Args:
        context: of the step.
        state: with the D that G faces.
        draws: of the update.

    Returns:
        params -> (loss, (G's new statistics and memory as `Variables` without parameters, metrics)).
    """

    def loss(params: Any) -> tuple[Array, tuple[Variables, Metrics]]:
        variables = state.generator.variables._replace(params=params)
        batch, statistics = make_batch(context, variables, draws.real, draws.latent)
        opponent = unrolled_discriminator(context, *state.discriminator, batch, draws.inner_key)
        value, memory = generator_loss(context, opponent, batch, draws.key)
        metrics = {"generator_loss": value, **_before_unrolling(context, state, batch, draws.key)}
        return value, (Variables((), statistics, memory), metrics)

    return loss


def _before_unrolling(context: StepContext, state: TrainState, batch: Batch, key: Array) -> Metrics:
    """G's loss against the present D, if `generator_loss` is the one against D after its unrolled updates."""
    if not is_unrolled(context.experiment.generator):
        return {}
    value, _ = generator_loss(context, state.discriminator.variables, batch, key)
    return {BEFORE_UNROLLING: jax.lax.stop_gradient(value)}


def _discriminator_loss(context: StepContext, state: TrainState, draws: Draws) -> LossOfParams:
    """D's loss as a function of its parameters; the fakes are G's, made once, unless D is unrolled."""
    batch = None
    if not is_unrolled(context.experiment.discriminator):
        batch, _ = make_batch(context, state.generator.variables, draws.real, draws.latent)

    def loss(params: Any) -> tuple[Array, tuple[Variables, Metrics]]:
        variables, inputs = state.discriminator.variables._replace(params=params), batch
        if inputs is None:
            examples = draws.real, draws.latent
            opponent = unrolled_generator(context, *state.generator, variables, examples, draws.key)
            inputs, _ = make_batch(context, opponent, *examples)
        return discriminator_loss(context, variables, inputs, draws.key)

    return loss


def unrolled_step(
    context: StepContext, state: TrainState, draws: Draws, key_gen: Key[Array, ""]
) -> tuple[TrainState, Metrics]:
    """Updates of both players at once, where the first of D's unrolled updates is D's own: see `shares_first_update`.

    The result equals that of `discriminator_step` and `generator_step` from the same state, but D's update is computed
    once, as the first of the rollout, and G's samples are made once.

    Args:
        context: of the step.
        state: where to step from.
        draws: of D's update.
        key_gen: of G's loss.

    Returns:
        (the next state without its step counted, metrics of both updates).
    """
    settings = context.experiment.generator.unroll
    assert settings is not None

    def loss(params: Any) -> tuple[Array, tuple[Variables, Metrics, Player]]:
        variables = state.generator.variables._replace(params=params)
        batch, statistics = make_batch(context, variables, draws.real, draws.latent)

        def own_loss(params: Any) -> tuple[Array, tuple[Variables, Metrics]]:
            return discriminator_loss(context, state.discriminator.variables._replace(params=params), batch, draws.key)

        moved, metrics = _descend(context, "discriminator", state.discriminator, own_loss, draws.key)
        opponent = moved
        if settings.inner_statistics == "frozen":
            still = state.discriminator.variables._replace(params=moved.variables.params)
            opponent = opponent._replace(variables=still)
        if settings.gradient.last_steps(settings.num_steps) < settings.num_steps:
            opponent = jax.lax.stop_gradient(opponent)
        faced = unrolled_discriminator(context, *opponent, batch, draws.key, num_done=1)
        value, memory = generator_loss(context, faced, batch, key_gen)
        metrics = {**metrics, "generator_loss": value, **_before_unrolling(context, state, batch, key_gen)}
        return value, (Variables((), statistics, memory), metrics, moved)

    own = state.generator
    (_, (kept, metrics, moved)), grads = value_and_hypergradient(loss, own.variables.params, mode=settings.mode)
    grads, metrics = context.mean((grads, metrics))
    metrics["generator_grad_norm"] = optax.tree.norm(grads)
    player = _updated(context.experiment.generator, own, grads, kept)
    return _with_generator(context.experiment, state, player)._replace(discriminator=moved), metrics


def dynamics_step(
    context: StepContext, state: TrainState, draws: Draws, key_gen: Key[Array, ""]
) -> tuple[TrainState, Metrics]:
    """Updates of both players at once, by a rule of `gan_jax.training.dynamics` on their gradients.

    Args:
        context: of the step.
        state: where to step from.
        draws: of D's update.
        key_gen: of G's loss.

    Returns:
        (the next state without its step counted, metrics of both updates).
    """
    experiment, examples = context.experiment, (draws.real, draws.latent)
    players = Pair(state.generator, state.discriminator)
    settings = Pair(experiment.generator, experiment.discriminator)

    def losses(params: Pair) -> tuple[Pair, Any]:
        at = Pair(*(player.variables._replace(params=p) for player, p in zip(players, params, strict=True)))
        batch, gen_statistics = make_batch(context, at.generator, *examples)
        opt_state = state.generator.opt_state
        opponent = unrolled_generator(context, at.generator, opt_state, at.discriminator, examples, draws.key)
        moved = opponent is not at.generator
        inputs = make_batch(context, opponent, *examples)[0] if moved else batch
        disc_value, (disc_kept, metrics) = discriminator_loss(context, at.discriminator, inputs, draws.key)
        faced = unrolled_discriminator(context, at.discriminator, state.discriminator.opt_state, batch, draws.key)
        value, memory = generator_loss(context, faced, batch, key_gen)
        gen_kept = Variables((), gen_statistics, memory)
        metrics = {**metrics, "generator_loss": value, **_before_unrolling(context, state, batch, key_gen)}
        return Pair(value, disc_value), (gen_kept, disc_kept, metrics)

    def updated(direction: Pair) -> Pair:
        kept = (player.variables for player in players)
        return Pair(*map(_updated, settings, players, direction, kept))

    def move(direction: Pair) -> Pair:
        return Pair(*(player.variables.params for player in updated(direction)))

    params = Pair(*(player.variables.params for player in players))
    rates = Pair(*(player.learning_rate for player in settings))
    direction, aux = experiment.dynamics.direction(losses, params, move, rates, context.mean)
    gen_kept, disc_kept, metrics = aux
    metrics = dict(context.mean(metrics))
    for name, part in direction._asdict().items():
        metrics[f"{name}_grad_norm"] = optax.tree.norm(part)
    moved = updated(direction)
    generator, discriminator = (
        player._replace(variables=kept._replace(params=player.variables.params))
        for player, kept in zip(moved, (gen_kept, disc_kept), strict=True)
    )
    return _with_generator(experiment, state, generator)._replace(discriminator=discriminator), metrics


def is_unrolled(player: Generator | Discriminator) -> bool:
    """Whether a player is unrolled with K > 0; K = 0 is the plain game, bit for bit."""
    return player.unroll is not None and player.unroll.num_steps > 0


def shares_first_update(experiment: Experiment) -> bool:
    """Whether the first of D's unrolled updates equals the update that D makes in the step.

    It does if both players move at once, on the same batch, and the unrolled updates follow the rule of D's own.
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
        and not isinstance(gen.unroll.gradient, Evolution)
        and (gen.unroll.num_steps > 1 or not isinstance(gen.unroll.gradient, Implicit))
    )


@in_precision
def train_step(
    experiment: Experiment,
    dataset: Any,
    state: TrainState,
    *,
    count: int | None = None,
    axis_name: str | None = None,
) -> tuple[TrainState, Metrics]:
    """One step: `updates_per_step` updates of D on fresh batches, and those of G, in the order of the dynamics.

    With `reuse_fakes` G's first update uses the latents of D's last one. With one update each, G is then computed once
    for both, since XLA merges the two identical forward passes.

    Args:
        experiment: the settings.
        dataset: what `experiment.data.load` returned.
        state: where to step from.
        count: examples in this batch, if fewer than `batch_size`: the epoch's short last batch.
        axis_name: the mapped axis, if any, over whose devices each batch is split: each draws it whole and keeps its
            shard, and gradients and batch statistics are averaged, so that the step is that of one device.

    Returns:
        The next state, and metrics of the last update of each player (scalars; losses in the objective's unit).
    """
    context = step_context(experiment, dataset, state.step, axis_name=axis_name)
    experiment, source = context.experiment, context.source
    num_disc, num_gen = experiment.discriminator.updates_per_step, experiment.generator.updates_per_step
    key_data = jax.random.fold_in(state.key, DATA)
    key_step = jax.random.fold_in(jax.random.fold_in(state.key, TRAINING), state.step)
    key_latent, key_disc, key_gen = jax.random.split(key_step, 3)

    def real_batch(index: Array | int) -> Array:
        batch = source.batch(key_data, state.step * num_disc + index, experiment.batch_size, count=count)
        return context.shard(batch)

    def latents(index: Array | int) -> Array:
        key = jax.random.fold_in(key_latent, index)
        return context.shard(sample_latent(experiment, key, count or experiment.batch_size))

    # Drawn once for both players: XLA merges identical products, but not the loops that compute random numbers.
    first = real_batch(0), latents(0)

    def update_discriminator(carry: TrainState, index: Array | int) -> tuple[TrainState, Metrics]:
        real, latent = first if num_disc == 1 else (real_batch(index), latents(index))
        return discriminator_step(context, carry, make_draws(real, latent, jax.random.fold_in(key_disc, index)))

    def update_generator(carry: TrainState, index: Array | int) -> tuple[TrainState, Metrics]:
        last = num_disc - 1
        real, latent = first if num_disc == 1 else (real_batch(last), None)
        if latent is None or num_gen > 1 or not experiment.reuse_fakes:
            latent = latents(num_disc - int(experiment.reuse_fakes) + index)
        key, inner_key = jax.random.fold_in(key_gen, index), jax.random.fold_in(key_disc, last)
        return generator_step(context, carry, make_draws(real, latent, key, inner_key))

    key_first, key_answer = jax.random.fold_in(key_disc, 0), jax.random.fold_in(key_gen, 0)
    if shares_first_update(experiment):
        after, metrics = unrolled_step(context, state, make_draws(*first, key_first), key_answer)
    elif not isinstance(experiment.dynamics, (Alternating, Simultaneous)):
        after, metrics = dynamics_step(context, state, make_draws(*first, key_first), key_answer)
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


def _descend(context: StepContext, name: str, player: Player, loss: LossOfParams, key: Array) -> tuple[Player, Metrics]:
    """One update of a player on its loss; differentiable, as a step of a rollout."""
    settings: Generator | Discriminator = getattr(context.experiment, name)
    unroll = settings.unroll if is_unrolled(settings) else None
    if unroll is not None and isinstance(unroll.gradient, Evolution):
        rule, own_key = unroll.gradient, jax.random.fold_in(key, _EVOLUTION)
        (_, (kept, metrics)), grads = evolution_gradient(
            loss, player.variables.params, own_key, std=rule.std, num_pairs=rule.num_pairs
        )
    else:
        mode = "reverse" if unroll is None else unroll.mode
        (_, (kept, metrics)), grads = value_and_hypergradient(loss, player.variables.params, mode=mode)
    grads, metrics = context.mean((grads, metrics))
    metrics[f"{name}_grad_norm"] = optax.tree.norm(grads)
    return _updated(settings, player, grads, kept), metrics


def _with_generator(experiment: Experiment, state: TrainState, player: Player) -> TrainState:
    """The state with a new G, and its moving average after it."""
    average, decay = state.average, experiment.generator.average_decay
    if decay is not None:
        average = optax.incremental_update(player.variables.params, average, 1 - value_at(decay, state.step))
    return state._replace(generator=player, average=average)


def _updated(settings: Generator | Discriminator, player: Player, grads: Any, kept: Variables) -> Player:
    updates, opt_state = optimizer_of(settings).update(grads, player.opt_state, player.variables.params)
    params = optax.apply_updates(player.variables.params, updates)
    return Player(kept._replace(params=params), opt_state)
