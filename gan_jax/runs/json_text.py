"""JSON that every reader accepts: numbers that are not finite are written as null."""

from __future__ import annotations

import json
import math
from typing import Any


def json_text(value: Any, indent: int | None = None) -> str:
    """A value as JSON. NaN and infinities, which JSON cannot express, become null.

    Args:
        value: a value of dicts, lists, texts, numbers, booleans and None.
        indent: spaces per level; None writes a single line.

    Returns:
        The text.

    Example:
        >>> json_text({"kl": float("nan"), "counts": [1, float("inf")]})
        '{"kl": null, "counts": [1, null]}'
    """
    return json.dumps(_finite(value), indent=indent, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
