"""Statistics of right-censored onsets: of a run that ended without collapse it is known only that its time is longer.

A censored time is therefore never averaged with onsets, and a run that fails of one cause stays at risk of no other.
Runs that never formed have no onset; they are counted apart. Onsets come in whole evaluations, so ties are the rule.
Where a number does not exist it is None (NaN in arrays), and `note` says why. Comparisons of arms are in `hazards`, the
number of seeds that they need in `power`, all of it on the runs of a sweep in `onsets`.

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

FAILURE_CAUSES = ("collapse", "junk", "non-finite")
"""Of what a run can fail; each run of the first that happens."""


class Onset(NamedTuple):
    """The time of failure and its cause or, with cause None, the last time at which a run was seen without failure."""

    time: float
    cause: str | None


class RestrictedMean(NamedTuple):
    horizon: float
    mean: float | None = None
    standard_error: float | None = None
    note: str | None = None


class SurvivalCurve(NamedTuple):
    """A step function, constant from each time (the first is 0, the others are all at which a run failed or ended).

    Attributes:
        survival: [times] probability of no failure up to and including each time.
        lower, upper: [times] its log-log Greenwood limits; NaN where it is 0 or 1, where they do not exist.
        at_risk, events: [times] runs just before each time without failure, and how many of them failed at it.
        median, median_lower, median_upper: first time with survival (its lower, its upper limit) of at most a half.
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
        r"""Expected time without failure up to the horizon h, the area under the curve (Klein, Moeschberger, 4.5.1-3).

        $$ \int_0^h S, \qquad \mathrm{Var} = \sum_i \left[\int_{t_i}^h S\right]^2 \frac{d_i}{n_i (n_i - d_i)} $$
        """
        check_time("horizon", horizon)
        if horizon > self.times[-1] and self.survival[-1] > 0:
            return RestrictedMean(horizon, note=f"some had not failed by the last time, {self.times[-1]:g}")
        inside = self.times < horizon
        areas = self.survival[inside] * np.diff(np.append(self.times[inside], horizon))
        after = np.cumsum(areas[::-1])[::-1]
        error = float(np.sqrt(np.sum(after**2 * _greenwood(self.events[inside], self.at_risk[inside]))))
        note = None if self.events[inside].any() else "no failure before the horizon, so no standard error"
        note = note or ("a single run has no standard error" if self.at_risk[0] < 2 else None)
        return RestrictedMean(horizon, float(areas.sum()), None if note else error, note)


class CumulativeIncidence(NamedTuple):
    """[times] probability to have failed of one cause by each time, its limits and standard error (NaN at 0 and 1)."""

    times: np.ndarray
    incidence: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    standard_error: np.ndarray


def onset_of(verdict: Mapping[str, Any]) -> Onset | None:
    """The onset in a verdict (`Verdict.to_json()`); None for a run that never formed.

    A run that collapsed and only later stopped being finite failed when it collapsed; one that stopped being finite
    before it had formed failed then.
    """
    outcome, onset = verdict["outcome"], verdict["onset_step"]
    if outcome == "never formed":
        return None
    if outcome in ("healthy", "censored"):
        return Onset(float(verdict["last_step"]), None)
    if outcome == "collapsed":
        return Onset(float(onset), "junk" if verdict["cause"] == "junk" else "collapse")
    if outcome == "non-finite":
        steps = verdict.get("onset_steps") or {}
        earlier = [(steps[cause], cause) for cause in ("collapse", "junk") if steps.get(cause) is not None]
        step, cause = min([(onset, "non-finite"), *earlier], key=lambda pair: pair[0])
        return Onset(float(step), cause)
    known = "healthy, censored, collapsed, non-finite, never formed"
    raise ValueError(f"outcome {outcome!r} of a verdict is unknown: it must be one of {known}")


def kaplan_meier(onsets: Sequence[Onset], confidence: float = 0.95) -> SurvivalCurve:
    """The probability of no failure of any cause over time.

    Args:
        onsets: of the runs of one arm that formed; their order does not matter.
        confidence: of the limits of the curve (pointwise) and of its median.

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
        # A product of fractions that is a half in truth may be one rounding above it.
        there = np.flatnonzero(values <= 0.5 + 1e-9)
        return float(times[there[0]]) if there.size else None

    medians = half(survival), half(lower), half(upper)
    return SurvivalCurve(times, survival, lower, upper, at_risk, events.sum(0), *medians)


def cumulative_incidence(onsets: Sequence[Onset], cause: str, confidence: float = 0.95) -> CumulativeIncidence:
    r"""The probability to fail of one cause by each time, where the others prevent it (Aalen, Johansen, 1978).

    With d_i failures, c_i of them of the cause, among n_i runs at risk, and S the survival of all causes,

    $$ F(t) = \sum_{t_i \le t} S(t_{i-1}) \frac{c_i}{n_i}, \qquad \mathrm{Var} F(t) = \sum_{t_i \le t}
       (F(t) - F(t_i))^2 \frac{d_i}{n_i (n_i - d_i)} + S(t_{i-1})^2 \frac{c_i (n_i - c_i)}{n_i^3}
       - 2 (F(t) - F(t_i)) S(t_{i-1}) \frac{c_i}{n_i^2} $$

    Over the causes they add up to 1 - S, ties or not (lifelines moves tied times at random, and warns). The variance is
    Greenwood's for a single cause, F (1 - F) / n without censoring; the limits are those of log(-log F).
    """
    check_share(confidence=confidence)
    _check_cause(cause)
    times, at_risk, events = _table(onsets)
    failures, own = events.sum(0), events[FAILURE_CAUSES.index(cause)]
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
    if not len(onsets):
        raise ValueError("no onsets: give at least one run that formed")
    for time, cause in onsets:
        check_time("onset", time)
        if cause is not None:
            _check_cause(cause)
    return np.array([float(time) for time, _ in onsets]), np.array([cause is not None for _, cause in onsets])


def _table(onsets: Sequence[Onset]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct times from 0 on, runs at risk just before each, and [causes, times] failures."""
    every, _ = times_and_failures(onsets)
    times = np.unique(np.append(0.0, every))
    of_cause = [np.array([time for time, own in onsets if own == cause]) for cause in FAILURE_CAUSES]
    events = np.stack([np.sum(own[None, :] == times[:, None], axis=1) for own in of_cause])
    return times, np.sum(every[None, :] >= times[:, None], axis=1), events


def _greenwood(failures: np.ndarray, at_risk: np.ndarray) -> np.ndarray:
    """The terms d / n(n - d); 0 where all at risk fail, as what it multiplies (what happens later) is 0 there."""
    return np.divide(failures, at_risk * (at_risk - failures), out=np.zeros(len(at_risk)), where=failures < at_risk)


def check_share(**shares: float) -> None:
    for name, value in shares.items():
        if not 0 < value < 1:
            raise ValueError(f"{name}={value}: give a number between 0 and 1, such as 0.95 or 0.05")


def check_time(name: str, time: float) -> None:
    if not (math.isfinite(time) and time >= 0):
        raise ValueError(f"{name}={time}: give a finite number of steps or epochs, 0 or more")


def _check_cause(cause: str) -> None:
    if cause not in FAILURE_CAUSES:
        raise ValueError(
            f"cause {cause!r} is unknown: it must be one of {', '.join(FAILURE_CAUSES)} (or None: censored)"
        )
