"""A stored run, either in its own folder or as a member of a sweep: record, rows, states.

"RUN" names a run's folder, "SWEEP#MEMBER" a member of a sweep by its number. Reading executes only code that the user
allows (`gan_jax.runs.folder_code`), and writes nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.data.images import fingerprint
from gan_jax.data.stacked import ImageData
from gan_jax.experiment.experiment import Experiment
from gan_jax.runs.checkpoint import CheckpointError, Checkpoints
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.runs.missing_rows import tell_missing_rows
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.run_record import RunRecord, require_components
from gan_jax.runs.runner import read_verdict, stacked_template, state_template
from gan_jax.runs.sweep_directory import SweepDirectory, SweepRecord
from gan_jax.runs.sweep_plan import data_name, with_convolution
from gan_jax.training.evaluations import LoadedData, load_data
from gan_jax.training.state import TrainState


@dataclasses.dataclass(frozen=True)
class StoredRun:
    """The record of a stored run, with methods that read its rows and states.

    Attributes:
        name: the name by which it was opened, for messages.
        directory: the run's own folder, where results of diagnoses are kept; for a member, a folder inside that of the
            sweep, which may not exist yet.
        record: the experiment, seed and data of the run.
        verdict: the verdict; None if the run has not ended.
        steps: the steps of its checkpoints, ascending.
        member: its number in a sweep; None if it is not a member of one.
    """

    name: str
    directory: RunDirectory
    record: RunRecord
    verdict: dict[str, Any] | None
    steps: tuple[int, ...]
    member: int | None = None

    @property
    def experiment(self) -> Experiment:
        """The run's settings.

        Raises:
            RunError: if the code of a component has not been executed.
        """
        require_components(self.name, self.record.experiment)
        return self.record.experiment

    def restore(self, step: int) -> TrainState:
        """The state of a checkpoint.

        Raises:
            RunError: if there is no checkpoint of that step, or it cannot be read.
        """
        try:
            if self.member is None:
                template, kept = state_template(self.experiment), self.directory.onset_path / "checkpoints"
                if (kept / str(step)).is_dir():
                    with contextlib.suppress(CheckpointError):  # fall back to the run's own copy, if it still exists
                        return Checkpoints(kept, read_only=True).restore(template, step)
                return Checkpoints(self.directory.checkpoints_path, read_only=True).restore(template, step)
            sweep = SweepDirectory(self.directory.path.parents[1])
            folder, place, size = _member_checkpoints(sweep, self.member)
            states = Checkpoints(folder, read_only=True).restore(stacked_template(self.experiment, size), step)
            return jax.tree.map(lambda leaf: leaf[place], states)
        except CheckpointError as error:
            raise RunError(f"{self.name}: {error}") from error

    def restore_latest(self) -> tuple[TrainState, list[str]]:
        """The newest state that can be read, and the problems of newer ones.

        Raises:
            RunError: if no checkpoint can be read.
        """
        problems: list[str] = []
        for step in reversed(self.steps):
            try:
                return self.restore(step), problems
            except RunError as error:
                problems.append(str(error))
        if problems:
            raise RunError(f"none of its {len(problems)} checkpoints can be read; the newest: {problems[0]}")
        raise RunError(f"{self.name} has no checkpoint yet: train it to its first evaluation, or resume it")

    def read_metrics(self) -> list[dict[str, Any]]:
        """The run's rows of metrics.jsonl, one per evaluation."""
        if self.member is None:
            rows = self.directory.read_metrics()
            last = None if self.verdict is None else self.verdict["last_step"]
            tell_missing_rows(self.directory.metrics_path, self.record.experiment, rows, last, self.record.began_at())
            return rows
        return self._own_rows(SweepDirectory(self.directory.path.parents[1]).read_metrics())

    def read_signals(self) -> list[dict[str, Any]]:
        """The run's rows of signals.jsonl, one per probe of its recorder."""
        if self.member is None:
            return self.directory.read_signals()
        return self._own_rows(SweepDirectory(self.directory.path.parents[1]).read_signals())

    def load_data(self, location: str | None = None) -> LoadedData:
        """The data that the run was trained on.

        Args:
            location: the folder of the data, if they have moved.

        Raises:
            RunError: if the data are not found, or their contents have changed.
        """
        place = location or self.record.location
        if place is not None and isinstance(self.experiment.data, ImageData) and not Path(place).exists():
            raise RunError(f"--data {place} does not exist: give the folder of a data set, or leave it out")
        data = load_data(self.experiment, Path(place) if place else None)
        if self.record.data and fingerprint(data.dataset) != self.record.data:
            raise RunError(
                f"these are not the data that {self.name} was trained on: give the folder of those (--data DIR, or "
                "load_data(location) in Python)"
            )
        return data

    def _own_rows(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        own = [row for row in rows if row["member"] == self.member]
        return [{name: value for name, value in row.items() if name != "member"} for row in own]


def open_run(name: str | Path, allowed: AllowedCode = NO_CODE) -> StoredRun:
    """Opens a run by its folder, or a member of a sweep by "SWEEP#MEMBER".

    Args:
        name: the folder of a run; or the folder of a sweep, "#", and the member's number as in members.jsonl.
        allowed: code that may be executed to read its record.

    Raises:
        RunError: if there is no such run, sweep or member, or its record cannot be read.
    """
    folder, mark, number = str(name).rpartition("#")
    if mark and number.isdigit() and (Path(folder) / "sweep.json").is_file():
        return open_member(SweepDirectory.open(Path(folder), allowed), int(number))
    path = Path(name)
    if (path / "sweep.json").is_file():
        num = len(SweepDirectory.open(path).read_record().sweep.members())
        raise RunError(f"{path} is a sweep: name one of its members, {path}#0 to {path}#{num - 1}")
    directory = RunDirectory.open(path, allowed)
    folders = (directory.checkpoints_path, directory.onset_path / "checkpoints")
    steps = {step for at in folders if at.is_dir() for step in Checkpoints(at, read_only=True).steps()}
    return StoredRun(str(path), directory, directory.read_record(), read_verdict(directory), tuple(sorted(steps)))


def open_member(sweep: SweepDirectory, number: int, record: SweepRecord | None = None) -> StoredRun:
    """Opens a member of a sweep as a run.

    Args:
        sweep: the sweep.
        number: the number of the member.
        record: the record of the sweep, if it has been read already.

    Returns:
        The run.

    Raises:
        RunError: if there is no such member. A member that has not started has no steps.
    """
    record = record or sweep.read_record()
    members = record.sweep.members()
    if not 0 <= number < len(members):
        raise RunError(f"{sweep.path} has no member {number}: give one from 0 to {len(members) - 1}")
    member = members[number]
    plan = next((plan for plan in sweep.read_plans() if any(number in batch for batch in plan.batches)), None)
    experiment = with_convolution(member.arm.experiment, plan.convolution if plan else None)
    run_record = RunRecord(
        experiment=experiment,
        seed=member.seed,
        data=record.data.get(data_name(experiment), ""),
        config=record.config,
        location=record.location,
        environment=record.environment,
        command=record.command,
        source=record.source,
    )
    row = next((row for row in sweep.read_members() if row["member"] == number), None)
    verdict = {**row["verdict"], "evaluation": row["last"]} if row is not None and row["ended"] else None
    steps: tuple[int, ...] = ()
    if plan is not None:
        folder, _, _ = _member_checkpoints(sweep, number)
        steps = tuple(Checkpoints(folder, read_only=True).steps()) if folder.is_dir() else ()
    directory = RunDirectory(sweep.path / "members" / f"{number:04d}", sweep.allowed, sweep.path)
    return StoredRun(f"{sweep.path}#{number}", directory, run_record, verdict, steps, number)


def _member_checkpoints(sweep: SweepDirectory, number: int) -> tuple[Path, int, int]:
    """(the folder of the checkpoints of a member's batch, the member's index in it, the size of the batch)."""
    for group, plan in enumerate(sweep.read_plans()):
        for index, batch in enumerate(plan.batches):
            if number in batch:
                return sweep.batch_path(group, index) / "checkpoints", batch.index(number), len(batch)
    raise RunError(f"{sweep.path}#{number} has not started yet: continue the sweep with gan-jax sweep --resume")


def metric_arrays(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Rows of metrics.jsonl as arrays by name: "step", "label", "train/generator_loss", "running/modes", ...

    Args:
        rows: the rows, as from `StoredRun.read_metrics`.

    Returns:
        Arrays [rows] by name (or [rows, ...] for lists); NaN where a row has no such number.
    """
    flat = [
        {
            "step": row["step"],
            "label": row.get("label", ""),  # absent in sweeps of former versions
            **{f"train/{name}": value for name, value in row["train"].items()},
            **{f"{mode}/{name}": value for mode, found in row["evaluation"].items() for name, value in found.items()},
            **{f"samples/{name}": value for name, value in row.get("samples", {}).items()},
        }
        for row in rows
    ]
    names = dict.fromkeys(name for row in flat for name in row)
    return {name: _series([row.get(name) for row in flat]) for name in names}


def _series(values: list[Any]) -> np.ndarray:
    if any(isinstance(value, str) for value in values):
        return np.array(values)
    if all(isinstance(value, int) for value in values):
        return np.array(values)
    shape = max((np.shape(value) for value in values if isinstance(value, list)), default=())
    nothing = np.full(shape, np.nan)
    return np.array([value if value is not None and np.shape(value) == shape else nothing for value in values], float)
