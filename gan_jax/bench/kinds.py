"""The kinds of measurement of `gan-jax bench`, each a function of a case."""

from __future__ import annotations

import contextlib
import functools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gan_jax.bench.cases import make_case, unrolled
from gan_jax.bench.ceilings import quick_ceiling
from gan_jax.bench.measures import ROUNDS, measure_step, measure_sweep, timed
from gan_jax.bench.programs import compile_timed, start
from gan_jax.bench.rounds import take_turns
from gan_jax.diagnostics.recorder import Recorder
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.scaling.programs import chunk_program, has_small_networks, init_shapes
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.evaluations import LoadedData, evaluate
from gan_jax.training.probes import record


class Sizes(NamedTuple):
    """The size of a measurement.

    Attributes:
        batch_size: None takes the case's own.
        precision: of the experiment.
        steps: of a round; None takes a number that suits the case.
        rounds: measured rounds.
        inner_steps: K, for unroll.
        memory: what is stored of the K updates.
        members: number of members, for sweep.
        strategy: execution strategy, for sweep.
    """

    batch_size: int | None = None
    precision: str = "float32"
    steps: int | None = None
    rounds: int = ROUNDS
    inner_steps: int = 5
    memory: str = "step"
    members: int = 30
    strategy: str = "vmap"


def measure_kind(kind: str, case: str, sizes: Sizes) -> dict[str, Any]:
    """The figures of one measurement, as described in `gan_jax.bench.measures.FIGURES`.

    Args:
        kind: one of `KINDS`.
        case: one of `gan_jax.bench.cases.CASES`; unroll always uses the ring.
        sizes: of the measurement.

    Returns:
        The figures of a row.

    Raises:
        ValueError: for an unknown kind or case.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind {kind!r}; there is {', '.join(KINDS)}")
    return {"kind": kind, **KINDS[kind](case, sizes)}


def _case(case: str, sizes: Sizes) -> tuple[Experiment, LoadedData, int]:
    experiment, resources = make_case(case, batch_size=sizes.batch_size, precision=sizes.precision)
    return experiment, resources, sizes.steps or (3 if case.startswith("dcgan") else 100)


def _step(case: str, sizes: Sizes) -> dict[str, Any]:
    experiment, resources, num_steps = _case(case, sizes)
    ceilings = {sizes.precision: quick_ceiling(sizes.precision)}
    return measure_step(experiment, resources, num_steps, num_rounds=sizes.rounds, ceilings=ceilings)


def _unroll(case: str, sizes: Sizes) -> dict[str, Any]:
    experiment, resources = unrolled(sizes.inner_steps, sizes.memory)
    experiment = override(experiment, "precision", sizes.precision)
    num_steps = sizes.steps or max(10, 60 // (1 + sizes.inner_steps))
    figures = measure_step(experiment, resources, num_steps, num_rounds=sizes.rounds, counted=False)
    return {"inner_steps": sizes.inner_steps, "memory": sizes.memory, **figures}


def _sweep(case: str, sizes: Sizes) -> dict[str, Any]:
    experiment, resources, num_steps = _case(case, sizes)
    members = [experiment] * sizes.members
    return measure_sweep(members, resources, sizes.strategy, min(num_steps, 20), num_rounds=sizes.rounds)


def _compile(case: str, sizes: Sizes) -> dict[str, Any]:
    """Repeated cold compilation of a chunk: the caches are cleared before each."""
    experiment, resources, _ = _case(case, sizes)
    shapes = init_shapes(experiment, jax.random.key(0))
    found: list[Any] = []

    def once() -> float:
        jax.clear_caches()
        with _without_persistent_cache():
            program = chunk_program(small=has_small_networks(experiment))
            found.append(compile_timed(program, experiment, resources, shapes, ChunkSpec(2, evaluates=False)))
        return float(found[-1].compile_seconds)

    seconds = take_turns({"ours": once}, sizes.rounds)["ours"]
    return {"arithmetic": sizes.precision, **timed(seconds, 2), **found[-1].figures()}


@contextlib.contextmanager
def _without_persistent_cache() -> Iterator[None]:
    config: Any = jax.config
    before = config.jax_enable_compilation_cache
    config.update("jax_enable_compilation_cache", False)
    try:
        yield
    finally:
        config.update("jax_enable_compilation_cache", before)


def _metrics(case: str, sizes: Sizes) -> dict[str, Any]:
    """One evaluation: samples, metrics, detector."""
    experiment, resources, _ = _case(case, sizes)
    if case != "ring":  # random pixels have no reference
        experiment = override(experiment, "detector.num_samples", max(experiment.batch_size, 256))
        resources = LoadedData(resources.dataset, experiment.detector.reference(experiment.data, resources.dataset))
    return _of_program(functools.partial(evaluate, experiment, resources), start(experiment, 0), experiment, sizes)


def _diagnostics(case: str, sizes: Sizes) -> dict[str, Any]:
    """One probe of the recorder."""
    experiment, resources, _ = _case(case, sizes)
    experiment = override(experiment, "recorder", Recorder())
    state = start(experiment, 0)

    def probe(state: Any) -> Any:
        players = state.generator.variables, state.discriminator.variables
        return record(experiment, resources.dataset, players, state.probe_state, state.key, state.step)

    return _of_program(probe, state, experiment, sizes)


def _of_program(function: Callable[[Any], Any], state: Any, experiment: Experiment, sizes: Sizes) -> dict[str, Any]:
    compiled = compile_timed(jax.jit(function), state)

    def once() -> float:
        began = time.perf_counter()
        jax.block_until_ready(compiled.program(state))
        return time.perf_counter() - began

    seconds = take_turns({"ours": once}, sizes.rounds)["ours"]
    return {"arithmetic": experiment.precision, **timed(seconds, 1), **compiled.figures()}


def _checkpoint(case: str, sizes: Sizes) -> dict[str, Any]:
    """Writing and reading a state; the seconds are those of writing."""
    experiment, _, _ = _case(case, sizes)
    state, key = start(experiment, 0), jax.random.key(0)
    template, reads = init_shapes(experiment, key)._replace(key=key), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder), keep=2)
        number = 0

        def once() -> float:
            nonlocal number
            number += 1
            began = time.perf_counter()
            checkpoints.save(state, number)
            written = time.perf_counter()
            checkpoints.restore(template, number)
            reads.append(time.perf_counter() - written)
            return written - began

        seconds = take_turns({"ours": once}, sizes.rounds)["ours"]
        checkpoints.close()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state) if hasattr(leaf, "nbytes"))
    return {**timed(seconds, 0), "read_seconds": [round(value, 5) for value in reads[1:]], "state_mb": size / 1e6}


KINDS: dict[str, Callable[[str, Sizes], dict[str, Any]]] = {
    "step": _step,
    "unroll": _unroll,
    "sweep": _sweep,
    "compile": _compile,
    "metrics": _metrics,
    "checkpoint": _checkpoint,
    "diagnostics": _diagnostics,
}
"""By name, a function of a case and sizes."""
