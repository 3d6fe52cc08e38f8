"""Timing in rounds, in which functions take turns, and statistics: medians, quartiles, ratios."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import stats  # type: ignore[import-untyped]


def take_turns(
    ways: Mapping[str, Callable[[], float]], num_rounds: int, min_seconds: float = 0.0
) -> dict[str, Float[np.ndarray, "rounds"]]:
    """Times functions in turns, round by round, so that other load on the machine affects all of them equally.

    Args:
        ways: by name, functions that do one round and return the seconds that it took.
        num_rounds: least number of measured rounds, after one that is not measured and warms caches.
        min_seconds: least time of all measured rounds together.

    Returns:
        Seconds by name, each [rounds]. `median_and_quartiles` and `compare` summarise them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    began = time.perf_counter()
    while len(next(iter(seconds.values()))) < num_rounds or time.perf_counter() - began < min_seconds:
        for name, way in ways.items():
            seconds[name].append(way())
    return {name: np.array(spent) for name, spent in seconds.items()}


def median_and_quartiles(name: str, values: ArrayLike, digits: int = 4) -> dict[str, Any]:
    """Two figures: the median of values under a name, and their lower and upper quartile under "name_quartiles".

    >>> median_and_quartiles("seconds", [4.0, 1.0, 2.0, 3.0, 5.0])
    {'seconds': 3.0, 'seconds_quartiles': [2.0, 4.0]}
    """
    low, middle, high = (significant(value, digits) for value in np.percentile(np.asarray(values), (25, 50, 75)))
    return {name: middle, f"{name}_quartiles": [low, high]}


def compare(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> dict[str, Any]:
    """The ratio of the second program's time to the first's, from the seconds of rounds of both.

    It is the median of all ratios of a round of the second to one of the first (the Hodges-Lehmann estimate on
    logarithms). Its interval and p are those of the exact Mann-Whitney test. No distribution is assumed. Six
    rounds of each can give a p of 0.002 at best.

    Args:
        first: seconds of the first program's rounds.
        second: seconds of the second program's rounds.
        confidence: of the interval.

    Returns:
        "ratio", "ratio_interval" (None where the rounds are too few for the confidence), "p" and "rounds" of both.

    Example:
        >>> compare([1.0, 1.1, 1.2, 1.3], [2.0, 2.2, 2.4, 2.6])
        {'ratio': 2.0, 'ratio_interval': [1.538, 2.6], 'p': 0.02857, 'rounds': [4, 4]}

    References:
        E. L. Lehmann, "Nonparametrics: Statistical Methods Based on Ranks", 1975, sections 2.4 and 2.6.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    ratios = np.sort((b[:, None] / a).ravel())
    below = np.cumsum(_orders(len(a), len(b))) / math.comb(len(a) + len(b), len(a))
    cut = int(np.searchsorted(below, (1 - confidence) / 2, side="right"))
    interval = [significant(ratios[cut - 1]), significant(ratios[-cut])] if cut else None
    p = stats.mannwhitneyu(a, b, method="exact").pvalue
    figures = {"ratio": significant(float(np.median(ratios))), "ratio_interval": interval, "p": significant(p)}
    return {**figures, "rounds": [len(a), len(b)]}


def _orders(m: int, n: int) -> np.ndarray:
    """For U = 0 .. m n, the number of orders of m and n items with U pairs in which the one of the m comes first.

    By recursion on the last item, which is one of the n, or one of the m that comes after all of the n.
    """
    table = np.zeros((m + 1, n + 1, m * n + 1))
    table[0, :, 0] = table[:, 0, 0] = 1
    for i in range(1, m + 1):
        for j in range(1, n + 1):
            table[i, j] = table[i, j - 1]
            table[i, j, j:] += table[i - 1, j, : m * n + 1 - j]
    return table[m, n]


def significant(value: float, digits: int = 4) -> float | None:
    """A number rounded to `digits` significant digits; None if it is not finite.

    >>> significant(12345.678), significant(float("nan"))
    (12350.0, None)
    """
    return float(f"{float(value):.{digits}g}") if math.isfinite(value) else None


def mean_and_error(values: ArrayLike, digits: int = 4) -> list[float | None]:
    """[mean, standard error] of the finite values; None for a mean of no values, and for an error of fewer than two.

    >>> mean_and_error([1.0, 2.0, 3.0, float("nan")])
    [2.0, 0.5774]
    """
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    mean = significant(known.mean(), digits) if known.size else None
    error = significant(known.std(ddof=1) / math.sqrt(known.size), digits) if known.size > 1 else None
    return [mean, error]
