"""What studies compile: runs with their evaluations or with a probe, beside the programs of `gan_jax.bench`.

Benchmarks train through this module; only `sweep` and `scaling` also time the package's ways to use many devices.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from gan_jax.bench.flops import matmul_flops
from gan_jax.bench.programs import Compiled, Training, analyse, compile_timed, random_images, start
from gan_jax.experiment.experiment import Experiment
from gan_jax.scaling.programs import compiled_chunk, compiler_options
from gan_jax.training.chunks import Chunk, ChunkSpec, Probe, chunk, chunks
from gan_jax.training.evaluations import Evaluation, LoadedData
from gan_jax.training.state import TrainState

__all__ = [
    "Compiled",
    "Training",
    "analyse",
    "compile_timed",
    "evaluations",
    "many_with_probe",
    "matmul_flops",
    "random_images",
    "start",
    "train_with_probe",
]


def evaluations(experiment: Experiment, resources: LoadedData, seed: int) -> Iterator[tuple[TrainState, Evaluation]]:
    """Trains to the end; yields the state and the results of every evaluation. The next chunk donates the state."""
    for _, result in chunks(compiled_chunk, experiment, resources, start(experiment, seed)):
        if result.evaluation is not None:
            yield result.state, result.evaluation


def train_with_probe(
    experiment: Experiment, data: LoadedData | tuple[()], state: TrainState, probe: Probe, every: int
) -> Chunk:
    """An experiment's steps as one chunk, with a probe after every so many of them and no evaluation.

    Pure, for `jit` and `vmap`. A study with a probe needs no detector, so that this is cheaper than `gan_jax.train`.

    Args:
        experiment: what is trained; of its steps a remainder of `num_steps / every` is left out.
        data: from `load_data`; () for mixtures.
        state: before the first step.
        probe: (experiment, data, state) -> values.
        every: steps from one probe to the next.

    Returns:
        The chunk, whose `probes` are the values [probes, ...].
    """
    spec = ChunkSpec(experiment.num_steps // every * every, evaluates=False)
    return chunk(experiment, data, state, spec, probe=probe, probe_every=every)


def many_with_probe(
    experiment: Experiment, states: list[TrainState], probe: Probe, every: int
) -> tuple[TrainState, Any]:
    """`train_with_probe` of runs on a mixture side by side, in one program for small networks.

    Args:
        experiment: of all runs.
        states: of each run before its first step.
        probe: (experiment, data, state) -> values.
        every: steps from one probe to the next.

    Returns:
        (the last states, values [probes, ...]), both with a leading axis of runs.
    """

    def one(experiment: Experiment, state: TrainState) -> tuple[TrainState, Any]:
        result = train_with_probe(experiment, (), state, probe, every)
        return result.state, result.probes

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    return jax.jit(jax.vmap(one, (None, 0)), compiler_options=compiler_options())(experiment, stacked)
