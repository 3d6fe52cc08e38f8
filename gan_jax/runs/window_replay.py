"""A part of a run again, bit for bit, with a look at both players every few steps."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.stacked import ImageData
from gan_jax.diagnostics.recorder import Recorder
from gan_jax.experiment.experiment import Experiment
from gan_jax.training.growth import at_stage
from gan_jax.runs.checkpoint import to_host, tree_hash
from gan_jax.runs.run_states import RunStates
from gan_jax.runs.run_directory import RunError
from gan_jax.training.probes import ProbeValues, init_probe_state
from gan_jax.training.steps import TrainState, train_step
from gan_jax.training.train import (
    ChunkSpec,
    Resources,
    chunk,
    compiler_options,
    evaluated_variables,
    latent_bank,
    observe,
    plan,
    sample_modes,
)

_NUM_EXAMPLES = 256


class Replay(NamedTuple):
    """What was seen of a part of a run.

    Attributes:
        steps: [looks] of the looks, ascending.
        signals: by name, [looks]: those of `gan_jax.training.probes`, and under "training/" the means of the training metrics
            over the steps since the look before.
        metrics: the detector's metrics at the looks, by name, [looks]; scalars only.
        checked: by step of a checkpoint on the way, whether the replayed players are those, bit for bit.
    """

    steps: np.ndarray
    signals: dict[str, np.ndarray]
    metrics: dict[str, np.ndarray]
    checked: dict[int, bool]


def replay(states: RunStates, start: int, stop: int, stride: int) -> Replay:
    """Trains again from the nearest checkpoint to `stop`, looking every `stride` steps from `start` on.

    Args:
        states: of the run.
        start: step of the first look.
        stop: step of the last one.
        stride: steps between looks; looks are at multiples of it, and at the ends of epochs with a short batch.

    Raises:
        RunError: if there is no checkpoint at or before `start`, or no step from there to `stop`.
    """
    begin = nearest(states, start)
    state = plain(states.restore(begin))
    watched = watching(states.experiment)
    memory: Any = init_probe_state(watched, state.generator.variables, state.discriminator.variables)
    looks: list[tuple[int, ProbeValues, Any]] = []
    checked: dict[int, bool] = {}
    pending: list[tuple[int, dict[str, Any]]] = []
    for part, ends_cut in parts(states, begin, start, stop, stride):
        before = int(state.step)
        state, means = steps(plain_experiment(states.experiment), states.resources, state, part)
        step = int(state.step)
        pending.append((step - before, means))
        if step in states.steps:
            checked[step] = players_hash(state) == players_hash(states.restore(step))
        if step >= start and ends_cut:
            memory, signals, metrics = _observed(watched, states.resources, state._replace(probe_state=memory))
            looks.append((step, signals | _means(pending), metrics))
        if step + 1 >= start and ends_cut:
            pending = []
    if not looks:
        raise RunError(f"{states.run.path}: there is no step to replay between {start:,} and {stop:,}")
    names, kinds = sorted(looks[-1][1]), looks[-1][2]._asdict()
    return Replay(
        steps=np.array([step for step, _, _ in looks]),
        signals={name: np.array([float(signals.get(name, np.nan)) for _, signals, _ in looks]) for name in names},
        metrics={
            name: np.array([float(getattr(metrics, name)) for _, _, metrics in looks])
            for name, value in kinds.items()
            if np.ndim(value) == 0
        },
        checked=checked,
    )


def _means(parts: list[tuple[int, dict[str, Any]]]) -> dict[str, np.ndarray]:
    """Of training metrics over parts of (so many steps, means over them)."""
    nums = [num for num, _ in parts]
    return {
        f"training/{name}": np.average([np.asarray(means[name]) for _, means in parts], weights=nums)
        for name in parts[0][1]
    }


def steps(
    experiment: Experiment, resources: Resources, state: TrainState, part: ChunkSpec
) -> tuple[TrainState, dict[str, Any]]:
    """(the state after a part of the run, means of its training metrics): the numbers of `train.chunk`, bit for bit.

    A scan of one step is compiled without its loop, and rounds otherwise than one of many. A loop of any length is the
    same loop, and compiles once.
    """
    metrics: dict[str, Any] = {}
    if part.num_steps:
        program = _loop(small=len(experiment.data.shape) == 1)
        state, metrics = program(experiment, resources, state, part.num_steps, stage=part.stage)
    if part.short_count is not None:
        short = chunk(experiment, resources, state, **part._replace(num_steps=0)._asdict())
        num = part.num_steps
        state = short.state
        last = {name: series[0] for name, series in short.metrics.items()}
        metrics = {name: (num * metrics.get(name, 0.0) + value) / (num + 1) for name, value in last.items()}
    return state, metrics


@functools.cache
def _loop(*, small: bool) -> Any:
    def run(experiment: Experiment, resources: Resources, state: TrainState, num_steps: Any, stage: int | None) -> Any:
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
        RunError: if there is none.
    """
    earlier = [known for known in states.steps if known <= step]
    if not earlier:
        raise RunError(
            f"{states.run.path} has no checkpoint at or before step {step}; the first is of step {states.steps[0]}: "
            "train with more --branch-points"
        )
    return earlier[-1]


