"""The state of a run, made of arrays only. `init` makes the state before the first step."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Key

from gan_jax.diagnostics.detector import DetectorState, init_detector
from gan_jax.experiment.experiment import Experiment
from gan_jax.networks.network import Variables
from gan_jax.training.growth import at_step
from gan_jax.training.optimizers import optimizer_of
from gan_jax.training.player_losses import init_memory
from gan_jax.training.probes import init_probe_state

DATA, TRAINING, BANK, INIT = range(4)
"""Purposes of randomness within a run: `TrainState.key` is folded with one of them first."""


class Player(NamedTuple):
    """One player: its network's variables and its optimiser's state."""

    variables: Variables
    opt_state: Any


class TrainState(NamedTuple):
    """Everything that a run carries from step to step, as arrays.

    Attributes:
        generator, discriminator: the players.
        average: moving average of G's parameters, or None.
        detector: state of the collapse detector.
        key: the run's key. It never changes: every random number comes from it, folded with a purpose and the step.
        step: int32, steps done.
        nonfinite_step: int32, the first step with a loss or gradient that was not finite; -1 if none.
        probe_state: state that the recorder passes from one probe to the next; () without a recorder.

    Example:
        >>> import jax
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> state = jax.eval_shape(init, tiny_ring(), jax.random.key(0))
        >>> state.step.dtype, state.average is None
        (dtype('int32'), True)
    """

    generator: Player
    discriminator: Player
    average: Any
    detector: DetectorState
    key: Array
    step: Array
    nonfinite_step: Array
    probe_state: Any = ()


def init(experiment: Experiment, key: Key[Array, ""]) -> TrainState:
    """The state before the first step. Pure and traceable; everything random in the run follows from `key`.

    Called outside `jit` it runs operation by operation, which is slow for large networks: use `jax.jit(gan_jax.init)`.

    Args:
        experiment: the settings.
        key: typed PRNG key of the run.

    Returns:
        Both players' initial variables and optimiser states, and a detector that has seen no evaluation.

    Example:
        >>> import jax
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> state = jax.jit(init)(tiny_ring(), jax.random.key(0))
        >>> int(state.step), state.generator.variables.params["dense_0"]["kernel"].shape
        (0, (8, 16))
    """
    experiment = at_step(experiment, jnp.int32(0))
    key_gen, key_disc = jax.random.split(jax.random.fold_in(key, INIT))
    gen, disc, shape = experiment.generator, experiment.discriminator, experiment.data.shape
    gen_variables = gen.network.init(key_gen, gen.latent_dim, shape)
    disc_variables = disc.network.init(key_disc, experiment.discriminator_input_shape)
    memories = init_memory(experiment, gen_variables, disc_variables)
    gen_variables, disc_variables = (
        variables._replace(memory=memory)
        for variables, memory in zip((gen_variables, disc_variables), memories, strict=True)
    )

    def player(settings: Any, variables: Variables) -> Player:
        return Player(variables, optimizer_of(settings).init(variables.params))

    return TrainState(
        generator=player(gen, gen_variables),
        discriminator=player(disc, disc_variables),
        average=None if gen.average_decay is None else gen_variables.params,
        detector=init_detector(),
        key=key,
        step=jnp.int32(0),
        nonfinite_step=jnp.int32(-1),
        probe_state=init_probe_state(experiment, gen_variables, disc_variables),
    )
