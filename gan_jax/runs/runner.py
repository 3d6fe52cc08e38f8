"""Training on the side of the host: the loop over chunks that logs, draws pictures and writes checkpoints."""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.diagnostics.detector import LABELS, first_onset
from gan_jax.diagnostics.verdict import Verdict, label_words, verdict_on
from gan_jax.experiment.experiment import Experiment
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.files import replacing, write_json
from gan_jax.runs.onset_window import FlightRecorder
from gan_jax.runs.progress import TrainingProgress
from gan_jax.runs.rows import metrics_row, signals_rows, without_long_lists
from gan_jax.runs.run_directory import RunDirectory, RunRecord
from gan_jax.runs.stored_shapes import RUN_VERDICT, damaged_verdict
from gan_jax.runs.tensorboard import EventFile
from gan_jax.scaling import hosts
from gan_jax.scaling.data_parallel import assert_replicas
from gan_jax.scaling.programs import compiled_chunk, init_shapes
from gan_jax.training.chunks import Advance, chunks, players_finite
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.state import TrainState

_log = logging.getLogger(__name__)

Draw = Callable[[Path, Any, np.ndarray, str, str], None]
"""Writes a picture of samples: (file, source of the data, samples [n, *shape], title)."""
Measure = Callable[[np.ndarray], dict[str, float | None]]
_players_finite = jax.jit(players_finite)


@dataclasses.dataclass(frozen=True)
class HostOptions:
    """What the host does beside training. No option changes the numbers of a run, except `data_parallel` by rounding.

    Attributes:
        num_pictures: number of sample pictures over the run, evenly spaced; the last evaluation always gets one.
        keep: number of newest checkpoints that are kept; never fewer than the flight recorder needs.
        num_branch_points: number of evenly spaced checkpoints that are never deleted, to branch from.
        progress: whether to report progress on standard error.
        tensorboard: whether to also write TensorBoard event files (extra `tensorboard`).
        data_parallel: whether each batch is split over the devices; several processes always split it.
        num_devices: number of devices; None takes all.
        stop_at_collapse: whether the run ends at the evaluation that fills the window of its first onset, be it of a
            collapse (also while forming) or of junk. Resumed without this option, the run continues.
        draw: writes a picture of samples: (file, source, samples, title). None disables pictures. An error in it is
            logged and never stops the run.
        metrics: names of sample metrics, with commas, that are measured at each evaluation. None: those of the detector
            alone.
    """

    num_pictures: int = 24
    keep: int = 3
    num_branch_points: int = 10
    progress: bool = True
    tensorboard: bool = False
    data_parallel: bool = False
    num_devices: int | None = None
    stop_at_collapse: bool = False
    draw: Draw | None = None
    metrics: str | None = None


@dataclasses.dataclass(frozen=True)
class RunResult:
    """A finished (or stopped) run.

    Attributes:
        verdict: outcome, onset and cause.
        metrics: the metrics of the last evaluation, by mode of G's batch norm.
        steps_per_second: without compilation; None where it is not known.
        message: why the run stopped early, if values were not finite; None otherwise.
        record: the content of verdict.json.
    """

    verdict: Verdict
    metrics: dict[str, Any]
    steps_per_second: float | None
    message: str | None = None
    record: dict[str, Any] = dataclasses.field(default_factory=dict)


