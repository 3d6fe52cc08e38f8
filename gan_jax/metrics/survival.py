"""Survival statistics of right-censored onsets: the onset of a run that ended without collapse is only bounded below.

A censored time is therefore never averaged with onsets. A run that fails of one cause is no longer at risk of another.
Time begins at step 0 for every run: one that collapses while forming fails then, and one that never formed is censored
at its last step (and counted apart). Onsets are times of evaluations, so ties are common. A
number that does not exist is None (NaN in arrays), and `note` has the reason. Comparisons of arms are in `hazards`, the
seeds that they need in `power`, and all of it for the runs of a sweep in `onsets`.

References:
    E. L. Kaplan, P. Meier, "Nonparametric Estimation from Incomplete Observations", JASA 53, 1958.
    R. Brookmeyer, J. Crowley, "A Confidence Interval for the Median Survival Time", Biometrics 38, 1982.
    J. P. Klein, M. L. Moeschberger, "Survival Analysis", 2nd ed. 2003, section 4.5 (restricted mean).
    O. O. Aalen, S. Johansen, "An Empirical Transition Matrix for Non-homogeneous Markov Chains Based on Censored
        Observations", Scandinavian Journal of Statistics 5, 1978.
    A. Allignol, M. Schumacher, J. Beyersmann, "A note on variance estimation of the Aalen-Johansen estimator of the
        cumulative incidence function in competing risks", Biometrical Journal 52, 2010.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import CensoredData, ecdf, norm

FAILURE_CAUSES = ("collapse", "collapse while forming", "junk", "non-finite")
"""The causes of failure; the first that occurs is the cause of a run's failure. `collapse` is that after forming."""

COLLAPSES = ("collapse", "collapse while forming")
"""Both kinds of collapse."""


class Onset(NamedTuple):
    """The time of failure and its cause; with cause None, the last time at which the run had not failed.

    Example:
        >>> Onset(300, "collapse").cause in COLLAPSES
        True
    """

    time: float
    cause: str | None


class RestrictedMean(NamedTuple):
    """The expected time without failure up to a horizon, its standard error, and a note if one does not exist.

    Example:
        Of two runs one fails at 10, so the mean of 20 steps is (10 + 20) / 2:

        >>> kaplan_meier([Onset(10, "collapse"), Onset(20, None)]).restricted_mean(20).mean
        15.0
    """

    horizon: float
    mean: float | None = None
    standard_error: float | None = None
    note: str | None = None


class SurvivalCurve(NamedTuple):
    """A step function that is constant from each time to the next.

    Attributes:
        times: 0, and every time at which a run failed or ended.
        survival: [times] probability of no failure up to and including each time.
        lower, upper: [times] log-log Greenwood limits of the survival; NaN where it is 0 or 1.
        at_risk, events: [times] number of runs without failure just before each time, and of those that fail at it.
        median, median_lower, median_upper: the first time at which the survival (its lower, upper limit) is at most
            1/2; None if there is no such time.

    Example:
        >>> curve = kaplan_meier([Onset(10, "collapse"), Onset(20, None)])
        >>> curve.times.tolist(), curve.at_risk.tolist(), curve.survival.tolist()
        ([0.0, 10.0, 20.0], [2, 2, 1], [1.0, 0.5, 0.5])
    """

    times: np.ndarray
    survival: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    at_risk: np.ndarray
    events: np.ndarray
    median: float | None
    median_lower: float | None
    median_upper: float | None

    def restricted_mean(self, horizon: float) -> RestrictedMean:
        r"""Expected time without failure up to the horizon h: the area under the curve (Klein, Moeschberger, 4.5.1-3).

        $$ \int_0^h S, \qquad \mathrm{Var} = \sum_i \left[\int_{t_i}^h S\right]^2 \frac{d_i}{n_i (n_i - d_i)} $$
        """
        check_time("horizon", horizon)
        if horizon > self.times[-1] and self.survival[-1] > 0:
            return RestrictedMean(horizon, note=f"some runs had not failed by the last time, {self.times[-1]:g}")
        inside = self.times < horizon
        areas = self.survival[inside] * np.diff(np.append(self.times[inside], horizon))
        after = np.cumsum(areas[::-1])[::-1]
        error = float(np.sqrt(np.sum(after**2 * _greenwood(self.events[inside], self.at_risk[inside]))))
        note = None if self.events[inside].any() else "no failure before the horizon, so no standard error"
        note = note or ("a single run has no standard error" if self.at_risk[0] < 2 else None)
        return RestrictedMean(horizon, float(areas.sum()), None if note else error, note)


