"""The onsets of a study: all statistics of `survival`, `hazards` and `power` on the verdicts of its runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gan_jax.metrics.hazards import (
    HazardRatio,
    Trend,
    checked_arms,
    hazard_ratio_per_unit,
    log_rank,
    log_rank_trend,
    pairwise,
)
from gan_jax.metrics.power import hazard_ratio_detectable, seeds_per_arm
from gan_jax.metrics.survival import (
    COLLAPSES,
    FAILURE_CAUSES,
    Onset,
    SurvivalCurve,
    check_share,
    check_time,
    cumulative_incidence,
    kaplan_meier,
    onset_of,
)


def onset_summary(
    arms: Mapping[str, Sequence[Mapping[str, Any]]],
    horizon: float | None = None,
    baseline: str | None = None,
    covariate: Mapping[str, float] | None = None,
    *,
    unit: float = 1.0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """All statistics of the onsets of each arm's runs, for JSON. One arm, or one run, is enough.

    Time begins at step 0 for every run. Collapse after forming and collapse while forming are both failures. "causes"
    and "num_events" list them separately, and "any collapse" in "causes" joins them. Runs that never formed are
    censored.

    Args:
        arms: verdicts (`Verdict.to_json()`) by the arm's name.
        horizon: time up to which restricted means and incidences are taken, in the verdicts' steps. None takes the last
            time up to which all arms were observed.
        baseline: the arm that the others are compared with. None takes the first.
        covariate: a number for each arm, such as its rate of label noise, for the trend. None leaves out the trend.
        unit: increase of the covariate for the hazard ratio, above 0.
        confidence: level of all limits, between 0 and 1.

    Returns:
        A dict of numbers, lists and notes; a number that does not exist is None, and a note gives the reason.

    Raises:
        ValueError: if an argument is out of range, an arm has no runs, or the baseline or the covariate does not match
            the arms.

    Example:
        >>> collapsed = {"outcome": "collapsed", "cause": "collapse", "onset_step": 300, "last_step": 500}
        >>> healthy = {"outcome": "healthy", "onset_step": None, "last_step": 500}
        >>> arm = onset_summary({"plain": [collapsed, healthy, healthy]})["arms"]["plain"]
        >>> arm["num_events"]["collapse"], arm["num_censored"], round(arm["curve"]["survival"][1], 3)
        (1, 2, 0.667)
    """
    if unknown := set(covariate or arms) ^ set(checked_arms(arms)):
        raise ValueError(f"covariate: give a number for each arm and no other; see {', '.join(sorted(unknown))}")
    check_share(confidence=confidence)
    check_time("horizon", 0 if horizon is None else horizon)
    baseline = next(iter(arms)) if baseline is None else baseline
    if baseline not in arms:
        raise ValueError(f"baseline {baseline!r} is not an arm: the arms are {', '.join(arms)}")
    onsets = {name: [onset_of(verdict) for verdict in verdicts] for name, verdicts in arms.items()}
    never = {name: sum(v["outcome"] == "never formed" for v in verdicts) for name, verdicts in arms.items()}
    curves = {name: kaplan_meier(listed, confidence) for name, listed in onsets.items()}
    if horizon is None:
        watched = [curve.times[-1] for curve in curves.values() if curve.survival[-1] > 0]
        horizon = float(min(watched) if watched else max(curve.times[-1] for curve in curves.values()))
    pooled = [onset for listed in onsets.values() for onset in listed]
    numbers = [covariate[name] for name, listed in onsets.items() for _ in listed] if covariate else []
    trendless = None if covariate else "no covariate given"
    num_events, num_runs = sum(cause is not None for _, cause in pooled), sum(map(len, arms.values()))
    share, per_two = num_events / num_runs, 2 * num_events / len(arms)
    result = {
        "confidence": confidence,
        "horizon": horizon,
        "arms": {name: _arm(onsets[name], never[name], curves[name], horizon, confidence) for name in arms},
        "log_rank": log_rank(onsets),
        "pairwise": {"baseline": baseline, "against": pairwise(onsets, baseline, confidence)},
        "trend": {
            "log_rank_trend": Trend(note=trendless) if trendless else log_rank_trend(pooled, numbers),
            "hazard_ratio_per_unit": HazardRatio(note=trendless)
            if trendless
            else hazard_ratio_per_unit(pooled, numbers, unit=unit, confidence=confidence),
            "unit": unit,
        },
        "power": {
            "power": 0.8,
            "alpha": 0.05,
            "num_events": num_events,
            "event_share": share,
            "num_events_in_two_arms": per_two,
            "hazard_ratio_detectable": hazard_ratio_detectable(per_two) if num_events else None,
            "seeds_per_arm": {ratio: seeds_per_arm(ratio, share) if num_events else None for ratio in (2, 3)},
            "note": None if num_events else "no run failed, so the share that fails is not known",
        },
    }
    return plain_json(result)


def _arm(
    onsets: Sequence[Onset], never: int, curve: SurvivalCurve, horizon: float, confidence: float
) -> dict[str, Any]:
    counts = {cause: sum(onset.cause == cause for onset in onsets) for cause in FAILURE_CAUSES}
    arrays = curve._asdict()
    medians = {name: arrays.pop(name) for name in ("median", "median_lower", "median_upper")}
    mean = curve.restricted_mean(horizon)
    last = np.searchsorted(curve.times, horizon, side="right") - 1
    causes = {}
    for cause, own in {"any collapse": COLLAPSES, **{cause: (cause,) for cause in FAILURE_CAUSES}}.items():
        incidence = cumulative_incidence(onsets, own, confidence)._asdict()
        at = {name: None if mean.mean is None else array[last] for name, array in incidence.items() if name != "times"}
        causes[cause] = {"at_horizon": at, "curve": incidence}
    notes = [] if curve.median is not None else [f"median not reached: survival ends at {curve.survival[-1]:.3g}"]
    notes += [f"the horizon is beyond the last time, {curve.times[-1]:g}"] if mean.mean is None else []
    return {
        "num_runs": len(onsets),
        "num_never_formed": never,
        "share_never_formed": never / len(onsets),
        "num_censored": len(onsets) - never - sum(counts.values()),
        "num_events": counts,
        **medians,
        "restricted_mean": mean,
        "curve": arrays,
        "causes": causes,
        "note": "; ".join(notes) or None,
    }


def plain_json(value: Any) -> Any:
    """A result as dicts, lists and numbers; a number that is not finite becomes None.

    Example:
        >>> plain_json({"onset": Onset(300.0, "collapse"), "lower": np.array([0.5, np.nan])})
        {'onset': {'time': 300.0, 'cause': 'collapse'}, 'lower': [0.5, None]}
    """
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {str(name): plain_json(item) for name, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
