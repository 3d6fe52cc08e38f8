"""Comparisons of arms by their right-censored onsets: log-rank tests, hazard ratios, trends over a covariate.

References:
    J. P. Klein, M. L. Moeschberger, "Survival Analysis", 2nd ed. 2003, section 7.3 (log-rank).
    R. E. Tarone, "Tests for Trend in Life Table Analysis", Biometrika 62, 1975.
    B. Efron, "The Efficiency of Cox's Likelihood Function for Censored Data", JASA 72, 1977.
    S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import norm

from gan_jax.metrics.power import hazard_ratio_detectable
from gan_jax.metrics.survival import Onset, check_share, times_and_failures


class LogRank(NamedTuple):
    """The chi-square statistic of a log-rank test, its degrees of freedom and p value; `note` has what was left out.

    Example:
        >>> log_rank({"plain": [Onset(10, None)], "flips": [Onset(10, None)]}).note
        'no run of any arm failed'
    """

    statistic: float | None = None
    degrees_of_freedom: int | None = None
    p: float | None = None
    note: str | None = None


class Trend(NamedTuple):
    """A trend test. `z` is positive if a larger covariate means earlier failure; z^2 is the chi-square statistic.

    Example:
        >>> trend = log_rank_trend([Onset(1, "collapse"), Onset(2, "collapse")], [0.1, 0.0])
        >>> trend.z, round(trend.p, 3)
        (1.0, 0.317)
    """

    z: float | None = None
    p: float | None = None
    note: str | None = None


class HazardRatio(NamedTuple):
    """A hazard ratio with its confidence limits, the p value of Wald's test that it is 1, and its logarithm.

    Example:
        >>> hazard_ratio([Onset(1, "collapse")], [Onset(9, None)]).note
        'no run of the second arm failed'
    """

    ratio: float | None = None
    lower: float | None = None
    upper: float | None = None
    p: float | None = None
    log_ratio: float | None = None
    note: str | None = None


class Comparison(NamedTuple):
    """An arm ("first" in notes) compared with the baseline; a hazard ratio above 1 means that the arm fails sooner.

    `hazard_ratio_detectable` is the ratio that `num_events`, those of both arms, detect with 80 % power at a two-sided
    level of 5 %.

    Example:
        >>> arms = {"plain": [Onset(1, "collapse"), Onset(2, "collapse")], "flips": [Onset(9, None)] * 2}
        >>> compared = pairwise(arms, "plain")["flips"]
        >>> compared.num_events, round(compared.hazard_ratio_detectable)
        (2, 53)
    """

    log_rank: LogRank
    p_holm: float | None
    hazard_ratio: HazardRatio
    num_events: int
    hazard_ratio_detectable: float | None


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """The p values of several tests, adjusted by Holm's procedure.

    Example:
        >>> holm({"a": 0.5, "b": 0.125})
        {'b': 0.25, 'a': 0.5}
    """
    adjusted, worst = {}, 0.0
    for rank, name in enumerate(sorted(values, key=lambda name: values[name])):
        worst = max(worst, min(1.0, values[name] * (len(values) - rank)))
        adjusted[name] = worst
    return adjusted


def log_rank(arms: Mapping[str, Sequence[Onset]]) -> LogRank:
    """The log-rank test: a chi-square test that all arms have the same hazard, with the variance for tied times.

    Arms whose runs all ended before the first failure of any arm hold no information: they are left out, with one
    degree of freedom each. Equal arms have p = 1, and so do arms whose runs all fail at the same time.

    Example:
        >>> test = log_rank({"plain": [Onset(step, "collapse") for step in (1, 2, 3)], "flips": [Onset(9, None)] * 3})
        >>> round(test.statistic, 2), test.degrees_of_freedom, round(test.p, 3)
        (5.05, 1, 0.025)
    """
    data = {name: times_and_failures(onsets) for name, onsets in checked_arms(arms).items()}
    failures = np.concatenate([times[failed] for times, failed in data.values()])
    if len(data) < 2 or not failures.size:
        return LogRank(note="no run of any arm failed" if len(data) > 1 else "one arm: nothing to compare")
    first = failures.min()
    gone = [name for name, (times, _) in data.items() if times.max() < first]
    note = f"left out, as they ended before the first failure: {', '.join(gone)}" if gone else None
    if len(data) - len(gone) < 2:
        return LogRank(note=f"nothing to compare; {note}")
    there = {name: pair for name, pair in data.items() if name not in gone}
    times, failed = (np.concatenate(columns) for columns in zip(*there.values(), strict=True))
    from lifelines.statistics import multivariate_logrank_test

    result = multivariate_logrank_test(times, np.repeat(list(there), [len(pair[0]) for pair in there.values()]), failed)
    return LogRank(float(result.test_statistic), len(there) - 1, float(result.p_value), note)


def log_rank_trend(onsets: Sequence[Onset], covariate: Sequence[float]) -> Trend:
    r"""The log-rank test for a trend over a covariate: Cox's score test with the variance for tied times.

    $$ U = \sum_i \sum_{j \in D_i} (x_j - \bar x_i), \qquad
       V = \sum_i \frac{d_i (n_i - d_i)}{n_i - 1} \frac{1}{n_i} \sum_{j \in R_i} (x_j - \bar x_i)^2 $$

    over the failures D_i at each time and the runs R_i at risk (Tarone, 1975). For a covariate with two values it is
    the log-rank test. `covariate` has one number for each run.

    Example:
        >>> onsets = [*(Onset(step, "collapse") for step in (1, 2, 3)), *[Onset(9, None)] * 3]
        >>> round(log_rank_trend(onsets, [0, 0, 0, 0.1, 0.1, 0.1]).z, 2)
        -2.25
    """
    times, failed = times_and_failures(onsets)
    values = _covariate(covariate, len(times))
    if not failed.any():
        return Trend(note="no run failed")
    score = variance = 0.0
    pairs = [(own, risk) for own, risk in _risk_sets(times, failed, values) if np.ptp(risk) > 0]
    if not pairs:
        return Trend(note="the runs at risk together do not differ in the covariate")
    for own, risk in pairs:
        score += float(np.sum(own - risk.mean()))
        variance += len(own) * (len(risk) - len(own)) / (len(risk) - 1) * float(risk.var())
    if variance == 0:
        return Trend(0.0, 1.0, "all failed at once")
    z = score / math.sqrt(variance)
    return Trend(z, float(2 * norm.sf(abs(z))))


def hazard_ratio(first: Sequence[Onset], second: Sequence[Onset], confidence: float = 0.95) -> HazardRatio:
    """The ratio of the hazards of two arms, by Cox's model with Efron's method for ties.

    Args:
        first: onsets of the arm in the numerator.
        second: onsets of the arm in the denominator.
        confidence: level of the limits, between 0 and 1.

    Returns:
        The ratio; above 1 if the first arm fails sooner. Its numbers are None, with a note, if it does not exist.

    Example:
        >>> first, second = ([Onset(step, "collapse") for step in steps] for steps in ((1, 3), (2, 4)))
        >>> round(hazard_ratio(first, second).ratio, 3), round((1 + 17**0.5) / 2, 3)
        (2.562, 2.562)
    """
    check_share(confidence=confidence)
    for name, arm in (("first", first), ("second", second)):
        if not times_and_failures(arm)[1].any():
            return HazardRatio(note=f"no run of the {name} arm failed")
    which = [1.0] * len(first) + [0.0] * len(second)
    return hazard_ratio_per_unit([*first, *second], which, confidence=confidence)


def hazard_ratio_per_unit(
    onsets: Sequence[Onset], covariate: Sequence[float], *, unit: float = 1.0, confidence: float = 0.95
) -> HazardRatio:
    """The factor of the hazard for an increase of a covariate by `unit`, by Cox's model with Efron's method for ties.

    It does not exist under complete separation: if at every failure the failed runs had the largest covariate of those
    at risk, or at every failure the smallest.

    Args:
        onsets: those of the runs.
        covariate: a number for each run, such as its rate of label noise.
        unit: increase of the covariate, above 0; 0.01 gives the factor for a percentage point.
        confidence: level of the limits, between 0 and 1.

    Returns:
        The ratio; its numbers are None, with a note, if it does not exist.

    Raises:
        ValueError: if `unit` or `confidence` is out of range, or the covariate does not have a finite number for each
            onset.

    Example:
        >>> onsets = [Onset(step, "collapse") for step in (1, 3, 2, 4)]
        >>> round(hazard_ratio_per_unit(onsets, [0.1, 0.1, 0.0, 0.0], unit=0.1).ratio, 3)
        2.562
    """
    check_share(confidence=confidence)
    if not (math.isfinite(unit) and unit > 0):
        raise ValueError(f"unit={unit}: give a finite number above 0")
    times, failed = times_and_failures(onsets)
    values = _covariate(covariate, len(times))
    if note := _no_ratio(times, failed, values):
        return HazardRatio(note=note)
    import pandas as pd
    from lifelines import CoxPHFitter
    from lifelines.exceptions import ConvergenceError

    # Only the order of the times matters. The covariate is scaled, since lifelines warns of small variances.
    order, scale = np.unique(times, return_inverse=True)[1] + 1.0, float(values.std())
    table = pd.DataFrame({"time": order, "failed": failed.astype(int), "value": (values - values.mean()) / scale})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # With the default precision, ratios of a few runs have an error in the third digit.
            options = {"precision": 1e-12}
            row = CoxPHFitter().fit(table, "time", "failed", fit_options=options).summary.loc["value"]
        except ConvergenceError as failure:
            return HazardRatio(note=f"Cox's model did not converge: {failure}")
    # The other warnings of lifelines are about separation, which is checked above.
    if any("Newton-Raphson" in str(warning.message) for warning in caught):
        return HazardRatio(note="Cox's model did not converge")
    log_ratio, error = (float(row[name]) * unit / scale for name in ("coef", "se(coef)"))
    p, width = float(row["p"]), float(norm.ppf((1 + confidence) / 2)) * error
    if abs(log_ratio) + width > 700:
        return HazardRatio(p=p, log_ratio=log_ratio, note=f"out of range for {unit:g}: take a smaller unit")
    ratio, lower, upper = (math.exp(log_ratio + shift) for shift in (0.0, -width, width))
    return HazardRatio(ratio, lower, upper, p, log_ratio)


def pairwise(arms: Mapping[str, Sequence[Onset]], baseline: str, confidence: float = 0.95) -> dict[str, Comparison]:
    """Compares every other arm with the baseline; p values of the log-rank tests are adjusted by Holm's procedure.

    Args:
        arms: onsets by the arm's name.
        baseline: name of the arm that the others are compared with.
        confidence: level of the limits of hazard ratios, between 0 and 1.

    Returns:
        A comparison for each other arm. Holm's procedure adjusts over the comparisons that have a p value.

    Raises:
        ValueError: if the baseline is not an arm, or an arm has no runs.

    Example:
        >>> arms = {"plain": [Onset(step, "collapse") for step in (1, 2, 3)], "flips": [Onset(9, None)] * 3}
        >>> {name: round(compared.p_holm, 3) for name, compared in pairwise(arms, "plain").items()}
        {'flips': 0.025}
    """
    if baseline not in checked_arms(arms):
        raise ValueError(f"baseline {baseline!r} is not an arm: the arms are {', '.join(arms)}")
    tests = {name: log_rank({name: arms[name], baseline: arms[baseline]}) for name in arms if name != baseline}
    adjusted = holm({name: test.p for name, test in tests.items() if test.p is not None})
    result = {}
    for name, test in tests.items():
        pair = [*arms[name], *arms[baseline]]
        num, share = sum(cause is not None for _, cause in pair), len(arms[name]) / len(pair)
        detectable = hazard_ratio_detectable(num, share=share) if num else None
        ratio = hazard_ratio(arms[name], arms[baseline], confidence)
        result[name] = Comparison(test, adjusted.get(name), ratio, num, detectable)
    return result


def checked_arms(arms: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
    """The arms, unchanged.

    Raises:
        ValueError: if there are no arms, or an arm has no runs.

    Example:
        >>> list(checked_arms({"plain": [Onset(300, "collapse")]}))
        ['plain']
    """
    if not arms or not all(len(runs) for runs in arms.values()):
        empty = ", ".join(repr(name) for name, runs in arms.items() if not len(runs))
        raise ValueError(f"arms without runs: {empty or 'no arm at all'}; give each arm at least one run, or drop it")
    return arms


def _covariate(covariate: Sequence[float], num: int) -> np.ndarray:
    values = np.asarray(covariate, float)
    if values.shape != (num,) or not np.all(np.isfinite(values)):
        raise ValueError(f"covariate {covariate}: give one finite number for each of the {num} onsets")
    return values


def _risk_sets(times: np.ndarray, failed: np.ndarray, values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each time of failure, the covariates of the failed runs and of all runs at risk."""
    return [(values[(times == time) & failed], values[times >= time]) for time in np.unique(times[failed])]


def _no_ratio(times: np.ndarray, failed: np.ndarray, values: np.ndarray) -> str | None:
    """The reason why Cox's partial likelihood of one covariate has no maximum; None if it has one."""
    pairs = _risk_sets(times, failed, values)
    if not pairs:
        return "no run failed"
    largest = all(own.min() == risk.max() for own, risk in pairs)
    smallest = all(own.max() == risk.min() for own, risk in pairs)
    if largest and smallest:
        return "the runs at risk together do not differ in the covariate"
    if largest or smallest:
        which, arm, to = ("largest", "(first arm)", "infinity") if largest else ("smallest", "(second arm)", "0")
        return f"complete separation: those with the {which} covariate {arm} failed first; the ratio goes to {to}"
    return None
