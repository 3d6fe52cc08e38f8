"""Hashes of the fields that define a run or a sweep, so that an edited record is noticed before the run continues."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

_DEFINING = ("experiment", "seed", "data", "first_step", "source", "arms", "seeds")
_DEPTH = 3


def field_hashes(record: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the fields that determine a run's numbers.

    Args:
        record: content of a record's JSON.

    Returns:
        The first digits of SHA-256 sums, by dotted name of the field.

    Example:
        >>> field_hashes({"seed": 0, "command": "gan-jax train ring"})
        {'seed': '5feceb66ffc8'}
    """
    defining = {name: record[name] for name in _DEFINING if name in record}
    if isinstance(defining.get("arms"), list):
        defining["arms"] = {arm["name"]: arm["experiment"] for arm in defining["arms"]}
    return {
        name: hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:12]
        for name, part in _fields(defining, "", _DEPTH)
    }


def edited_fields(record: Mapping[str, Any]) -> list[str]:
    """The fields of a record that were changed after it was written; [] for a record without hashes.

    Args:
        record: content of a record's JSON.

    Returns:
        Dotted names, sorted.
    """
    if "hashes" not in record:  # written by version 0.1.0
        return []
    known, now = dict(record["hashes"]), field_hashes(record)
    return sorted(name for name in known.keys() | now.keys() if known.get(name) != now.get(name))


def _fields(value: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, part in value.items():
        if isinstance(part, dict) and part and depth > 1:
            yield from _fields(part, f"{prefix}{name}.", depth - 1)
        else:
            yield prefix + name, part
