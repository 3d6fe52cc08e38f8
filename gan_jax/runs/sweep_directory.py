"""The folder of a sweep.

sweep.json        arms, seeds, data fingerprints, versions, device, command, hashes of these
source/           a copy of the config, if it is a file, and of the modules beside it that it imports
plan.json         by group of members: the strategy, and which of them run together
metrics.jsonl     one row per member and evaluation, as in a run's, with the member's number
signals.jsonl     one row per member and probe, if the experiments have a recorder
members.jsonl     one row per member: arm, settings, seed, verdict, last metrics; members.csv is the same as a table
batches/          by batch: checkpoints of its members, and their rows once it has ended
set_aside/        files that could not be read when the sweep was resumed
samples/          pictures, member_0003_step_00010000.png
report.html       written by `gan-jax report`
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax.experiment.config_code import ConfigCode
from gan_jax.experiment.records import read_experiment
from gan_jax.experiment.settings import to_json
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.runs.files import append_lines, read_lines, replacing, write_json, write_lines
from gan_jax.runs.folder_code import NO_CODE, AllowedCode, Source, keep_source
from gan_jax.runs.folders import RunError, exclusive, make_folder, numbered_pictures, picture_step
from gan_jax.runs.member_rows import read_member_rows
from gan_jax.runs.record_hash import field_hashes
from gan_jax.runs.run_record import parse_record
from gan_jax.runs.stored_shapes import (
    PLAN,
    SWEEP_RECORD,
    damaged_member,
    damaged_member_metrics,
    damaged_member_signals,
    refuse_damage,
)
from gan_jax.scaling import hosts

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SweepRecord:
    """The record of a sweep. `sweep` and `data` determine its numbers; the other fields are information.

    Attributes:
        sweep: arms and seeds.
        data: fingerprint by name of the data set; empty for data made from settings.
        steps_per_epoch: training steps of an epoch, if all arms have epochs of the same length; otherwise None.
        config, location, environment, command, source, continued: as in `RunRecord`.
        strategy, max_members: as requested; used if the sweep is resumed before it has a plan.
    """

    sweep: Sweep
    data: dict[str, str] = dataclasses.field(default_factory=dict)
    steps_per_epoch: float | None = None
    config: str = ""
    location: str | None = None
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    command: str = ""
    source: Source = dataclasses.field(default_factory=dict)
    continued: list[str] = dataclasses.field(default_factory=list)
    strategy: str = "auto"
    max_members: int | None = None

    def to_json(self) -> dict[str, Any]:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "sweep"}
        arms = [
            {"name": arm.name, "settings": dict(arm.settings), "experiment": to_json(arm.experiment)}
            for arm in self.sweep.arms
        ]
        value = {"format": 1, **fields, "seeds": list(self.sweep.seeds), "arms": arms}
        return {**value, "hashes": field_hashes(value)}

    @classmethod
    def from_json(cls, value: dict[str, Any], code: ConfigCode | None = None) -> SweepRecord:
        refuse_damage(value, SWEEP_RECORD)
        known = {f.name for f in dataclasses.fields(cls)} - {"sweep"}
        arms = tuple(
            Arm(arm["name"], read_experiment(arm["experiment"], code), arm["settings"]) for arm in value["arms"]
        )
        sweep = Sweep(arms, tuple(value["seeds"]))
        return cls(sweep=sweep, **{k: v for k, v in value.items() if k in known})


@dataclasses.dataclass(frozen=True)
class GroupPlan:
    """How the members of one structure are run.

    Attributes:
        strategy: one of `gan_jax.scaling.strategies.STRATEGIES`.
        num_devices: number of devices for which the plan was made, of all processes together.
        batches: numbers of the members that run together; the batches run one after another.
        timings: steps/s of all members by strategy, as timed to choose it; empty if the strategy was given.
        convolution: implementation of convolutions that was faster than the networks' own; None if none was.
    """

    strategy: str
    num_devices: int
    batches: list[list[int]]
    timings: dict[str, float] = dataclasses.field(default_factory=dict)
    convolution: str | None = None


_PLAN_NAMES = {"engine": "strategy"}


class SweepDirectory:
    """Paths and files of one sweep.

    Args:
        path: the folder.
        allowed: code that may be executed to read its record.
    """

    def __init__(self, path: Path, allowed: AllowedCode = NO_CODE) -> None:
        self.path = path
        self.allowed = allowed
        self.record_path = path / "sweep.json"
        self.plan_path = path / "plan.json"
        self.metrics_path = path / "metrics.jsonl"
        self.signals_path = path / "signals.jsonl"
        self.members_path = path / "members.jsonl"
        self.samples_path = path / "samples"
        self.report_path = path / "report.html"

    @classmethod
    def create(cls, path: Path, record: SweepRecord, source: Mapping[str, bytes] | None = None) -> SweepDirectory:
        """Makes the folder of a new sweep.

        Args:
            path: the folder.
            record: the arms, seeds and data of the sweep.
            source: files of its config's source, by name.

        Returns:
            The folder.

        Raises:
            RunError: if it holds anything, or cannot be written.
        """
        made = cls(path)
        if made.record_path.exists():
            raise RunError(f"{path} already holds a sweep: continue it with --resume {path}, or choose another folder")

        def fill() -> None:
            made.samples_path.mkdir(exist_ok=True)
            keep_source(path, source or {})
            write_json(made.record_path, record.to_json())

        make_folder(path, "sweep", fill)
        return made

    @classmethod
    def open(cls, path: Path, allowed: AllowedCode = NO_CODE) -> SweepDirectory:
        """The folder of an existing sweep.

        Args:
            path: the folder.
            allowed: code that may be executed to read its record.

        Raises:
            RunError: if it is not the folder of a sweep.
        """
        made = cls(path, allowed)
        if not hosts.from_leader(made.record_path.is_file):
            raise RunError(
                f"{path} is not a sweep folder (it has no sweep.json): give a folder that gan-jax sweep wrote"
            )
        return made

    def num_members(self) -> int:
        """Number of runs of the sweep, started or not."""
        sweep = self.read_record().sweep
        return len(sweep.arms) * len(sweep.seeds)

    def locate(self, number: int) -> tuple[SweepDirectory, int]:
        """The sweep that holds a member and its number there, for the interface of `JoinedSweeps`: (itself, number)."""
        return self, number

    def read_record(self) -> SweepRecord:
        """The record; of several processes, the leader reads it for all."""
        return parse_record(self.record_path, SweepRecord.from_json, self.allowed)

    def read_plans(self) -> list[GroupPlan]:
        """The plans of the groups that have one; [] if there is no plan yet.

        Raises:
            RunError: if the file is damaged.
        """
        if not self.plan_path.is_file():
            return []
        try:
            plans = json.loads(self.plan_path.read_text(encoding="utf-8"))
            # Plans of version 0.1.0 call the strategy an engine.
            named = [{_PLAN_NAMES.get(k, k): v for k, v in plan.items()} for plan in plans]
            for plan in named:
                refuse_damage(plan, PLAN)
            made = [GroupPlan(**plan) for plan in named]
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise RunError(f"{self.plan_path} cannot be read ({error}): {self.plan_remedy}") from error
        return made

    @property
    def plan_remedy(self) -> str:
        """The remedy for a lost plan, without which it is unknown which members a checkpoint holds."""
        return (
            "put back a copy of it, or train all members anew with --restart, which moves the old files to "
            f"{self.path / 'set_aside'}"
        )

    def written(self) -> list[Path]:
        """The files and folders that training writes: all but the record."""
        rows = [self.metrics_path, self.signals_path, self.members_path, self.path / "members.csv"]
        return [*rows, self.plan_path, self.path / "batches", self.samples_path]

    def write_plans(self, plans: Sequence[GroupPlan]) -> None:
        write_json(self.plan_path, [dataclasses.asdict(plan) for plan in plans])

    def batch_path(self, group: int, batch: int) -> Path:
        return self.path / "batches" / f"{group:02d}_{batch:03d}"

    def read_results(self, group: int, batch: int, members: Sequence[int]) -> list[dict[str, Any]] | None:
        """The rows of a batch that has ended.

        Args:
            group: number of the group of members.
            batch: number of the batch in it.
            members: the members of the batch.

        Returns:
            One row per member; None if the batch has not ended, or its rows are damaged, of which a line is logged.
        """
        path = self.batch_path(group, batch) / "members.json"
        if not path.is_file():
            return None
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(rows, list) and not any(damaged_member(row) is not None for row in rows):
                if [row["member"] for row in rows] == list(members):
                    return rows
                reason = "it has rows of other members"
            else:
                reason = "it has no rows of members"
        except (ValueError, RecursionError) as error:
            reason = str(error)
        _log.warning("gan-jax: %s is damaged (%s): it is made again from the members' newest checkpoint", path, reason)
        return None

    def write_results(self, group: int, batch: int, rows: list[dict[str, Any]]) -> None:
        """Writes the rows of a batch that has ended.

        Args:
            group: number of the group of members.
            batch: number of the batch in it.
            rows: one row per member.
        """
        path = self.batch_path(group, batch)
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / "members.json", rows)

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl."""
        return read_lines(self.metrics_path, damaged_member_metrics, self._remedy)

    def read_signals(self) -> list[dict[str, Any]]:
        """The rows of signals.jsonl."""
        return read_lines(self.signals_path, damaged_member_signals, "; these probe values are lost")

    def append_metrics(self, rows: list[dict[str, Any]]) -> None:
        append_lines(self.metrics_path, rows)

    def append_signals(self, rows: list[dict[str, Any]]) -> None:
        append_lines(self.signals_path, rows)

    def forget_after(self, step: int, members: Sequence[int]) -> None:
        """Removes rows and pictures of some members after a step, since a resumed sweep will make them again."""
        again = set(members)
        for path, rows in ((self.metrics_path, self.read_metrics()), (self.signals_path, self.read_signals())):
            if path.is_file():
                write_lines(path, [row for row in rows if row["member"] not in again or row["step"] <= step])
        for member in again:
            for picture in self.pictures(member):
                if picture_step(picture) > step:
                    picture.unlink()

    def read_members(self) -> list[dict[str, Any]]:
        """The rows of members.jsonl, of ended and unended members; if a member has several rows, the first."""
        return read_member_rows(self.members_path, self.record_path, self._remedy)

    @property
    def _remedy(self) -> str:
        return f": gan-jax sweep --resume {self.path} makes them again"

    def write_members(self, rows: list[dict[str, Any]]) -> None:
        """Writes members.jsonl and members.csv, each at once."""
        rows = sorted(rows, key=lambda row: row["member"])
        write_lines(self.members_path, rows)
        with replacing(self.path / "members.csv") as temporary:
            temporary.write_text(csv_text(rows), encoding="utf-8", newline="")

    def picture_path(self, member: int, step: int) -> Path:
        return self.samples_path / f"member_{member:04d}_step_{step:08d}.png"

    def pictures(self, member: int) -> list[Path]:
        return numbered_pictures(self.samples_path, f"member_{member:04d}_step_")

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Locks the folder for this process; see `RunDirectory.lock`."""
        return exclusive(self.path)


def flat(row: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested dicts as a single one with dotted names; lists are left out.

    Example:
        >>> flat({"seed": 1, "verdict": {"outcome": "healthy"}, "counts": [1, 2]})
        {'seed': 1, 'verdict.outcome': 'healthy'}
    """
    out: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            out |= flat(value, f"{prefix}{name}.")
        elif not isinstance(value, list):
            out[prefix + name] = value
    return out


def csv_text(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of JSON as CSV; nested names are joined by dots, lists are left out.

    Example:
        >>> csv_text([{"seed": 1, "verdict": {"outcome": "healthy"}}]).splitlines()
        ['seed,verdict.outcome', '1,healthy']
    """
    flattened = [flat(row) for row in rows]
    columns = list(dict.fromkeys(name for row in flattened for name in row))
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, columns)
    writer.writeheader()
    writer.writerows(flattened)
    return file.getvalue()
