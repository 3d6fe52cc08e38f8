"""Replays a part of a run, bit for bit, with a probe of both players every few steps."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.stacked import ImageData
from gan_jax.diagnostics.recorder import Recorder
from gan_jax.experiment.experiment import Experiment
from gan_jax.runs.checkpoint import to_host, tree_hash
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_states import RunStates
from gan_jax.scaling.programs import compiled_chunk, compiler_options, has_small_networks
from gan_jax.training.chunks import Chunk, ChunkSpec, chunks, plan
from gan_jax.training.evaluations import LoadedData, evaluated_variables, latent_bank, sample_modes
from gan_jax.training.growth import at_stage
from gan_jax.training.probes import ProbeValues, init_probe_state, record
from gan_jax.training.state import TrainState
from gan_jax.training.steps import train_step

_log = logging.getLogger(__name__)
_NUM_EXAMPLES = 256


class ReplayedWindow(NamedTuple):
    """Measurements of a part of a run.

    Attributes:
        steps: [probes], the step of each probe, ascending.
        signals: arrays [probes] by name: the values of `gan_jax.training.probes`, and under "training/" means of the
            training metrics over the steps since the previous probe.
        metrics: the detector's metrics at the probes, by name, [probes]; scalars only.
        checked: for each checkpoint on the way, by step, whether the replayed players equal it bit for bit.
    """

    steps: np.ndarray
    signals: dict[str, np.ndarray]
    metrics: dict[str, np.ndarray]
    checked: dict[int, bool]


def replay_window(states: RunStates, start: int, stop: int, stride: int) -> ReplayedWindow:
    """Trains again from the nearest checkpoint to `stop`, with a probe every `stride` steps from `start` on.

    Args:
        states: the states of the run.
        start: step of the first probe.
        stop: step of the last probe.
        stride: steps between probes, which are at multiples of it and at the ends of epochs with a short batch.

    Returns:
        The measurements.

    Raises:
        RunError: if there is no checkpoint at or before `start`, or no step from there to `stop`.
    """
    begin, state = restored_nearest(states, start)
    state = without_recorder_state(state)
    watched = with_recorder(states.experiment)
    memory: Any = init_probe_state(watched, state.generator.variables, state.discriminator.variables)
    found: list[tuple[int, ProbeValues, Any]] = []
    checked: dict[int, bool] = {}
    pending: list[tuple[int, dict[str, Any]]] = []
    pairs = list(cut_specs(states, begin, start, stop, stride))
    specs, cuts = [spec for spec, _ in pairs], [ends_cut for _, ends_cut in pairs]
    experiment = without_recorder(states.experiment)
    for (spec, result), ends_cut in zip(chunks(advance, experiment, states.resources, state, specs), cuts, strict=True):
        state, step = result.state, int(result.state.step)
        pending.append((spec.length, {name: series[0] for name, series in result.metrics.items()}))
        if step in states.steps and (same := agrees(states, step, state)) is not None:
            checked[step] = same
        if step >= start and ends_cut:
            memory, values, metrics = _probed(watched, states.resources, state._replace(probe_state=memory))
            found.append((step, values | _means(pending), metrics))
        if step + 1 >= start and ends_cut:
            pending = []
    if not found:
        raise RunError(f"{states.name}: there is no step to replay between {start:,} and {stop:,}")
    names, kinds = sorted(found[-1][1]), found[-1][2]._asdict()
    return ReplayedWindow(
        steps=np.array([step for step, _, _ in found]),
        signals={name: np.array([float(signals.get(name, np.nan)) for _, signals, _ in found]) for name in names},
        metrics={
            name: np.array([float(getattr(metrics, name)) for _, _, metrics in found])
            for name, value in kinds.items()
            if np.ndim(value) == 0
        },
        checked=checked,
    )


def _means(parts: list[tuple[int, dict[str, Any]]]) -> dict[str, np.ndarray]:
    """Means of training metrics over several parts, each (number of steps, means over these)."""
    nums = [num for num, _ in parts]
    return {
        f"training/{name}": np.average([np.asarray(means[name]) for _, means in parts], weights=nums)
        for name in parts[0][1]
    }


def advance(experiment: Experiment, resources: LoadedData, state: TrainState, spec: ChunkSpec) -> Chunk:
    """A chunk without evaluation, whose steps equal those of `compiled_chunk` bit for bit, even if there is only one.

    XLA compiles a scan of a single step without a loop, and then rounds differently. A loop whose length is an argument
    is the same program for every length, and compiles once.

    Args:
        experiment: the experiment, without a recorder.
        resources: the resources of the run.
        state: the state to start from.
        spec: the static part of the chunk.

    Returns:
        The state after the chunk, and the means of its training metrics, each [1].
    """
    metrics: dict[str, Any] = {}
    if spec.num_steps:
        program = _loop(small=has_small_networks(experiment))
        state, metrics = program(experiment, resources, state, spec.num_steps, stage=spec.stage)
    if spec.short_count is not None:
        short = compiled_chunk(experiment, resources, state, spec._replace(num_steps=0, evaluates=False))
        num, state = spec.num_steps, short.state
        last = {name: series[0] for name, series in short.metrics.items()}
        metrics = {name: (num * metrics.get(name, 0.0) + value) / (num + 1) for name, value in last.items()}
    return Chunk(state, {name: jnp.asarray(value)[None] for name, value in metrics.items()}, None)


@functools.cache
def _loop(*, small: bool) -> Any:
    def run(experiment: Experiment, resources: LoadedData, state: TrainState, num_steps: Any, stage: int | None) -> Any:
        experiment = at_stage(experiment, stage)
        step = functools.partial(train_step, experiment, resources.dataset)
        shapes = jax.eval_shape(step, state)[1]
        start = 0, state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)

        def body(carry: Any) -> Any:
            done, state, total = carry
            state, metrics = step(state)
            return done + 1, state, jax.tree.map(jnp.add, total, metrics)

        _, state, total = jax.lax.while_loop(lambda carry: carry[0] < num_steps, body, start)
        return state, jax.tree.map(lambda sums: sums / num_steps, total)

    return jax.jit(run, static_argnames="stage", compiler_options=compiler_options() if small else None)


def nearest(states: RunStates, step: int) -> int:
    """The last checkpoint at or before a step.

    Raises:
        RunError: if all checkpoints are later.
    """
    earlier = [known for known in states.steps if known <= step]
    if not earlier:
        raise RunError(
            f"{states.name} has no checkpoint at or before step {step}; its first one is step {states.steps[0]}: "
            "give a later --step, or train with more --branch-points"
        )
    return earlier[-1]


def restored_nearest(states: RunStates, step: int) -> tuple[int, TrainState]:
    """The last readable checkpoint at or before a step; a line is logged for each that cannot be read.

    Args:
        states: the states of the run.
        step: upper bound of the checkpoint's step.

    Returns:
        (its step, its state).

    Raises:
        RunError: if there is no such checkpoint.
    """
    begin = nearest(states, step)
    while True:
        try:
            return begin, states.restore(begin)
        except RunError as error:
            if begin == states.steps[0]:
                raise
            _log.warning("gan-jax: %s; the checkpoint before it is used", error)
            begin = nearest(states, begin - 1)


def agrees(states: RunStates, step: int, state: TrainState) -> bool | None:
    """Whether the players of a replayed state equal those of the checkpoint of its step, bit for bit.

    Args:
        states: the states of the run.
        step: the step of the checkpoint.
        state: the replayed state.

    Returns:
        Whether they are equal; None if the checkpoint is damaged, of which a line is logged.
    """
    try:
        return players_hash(state) == players_hash(states.restore(step))
    except RunError as error:
        _log.warning("gan-jax: %s; the replay is not compared with it", error)
        return None


def cut_specs(states: RunStates, begin: int, start: int, stop: int, stride: int) -> Iterator[tuple[ChunkSpec, bool]]:
    """Chunks from `begin` to `start`, and from there to `stop` with a cut every `stride` steps and at each checkpoint.

    Args:
        states: the states of the run.
        begin: step of the checkpoint.
        start: step of the first probe.
        stop: step of the last probe.
        stride: steps between probes.

    Yields:
        (a chunk without an evaluation, whether a probe follows it; none follows a mere checkpoint).
    """
    for first, last, every in ((begin, start, max(start - begin, 1)), (start, stop, stride)):
        if last <= first:
            continue
        cut = dataclasses.replace(states.experiment, num_steps=last, eval_every_steps=every)
        step = first
        for spec in plan(cut, states.resources, first):
            end = step + spec.num_steps
            for known in (known for known in states.steps if step < known < end):
                yield spec._replace(num_steps=known - step, short_count=None, evaluates=False), False
                step = known
            yield spec._replace(num_steps=end - step, evaluates=False), True
            step = end + bool(spec.short_count)


def without_recorder_state(state: TrainState) -> TrainState:
    """The state without the memory of a recorder."""
    return state._replace(probe_state=())


def without_recorder(experiment: Experiment) -> Experiment:
    """The experiment without its recorder; the numbers of the run do not depend on it."""
    return dataclasses.replace(experiment, recorder=None)


def with_recorder(experiment: Experiment) -> Experiment:
    """The experiment with a recorder of many examples, and a detector that samples fewer images."""
    num = _NUM_EXAMPLES if not isinstance(experiment.data, ImageData) else 64
    recorder = experiment.recorder or Recorder(num_examples=num)
    detector: Any = experiment.detector
    if isinstance(experiment.data, ImageData):
        fewer = experiment.batch_size * max(1, 512 // experiment.batch_size)
        detector = dataclasses.replace(detector, num_samples=min(detector.num_samples, fewer))
    return dataclasses.replace(experiment, recorder=recorder, detector=detector)


def probe_values_of(experiment: Experiment, resources: LoadedData, state: TrainState) -> ProbeValues:
    """The recorder's values for a single state, without an earlier probe.

    Args:
        experiment: the experiment, with a recorder.
        resources: the resources of the run.
        state: the state to measure.

    Returns:
        Scalars by name.
    """
    memory = init_probe_state(experiment, state.generator.variables, state.discriminator.variables)
    return _probed(experiment, resources, state._replace(probe_state=memory))[1]


def players_hash(state: TrainState) -> str:
    """SHA-256 of both players and G's average: everything that training changes, except the detector's memory."""
    return tree_hash(to_host((state.generator, state.discriminator, state.average)))


@jax.jit
def _probed(experiment: Experiment, resources: LoadedData, state: TrainState) -> tuple[Any, ProbeValues, Any]:
    """(state for the next probe, probe values, the detector's metrics)."""
    players = state.generator.variables, state.discriminator.variables
    memory, values = record(experiment, resources.dataset, players, state.probe_state, state.key, state.step)
    latent = latent_bank(experiment, state, experiment.detector.num_samples)
    modes = sample_modes(experiment, evaluated_variables(experiment, state), latent)
    samples = modes["batch" if "batch" in modes else "running"]
    source = experiment.data.source(resources.dataset)
    return memory, values, experiment.detector.measure(source, resources.reference, samples)