class CumulativeIncidence(NamedTuple):
    """[times] probability of failure of one cause by each time, its limits and standard error (NaN at 0 and 1).

    Example:
        >>> cumulative_incidence([Onset(10, "collapse"), Onset(20, None)], "collapse").incidence.tolist()
        [0.0, 0.5, 0.5]
    """

    times: np.ndarray
    incidence: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    standard_error: np.ndarray


def onset_of(verdict: Mapping[str, Any]) -> Onset:
    """The onset in a verdict (`Verdict.to_json()`), from step 0 on.

    A run that collapsed and later became non-finite failed when it collapsed. A run that became non-finite before it
    formed failed at that time. A run that never formed is censored at its last step.

    Raises:
        ValueError: if the verdict's outcome is unknown.

    Example:
        >>> onset_of({"outcome": "healthy", "onset_step": None, "last_step": 500})
        Onset(time=500.0, cause=None)
    """
    outcome, onset = verdict["outcome"], verdict["onset_step"]
    collapse = COLLAPSES[verdict.get("when") == "while forming"]
    if outcome in ("healthy", "censored", "never formed"):
        return Onset(float(verdict["last_step"]), None)
    if outcome == "collapsed":
        return Onset(float(onset), "junk" if verdict["cause"] == "junk" else collapse)
    if outcome == "non-finite":
        steps = verdict.get("onset_steps") or {}
        earlier = [(steps[cause], cause) for cause in ("collapse", "junk") if steps.get(cause) is not None]
        step, cause = min([(onset, "non-finite"), *earlier], key=lambda pair: pair[0])
        return Onset(float(step), collapse if cause == "collapse" else cause)
    known = "healthy, censored, collapsed, non-finite, never formed"
    raise ValueError(f"outcome {outcome!r} of a verdict is unknown: it must be one of {known}")


def kaplan_meier(onsets: Sequence[Onset], confidence: float = 0.95) -> SurvivalCurve:
    """The probability of no failure of any cause over time.

    Args:
        onsets: those of the runs of one arm, in any order.
        confidence: level of the limits of the curve (pointwise) and of its median, between 0 and 1.

    Returns:
        The curve, over the unit of time of the onsets.

    Example:
        >>> curve = kaplan_meier([Onset(10, "collapse"), Onset(20, "junk"), Onset(20, None), Onset(30, None)])
        >>> curve.survival.tolist(), curve.median
        ([1.0, 0.75, 0.5, 0.5], 20.0)
    """
    check_share(confidence=confidence)
    times, at_risk, events = _table(onsets)
    every, failed = times_and_failures(onsets)
    estimate = ecdf(CensoredData(every[failed], right=every[~failed])).sf
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The confidence interval is undefined", RuntimeWarning)
        interval = estimate.confidence_interval(confidence, method="log-log")
    survival = estimate.evaluate(times)
    lower, upper = (np.where(survival < 1, side.evaluate(times), np.nan) for side in (interval.low, interval.high))

    def half(values: np.ndarray) -> float | None:
        # A product of fractions that equals 1/2 may be larger by rounding.
        there = np.flatnonzero(values <= 0.5 + 1e-9)
        return float(times[there[0]]) if there.size else None

    medians = half(survival), half(lower), half(upper)
    return SurvivalCurve(times, survival, lower, upper, at_risk, events.sum(0), *medians)


