"""Compiled programs of single runs: the pure functions of `gan_jax.training`, compiled for the default backend."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Key

from gan_jax.experiment.experiment import Experiment
from gan_jax.training.chunks import Chunk, ChunkSpec, chunk
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.state import TrainState, init


def compiled_init(experiment: Experiment, key: Key[Array, ""]) -> TrainState:
    """`init`, compiled."""
    return _init_program()(experiment, key)


def init_shapes(experiment: Experiment, key: Key[Array, ""]) -> TrainState:
    """The shapes and dtypes of `compiled_init`'s state, without computing it."""
    return jax.eval_shape(_init_program(), experiment, key)


@functools.cache
def _init_program() -> Any:
    # Without optimisation on a CPU: drawing the weights of a DCGAN takes 20 s to compile there with it, 2 s without,
    # and runs once.
    plain = jax.default_backend() == "cpu"
    return jax.jit(init, compiler_options={"xla_backend_optimization_level": 0} if plain else None)


def compiled_chunk(experiment: Experiment, resources: LoadedData, state: TrainState, spec: ChunkSpec) -> Chunk:
    """`chunk`, compiled for one device; it compiles once for each structure of the experiment and each spec.

    Args:
        experiment: the settings.
        resources: from `load_data`.
        state: donated: use the returned one.
        spec: the static part.

    Returns:
        The chunk's results.
    """
    return chunk_program(small=has_small_networks(experiment))(experiment, resources, state, spec)


@functools.cache
def chunk_program(*, small: bool) -> Any:
    """`chunk` as a jitted function of (experiment, resources, state, spec), to be called, lowered or inspected.

    Args:
        small: whether the networks are as small as those of vector data; see `compiler_options`.
    """
    return jax.jit(chunk, static_argnums=3, donate_argnums=2, compiler_options=compiler_options() if small else None)


def has_small_networks(experiment: Experiment) -> bool:
    """Whether an experiment's data are vectors, whose networks are small products of matrices."""
    return len(experiment.data.shape) == 1


@functools.cache
def compiler_options() -> dict[str, Any] | None:
    """XLA options that make small products of matrices faster on this backend, or None.

    XLA:CPU hands products to YNNPACK, which is slower than its older library on those of a ring's networks, and faster
    on those of a DCGAN's (docs/unrolling.md). The option is not part of XLA's stable interface: where it is unknown, it
    is left out.
    """
    if jax.default_backend() != "cpu":
        return None
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    try:
        jax.jit(lambda: jnp.zeros(()), compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options
