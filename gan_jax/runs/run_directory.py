"""The folder of a run: what it is a run of, its metrics, pictures, checkpoints and verdict.

experiment.json   the experiment, key seed, data fingerprint, versions, device, command, parent of a branch
metrics.jsonl     a row an evaluation
signals.jsonl     a row a probe, if the experiment has a recorder
recent/           training metrics of every step up to the last evaluations, from which onset/ is made
onset/            of a run that failed: metrics of every step and states around its onset (`gan_jax.runs.onset_window`)
diagnosis/        what `gan-jax diagnose` found
samples/          pictures of fixed latents, step_00000500.png
checkpoints/      one folder a step
set_aside/        what could not be read when the run was resumed
verdict.json      at the end
report.html       written by `gan-jax report`
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax

from gan_jax.experiment.configs import load_module
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.records import read_experiment
from gan_jax.experiment.settings import diff, to_json
from gan_jax.runs.files import append_lines, read_lines, remove_folder, write_json, write_lines
from gan_jax.runs.folders import RunError, exclusive, make_folder, numbered_pictures, picture_step
from gan_jax.scaling import hosts

_R = TypeVar("_R")
_PACKAGES = ("gan_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What a folder is a run of. `experiment`, `seed` and `data` decide the numbers; the rest is for people.

    Attributes:
        experiment: the settings.
        seed: of the run's key.
        data: fingerprint of the data set's contents; "" for data made from settings.
        config: name or path that the run was started with.
        location: where the data were read, as given; None for the default places.
        parent: "RUN@STEP" for a branch.
        environment: versions and device.
        command: the command line.
        keep_every_steps: checkpoints at multiples of this are kept for good.
        first_step: where the run began: 0, or the step of its parent that it branched from.
    """

    experiment: Experiment
    seed: int
    data: str = ""
    config: str = ""
    location: str | None = None
    parent: str | None = None
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    command: str = ""
    keep_every_steps: int | None = None
    first_step: int = 0

    def to_json(self) -> dict[str, Any]:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {"format": 1, **fields, "experiment": to_json(self.experiment)}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RunRecord:
        known = {f.name for f in dataclasses.fields(cls)}
        fields = {k: v for k, v in value.items() if k in known}
        return cls(**{**fields, "experiment": read_experiment(value["experiment"])})

    def differences(self, other: RunRecord) -> list[str]:
        """What makes `other` a different run: settings, seed, data."""
        lines = diff(self.experiment, other.experiment)
        if self.seed != other.seed:
            lines.append(f"seed: {self.seed} -> {other.seed}")
        if self.data != other.data:
            lines.append(f"data contents: {self.data or 'none'} -> {other.data or 'none'}")
        return lines


class RunDirectory:
    """Paths and files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_path = path / "experiment.json"
        self.metrics_path = path / "metrics.jsonl"
        self.signals_path = path / "signals.jsonl"
        self.onset_path = path / "onset"
        self.recent_path = path / "recent"
        self.verdict_path = path / "verdict.json"
        self.checkpoints_path = path / "checkpoints"
        self.samples_path = path / "samples"
        self.report_path = path / "report.html"

    @classmethod
    def create(
        cls, path: Path, record: RunRecord, prepare: Callable[[RunDirectory], None] = lambda run: None
    ) -> RunDirectory:
        """Makes the folder of a new run.

        Args:
            path: the folder.
            record: what it is a run of. It is written last, so that a folder with a record is whole.
            prepare: writes what must be there before the record, such as the first state of a branch.

        Returns:
            The folder.

        Raises:
            RunError: if it holds a run or anything else, or cannot be written.
        """
        run = cls(path)
        if run.record_path.exists():
            lines = run.read_record().differences(record)
            why = f"holds another experiment ({'; '.join(lines[:4])})" if lines else "already holds this run"
            remedy = "choose another --run-dir" if lines else f"continue it with --resume {path}"
            raise RunError(f"{path} {why}: {remedy}")

        def fill() -> None:
            run.samples_path.mkdir(exist_ok=True)
            prepare(run)
            write_json(run.record_path, record.to_json())

        make_folder(path, "run", fill)
        return run

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """The folder of an existing run.

        Raises:
            RunError: if it is none.
        """
        run = cls(path)
        if not hosts.from_leader(run.record_path.is_file):
            raise RunError(f"{path} is not a run folder (it has no experiment.json): give a folder that train made")
        run.read_record()
        return run

    def read_record(self) -> RunRecord:
        """The record, which in several processes the leader reads for all."""
        return parse_record(self.record_path, RunRecord.from_json)

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl."""
        return read_lines(self.metrics_path, ("step",))

    def append_metrics(self, row: dict[str, Any]) -> None:
        append_lines(self.metrics_path, [row])

    def append_signals(self, rows: list[dict[str, Any]]) -> None:
        append_lines(self.signals_path, rows)

    def forget_after(self, step: int) -> None:
        """Drops rows, pictures, the verdict and the onset of steps that a resumed run will make again."""
        for path in (self.metrics_path, self.signals_path):
            if path.is_file():
                write_lines(path, [row for row in read_lines(path, ("step",)) if row["step"] <= step])
        kept = self.onset_path / "checkpoints"
        if self.onset_path.is_dir() and any(int(p.name) > step for p in kept.glob("*") if p.name.isdecimal()):
            remove_folder(self.onset_path)
        for picture in self.pictures():
            if picture_step(picture) > step:
                picture.unlink()
        self.verdict_path.unlink(missing_ok=True)

    def written(self) -> list[Path]:
        """What training wrote: all but the record."""
        rows = [self.metrics_path, self.signals_path, self.verdict_path]
        return [*rows, self.checkpoints_path, self.onset_path, self.recent_path, self.samples_path]

    def picture_path(self, step: int) -> Path:
        return self.samples_path / f"step_{step:08d}.png"

    def pictures(self) -> list[Path]:
        """Those that the run has drawn, in the order of their steps."""
        return numbered_pictures(self.samples_path, "step_")

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Holds the folder for this process; see `exclusive`."""
        return exclusive(self.path)


def parse_record(path: Path, parse: Callable[[dict[str, Any]], _R]) -> _R:
    """What `parse` makes of a record file.

    Raises:
        RunError: if it cannot be read.
    """
    try:
        value = hosts.from_leader(lambda: json.loads(path.read_text(encoding="utf-8")))
        if str(value["config"]).endswith(".py") and Path(value["config"]).is_file():
            load_module(value["config"])  # the experiment may use components that the config defines
        return parse(value)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def environment() -> dict[str, Any]:
    """Versions and device, for the record."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    device = jax.devices()[0]
    return {
        "versions": {"python": platform.python_version(), **versions},
        "device": f"{device.device_kind} ({device.platform})",
        "num_devices": jax.device_count(),
        "num_cpus": os.cpu_count(),
        "machine": platform.machine(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "argv": sys.argv[1:],
    }