def parts(states: RunStates, begin: int, start: int, stop: int, stride: int) -> Iterator[tuple[ChunkSpec, bool]]:
    """Chunks from `begin` to `start`, and from there to `stop` with a cut every `stride` steps and at each checkpoint.

    Yields:
        (a chunk without an evaluation, whether it ends at a cut that is more than a checkpoint).
    """
    for first, last, every in ((begin, start, max(start - begin, 1)), (start, stop, stride)):
        if last <= first:
            continue
        cut = dataclasses.replace(states.experiment, num_steps=last, eval_every_steps=every)
        step = first
        for part in plan(cut, states.resources, first):
            end = step + part.num_steps
            for known in (known for known in states.steps if step < known < end):
                yield part._replace(num_steps=known - step, short_count=None, evaluates=False), False
                step = known
            yield part._replace(num_steps=end - step, evaluates=False), True
            step = end + bool(part.short_count)


def plain(state: TrainState) -> TrainState:
    """The state without what a recorder hands on."""
    return state._replace(probe_state=())


def plain_experiment(experiment: Experiment) -> Experiment:
    """The experiment without a recorder, which changes no number of it."""
    return dataclasses.replace(experiment, recorder=None)


def watching(experiment: Experiment) -> Experiment:
    """The experiment with a recorder whose looks are of many examples, and a detector that samples fewer images."""
    num = _NUM_EXAMPLES if not isinstance(experiment.data, ImageData) else 64
    recorder = experiment.recorder or Recorder(num_examples=num)
    detector: Any = experiment.detector
    if isinstance(experiment.data, ImageData):
        fewer = experiment.batch_size * max(1, 512 // experiment.batch_size)
        detector = dataclasses.replace(detector, num_samples=min(detector.num_samples, fewer))
    return dataclasses.replace(experiment, recorder=recorder, detector=detector)


def look_at(experiment: Experiment, resources: Resources, state: TrainState) -> ProbeValues:
    """A look at one state, which knows of no look before. The experiment has a recorder."""
    memory = init_probe_state(experiment, state.generator.variables, state.discriminator.variables)
    return _observed(experiment, resources, state._replace(probe_state=memory))[1]


def players_hash(state: TrainState) -> str:
    """SHA-256 of both players and G's average: all that training changes, but the detector's memory."""
    return tree_hash(to_host((state.generator, state.discriminator, state.average)))


@jax.jit
def _observed(experiment: Experiment, resources: Resources, state: TrainState) -> tuple[Any, ProbeValues, Any]:
    """(memory for the next look, signals, the detector's metrics)."""
    memory, signals = observe(experiment, resources.dataset, state)
    latent = latent_bank(experiment, state, experiment.detector.num_samples)
    modes = sample_modes(experiment, evaluated_variables(experiment, state), latent)
    samples = modes["batch" if "batch" in modes else "running"]
    source = experiment.data.source(resources.dataset)
    return memory, signals, experiment.detector.measure(source, resources.reference, samples)
