"""What benchmarks compile: chunks of training steps, runs with a probe, and what a program costs beside its time.

Benchmarks train through this module; only `sweep` and `scaling` also time the package's ways to use many devices.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.images import ImageDataset
from gan_jax.experiment.experiment import Experiment
from gan_jax.scaling.programs import chunk_program, compiled_init, compiler_options
from gan_jax.training.chunks import Chunk, chunks
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.state import TrainState
from gan_jax.training.steps import train_step


class Compiled(NamedTuple):
    """A compiled program and what it costs before it runs.

    Attributes:
        program: takes the arguments that are not static.
        lower_seconds: to trace and lower it.
        compile_seconds: from the call to the executable: lowering, and XLA's own time.
        flops: floating-point operations by XLA's cost analysis, which counts the body of a loop once; None if unknown.
        argument_bytes: of arguments; this and the next two by XLA's memory analysis, None if unknown.
        temporary_bytes: beside arguments and results.
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
        """Its numbers as figures of a row; memory in megabytes."""
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


def matmul_flops(function: Any, *args: Any, having: int | None = None) -> int:
    """Floating-point operations of all matrix products in a function's jaxpr, with scans multiplied out.

    Args:
        function: to be traced, not run.
        *args: its arguments.
        having: count only products one of whose operands has an axis of this size.

    Returns:
        Multiplications and additions: 2 m n k for a product of [m, k] and [k, n].
    """
    return _flops(jax.make_jaxpr(function)(*args).jaxpr, having)


def _flops(jaxpr: Any, having: int | None) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            left, right = (v.aval.shape for v in equation.invars)
            if having is None or having in (*left, *right):
                depth = np.prod([left[axis] for axis in contracted], dtype=int)
                total += 2 * int(depth) * int(np.prod(equation.outvars[0].aval.shape, dtype=int))
        repeats = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
        inner = jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda p: hasattr(p, "eqns") or hasattr(p, "jaxpr")
        )
        for part in inner:
            part = getattr(part, "jaxpr", part)
            if hasattr(part, "eqns"):
                total += repeats * _flops(part, having)
    return total


# ---- Training --------------------------------------------------------------------------------------------------------


class Training:
    """An experiment's training steps, compiled; each call of `round` trains on and returns the seconds of a chunk.

    Args:
        experiment: what is trained.
        resources: of `load_data` or `random_images`.
        num_steps: steps of a round.
        small: whether the program is compiled for networks of vector data. None: as `gan_jax.training` does.
    """

    def __init__(
        self, experiment: Experiment, resources: LoadedData, num_steps: int, *, small: bool | None = None
    ) -> None:
        small = len(experiment.data.shape) == 1 if small is None else small
        self.experiment, self._resources = experiment, jax.device_put(resources)
        self.state = start(experiment, 0)
        arguments = experiment, self._resources, self.state
        self.compiled = compile_timed(chunk_program(small=small), *arguments, num_steps=num_steps, evaluates=False)

    def advance(self, experiment: Experiment, state: TrainState) -> TrainState:
        """The state after a chunk, of this or of another run of the same structure. The state handed in is donated."""
        return jax.block_until_ready(self.compiled.program(experiment, self._resources, state).state)

    def round(self) -> float:
        """Seconds of a chunk."""
        began = time.perf_counter()
        self.state = self.advance(self.experiment, self.state)
        return time.perf_counter() - began


def start(experiment: Experiment, seed: int) -> TrainState:
    """The state before the first step."""
    return compiled_init(experiment, jax.random.key(seed))


def evaluations(experiment: Experiment, resources: LoadedData, seed: int) -> Iterator[Chunk]:
    """Trains to the end; yields the chunks that end in an evaluation."""
    for chunk in chunks(experiment, resources, start(experiment, seed)):
        if chunk.evaluation is not None:
            yield chunk


def train_with_probe(
    experiment: Experiment, data: Any, state: TrainState, probe: Callable[..., Any], every: int, memory: Any = ()
) -> tuple[TrainState, Any, Any]:
    """Trains for the experiment's steps, with a probe after every so many of them. Pure, for `jit` and `vmap`.

    Args:
        experiment: what is trained; of its steps a remainder of `num_steps / every` is left out.
        data: the data set, `()` for mixtures.
        state: before the first step.
        probe: (experiment, data, state, memory) -> (memory, values).
        every: steps from one probe to the next.
        memory: what the first probe gets; each hands it on to the next one.

    Returns:
        (the last state, values [probes, ...], training metrics of the step before each probe [probes]).
    """

    def part(carry: tuple[TrainState, Any], _: None) -> tuple[Any, Any]:
        state, memory = carry
        state, metrics = jax.lax.scan(lambda s, _: train_step(experiment, data, s), state, length=every)
        memory, values = probe(experiment, data, state, memory)
        return (state, memory), (values, jax.tree.map(lambda series: series[-1], metrics))

    num_probes = experiment.num_steps // every
    (state, _), (values, metrics) = jax.lax.scan(part, (state, memory), length=num_probes)
    return state, values, metrics


def many_with_probe(
    experiment: Experiment, data: Any, states: list[TrainState], probe: Callable[..., Any], every: int, memory: Any = ()
) -> tuple[TrainState, Any, Any]:
    """`train_with_probe` of runs side by side, in one program for small networks.

    Args:
        experiment: of all runs.
        data: the data set, `()` for mixtures.
        states: of each run before its first step.
        probe: as of `train_with_probe`; so are the next two.
        every: steps from one probe to the next.
        memory: what the first probe gets.

    Returns:
        As `train_with_probe`, with a leading axis of runs.
    """

    def one(experiment: Experiment, data: Any, state: TrainState, memory: Any) -> tuple[TrainState, Any, Any]:
        return train_with_probe(experiment, data, state, probe, every, memory)

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    program = jax.jit(jax.vmap(one, (None, None, 0, None)), compiler_options=compiler_options())
    return program(experiment, data, stacked, memory)


def random_images(size: int, num: int = 2048) -> LoadedData:
    """`num` images of random pixels, in place of a data set where only speed is measured."""
    pixels = np.random.default_rng(0).integers(0, 256, (num, size, size, 1), dtype=np.uint8)
    labels = np.zeros(num, np.int32)
    return LoadedData(ImageDataset(pixels, labels, pixels[:10], labels[:10]), ())
