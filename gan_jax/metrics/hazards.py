"""Comparisons of arms by their right-censored onsets: log-rank tests, hazard ratios, trends over a number.

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
    statistic: float | None = None
    degrees_of_freedom: int | None = None
    p: float | None = None
    note: str | None = None


class Trend(NamedTuple):
    """`z` is positive where a larger covariate goes with earlier failure; its square is the chi-square statistic."""

    z: float | None = None
    p: float | None = None
    note: str | None = None


class HazardRatio(NamedTuple):
    """The ratio with its limits, the p value of Wald's test that it is 1, and the logarithm of the ratio."""

    ratio: float | None = None
    lower: float | None = None
    upper: float | None = None
    p: float | None = None
    log_ratio: float | None = None
    note: str | None = None


class Comparison(NamedTuple):
    """An arm (the "first" of the notes) against the baseline; a hazard ratio above 1 means that the arm fails sooner.

    `hazard_ratio_detectable` is what `num_events`, those of both arms, show with 80 % power at a two-sided 5 %.
    """

    log_rank: LogRank
    p_holm: float | None
    hazard_ratio: HazardRatio
    num_events: int
    hazard_ratio_detectable: float | None


def log_rank(arms: Mapping[str, Sequence[Onset]]) -> LogRank:
    """The chi-square test that all arms fail at one rate, with the variance of tied times.

    Arms that had all ended before the first failure of any arm hold no information: they are left out, and each takes
    a degree of freedom along. Arms that are alike have p = 1, and so do arms that fail all at once.
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
    r"""The log-rank test for a trend over a number, one for each run: Cox's score test with the variance of tied times.

    $$ U = \sum_i \sum_{j \in D_i} (x_j - \bar x_i), \qquad
       V = \sum_i \frac{d_i (n_i - d_i)}{n_i - 1} \frac{1}{n_i} \sum_{j \in R_i} (x_j - \bar x_i)^2 $$

    over the failures D_i of each time and the runs R_i at risk (Tarone, 1975). With two values it is the log-rank test.
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
    """The hazard of the first arm in units of the second's, by Cox's model with Efron's ties."""
    check_share(confidence=confidence)
    for name, arm in (("first", first), ("second", second)):
        if not times_and_failures(arm)[1].any():
            return HazardRatio(note=f"no run of the {name} arm failed")
    which = [1.0] * len(first) + [0.0] * len(second)
    return hazard_ratio_per_unit([*first, *second], which, confidence=confidence)


def hazard_ratio_per_unit(
    onsets: Sequence[Onset], covariate: Sequence[float], *, unit: float = 1.0, confidence: float = 0.95
) -> HazardRatio:
    """The factor on the hazard for each `unit` more of a number, one for each run, by Cox's model with Efron's ties.

    It does not exist if at every failure the runs that failed had the largest covariate of those at risk, or at every
    one the smallest (complete separation).

    Args:
        onsets: of the runs that formed.
        covariate: such as the rate of label noise.
        unit: above 0; 0.01 makes it the factor for a percentage point.
        confidence: of the limits.
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

    # Only the order of the times counts; and a covariate of small variance is no sign of trouble once it is scaled.
    order, scale = np.unique(times, return_inverse=True)[1] + 1.0, float(values.std())
    table = pd.DataFrame({"time": order, "failed": failed.astype(int), "value": (values - values.mean()) / scale})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # The default precision leaves an error in the third digit of ratios of a few runs.
            options = {"precision": 1e-12}
            row = CoxPHFitter().fit(table, "time", "failed", fit_options=options).summary.loc["value"]
        except ConvergenceError as failure:
            return HazardRatio(note=f"Cox's model did not converge: {failure}")
    # The other warnings of lifelines guess at separation, which is settled above.
    if any("Newton-Raphson" in str(warning.message) for warning in caught):
        return HazardRatio(note="Cox's model did not converge")
    log_ratio, error = (float(row[name]) * unit / scale for name in ("coef", "se(coef)"))
    p, width = float(row["p"]), float(norm.ppf((1 + confidence) / 2)) * error
    if abs(log_ratio) + width > 700:
        return HazardRatio(p=p, log_ratio=log_ratio, note=f"out of range for {unit:g}: take a smaller unit")
    ratio, lower, upper = (math.exp(log_ratio + shift) for shift in (0.0, -width, width))
    return HazardRatio(ratio, lower, upper, p, log_ratio)


def pairwise(arms: Mapping[str, Sequence[Onset]], baseline: str, confidence: float = 0.95) -> dict[str, Comparison]:
    """Every other arm against the baseline, with p values of the log-rank test raw and adjusted by Holm's procedure.

    The family of the adjustment are the comparisons that have a p value.
    """
    if baseline not in checked_arms(arms):
        raise ValueError(f"baseline {baseline!r} is no arm: the arms are {', '.join(arms)}")
    tests = {name: log_rank({name: arms[name], baseline: arms[baseline]}) for name in arms if name != baseline}
    estimable = sorted((test.p, name) for name, test in tests.items() if test.p is not None)
    adjusted: dict[str, float] = {}
    worst = 0.0
    for rank, (p, name) in enumerate(estimable):
        worst = max(worst, min(1.0, p * (len(estimable) - rank)))
        adjusted[name] = worst
    result = {}
    for name, test in tests.items():
        pair = [*arms[name], *arms[baseline]]
        num, share = sum(cause is not None for _, cause in pair), len(arms[name]) / len(pair)
        detectable = hazard_ratio_detectable(num, share=share) if num else None
        ratio = hazard_ratio(arms[name], arms[baseline], confidence)
        result[name] = Comparison(test, adjusted.get(name), ratio, num, detectable)
    return result


def checked_arms(arms: Mapping[str, Sequence[Any]]) -> Mapping[str, Sequence[Any]]:
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
    """At each time of failure, the covariate of the runs that failed and of all that were at risk."""
    return [(values[(times == time) & failed], values[times >= time]) for time in np.unique(times[failed])]


def _no_ratio(times: np.ndarray, failed: np.ndarray, values: np.ndarray) -> str | None:
    """Why Cox's partial likelihood of one covariate has no maximum; None where it has one."""
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
