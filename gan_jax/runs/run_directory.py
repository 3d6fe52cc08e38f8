"""The folder of a run: what it is a run of, its metrics, pictures, checkpoints and verdict.

experiment.json   the experiment, seed, data fingerprint and their hashes; versions, device, command, parent of a branch
source/           a copy of the config, if it is a file, and of the modules beside it that it imports
metrics.jsonl     a row an evaluation
signals.jsonl     a row a probe, if the experiment has a recorder
onset/            of a run that failed: metrics of every step and states around its onset (`gan_jax.runs.onset_window`)
diagnosis/        what `gan-jax diagnose` found
samples/          pictures of fixed latents, step_00000500.png
checkpoints/      one folder a step
verdict.json      at the end
report.html       written by `gan-jax report`
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import importlib.metadata
import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

import gan_jax
from gan_jax.runs.folder_code import NO_CODE, AllowedCode, keep_source
from gan_jax.runs.json_text import json_text
from gan_jax.runs.links import open_unlinked
from gan_jax.runs.run_record import RunError, RunRecord, parse_record
from gan_jax.scaling import hosts

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class RunDirectory:
    """Paths and files of one run.

    Args:
        path: the folder.
        allowed: code that may be executed to read its record.
        root: the folder that the user names, if it is not this one: the sweep of a member.
    """

    def __init__(self, path: Path, allowed: AllowedCode = NO_CODE, root: Path | None = None) -> None:
        self.path, self.root = path, root or path
        self.allowed = allowed
        self.record_path = path / "experiment.json"
        self.metrics_path = path / "metrics.jsonl"
        self.signals_path = path / "signals.jsonl"
        self.onset_path = path / "onset"
        self.verdict_path = path / "verdict.json"
        self.checkpoints_path = path / "checkpoints"
        self.samples_path = path / "samples"
        self.report_path = path / "report.html"

    @classmethod
    def create(cls, path: Path, record: RunRecord, source: Mapping[str, bytes] | None = None) -> RunDirectory:
        """Makes the folder of a new run.

        Args:
            path: the folder.
            record: what it is a run of.
            source: files of its config's source, by name.

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
        make_folder(path, "run", run.samples_path, run.record_path, record.to_json(), source)
        return run

    @classmethod
    def open(cls, path: Path, allowed: AllowedCode = NO_CODE) -> RunDirectory:
        """The folder of an existing run.

        Args:
            path: the folder.
            allowed: code that may be executed to read its record.

        Raises:
            RunError: if it is none.
        """
        run = cls(path, allowed)
        if not hosts.from_leader(run.record_path.is_file):
            raise RunError(f"{path} is not a run folder (it has no experiment.json): give a folder that train made")
        run.read_record()
        return run

    def read_record(self) -> RunRecord:
        """The record, which in several processes the leader reads for all."""
        return parse_record(self.record_path, RunRecord.from_json, self.allowed)

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl."""
        return read_lines(self.metrics_path)

    def append_metrics(self, row: dict[str, Any]) -> None:
        with self.metrics_path.open("a", encoding="utf-8") as file:
            file.write(json_text(row) + "\n")

    def append_signals(self, rows: list[dict[str, Any]]) -> None:
        with self.signals_path.open("a", encoding="utf-8") as file:
            file.write("".join(json_text(row) + "\n" for row in rows))

    def forget_after(self, step: int) -> None:
        """Drops rows, pictures, the verdict and the onset of steps that a resumed run will make again."""
        for path in (self.metrics_path, self.signals_path):
            if path.is_file():
                rows = [row for row in read_lines(path) if row["step"] <= step]
                temporary = path.with_suffix(".tmp")
                temporary.write_text("".join(json_text(row) + "\n" for row in rows))
                temporary.replace(path)
        kept = self.onset_path / "checkpoints"
        if self.onset_path.is_dir() and any(int(p.name) > step for p in kept.glob("*") if p.name.isdigit()):
            shutil.rmtree(self.onset_path)
        for picture in self.samples_path.glob("step_*.png"):
            if int(picture.stem.removeprefix("step_")) > step:
                picture.unlink()
        self.verdict_path.unlink(missing_ok=True)

    def picture_path(self, step: int) -> Path:
        return self.samples_path / f"step_{step:08d}.png"

    def pictures(self) -> list[Path]:
        return sorted(self.samples_path.glob("step_*.png"))

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Holds the folder for this process; see `exclusive`."""
        return exclusive(self.path)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds a folder for this process; the system releases it even after a kill.

    Raises:
        RunError: if another process is writing there.
    """
    with open_unlinked(path / ".lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunError(f"{path} is being written by another process: wait for it, or stop it") from None
        yield


def make_folder(
    path: Path, kind: str, samples: Path, record: Path, value: dict[str, Any], source: Mapping[str, bytes] | None
) -> None:
    """A new folder of a run or a sweep (its `kind`), with its record and room for pictures.

    Args:
        path: the folder.
        kind: "run" or "sweep".
        samples: its folder of pictures.
        record: the file of its record.
        value: the record as JSON.
        source: files of the config's source, by name.

    Raises:
        RunError: if it holds anything, or cannot be written.
    """
    try:
        if path.exists() and (not path.is_dir() or any(p.name != ".lock" for p in path.iterdir())):
            raise RunError(f"{path} exists and is not a {kind} of gan-jax: choose another --run-dir")
        samples.mkdir(parents=True, exist_ok=True)
        keep_source(path, source or {})
        write_json(record, value)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror or error}): choose another --run-dir") from error


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; one cut short by a kill is left out, and a file that is absent has none.

    In place of the file there may be a compressed one, with ".gz" behind its name, as stored results have.
    """
    rows, packed = [], path.with_name(path.name + ".gz")
    text = ""
    if path.exists():
        text = path.read_text(encoding="utf-8")
    elif packed.exists():
        text = gzip.decompress(packed.read_bytes()).decode("utf-8")
    for line in text.splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            rows.append(json.loads(line))
    return rows


def new_run_path(root: Path, name: str) -> Path:
    """`root/name`, or with the first free number behind it."""
    path, number = root / name, 1
    while path.exists():
        number += 1
        path = root / f"{name}-{number}"
    return path


def write_json(path: Path, value: Any) -> None:
    """Writes JSON so that a reader never sees half a file."""
    temporary = path.with_suffix(f".tmp{os.getpid()}")
    temporary.write_text(json_text(value, indent=2) + "\n")
    temporary.replace(path)


def environment() -> dict[str, Any]:
    """Versions and device, for the record."""
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    device = jax.devices()[0]
    return {
        "versions": {"gan_jax": gan_jax.__version__, "python": platform.python_version(), **versions},
        "device": f"{device.device_kind} ({device.platform})",
        "num_devices": jax.device_count(),
        "num_cpus": os.cpu_count(),
        "machine": platform.machine(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
