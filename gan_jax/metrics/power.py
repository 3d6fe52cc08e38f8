"""Sample sizes: the number of failures and of seeds that a log-rank test between two arms needs.

References:
    D. Schoenfeld, "The Asymptotic Properties of Nonparametric Tests for Comparing Survival Distributions", Biometrika
        68, 1981.
"""

from __future__ import annotations

import math

from scipy.stats import norm

from gan_jax.metrics.survival import check_share


def events_needed(hazard_ratio: float, power: float = 0.8, alpha: float = 0.05, share: float = 0.5) -> float:
    r"""The number of failures, of both arms together, that detect a hazard ratio (Schoenfeld, 1981), not rounded.

    $$ E = \frac{(z_{1 - \alpha / 2} + z_{power})^2}{q (1 - q) \ln^2 HR} $$

    Args:
        hazard_ratio: above 0 and not 1; 1 / HR needs as many.
        power: probability to detect it, between `alpha` and 1.
        alpha: level of the two-sided log-rank test, between 0 and 1.
        share: q, share of the runs in the first arm, between 0 and 1.

    Returns:
        The number E of failures.

    Example:
        >>> [round(events_needed(ratio)) for ratio in (2, 3, 5)]
        [65, 26, 12]
    """
    return (_reach(power, alpha, share) / _log_ratio(hazard_ratio)) ** 2


def power_of(hazard_ratio: float, num_events: float, alpha: float = 0.05, share: float = 0.5) -> float:
    """The probability that a log-rank test detects a hazard ratio.

    Args:
        hazard_ratio: above 0 and not 1.
        num_events: failures of both arms together, above 0.
        alpha: level of the two-sided log-rank test, between 0 and 1.
        share: share of the runs in the first arm, between 0 and 1.

    Returns:
        The power, in [0, 1].

    Example:
        >>> [round(power_of(2, num_events), 2) for num_events in (20, 65)]
        [0.34, 0.8]
    """
    check_share(alpha=alpha, share=share)
    _check_events(num_events)
    reach = _log_ratio(hazard_ratio) * math.sqrt(num_events * share * (1 - share))
    return float(norm.cdf(reach - norm.ppf(1 - alpha / 2)))


def hazard_ratio_detectable(num_events: float, power: float = 0.8, alpha: float = 0.05, share: float = 0.5) -> float:
    """The smallest hazard ratio above 1 that a number of failures detects.

    Args:
        num_events: failures of both arms together, above 0.
        power: probability to detect it, between `alpha` and 1.
        alpha: level of the two-sided log-rank test, between 0 and 1.
        share: share of the runs in the first arm, between 0 and 1.

    Returns:
        The ratio; infinite if it is beyond exp(700).

    Example:
        >>> round(hazard_ratio_detectable(26), 1), round(events_needed(3))
        (3.0, 26)
    """
    _check_events(num_events)
    log_ratio = _reach(power, alpha, share) / math.sqrt(num_events)
    return math.exp(log_ratio) if log_ratio < 700 else math.inf


def seeds_per_arm(hazard_ratio: float, event_share: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """The number of runs in each of two equal arms that detects a hazard ratio.

    Args:
        hazard_ratio: above 0 and not 1.
        event_share: share of the runs of both arms that fail, above 0 and at most 1.
        power: probability to detect it, between `alpha` and 1.
        alpha: level of the two-sided log-rank test, between 0 and 1.

    Returns:
        Runs (seeds) of each arm, rounded up.

    Raises:
        ValueError: if `event_share` or another argument is out of range.

    Example:
        65.3 failures are needed, and 80 % of the runs fail:

        >>> seeds_per_arm(2, event_share=0.8)
        41
    """
    if not 0 < event_share <= 1:
        raise ValueError(f"event_share={event_share}: give a share above 0, at most 1")
    return math.ceil(events_needed(hazard_ratio, power, alpha) / (2 * event_share))


def _log_ratio(hazard_ratio: float) -> float:
    if not (math.isfinite(hazard_ratio) and hazard_ratio > 0 and hazard_ratio != 1):
        raise ValueError(f"hazard_ratio={hazard_ratio}: give a finite number above 0 other than 1")
    return abs(math.log(hazard_ratio))


def _reach(power: float, alpha: float, share: float) -> float:
    check_share(power=power, alpha=alpha, share=share)
    if power <= alpha:
        raise ValueError(f"power={power}: give more than alpha={alpha}, the power of a test of arms that do not differ")
    return float(norm.ppf(1 - alpha / 2) + norm.ppf(power)) / math.sqrt(share * (1 - share))


def _check_events(num_events: float) -> None:
    if not (math.isfinite(num_events) and num_events > 0):
        raise ValueError(f"num_events={num_events}: give a number above 0")
