"""The states of a run that are on disk, for whatever looks into it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.data.images import fingerprint
from gan_jax.data.stacked import ImageData
from gan_jax.experiment.experiment import Experiment
from gan_jax.runs.checkpoint import CheckpointError, Checkpoints
from gan_jax.runs.run_directory import RunDirectory, RunError, RunRecord, write_json
from gan_jax.runs.runner import read_verdict, state_template
from gan_jax.training.state import TrainState
from gan_jax.training.evaluations import Resources, load_resources


class RunStates(NamedTuple):
    """A run, its data, and the steps of its checkpoints.

    Attributes:
        run: the folder.
        record: what it is a run of.
        resources: of its experiment.
        steps: of the checkpoints that are there, ascending; those around the onset among them.
        verdict: verdict.json; None if the run has not ended.
    """

    run: RunDirectory
    record: RunRecord
    resources: Resources
    steps: tuple[int, ...]
    verdict: dict[str, Any] | None

    @property
    def experiment(self) -> Experiment:
        return self.record.experiment

    def restore(self, step: int) -> TrainState:
        """The state of a checkpoint.

        Raises:
            RunError: if there is none of that step, or it cannot be read.
        """
        kept = self.run.onset_path / "checkpoints"
        folder = kept if (kept / str(step)).is_dir() else self.run.checkpoints_path
        try:
            return Checkpoints(folder, read_only=True).restore(state_template(self.experiment), step)
        except CheckpointError as error:
            raise RunError(str(error)) from error


def open_states(path: Path, location: str | None = None) -> RunStates:
    """Reads a run's record and its data.

    Args:
        path: the run's folder.
        location: of the data, if they have moved.

    Raises:
        RunError: if it is no run, has no checkpoint, or its data are not those that it was trained on.
    """
    run = RunDirectory.open(path)
    record = run.read_record()
    place = location or record.location
    if place is not None and isinstance(record.experiment.data, ImageData) and not Path(place).exists():
        raise RunError(f"--data {place} does not exist: give a directory of IDX files, or leave it out")
    resources = load_resources(record.experiment, Path(place) if place else None)
    if record.data and fingerprint(resources.dataset) != record.data:
        raise RunError(f"the data are not those that {path} was trained on: say where they lie with --data")
    folders = (run.checkpoints_path, run.onset_path / "checkpoints")
    steps = {step for folder in folders if folder.is_dir() for step in Checkpoints(folder, read_only=True).steps()}
    if not steps:
        raise RunError(f"{path} has no checkpoint yet: let it train to its first evaluation")
    return RunStates(run, record, resources, tuple(sorted(steps)), read_verdict(run))


def chosen_steps(states: RunStates, options: argparse.Namespace) -> list[int]:
    """The checkpoints that `--step` asks for: one, or all that are there."""
    if options.step is None:
        return list(states.steps)
    if options.step not in states.steps:
        known = ", ".join(f"{step:,}" for step in states.steps)
        raise RunError(f"{states.run.path} has no checkpoint of step {options.step}; it has {known}")
    return [options.step]


def diagnosis_path(run: RunDirectory, kind: str) -> Path:
    """Where the result of a diagnosis is kept, to be shown in the report."""
    return run.path / "diagnosis" / f"{kind}.json"


def keep_diagnosis(run: RunDirectory, kind: str, result: dict[str, Any]) -> Path:
    """Writes a result into the run's folder."""
    path = diagnosis_path(run, kind)
    path.parent.mkdir(exist_ok=True)
    write_json(path, result)
    return path


def read_diagnoses(run: RunDirectory) -> dict[str, dict[str, Any]]:
    """By kind, the results that are in a run's folder."""
    folder = run.path / "diagnosis"
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
