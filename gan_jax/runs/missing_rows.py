"""Warns about evaluations for which the folder of a run or sweep has no row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax.experiment.experiment import Experiment
from gan_jax.runs.files import tell_once


def tell_missing_rows(
    path: Path, experiment: Experiment, rows: Sequence[Mapping[str, Any]], last: int | None, first: int = 0
) -> None:
    """Logs one line if evaluations of a run have no row.

    Args:
        path: the run's metrics.jsonl.
        experiment: the experiment of the run.
        rows: the rows that were read.
        last: step of the last evaluation; None takes that of the last row.
        first: step at which the run began.
    """
    num, step = _missing(experiment, [row["step"] for row in rows], last, first)
    if num:
        tell_once(
            f"{path} lacks the rows of {num:,} evaluations, the first at step {step:,}: gan-jax train --resume "
            f"{path.parent} computes them again"
        )


def tell_missing_member_rows(
    path: Path,
    experiments: Mapping[str, Experiment],
    members: Sequence[Mapping[str, Any]],
    rows: Iterable[Mapping[str, Any]],
) -> None:
    """Logs one line each if evaluations of a sweep's members have no row, or members have no row.

    Args:
        path: the sweep's folder.
        experiments: the experiments by arm.
        members: the rows of members.jsonl.
        rows: the rows of metrics.jsonl.
    """
    steps: dict[int, list[int]] = {}
    for row in rows:
        steps.setdefault(row["member"], []).append(row["step"])
    lacking, num = 0, 0
    for member in members:
        # A run whose values are no longer finite is not evaluated any more.
        last = None if member["verdict"]["outcome"] == "non-finite" else member["verdict"]["last_step"]
        missing, _ = _missing(experiments[member["arm"]], steps.get(member["member"], []), last, 0)
        num, lacking = num + missing, lacking + (missing > 0)
    remedy = f"gan-jax sweep --resume {path} computes them again"
    if num:
        tell_once(f"{path / 'metrics.jsonl'} lacks the rows of {num:,} evaluations of {lacking:,} members: {remedy}")
    unknown = len(steps.keys() - {member["member"] for member in members})
    if unknown:
        tell_once(f"{path / 'members.jsonl'} lacks {unknown:,} members that have been evaluated: {remedy}")


def _missing(experiment: Experiment, steps: Sequence[int], last: int | None, first: int) -> tuple[int, int]:
    """(number of evaluations up to a step that have no row, the step of the first of them)."""
    every, found = experiment.eval_every_steps, set(steps)
    if not isinstance(every, int) or every < 1:  # a record with placeholders cannot be checked
        return 0, 0
    last = max(steps, default=first) if last is None else last
    expected = range((first // every + 1) * every, last + 1, every)
    num = len(expected) - sum(step in expected for step in found)
    if num:
        return num, next(step for step in expected if step not in found)
    off_grid = last == experiment.num_steps and last % every != 0 and last > first and last not in found
    return int(off_grid), last
