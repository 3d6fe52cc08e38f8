"""Several sweeps read as one: the parts of a study that was run in portions, later arms, or two studies.

Where two studies use one name for different experiments, the arms of that name get their folder's name in addition.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_jax.experiment.records import own_components
from gan_jax.experiment.settings import diff, to_json
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.runs.sweep_directory import GroupPlan, SweepDirectory, SweepRecord


class JoinedSweeps:
    """The reading methods of `SweepDirectory` over several folders. Members are numbered anew: by seed, then by arm.

    Args:
        sweeps: at least one. Two of them may hold the same arm with different seeds.

    Raises:
        RunError: if two sweeps hold the same run, or were trained on different data under one name.
    """

    def __init__(self, sweeps: Sequence[SweepDirectory]) -> None:
        self.path, self.allowed = sweeps[0].path, sweeps[0].allowed
        self._sweeps = list(sweeps)
        records = _with_own_names([sweep.read_record() for sweep in sweeps], [sweep.path for sweep in sweeps])
        self._arms = [record.sweep.arms for record in records]
        self._record = _joined_record(records, [sweep.path for sweep in sweeps])
        order = {arm.name: index for index, arm in enumerate(self._record.sweep.arms)}
        found: dict[tuple[int, int], tuple[int, int]] = {}
        for place, record in enumerate(records):
            for number, member in enumerate(record.sweep.members()):
                key = (member.seed, order[member.arm.name])
                if key in found:
                    first, second = sweeps[found[key][0]].path, sweeps[place].path
                    raise RunError(
                        f"{first} and {second} both hold seed {member.seed} of {member.arm.name}: "
                        "a run may be counted only once, so leave one of the sweeps out"
                    )
                found[key] = (place, number)
        self._members = [found[key] for key in sorted(found)]
        self._numbers = {own: number for number, own in enumerate(self._members)}

    def num_members(self) -> int:
        """Number of runs in all sweeps, started or not."""
        return len(self._members)

    def locate(self, number: int) -> tuple[SweepDirectory, int]:
        """The sweep that holds a member, and the member's number there.

        Raises:
            RunError: if there is no such member.
        """
        if not 0 <= number < len(self._members):
            raise RunError(f"the sweeps have no member {number}: give one from 0 to {len(self._members) - 1}")
        place, own = self._members[number]
        return self._sweeps[place], own

    def read_record(self) -> SweepRecord:
        """The joined record, with all arms and all seeds."""
        return self._record

    def read_plans(self) -> list[GroupPlan]:
        """The plans of all sweeps."""
        return [plan for sweep in self._sweeps for plan in sweep.read_plans()]

    def read_members(self) -> list[dict[str, Any]]:
        """The rows of all members.jsonl, in the order of their new numbers."""
        return self._renumbered([sweep.read_members() for sweep in self._sweeps])

    def read_metrics(self) -> list[dict[str, Any]]:
        """The rows of all metrics.jsonl."""
        return self._renumbered([sweep.read_metrics() for sweep in self._sweeps])

    def pictures(self, member: int) -> list[Path]:
        """The pictures of a member, the last one last."""
        sweep, own = self.locate(member)
        return sweep.pictures(own)

    def _renumbered(self, rows: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        numbered = [
            self._renamed(place, row) | {"member": self._numbers[place, row["member"]]}
            for place, own in enumerate(rows)
            for row in own
        ]
        return sorted(numbered, key=lambda row: row["member"])

    def _renamed(self, place: int, row: dict[str, Any]) -> dict[str, Any]:
        if "arm" not in row:
            return row
        arms = self._arms[place]
        return {**row, "arm": arms[row["member"] % len(arms)].name}


def _with_own_names(records: Sequence[SweepRecord], paths: Sequence[Path]) -> list[SweepRecord]:
    """The records, with each name that means different experiments in two of them made one name a folder."""
    known: dict[str, Any] = {}
    ambiguous = set()
    for record in records:
        for arm in record.sweep.arms:
            experiment = to_json(arm.experiment)
            content = experiment, record.source if any(own_components(experiment)) else None
            if known.setdefault(arm.name, content) != content:
                ambiguous.add(arm.name)
    if not ambiguous:
        return list(records)
    folders = [path.name for path in paths]
    folders = folders if len(set(folders)) == len(folders) else [str(path) for path in paths]
    reference = records[0].sweep.arms[0].experiment

    def renamed(arm: Arm, folder: str) -> Arm:
        name = f"{arm.name} ({folder})" if arm.name in ambiguous else arm.name
        changes = (line.partition(": ") for line in diff(reference, arm.experiment))
        return Arm(name, arm.experiment, {path: change.partition(" -> ")[2] for path, _, change in changes})

    return [
        dataclasses.replace(
            record, sweep=Sweep(tuple(renamed(arm, folder) for arm in record.sweep.arms), record.sweep.seeds)
        )
        for record, folder in zip(records, folders, strict=True)
    ]


def _joined_record(records: Sequence[SweepRecord], paths: Sequence[Path]) -> SweepRecord:
    arms: dict[str, Arm] = {}
    data: dict[str, str] = {}
    for record, path in zip(records, paths, strict=True):
        for arm in record.sweep.arms:
            arms.setdefault(arm.name, arm)
        for name, contents in record.data.items():
            if data.setdefault(name, contents) != contents:
                raise RunError(
                    f"{paths[0]} and {path} were trained on different data under the name {name!r}: report them apart"
                )
    seeds = sorted({seed for record in records for seed in record.sweep.seeds})
    lengths = {record.steps_per_epoch for record in records}
    return dataclasses.replace(
        records[0],
        sweep=Sweep(tuple(arms.values()), tuple(seeds)),
        data=data,
        steps_per_epoch=lengths.pop() if len(lengths) == 1 else None,
        environment=_joined_values([record.environment for record in records]),
        command="; ".join(dict.fromkeys(record.command for record in records)),
    )


def _joined_values(environments: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Values that all environments share, unchanged; values that differ, as text joined by semicolons."""
    made: dict[str, Any] = {}
    for name in dict.fromkeys(name for environment in environments for name in environment):
        values = [environment.get(name) for environment in environments]
        tables = [value for value in values if isinstance(value, dict)]
        if len(tables) == len(values):
            made[name] = _joined_values(tables)
        else:
            same = all(value == values[0] for value in values)
            made[name] = values[0] if same else "; ".join(dict.fromkeys(str(value) for value in values))
    return made


def open_sweeps(paths: Sequence[Path], allowed: AllowedCode = NO_CODE) -> SweepDirectory | JoinedSweeps:
    """Opens the folder of a sweep, or several sweeps as one.

    Args:
        paths: folders, at least one.
        allowed: code that may be executed to read their records.

    Returns:
        The sweep, or the joined sweeps.

    Raises:
        RunError: if a folder is not a sweep, or the sweeps do not fit together.
    """
    sweeps = [SweepDirectory.open(path, allowed) for path in paths]
    return sweeps[0] if len(sweeps) == 1 else JoinedSweeps(sweeps)
