"""Figures of training steps, unrolled steps and sweeps, shared by `gan-jax bench` and the accelerator kit."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from gan_jax.bench.flops import step_flops
from gan_jax.bench.programs import Training, analyse, start
from gan_jax.bench.rounds import median_and_quartiles, significant, take_turns
from gan_jax.experiment.experiment import Experiment
from gan_jax.scaling.strategies import Strategy
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.evaluations import LoadedData

ROUNDS = 6
"""Least number of measured rounds: enough for an exact test between two programs."""

FIGURES = {
    "kind": "what is measured: step, unroll, sweep, compile, metrics, checkpoint, diagnostics",
    "batch_size": "real examples of a step",
    "steps": "training steps of a round, of each member",
    "members": "runs side by side; sweeps only",
    "strategy": "of a sweep",
    "arithmetic": "the experiment's precision; the key `precision` is JAX's default, which no program of ours uses",
    "round_seconds": "seconds of each round, in order",
    "seconds, seconds_quartiles": "of a round: median and quartiles",
    "steps_per_second, steps_per_second_quartiles": "training steps, of all members together",
    "examples_per_second, examples_per_second_quartiles": "steps/s times batch size",
    "rounds": "that counted; one more went before them",
    "compile_seconds": "tracing, lowering and XLA's own time; in no other figure",
    "lower_seconds": "tracing and lowering alone",
    "temporary_mb, argument_mb, peak_mb": "memory of the program on a device, by XLA's analysis; 1e6 bytes",
    "device_peak_mb": "most memory that the process has had on the device so far; null where it does not say",
    "xla_flops": "operations of the program by XLA's cost analysis, which counts the body of a loop once",
    "step_flops": "operations that a step needs, by hand (`gan_jax.bench.flops`); null for an unrolled game",
    "tflops": "step_flops times steps/s, in 1e12 a second",
    "mfu": "tflops relative to the measured matrix product of this device and precision; null without a measurement",
}
"""The figures of `gan-jax bench`, added to the keys of `gan_jax.bench.rows.SCHEMA`. A row has those that apply."""


def measure_step(
    experiment: Experiment,
    resources: LoadedData,
    num_steps: int,
    *,
    num_rounds: int = ROUNDS,
    min_seconds: float = 0.0,
    ceilings: Mapping[str, float] | None = None,
    counted: bool = True,
) -> dict[str, Any]:
    """The figures of an experiment's training steps.

    Args:
        experiment: what is trained.
        resources: its data.
        num_steps: steps of a round, in one program.
        num_rounds: least number of measured rounds.
        min_seconds: least time of all rounds together.
        ceilings: 1e12 operations a second of a matrix product on this device, by precision; for the MFU.
        counted: whether `step_flops` applies to this game; False for an unrolled one.

    Returns:
        Figures, as described in `FIGURES`.
    """
    training = Training(experiment, resources, num_steps)
    seconds = take_turns({"ours": training.round}, num_rounds, min_seconds)["ours"]
    figures = {
        "batch_size": experiment.batch_size,
        "arithmetic": experiment.precision,
        **timed(seconds, num_steps),
        **median_and_quartiles("examples_per_second", experiment.batch_size * num_steps / seconds),
        **training.compiled.figures(),
        "device_peak_mb": device_peak_mb(),
        "step_flops": None,
    }
    if counted:
        flops = step_flops(experiment)
        rate = flops * num_steps / float(np.median(seconds)) / 1e12
        ceiling = (ceilings or {}).get(experiment.precision)
        mfu = significant(rate / ceiling) if ceiling else None
        figures |= {"step_flops": flops, "tflops": significant(rate), "mfu": mfu}
    return figures


def measure_sweep(
    experiments: Sequence[Experiment],
    resources: LoadedData,
    name: str,
    num_steps: int,
    *,
    num_rounds: int = ROUNDS,
    min_seconds: float = 0.0,
) -> dict[str, Any]:
    """The figures of several members trained by one program.

    Args:
        experiments: one for each member, all of one structure; member i starts from key i.
        resources: their data.
        name: of the strategy.
        num_steps: steps of each member in a round.
        num_rounds: least number of measured rounds.
        min_seconds: least time of all rounds together.

    Returns:
        Figures, as described in `FIGURES`.
    """
    program = Together(name, experiments, resources, num_steps)
    seconds = take_turns({name: program.round}, num_rounds, min_seconds)[name]
    return {
        "strategy": name,
        "members": len(experiments),
        "batch_size": experiments[0].batch_size,
        "arithmetic": experiments[0].precision,
        **timed(seconds, num_steps, len(experiments)),
        **program.compiled.figures(),
        "device_peak_mb": device_peak_mb(),
    }


class Together:
    """Members on an execution strategy; each call of `round` continues the training of all of them.

    Args:
        name: of the strategy.
        experiments: one for each member, all of one structure; member i starts from key i.
        resources: their data.
        num_steps: steps of each member in a round.
    """

    def __init__(self, name: str, experiments: Sequence[Experiment], resources: LoadedData, num_steps: int) -> None:
        strategy = Strategy(name)
        states = [start(experiment, seed) for seed, experiment in enumerate(experiments)]
        stack, self._resources = strategy.place(experiments, states), strategy.place_resources(resources)
        del states
        began = time.perf_counter()
        self._program = strategy.compile(stack, self._resources, ChunkSpec(num_steps, None, evaluates=False))
        self.compiled = analyse(self._program, compile_seconds=time.perf_counter() - began)
        self._experiments, self._states = stack.experiments, stack.states

    def round(self) -> float:
        """Seconds of a chunk of all members."""
        began = time.perf_counter()
        self._states = jax.block_until_ready(self._program(self._experiments, self._resources, self._states)).state
        return time.perf_counter() - began


def timed(seconds: Float[np.ndarray, "rounds"], num_steps: int, members: int = 1) -> dict[str, Any]:
    """Figures of rounds.

    Args:
        seconds: [rounds].
        num_steps: steps of a round, of each member.
        members: runs side by side.

    Returns:
        Figures, as described in `FIGURES`.
    """
    return {
        "steps": num_steps,
        "rounds": len(seconds),
        "round_seconds": [significant(value) for value in seconds],
        **median_and_quartiles("seconds", seconds),
        **median_and_quartiles("steps_per_second", members * num_steps / seconds),
    }


def device_peak_mb() -> float | None:
    """Peak memory of this process on the default device, in 1e6 bytes; None if the device does not report it."""
    peak = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return None if peak is None else round(peak / 1e6, 1)
