"""Compiled programs with their memory and operations, and compiled training steps of an experiment."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.images import ImageDataset
from gan_jax.experiment.experiment import Experiment
from gan_jax.scaling.programs import chunk_program, compiled_init, has_small_networks
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.state import TrainState


class Compiled(NamedTuple):
    """A compiled program and what it costs before it runs.

    Attributes:
        program: takes the arguments that are not static.
        lower_seconds: to trace and lower it.
        compile_seconds: from the call to the executable: lowering, and XLA's own time.
        flops: floating-point operations by XLA's cost analysis, which counts the body of a loop once; None if unknown.
        argument_bytes: of arguments; this and the next two by XLA's memory analysis, None if unknown.
        temporary_bytes: of temporary arrays, which are neither arguments nor results.
        peak_bytes: arguments, results that are not donated arguments, and temporaries.
    """

    program: Any
    lower_seconds: float
    compile_seconds: float
    flops: float | None
    argument_bytes: int | None
    temporary_bytes: int | None
    peak_bytes: int | None

    def figures(self) -> dict[str, Any]:
        """The costs as figures of a row; memory in megabytes."""
        megabytes = {
            f"{name}_mb": None if value is None else round(value / 1e6, 1)
            for name, value in (
                ("temporary", self.temporary_bytes),
                ("argument", self.argument_bytes),
                ("peak", self.peak_bytes),
            )
        }
        seconds = {"compile_seconds": round(self.compile_seconds, 1), "lower_seconds": round(self.lower_seconds, 1)}
        return {**seconds, **megabytes, "xla_flops": self.flops}


def compile_timed(jitted: Any, *args: Any, **kwargs: Any) -> Compiled:
    """Lowers and compiles a jitted function for these arguments, with the seconds of both."""
    began = time.perf_counter()
    lowered = jitted.lower(*args, **kwargs)
    lower_seconds = time.perf_counter() - began
    program = lowered.compile()
    return analyse(program, lower_seconds, time.perf_counter() - began)


def analyse(program: Any, lower_seconds: float = 0.0, compile_seconds: float = 0.0) -> Compiled:
    """A compiled program with XLA's memory and cost analysis."""
    costs, memory = program.cost_analysis() or {}, program.memory_analysis()
    sizes: tuple[int | None, ...] = (None, None, None)
    if memory is not None:
        results = max(memory.output_size_in_bytes - memory.alias_size_in_bytes, 0)
        argument, temporary = memory.argument_size_in_bytes, memory.temp_size_in_bytes
        sizes = argument, temporary, argument + results + temporary
    return Compiled(program, lower_seconds, compile_seconds, costs.get("flops"), *sizes)


class Training:
    """An experiment's training steps, compiled; each call of `round` continues the training and returns its seconds.

    Args:
        experiment: what is trained.
        resources: of `load_data` or `random_images`.
        num_steps: steps of a round.
        small: whether the program is compiled for small networks. None decides as `compiled_chunk` does.
    """

    def __init__(
        self, experiment: Experiment, resources: LoadedData, num_steps: int, *, small: bool | None = None
    ) -> None:
        small = has_small_networks(experiment) if small is None else small
        self.experiment, self._resources = experiment, jax.device_put(resources)
        self.state = start(experiment, 0)
        spec = ChunkSpec(num_steps, evaluates=False)
        self.compiled = compile_timed(chunk_program(small=small), experiment, self._resources, self.state, spec)

    def advance(self, experiment: Experiment, state: TrainState) -> TrainState:
        """The state after a chunk, of this or of another run of the same structure. The given state is donated."""
        return jax.block_until_ready(self.compiled.program(experiment, self._resources, state).state)

    def round(self) -> float:
        """Seconds of a chunk."""
        began = time.perf_counter()
        self.state = self.advance(self.experiment, self.state)
        return time.perf_counter() - began


def start(experiment: Experiment, seed: int) -> TrainState:
    """The state before the first step."""
    return compiled_init(experiment, jax.random.key(seed))


def random_images(size: int, num: int = 2048) -> LoadedData:
    """`num` images of random pixels: data for measurements of speed."""
    pixels = jnp.asarray(np.random.default_rng(0).integers(0, 256, (num, size, size, 1), dtype=np.uint8))
    labels = jnp.zeros(num, jnp.int32)
    return LoadedData(ImageDataset(pixels, labels, pixels[:10], labels[:10]), ())
