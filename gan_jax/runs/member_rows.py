"""Reads the rows of members.jsonl, and checks that each has the arm and the seed of its member in the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gan_jax.runs.files import read_lines
from gan_jax.runs.folders import RunError
from gan_jax.runs.stored_shapes import damaged_member


def read_member_rows(path: Path, record: Path, remedy: str) -> list[dict[str, Any]]:
    """The rows of members; if a member has several, the first. Damaged rows are left out, and a line is logged.

    Args:
        path: the file of the rows.
        record: the record of the sweep.
        remedy: what to do about lost rows, for that line.

    Returns:
        The rows in their order.

    Raises:
        RunError: if the record is damaged.
    """
    known, found = _arms_and_seeds(record), set[int]()

    def damaged(row: dict[str, Any]) -> str | None:
        field = damaged_member(row)
        if field is None and known[row["member"] : row["member"] + 1] != [(row["arm"], row["seed"])]:
            field = f"member, arm and seed as in {record.name}"
        elif field is None and row["member"] in found:
            field = "member, since an earlier line has the same"
        if field is None:
            found.add(row["member"])
        return field

    return read_lines(path, damaged, remedy)


def _arms_and_seeds(record: Path) -> list[tuple[str, int]]:
    """(arm, seed) of each member, by number. Unlike `SweepDirectory.read_record`, each process reads this itself."""
    try:
        value = json.loads(record.read_text(encoding="utf-8"))
        return [(arm["name"], seed) for seed in value["seeds"] for arm in value["arms"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(f"{record} cannot be read: {error}") from error
