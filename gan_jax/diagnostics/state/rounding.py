"""Converts results of diagnoses to JSON-ready numbers with few significant digits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def rounded(value: Any, digits: int) -> Any:
    """Arrays as nested lists of numbers, JSON-ready.

    Args:
        value: an array or a number, or a dict of them.
        digits: significant digits of floats; whole numbers and booleans stay as they are.

    Returns:
        The same tree of lists and numbers, with None in place of NaN and infinities.
    """
    if isinstance(value, dict):
        return {name: rounded(part, digits) for name, part in value.items()}
    array = np.asarray(value)
    if array.ndim:
        return [rounded(part, digits) for part in array]
    number = array.item()
    if number is None or isinstance(number, (bool, int)):
        return number
    return float(f"{number:.{digits}g}") if math.isfinite(number) else None


def rounded_tree(tree: Any, digits: int) -> Any:
    """`rounded` for dicts, lists and tuples that also hold strings, which stay as they are; tuples become lists."""
    if isinstance(tree, dict):
        return {name: rounded_tree(part, digits) for name, part in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [rounded_tree(part, digits) for part in tree]
    return rounded(tree, digits) if isinstance(tree, (int, float, np.generic)) else tree