def cumulative_incidence(
    onsets: Sequence[Onset], cause: str | Sequence[str], confidence: float = 0.95
) -> CumulativeIncidence:
    r"""The probability of failure of one cause by each time, with the others as competing risks.

    With d_i failures, c_i of them of this cause, among n_i runs at risk, and S the survival for all causes together,

    $$ F(t) = \sum_{t_i \le t} S(t_{i-1}) \frac{c_i}{n_i}, \qquad \mathrm{Var} F(t) = \sum_{t_i \le t}
       (F(t) - F(t_i))^2 \frac{d_i}{n_i (n_i - d_i)} + S(t_{i-1})^2 \frac{c_i (n_i - c_i)}{n_i^3}
       - 2 (F(t) - F(t_i)) S(t_{i-1}) \frac{c_i}{n_i^2} $$

    This is the estimator of Aalen and Johansen (1978). The incidences of all causes sum to 1 - S, also with ties
    (lifelines moves tied times at random, with a warning). For a single cause the variance is Greenwood's, and
    F (1 - F) / n without censoring. The limits are those of log(-log F).

    Args:
        onsets: those of the runs of one arm, in any order.
        cause: one of `FAILURE_CAUSES`, or several that count as one, such as `COLLAPSES`.
        confidence: level of the pointwise limits, between 0 and 1.

    Returns:
        The incidence at the times of `kaplan_meier`.

    Example:
        >>> onsets = [Onset(10, "collapse"), Onset(20, "junk"), Onset(20, None), Onset(30, None)]
        >>> [round(share, 2) for share in cumulative_incidence(onsets, "junk").incidence.tolist()]
        [0.0, 0.0, 0.25, 0.25]
    """
    check_share(confidence=confidence)
    causes = [cause] if isinstance(cause, str) else list(cause)
    for name in causes:
        _check_cause(name)
    times, at_risk, events = _table(onsets)
    failures, own = events.sum(0), events[[FAILURE_CAUSES.index(name) for name in causes]].sum(0)
    before = np.append(1.0, np.cumprod(1 - failures / at_risk)[:-1])
    incidence = np.minimum(np.cumsum(before * own / at_risk), 1.0)
    since = np.tril(incidence[:, None] - incidence[None, :])
    here = np.tril(np.ones_like(since))
    terms = since**2 * _greenwood(failures, at_risk) + here * before**2 * own * (at_risk - own) / at_risk**3
    variance = np.sum(terms - 2 * since * before * own / at_risk**2, axis=1)
    exists = (incidence > 0) & (incidence < 1 - 1e-12)
    inner, error = (np.where(exists, values, np.nan) for values in (incidence, np.sqrt(np.maximum(variance, 0.0))))
    width = norm.ppf((1 + confidence) / 2) * error / (inner * -np.log(inner))
    lower, upper = (inner ** np.exp(sign * width) for sign in (1, -1))
    return CumulativeIncidence(times, incidence, lower, upper, error)


def times_and_failures(onsets: Sequence[Onset]) -> tuple[np.ndarray, np.ndarray]:
    """(times [n], whether each is a failure [n]) of onsets.

    Raises:
        ValueError: if there are no onsets, or a time or a cause is invalid.

    Example:
        >>> times, failed = times_and_failures([Onset(300, "collapse"), Onset(500, None)])
        >>> times.tolist(), failed.tolist()
        ([300.0, 500.0], [True, False])
    """
    if not len(onsets):
        raise ValueError("no onsets: give at least one run")
    for time, cause in onsets:
        check_time("onset", time)
        if cause is not None:
            _check_cause(cause)
    return np.array([float(time) for time, _ in onsets]), np.array([cause is not None for _, cause in onsets])


def _table(onsets: Sequence[Onset]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct times from 0 on, the number of runs at risk just before each, and failures [causes, times]."""
    every, _ = times_and_failures(onsets)
    times = np.unique(np.append(0.0, every))
    of_cause = [np.array([time for time, own in onsets if own == cause]) for cause in FAILURE_CAUSES]
    events = np.stack([np.sum(own[None, :] == times[:, None], axis=1) for own in of_cause])
    return times, np.sum(every[None, :] >= times[:, None], axis=1), events


def _greenwood(failures: np.ndarray, at_risk: np.ndarray) -> np.ndarray:
    """The terms d / n(n - d); 0 where all runs at risk fail, because the later part that it multiplies is 0 there."""
    return np.divide(failures, at_risk * (at_risk - failures), out=np.zeros(len(at_risk)), where=failures < at_risk)


def check_share(**shares: float) -> None:
    """Raises ValueError for an argument that is not between 0 and 1.

    Example:
        >>> check_share(confidence=95)
        Traceback (most recent call last):
        ValueError: confidence=95: give a number between 0 and 1, such as 0.95 or 0.05
    """
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ValueError(f"{name}={value}: give a number between 0 and 1, such as 0.95 or 0.05")


def check_time(name: str, time: float) -> None:
    """Raises ValueError for a time that is negative or not finite.

    Example:
        >>> check_time("horizon", -1.0)
        Traceback (most recent call last):
        ValueError: horizon=-1.0: give a finite number of steps or epochs, 0 or more
    """
    if not (math.isfinite(time) and time >= 0):
        raise ValueError(f"{name}={time}: give a finite number of steps or epochs, 0 or more")


def _check_cause(cause: str) -> None:
    if cause not in FAILURE_CAUSES:
        raise ValueError(
            f"cause {cause!r} is unknown: it must be one of {', '.join(FAILURE_CAUSES)} (or None: censored)"
        )
