"""The folder of a run: its record, metrics, pictures, checkpoints and verdict.

experiment.json   the experiment, seed, data fingerprint and their hashes; versions, device, command, parent of a branch
source/           a copy of the config, if it is a file, and of the modules beside it that it imports
metrics.jsonl     one row per evaluation
signals.jsonl     one row per probe, if the experiment has a recorder
recent/           training metrics of every step up to the last evaluations, from which onset/ is made
onset/            if the run failed: metrics of every step and states around its onset (`gan_jax.runs.onset_window`)
diagnosis/        results of `gan-jax diagnose`
samples/          pictures of samples from fixed latents, step_00000500.png
checkpoints/      one folder per step
set_aside/        files that could not be read when the run was resumed
verdict.json      the verdict, written at the end
report.html       written by `gan-jax report`
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

import gan_jax
from gan_jax.runs.files import append_lines, read_lines, remove_folder, write_json, write_lines
from gan_jax.runs.folder_code import NO_CODE, AllowedCode, keep_source
from gan_jax.runs.folders import RunError, exclusive, make_folder, numbered_pictures, picture_step
from gan_jax.runs.machine import device_name
from gan_jax.runs.run_record import RunRecord, parse_record
from gan_jax.runs.stored_shapes import damaged_metrics, damaged_signals
from gan_jax.scaling import hosts

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class RunDirectory:
    """The folder of one run: paths of its files, and methods that read and write them.

    Args:
        path: the folder.
        allowed: code that may be executed to read its record.
        root: the folder that the user named, if it is not this one: for a member of a sweep, the sweep.
    """

    def __init__(self, path: Path, allowed: AllowedCode = NO_CODE, root: Path | None = None) -> None:
        self.path, self.root = path, root or path
        self.allowed = allowed
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
        cls,
        path: Path,
        record: RunRecord,
        source: Mapping[str, bytes] | None = None,
        prepare: Callable[[RunDirectory], None] = lambda run: None,
    ) -> RunDirectory:
        """Makes the folder of a new run.

        Args:
            path: the folder.
            record: the record of the run. It is written last, so that a folder with a record is complete.
            source: source files of the config, by name.
            prepare: writes what must be there before the record, such as the first state of a branch.

        Returns:
            The folder.

        Raises:
            RunError: if the folder is not empty, or cannot be written.
        """
        run = cls(path)
        if run.record_path.exists():
            lines = run.read_record().differences(record)
            why = f"holds a run of another experiment ({'; '.join(lines[:4])})" if lines else "already holds this run"
            remedy = "choose another --run-dir" if lines else f"continue it with --resume {path}"
            raise RunError(f"{path} {why}: {remedy}")

        def fill() -> None:
            run.samples_path.mkdir(exist_ok=True)
            keep_source(path, source or {})
            prepare(run)
            write_json(run.record_path, record.to_json())

        make_folder(path, "run", fill)
        return run

    @classmethod
    def open(cls, path: Path, allowed: AllowedCode = NO_CODE) -> RunDirectory:
        """The folder of an existing run.

        Args:
            path: the folder.
            allowed: code that may be executed to read its record.

        Raises:
            RunError: if it is not the folder of a run.
        """
        run = cls(path, allowed)
        if not hosts.from_leader(run.record_path.is_file):
            raise RunError(
                f"{path} is not a run folder (it has no experiment.json): give a folder that gan-jax train wrote"
            )
        run.read_record()
        return run

    def read_record(self) -> RunRecord:
        """The record; of several processes, the leader reads it for all."""
        return parse_record(self.record_path, RunRecord.from_json, self.allowed)

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl."""
        return read_lines(self.metrics_path, damaged_metrics, self._remedy)

    def read_signals(self) -> list[dict[str, Any]]:
        """The rows of signals.jsonl."""
        return read_lines(self.signals_path, damaged_signals, "; these probe values are lost")

    @property
    def _remedy(self) -> str:
        return f": gan-jax train --resume {self.path} computes lost rows again"

    def append_metrics(self, row: dict[str, Any]) -> None:
        append_lines(self.metrics_path, [row])

    def append_signals(self, rows: list[dict[str, Any]]) -> None:
        append_lines(self.signals_path, rows)

    def forget_after(self, step: int) -> None:
        """Removes rows, pictures, the verdict and the onset after a step, since a resumed run will make them again."""
        for path, rows in ((self.metrics_path, self.read_metrics()), (self.signals_path, self.read_signals())):
            if path.is_file():
                write_lines(path, [row for row in rows if row["step"] <= step])
        kept = self.onset_path / "checkpoints"
        if self.onset_path.is_dir() and any(int(p.name) > step for p in kept.glob("*") if p.name.isdecimal()):
            remove_folder(self.onset_path)
        for picture in self.pictures():
            if picture_step(picture) > step:
                picture.unlink()
        self.verdict_path.unlink(missing_ok=True)

    def written(self) -> list[Path]:
        """The files and folders that training writes: all but the record."""
        rows = [self.metrics_path, self.signals_path, self.verdict_path]
        return [*rows, self.checkpoints_path, self.onset_path, self.recent_path, self.samples_path]

    def picture_path(self, step: int) -> Path:
        return self.samples_path / f"step_{step:08d}.png"

    def pictures(self) -> list[Path]:
        """The pictures that the run has drawn, in the order of their steps."""
        return numbered_pictures(self.samples_path, "step_")

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Locks the folder for this process; see `exclusive`."""
        return exclusive(self.path)


def environment() -> dict[str, Any]:
    """Versions of Python and the packages, and the device, for the record of a run."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {
        "versions": {"gan_jax": gan_jax.__version__, "python": platform.python_version(), **versions},
        "device": device_name(),
        "num_devices": jax.device_count(),
        "num_cpus": os.cpu_count(),
        "machine": platform.machine(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
