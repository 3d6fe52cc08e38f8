"""How many of a set of known collapses a remedy prevents: shares with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import beta

_DRAWS = 40_000


class Share(NamedTuple):
    """A share with its limits."""

    share: float
    lower: float
    upper: float


def share_of(count: int, num: int, confidence: float = 0.95) -> Share:
    """A share of independent cases, with the exact limits of Clopper and Pearson.

    Args:
        count: cases that have the property.
        num: all cases, at least 1.
        confidence: level of the limits.

    Returns:
        The share and its limits.

    Raises:
        ValueError: if the counts are impossible.

    References:
        C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
            Biometrika 26, 1934.

    Example:
        >>> share = share_of(8, 8)
        >>> share.share, round(share.lower, 3), share.upper
        (1.0, 0.631, 1.0)
    """
    if not 0 <= count <= num or num < 1:
        raise ValueError(f"a share of {count} in {num}: the count must be from 0 to the number of cases, which is over 0")
    tail = (1 - confidence) / 2
    lower = 0.0 if count == 0 else float(beta.ppf(tail, count, num - count + 1))
    upper = 1.0 if count == num else float(beta.ppf(1 - tail, count + 1, num - count))
    return Share(count / num, lower, upper)


def mean_share(counts: Sequence[tuple[int, int]], confidence: float = 0.95) -> Share:
    """The mean over games of the share in each, whatever their numbers of cases.

    The limits are those of the posterior of the mean, with Jeffreys' prior Beta(1/2, 1/2) for each game: they stay
    apart from the mean also where all games have a share of 0 or of 1.

    Args:
        counts: (cases that have the property, all cases) of each game.
        confidence: level of the limits.

    Returns:
        The mean of the shares, and its limits.

    Raises:
        ValueError: if there are no games, or a count is impossible.

    References:
        L. D. Brown, T. T. Cai, A. DasGupta, "Interval Estimation for a Binomial Proportion", Statistical Science 16, 2001.

    Example:
        >>> mean_share([(8, 8), (0, 8)]).share
        0.5
    """
    if not counts:
        raise ValueError("a mean over games needs at least one game")
    mean = float(np.mean([share_of(count, num).share for count, num in counts]))
    generator = np.random.default_rng(0)
    draws = np.mean([generator.beta(k + 0.5, n - k + 0.5, _DRAWS) for k, n in counts], axis=0)
    tail = 100 * (1 - confidence) / 2
    lower, upper = np.percentile(draws, [tail, 100 - tail])
    return Share(mean, min(float(lower), mean), max(float(upper), mean))
