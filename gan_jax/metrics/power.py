"""How many runs it takes: events and seeds for a log-rank test between two arms.

References:
    D. Schoenfeld, "The Asymptotic Properties of Nonparametric Tests for Comparing Survival Distributions", Biometrika
        68, 1981.
"""

from __future__ import annotations

import math

from scipy.stats import norm

from gan_jax.metrics.survival import check_share


def events_needed(hazard_ratio: float, power: float = 0.8, alpha: float = 0.05, share: float = 0.5) -> float:
    r"""Failures in both arms together that show a hazard ratio (Schoenfeld, 1981), not rounded.

    $$ E = \frac{(z_{1 - \alpha / 2} + z_{power})^2}{q (1 - q) \ln^2 HR} $$

    Args:
        hazard_ratio: above 0 and not 1; 1 / HR needs as many.
        power: the probability to see it.
        alpha: level of the two-sided log-rank test.
        share: q, of the runs that are in the first arm.

    Example:
        >>> [round(events_needed(ratio)) for ratio in (2, 3, 5)]
        [65, 26, 12]
    """
    return (_reach(power, alpha, share) / _log_ratio(hazard_ratio)) ** 2


def power_of(hazard_ratio: float, num_events: float, alpha: float = 0.05, share: float = 0.5) -> float:
    """The probability that a log-rank test on so many failures, of both arms together, shows a hazard ratio."""
    check_share(alpha=alpha, share=share)
    _check_events(num_events)
    reach = _log_ratio(hazard_ratio) * math.sqrt(num_events * share * (1 - share))
    return float(norm.cdf(reach - norm.ppf(1 - alpha / 2)))


def hazard_ratio_detectable(num_events: float, power: float = 0.8, alpha: float = 0.05, share: float = 0.5) -> float:
    """The hazard ratio above 1 that so many failures, of both arms together, show with this power."""
    _check_events(num_events)
    log_ratio = _reach(power, alpha, share) / math.sqrt(num_events)
    return math.exp(log_ratio) if log_ratio < 700 else math.inf


def seeds_per_arm(hazard_ratio: float, event_share: float, power: float = 0.8, alpha: float = 0.05) -> int:
    """Runs of each of two equal arms that show a hazard ratio, if `event_share` (0 to 1) of all runs of both fail."""
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
        raise ValueError(f"power={power}: give more than alpha={alpha}, which a test has without any difference")
    return float(norm.ppf(1 - alpha / 2) + norm.ppf(power)) / math.sqrt(share * (1 - share))


def _check_events(num_events: float) -> None:
    if not (math.isfinite(num_events) and num_events > 0):
        raise ValueError(f"num_events={num_events}: give a number above 0")