def train_run(
    run: RunDirectory,
    record: RunRecord,
    resources: LoadedData,
    state: TrainState,
    options: HostOptions = HostOptions(),
    *,
    on_chunk: Callable[[TrainState], None] | None = None,
    advance: Advance = compiled_chunk,
    measure: Measure | None = None,
) -> RunResult:
    """Trains from a state to the experiment's end, filling the run folder.

    A checkpoint is written after every evaluation, so a kill loses at most the steps after the last one. Values that
    are not finite stop the run; a state that holds them is never saved.

    Args:
        run: the folder; of several processes, only the leader writes there.
        record: the experiment, seed and data of the run.
        resources: the resources of the experiment.
        state: the state to start from; it is donated.
        options: the options of the host.
        on_chunk: called after every chunk with its state.
        advance: `compiled_chunk`, or the result of `make_parallel_chunk`, after which replicas are compared.
        measure: measures the samples of an evaluation; its values are the row's "samples". None disables it.

    Returns:
        The verdict and the last metrics.
    """
    experiment, leads = record.experiment, hosts.is_leader()
    source = experiment.data.source(resources.dataset)
    start = int(state.step)
    checkpoints = None
    flight = FlightRecorder(run.onset_path, experiment.detector.window, run.recent_path if leads else None)
    if leads:
        keep = max(options.keep, flight.num_states)
        checkpoints = Checkpoints(run.checkpoints_path, keep=keep, keep_every_steps=record.keep_every_steps)
        flight.load(start)
        if (onset := int(first_onset(state.detector))) >= 0 and not flight.has_fired:  # killed before it was kept
            flight.keep(checkpoints.directory, onset)
    picture_every = spaced(experiment, options.num_pictures)
    events = EventFile(run.path, start) if options.tensorboard and leads else None
    message, stops = None, False
    pending: dict[str, list[Any]] = {}
    last_row: dict[str, Any] | None = None
    with TrainingProgress(experiment.num_steps, start, enabled=options.progress and leads) as progress:
        began = time.monotonic()
        for spec, result in chunks(advance, experiment, resources, state):
            state, step = jax.block_until_ready(result).state, int(result.state.step)
            seconds, began = time.monotonic() - began, time.monotonic()
            for name, series in result.metrics.items():
                pending.setdefault(name, []).append(np.asarray(series))
            flight.note(step - len(pending["generator_loss"][-1]), result.metrics, result.evaluation is not None)
            if result.signals is not None and leads:
                run.append_signals(signals_rows(result.signals, step - bool(spec.short_count), spec.num_steps))
            label = LABELS[int(state.detector.label)]
            words = label_words(state.detector)
            progress.update(step, seconds, words, spec)
            onset = int(first_onset(state.detector))
            has_onset = result.evaluation is not None and onset >= 0
            stops = has_onset and options.stop_at_collapse
            if result.evaluation is not None and leads:
                row = last_row = metrics_row(
                    experiment, step, result.evaluation, pending, label, progress.steps_per_second
                )
                if measure is not None:
                    row["samples"] = measure(np.asarray(result.evaluation.samples))
                run.append_metrics(row)
                pending = {}
                if events is not None:
                    events.write(row)
                if step % picture_every == 0 or step == experiment.num_steps or stops:
                    title = f"step {step:,}: {words}"
                    samples = np.asarray(result.evaluation.samples[:1500])
                    decorate(options.draw, run.picture_path(step), source, samples, title, experiment.data)
            if int(state.nonfinite_step) < 0 and not _players_finite(state):
                state = state._replace(nonfinite_step=state.step)
            if int(state.nonfinite_step) >= 0:
                first = step - spec.length
                message = _nonfinite_message(state, first, step, checkpoints) if checkpoints is not None else ""
                if checkpoints is not None:
                    flight.keep(checkpoints.directory)
                break
            if result.evaluation is not None:
                if advance is not compiled_chunk:
                    assert_replicas(state)
                if checkpoints is not None:
                    flight.store(step)
                    checkpoints.save(state)
                    if has_onset and not flight.has_fired:
                        flight.keep(checkpoints.directory, onset)
                    elif flight.has_fired and not has_onset:
                        flight.forget()
            if on_chunk is not None:
                on_chunk(state)
            if stops:
                break
            began = time.monotonic()
    if checkpoints is not None:
        checkpoints.close()
    if events is not None:
        events.close()
    speed = progress.steps_per_second
    verdict = verdict_on(
        state.detector,
        last_step=int(state.step),
        nonfinite_step=int(state.nonfinite_step),
        credible_window=float(experiment.detector.window),
    )
    metrics, ended = hosts.from_leader(
        lambda: _finish(run, experiment, resources, verdict, last_row, (speed, message, stops))
    )
    return RunResult(verdict, metrics, ended["steps_per_second"], ended["message"], ended)


