"""A stored run with its data, for diagnoses, and the files in which their results are kept."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.experiment.experiment import Experiment
from gan_jax.runs.files import write_json
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.runs.links import refuse_links
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.run_record import require_components
from gan_jax.runs.stored_run import StoredRun, open_run
from gan_jax.runs.stored_shapes import refuse_damage
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.state import TrainState

_log = logging.getLogger(__name__)


class RunStates(NamedTuple):
    """A stored run, its data, and the steps of its checkpoints.

    Attributes:
        stored: the run, or the member of a sweep.
        resources: its data.
        steps: the steps of its checkpoints, ascending, including those around the onset.
    """

    stored: StoredRun
    resources: LoadedData
    steps: tuple[int, ...]

    @property
    def run(self) -> RunDirectory:
        """The folder where results of diagnoses are kept."""
        return self.stored.directory

    @property
    def name(self) -> str:
        """The run's name for messages."""
        return self.stored.name

    @property
    def verdict(self) -> dict[str, Any] | None:
        """The content of verdict.json; None if the run has not ended."""
        return self.stored.verdict

    @property
    def experiment(self) -> Experiment:
        """The run's settings."""
        return self.stored.experiment

    def restore(self, step: int) -> TrainState:
        """The state of a checkpoint; see `StoredRun.restore`."""
        return self.stored.restore(step)


def open_states(name: str | Path, location: str | None = None, allowed: AllowedCode = NO_CODE) -> RunStates:
    """Reads a run's record and its data.

    Args:
        name: the run's folder, or "SWEEP#MEMBER".
        location: the folder of the data, if they have moved.
        allowed: code that may be executed to read its record.

    Returns:
        The run.

    Raises:
        RunError: if it is not a run, has no checkpoint, or the data are not those that it was trained on.
    """
    stored = open_run(name, allowed)
    require_components(stored.name, stored.record.experiment)
    refuse_links(stored.directory.root, stored.directory.path / "diagnosis")
    if not stored.steps:
        raise RunError(f"{stored.name} has no checkpoint yet: let it train to its first evaluation")
    return RunStates(stored, stored.load_data(location), stored.steps)


def chosen_steps(states: RunStates, options: argparse.Namespace) -> list[int]:
    """The steps of the checkpoints to measure: that of `--step`, or all."""
    if options.step is None:
        return list(states.steps)
    if options.step not in states.steps:
        known = ", ".join(f"{step:,}" for step in states.steps)
        raise RunError(f"{states.name} has no checkpoint of step {options.step}: give --step one of {known}")
    return [options.step]


def diagnosis_path(run: RunDirectory, kind: str) -> Path:
    """The file in which the result of a diagnosis is kept, to be shown in the report."""
    return run.path / "diagnosis" / f"{kind}.json"


def keep_diagnosis(run: RunDirectory, kind: str, result: dict[str, Any]) -> Path | None:
    """Writes a result into the run's folder.

    Args:
        run: the folder.
        kind: the kind of the diagnosis.
        result: the result, as JSON.

    Returns:
        The file that was written; None if it cannot be written, of which a line is logged.

    Raises:
        RunError: if the path is a link that leads out of the folder.
    """
    path = diagnosis_path(run, kind)
    refuse_links(run.root, path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, result)
    except OSError as error:
        reason = error.strerror or error
        _log.warning("gan-jax: the result cannot be kept in %s (%s): --out FILE writes it elsewhere", path, reason)
        return None
    return path


def read_diagnoses(run: RunDirectory) -> dict[str, dict[str, Any]]:
    """The results in a run's folder, by kind; a damaged file is left out, and a line is logged."""
    found = {}
    for path in sorted((run.path / "diagnosis").glob("*.json")):
        try:
            found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
            refuse_damage(found[path.stem], {})
        except (ValueError, RecursionError) as error:
            found.pop(path.stem, None)
            _log.warning("gan-jax: %s is damaged (%s): gan-jax diagnose %s makes it again", path, error, path.stem)
    return found
