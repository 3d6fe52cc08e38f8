"""Judges the stored evaluations of runs again with other thresholds of the detector."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.diagnostics.rereading import reread
from gan_jax.diagnostics.verdict import Verdict, verdict_on
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import stack, walk
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.runs.joined_sweeps import open_sweeps
from gan_jax.runs.missing_rows import tell_missing_member_rows
from gan_jax.runs.rows import watched
from gan_jax.runs.run_record import require_components
from gan_jax.runs.stored_run import open_run
from gan_jax.training.evaluations import LoadedData, load_data

_FORMER_NAMES = {"dominant_mode": "heaviest"}
_FACTORS = (2 / 3, 3 / 2)
_WINDOW_FACTORS = (0.5, 2.0)


@dataclasses.dataclass(frozen=True)
class StoredSeries:
    """The evaluations of one run.

    Attributes:
        name: the name of the run, for messages.
        arm: name of its arm; "" for a run that is not part of a sweep.
        experiment: its settings.
        rows: the rows of metrics.jsonl, by step.
        verdict: the stored verdict, as JSON.
        settings: the settings of its arm, as in `gan_jax.experiment.sweep.Arm`.
    """

    name: str
    arm: str
    experiment: Experiment
    rows: list[dict[str, Any]]
    verdict: Mapping[str, Any]
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Reading:
    """The verdicts of all runs under one set of thresholds.

    Attributes:
        changes: the thresholds that differ from those of training, by name; {} for those of training.
        verdicts: one per run, in the order of the runs.
    """

    changes: dict[str, float]
    verdicts: list[Verdict]

    def name(self) -> str:
        """The changes in words, such as "few_classes=4"; "as trained" if there are none."""
        return ", ".join(f"{name}={value:g}" for name, value in self.changes.items()) or "as trained"


def stored_series(paths: Sequence[Path], allowed: AllowedCode = NO_CODE) -> list[StoredSeries]:
    """The evaluations of a run, or of all members of one or several sweeps.

    Args:
        paths: the folder of a run or SWEEP#MEMBER, or the folders of sweeps.
        allowed: code that may be executed to read their records; needed for data or detectors of the user's own.

    Returns:
        One series for each run that has an evaluation.

    Raises:
        RunError: if no run has one.
    """
    if len(paths) == 1 and not (paths[0] / "sweep.json").is_file():
        run = open_run(paths[0], allowed)
        if run.verdict is None:
            raise RunError(f"{paths[0]} has not ended, and has no verdict to compare with: train it to its end first")
        experiment = _readable(run.name, run.record.experiment)
        return [StoredSeries(run.name, "", experiment, run.read_metrics(), run.verdict)]
    directory = open_sweeps(paths, allowed)
    listed = {arm.name: arm for arm in directory.read_record().sweep.arms}
    arms = {name: _readable(paths[0], arm.experiment) for name, arm in listed.items()}
    of_member: dict[int, list[dict[str, Any]]] = {}
    members, metrics = directory.read_members(), directory.read_metrics()
    tell_missing_member_rows(directory.path, arms, members, metrics)
    for row in metrics:
        of_member.setdefault(row["member"], []).append(row)
    series = [
        StoredSeries(
            f"{row['arm']}, seed {row['seed']}",
            row["arm"],
            arms[row["arm"]],
            sorted(of_member[row["member"]], key=lambda found: found["step"]),
            row["verdict"],
            listed[row["arm"]].settings,
        )
        for row in members
        if row["member"] in of_member
    ]
    if not series:
        raise RunError(f"{paths[0]} has no evaluation yet: let it train to the first one")
    return series


def _readable(name: object, experiment: Experiment) -> Experiment:
    """The experiment, after a check that its data and detector are not placeholders."""
    require_components(name, experiment.data, experiment.detector)
    return experiment


def threshold_grid(detector: Any, asked: Mapping[str, Sequence[float]] | None = None) -> list[dict[str, float]]:
    """Sets of thresholds to judge by: those of training first, then one threshold changed at a time.

    Args:
        detector: the detector of the experiment.
        asked: values by the threshold's name. None takes each threshold at 2/3 and 3/2 of its value, and each window
            at half and twice its length, as far as the detector allows it.

    Returns:
        The changed thresholds of each set, by name; the first set is {}.

    Raises:
        ValueError: if there is no such threshold, if it affects the measurement itself, or a value is not allowed.
    """
    known = {place.path: float(place.value) for place in walk(detector) if _is_threshold(place)}
    found: list[dict[str, float]] = [{}]
    if asked is not None:
        for name, values in asked.items():
            plain = name.replace("-", "_")
            if plain not in known:
                raise ValueError(f"{name} is not a threshold that can be varied: give one of {', '.join(known)}")
            found += [{plain: value} for value in values]
        for changes in found:
            dataclasses.replace(detector, **changes)  # raises an error that names a wrong value
        return found
    for name, value in known.items():
        if name.endswith("window"):
            changed_values = [float(np.ceil(value * factor)) for factor in _WINDOW_FACTORS]
        else:
            changed_values = [round(value * factor, 4) for factor in _FACTORS]
        for changed in changed_values:
            try:
                dataclasses.replace(detector, **{name: changed})
            except ValueError:  # out of the threshold's bounds
                continue
            if changed != value:
                found.append({name: changed})
    return found


def _is_threshold(place: Any) -> bool:
    """Whether a setting of a detector affects how metrics are judged, not how they are measured."""
    own = "." not in place.path
    return own and isinstance(place.value, float) and not place.field.metadata.get("measures", False)


def readings(
    series: Sequence[StoredSeries], changes: Sequence[dict[str, float]], location: Path | None = None
) -> list[Reading]:
    """Judges all runs with each set of thresholds.

    Args:
        series: the series of the runs.
        changes: sets of thresholds, from `threshold_grid`.
        location: the folder of the data, if they have moved.

    Returns:
        One reading per set.
    """
    verdicts: dict[tuple[int, int], Verdict] = {}
    groups: dict[Any, list[int]] = {}
    for index, one in enumerate(series):
        groups.setdefault((one.experiment.data, one.experiment.detector), []).append(index)
    for (_, detector), members in groups.items():
        own = [series[index] for index in members]
        detectors = stack([dataclasses.replace(detector, **changed) for changed in changes])
        data = load_data(own[0].experiment, location)
        states = _read_all(own, detectors, data)
        for place, index in enumerate(members):
            for number, changed in enumerate(changes):
                state = jax.tree.map(lambda leaf, at=(number, place): leaf[at], states)
                window = float(changed.get("window", detector.window))
                verdicts[number, index] = verdict_on(
                    state,
                    last_step=int(series[index].verdict["last_step"]),
                    nonfinite_step=_nonfinite_step(series[index].verdict),
                    credible_window=window,
                )
    return [
        Reading(dict(changed), [verdicts[number, index] for index in range(len(series))])
        for number, changed in enumerate(changes)
    ]


def _read_all(series: Sequence[StoredSeries], detectors: Any, data: LoadedData) -> Any:
    """The detector's states at the ends of all runs, [thresholds, runs]."""
    experiment = series[0].experiment
    source = experiment.data.source(data.dataset)
    shape = jax.ShapeDtypeStruct((experiment.detector.num_samples, *experiment.data.shape), jnp.float32)
    template = jax.eval_shape(lambda x: experiment.detector.measure(source, data.reference, x), shape)
    length = max(len(one.rows) for one in series)
    steps = np.full((len(series), length), -1, np.int32)
    leaves = {
        name: np.zeros((len(series), length, *leaf.shape), leaf.dtype) for name, leaf in template._asdict().items()
    }
    for index, one in enumerate(series):
        for place, row in enumerate(one.rows):
            steps[index, place] = row["step"]
            found = watched(row["evaluation"])
            for name, array in leaves.items():
                value = found.get(name, found.get(_FORMER_NAMES.get(name, name), found))
                if value is found:
                    raise RunError(
                        f"the rows of {one.name} have no {name}, since an older version wrote them: leave this run out"
                    )
                if np.shape(value) != array.shape[2:]:
                    raise RunError(
                        f"the rows of {one.name} have a damaged {name} at step {row['step']}: resume it to make its "
                        "rows again, or leave this run out"
                    )
                array[index, place] = _number(value)

    def read(detector: Any, metrics: Any, at: Any) -> Any:
        return reread(detector, source, data.reference, metrics, at)

    over_runs = jax.vmap(read, in_axes=(None, 0, 0))
    metrics = type(template)(**leaves)
    return jax.device_get(jax.jit(jax.vmap(over_runs, in_axes=(0, None, None)))(detectors, metrics, steps))


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(part) for part in value]
    return np.nan if value is None else value


def _nonfinite_step(verdict: Mapping[str, Any]) -> int:
    return int(verdict["onset_step"]) if verdict["outcome"] == "non-finite" else -1