def same_shapes(template: Any, other: Any) -> bool:
    """Whether two state templates have the same structure, and leaves of the same shapes and types."""
    shapes = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)] for tree in (template, other)]
    return shapes[0] == shapes[1] and jax.tree.structure(template) == jax.tree.structure(other)  # type: ignore[operator]


def state_template(experiment: Experiment) -> TrainState:
    """Shapes and dtypes of the experiment's state, without computing it; only the key is an actual key."""
    key = jax.random.key(0)
    return init_shapes(experiment, key)._replace(key=key)


def stacked_template(experiment: Experiment, num: int) -> TrainState:
    """The template of the states of `num` runs, stacked along a leading axis."""
    template = state_template(experiment)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((num, *leaf.shape), leaf.dtype), template._replace(key=template.step)
    )
    return shapes._replace(key=jax.random.split(template.key, num))


def spaced(experiment: Experiment, num: int) -> int:
    """The number of steps between `num` evenly spaced evaluations, a multiple of `eval_every_steps`."""
    evaluations = -(-experiment.num_steps // experiment.eval_every_steps)
    return max(1, round(evaluations / max(1, num))) * experiment.eval_every_steps


def _nonfinite_message(state: TrainState, start: int, stop: int, checkpoints: Checkpoints) -> str:
    good = checkpoints.steps()
    last = f"the last good checkpoint is step {good[-1]} in {checkpoints.directory}" if good else "no checkpoint yet"
    return f"values stopped being finite at step {int(state.nonfinite_step)} (chunk of steps {start}-{stop}); {last}"


def _finish(
    run: RunDirectory,
    experiment: Experiment,
    resources: LoadedData,
    verdict: Verdict,
    row: dict[str, Any] | None,
    ending: tuple[float | None, str | None, bool],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(metrics of the last evaluation, content of verdict.json)."""
    if row is None:  # a resumed run that had nothing left to do: its last row is on the disk
        rows = run.read_metrics()
        row = rows[-1] if rows else {"evaluation": {}}
    (speed, message, stopped), metrics = ending, row["evaluation"]
    source = experiment.data.source(resources.dataset)
    record = {
        **verdict.to_json(),
        "message": message,
        "stopped_at_collapse": stopped and verdict.last_step < experiment.num_steps,
        "evaluation": {mode: without_long_lists(values) for mode, values in metrics.items()},
        "definition": experiment.detector.definition(experiment.data, resources.reference),
        "bounds": experiment.detector.bounds(source, resources.reference),
        "steps_per_second": speed,
    }
    write_json(run.verdict_path, record)
    return metrics, record


def decorate(draw: Draw | None, path: Path, source: Any, samples: np.ndarray, title: str, data: Any) -> None:
    """Draws a picture of samples, if there is a function for it. An error is logged, and never stops the run.

    Args:
        draw: writes the picture. None disables pictures.
        path: the path of the picture.
        source: the source of the data, which knows real modes.
        samples: [n, *shape].
        title: over the picture.
        data: the source's settings, which name a unit.
    """
    if draw is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            draw(temporary, source, samples, title, getattr(data, "unit", ""))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else error
        _log.warning("gan-jax: picture %s was not drawn: %s", path.name, reason)


def read_verdict(run: RunDirectory) -> dict[str, Any] | None:
    """verdict.json of a run; None if the run has not ended, or if the file is damaged, of which a line is logged."""
    return hosts.from_leader(lambda: _read_verdict(run.verdict_path))


def _read_verdict(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        verdict = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: None)
        field = damaged_verdict(verdict, RUN_VERDICT)
        if field is None:
            return verdict
        reason: Any = f"it has no valid {field}" if field else "it is not a verdict"
    except (ValueError, RecursionError) as error:
        reason = error
    _log.warning(
        "gan-jax: %s is damaged (%s): gan-jax train --resume writes it again from the last state", path, reason
    )
    return None
