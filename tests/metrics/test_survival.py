"""Censored onsets: published and hand-computed answers, ties, what cannot be estimated, no averaged censored time."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest

from gan_jax.diagnostics.verdict import Verdict
from gan_jax.metrics import hazards, power, survival
from gan_jax.metrics import onsets as onsets_module
from gan_jax.metrics.survival import FAILURE_CAUSES, Onset


def onsets(failed=(), ended=(), cause="collapse"):
    return [Onset(time, cause) for time in failed] + [Onset(time, None) for time in ended]


# Freireich et al., "The Effect of 6-Mercaptopurine on the Duration of Steroid-induced Remissions", Blood 21, 1963.
TREATED = onsets([6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35])
PLACEBO = onsets([1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23])

TIED = [
    Onset(1, "collapse"),
    Onset(1, "junk"),
    Onset(2, None),
    Onset(3, "collapse"),
    Onset(3, None),
    Onset(4, "junk"),
]


def verdict(outcome, onset=None, cause=None, last=70, when=None, **steps):
    steps = {"any": onset, "collapse": None, "junk": None, "intra": None} | steps
    return Verdict(outcome, last, onset, steps, cause, 1, None, None, False, when).to_json()


def random_onsets(seed, num=40):
    """Onsets of all causes in whole evaluations, with ties among them and with censorings."""
    rng = np.random.default_rng(seed)
    causes = rng.choice([*FAILURE_CAUSES, None], size=num)
    return [Onset(float(time), cause) for time, cause in zip(rng.integers(1, 9, num), causes, strict=True)]


def at(curve, values, time):
    return float(values[np.searchsorted(curve.times, time, side="right") - 1])


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (verdict("collapsed", 13, "total", collapse=13), Onset(13.0, "collapse")),
        (verdict("collapsed", 13, "class", collapse=15), Onset(13.0, "collapse")),
        (verdict("collapsed", 13, "junk", junk=13), Onset(13.0, "junk")),
        (verdict("healthy"), Onset(70.0, None)),
        (verdict("censored", intra=20), Onset(70.0, None)),
        (verdict("never formed", cause="total"), Onset(70.0, None)),
        (verdict("collapsed", 13, "class", when="while forming", collapse=13), Onset(13.0, "collapse while forming")),
        (verdict("collapsed", 13, "class", when="after forming", collapse=13), Onset(13.0, "collapse")),
        (
            verdict("non-finite", 40, "nonfinite", when="while forming", collapse=13),
            Onset(13.0, "collapse while forming"),
        ),
        (verdict("non-finite", 40, "nonfinite"), Onset(40.0, "non-finite")),
        (verdict("non-finite", 40, "nonfinite", collapse=13, junk=20), Onset(13.0, "collapse")),
        (verdict("non-finite", 40, "nonfinite", collapse=45), Onset(40.0, "non-finite")),
    ],
)
def test_onset_of_a_verdict(made, expected):
    assert survival.onset_of(made) == expected


def test_kaplan_meier_of_the_leukaemia_trial():
    curve = survival.kaplan_meier(TREATED)
    published = {0: 1.0, 6: 0.857, 7: 0.807, 10: 0.753, 13: 0.690, 16: 0.627, 22: 0.538, 23: 0.448, 35: 0.448}
    for time, value in published.items():
        assert at(curve, curve.survival, time) == pytest.approx(value, abs=5e-4)
    assert (curve.times[0], curve.at_risk[0], at(curve, curve.at_risk, 10), at(curve, curve.events, 6)) == (
        0,
        21,
        15,
        3,
    )
    # By hand at week 6: S = 18/21, Greenwood's sum 3 / (21 * 18), limits S ** exp(+-1.96 sqrt(sum) / -ln S).
    factor = math.exp(1.959964 * math.sqrt(3 / (21 * 18)) / -math.log(18 / 21))
    assert at(curve, curve.lower, 6) == pytest.approx((18 / 21) ** factor, abs=1e-6)
    assert at(curve, curve.upper, 6) == pytest.approx((18 / 21) ** (1 / factor), abs=1e-6)
    assert np.isnan(curve.lower[0])
    assert (curve.median, curve.median_lower, curve.median_upper) == (23.0, 13.0, None)
    control = survival.kaplan_meier(PLACEBO)
    assert (control.median, control.median_lower, control.median_upper) == (8.0, 4.0, 11.0)
    assert control.survival[-1] == 0
    assert np.isnan(control.upper[-1])
    narrow = survival.kaplan_meier(TREATED, confidence=0.5)
    assert at(narrow, narrow.lower, 6) > at(curve, curve.lower, 6)


def test_the_median_is_found_where_rounding_leaves_survival_above_a_half():
    # 9/10 * 7/9 * 5/7 is a half, and a little more in floating point.
    curve = survival.kaplan_meier(onsets([3, 4, 4, 5, 5, 6, 10, 11], [5, 6]))
    assert at(curve, curve.survival, 5) > 0.5
    assert curve.median == 5


def test_restricted_mean_of_the_leukaemia_trial():
    curve, control = survival.kaplan_meier(TREATED), survival.kaplan_meier(PLACEBO)
    # The area under the published steps, by hand.
    steps = [(6, 1.0), (1, 0.8571), (3, 0.8067), (3, 0.7529), (3, 0.6902), (6, 0.6275), (1, 0.5378), (12, 0.4482)]
    result = curve.restricted_mean(35)
    assert result.mean == pytest.approx(sum(width * height for width, height in steps), abs=2e-3)
    assert result.standard_error == pytest.approx(2.83, abs=5e-3)
    # Without censoring it is a mean with the standard error of a mean, within the horizon and beyond the last time.
    for horizon in (9.5, 23, 100):
        values = np.minimum([time for time, _ in PLACEBO], horizon)
        result = control.restricted_mean(horizon)
        assert result.mean == pytest.approx(values.mean())
        assert result.standard_error == pytest.approx(values.std() / math.sqrt(21))
    beyond = curve.restricted_mean(36)
    assert (beyond.mean, beyond.standard_error) == (None, None)
    assert "35" in beyond.note
    early = curve.restricted_mean(5)
    assert (early.mean, early.standard_error) == (5, None)
    assert "no failure" in early.note
    assert curve.restricted_mean(6).standard_error is None
    single = survival.kaplan_meier(onsets([5])).restricted_mean(9)
    assert (single.mean, single.standard_error) == (5, None)
    assert "single run" in single.note


def test_no_censored_time_is_averaged():
    # S falls to a half at 10: 10 + 10 / 2. The average of all times is 10, and so is that of the onsets alone.
    early = onsets([10], [5, 5, 20])
    curve = survival.kaplan_meier(early)
    assert (curve.median, curve.restricted_mean(20).mean) == (10.0, 15.0)
    # When a run is lost does not matter as long as nothing happens in between; to average it would matter.
    late = survival.kaplan_meier(onsets([10], [9, 9, 20]))
    assert (late.median, late.restricted_mean(20).mean) == (10.0, 15.0)
    # Longer runs without onset tell nothing new about the time before them.
    assert survival.kaplan_meier(onsets([10], [5, 5, 200])).restricted_mean(20).mean == 15.0
    arms = {"a": [verdict("collapsed", 10, "total"), *(verdict("healthy", last=last) for last in (5, 5, 20))]}
    numbers = json.dumps(onsets_module.onset_summary(arms)["arms"]["a"]["restricted_mean"])
    assert json.loads(numbers)["mean"] == 15.0


def test_cumulative_incidence_by_hand_with_ties():
    collapse, junk = (survival.cumulative_incidence(TIED, cause) for cause in ("collapse", "junk"))
    assert collapse.times.tolist() == [0, 1, 2, 3, 4]
    # At risk 6, 4, 3, 1; survival before 1, 2/3, 2/3, 4/9. Junk taken as censoring would give 1 - 5/6 * 2/3 = 4/9.
    np.testing.assert_allclose(collapse.incidence, [0, 1 / 6, 1 / 6, 7 / 18, 7 / 18])
    np.testing.assert_allclose(junk.incidence, [0, 1 / 6, 1 / 6, 1 / 6, 11 / 18])
    none = survival.cumulative_incidence(TIED, "non-finite")
    assert none.incidence.tolist() == [0] * 5
    assert np.all(np.isnan(none.upper))
    # The term of week 1 and the term of week 3, by hand.
    later = 2 / 9
    variance = later**2 * 2 / 24 + 5 / 216 - 2 * later / 36 + 4 / 9 * 2 / 27
    assert collapse.standard_error[3] == pytest.approx(math.sqrt(variance))
    factor = math.exp(1.959964 * math.sqrt(variance) / (7 / 18 * math.log(18 / 7)))
    assert collapse.lower[3] == pytest.approx((7 / 18) ** factor, abs=1e-6)
    assert collapse.upper[3] == pytest.approx((7 / 18) ** (1 / factor), abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_incidences_and_survival_add_up_to_one(seed):
    runs = random_onsets(seed)
    curve = survival.kaplan_meier(runs)
    incidences = [survival.cumulative_incidence(runs, cause) for cause in FAILURE_CAUSES]
    assert all(item.times.tolist() == curve.times.tolist() for item in incidences)
    assert all(item.incidence[-1] > 0.1 for item in incidences)
    np.testing.assert_allclose(sum(item.incidence for item in incidences) + curve.survival, 1.0, atol=1e-12)


def test_the_variance_of_an_incidence_in_its_two_closed_cases():
    # No censoring: a binomial share, whatever the ties. One cause: Greenwood's.
    runs = [Onset(time, cause or "junk") for time, cause in random_onsets(0)]
    result = survival.cumulative_incidence(runs, "collapse")
    inner = result.incidence > 0
    binomial = np.sqrt(result.incidence * (1 - result.incidence) / len(runs))
    np.testing.assert_allclose(result.standard_error[inner], binomial[inner])
    curve, result = survival.kaplan_meier(TREATED), survival.cumulative_incidence(TREATED, "collapse")
    greenwood = np.cumsum(curve.events / (curve.at_risk * (curve.at_risk - curve.events)))
    inner = result.incidence > 0
    np.testing.assert_allclose(result.standard_error[inner], (curve.survival * np.sqrt(greenwood))[inner])


def test_incidence_agrees_with_lifelines_without_ties():
    from lifelines import AalenJohansenFitter

    rng = np.random.default_rng(3)
    times, kinds = rng.permutation(np.arange(1.0, 31.0)), rng.integers(0, 3, 30)
    runs = [Onset(time, [None, "collapse", "junk"][kind]) for time, kind in zip(times, kinds, strict=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitter = AalenJohansenFitter().fit(times, kinds, event_of_interest=1)
    result = survival.cumulative_incidence(runs, "collapse")
    # Where the last run at risk fails, lifelines divides by zero.
    inner = ~np.isnan(result.lower) & ~np.isnan(fitter.variance_.to_numpy())
    assert inner.sum() > 20
    np.testing.assert_allclose(result.incidence, fitter.cumulative_density_.to_numpy()[:, 0], atol=1e-12)
    np.testing.assert_allclose(result.standard_error[inner] ** 2, fitter.variance_.to_numpy()[inner], rtol=1e-6)
    limits = np.sort(fitter.confidence_interval_.to_numpy()[inner], axis=1)
    np.testing.assert_allclose(np.stack([result.lower, result.upper], 1)[inner], limits, rtol=1e-6)


def test_log_rank_of_the_leukaemia_trial_and_by_hand():
    result = hazards.log_rank({"6-MP": TREATED, "placebo": PLACEBO})
    assert (result.statistic, result.degrees_of_freedom) == (pytest.approx(16.79, abs=5e-3), 1)
    assert result.p == pytest.approx(4.17e-5, rel=1e-2)
    # Ties across arms. At 1: 3 of 6 fail, a expects 3/2, variance 3 * 1/4 * 3/5. At 2: a expects 1/3, variance 2/9.
    result = hazards.log_rank({"a": onsets([1, 1, 2]), "b": onsets([1], [3, 3])})
    assert result.statistic == pytest.approx((3 - 11 / 6) ** 2 / (9 / 20 + 2 / 9))
    three = hazards.log_rank({"a": TREATED, "b": PLACEBO, "c": PLACEBO})
    assert three.degrees_of_freedom == 2
    assert three.statistic > 16


def test_log_rank_of_arms_that_do_not_differ_or_say_nothing():
    same = hazards.log_rank({"a": TREATED, "b": TREATED, "c": TREATED})
    assert (same.statistic, same.degrees_of_freedom, same.p) == (pytest.approx(0, abs=1e-12), 2, pytest.approx(1))
    assert hazards.log_rank({"a": onsets([5, 5]), "b": onsets([5])})[:3] == (0.0, 1, 1.0)
    for arms, word in (
        ({"a": onsets([], [5, 6]), "b": onsets([], [7])}, "no run of any arm failed"),
        ({"a": TREATED}, "one arm"),
        ({"a": onsets([], [3, 4]), "b": onsets([5, 6])}, "left out"),
    ):
        result = hazards.log_rank(arms)
        assert (result.statistic, result.degrees_of_freedom, result.p) == (None, None, None)
        assert word in result.note
    # An arm that was over before anything happened takes no part.
    result = hazards.log_rank({"6-MP": TREATED, "placebo": PLACEBO, "short": onsets([], [0.5])})
    assert (result.statistic, result.degrees_of_freedom) == (pytest.approx(16.79, abs=5e-3), 1)
    assert "short" in result.note
    # One arm without onset, but watched, is a comparison like any other.
    assert hazards.log_rank({"a": onsets([5, 6, 7]), "b": onsets([], [9, 9, 9])}).p < 0.05


def test_trend():
    runs, rates = [*TREATED, *PLACEBO], [0.0] * 21 + [0.01] * 21
    result = hazards.log_rank_trend(runs, rates)
    assert result.z == pytest.approx(math.sqrt(16.79), abs=1e-3)
    assert hazards.log_rank_trend(runs, [-rate for rate in rates]).z == pytest.approx(-result.z)
    shifted = hazards.log_rank_trend(runs, [3 + 100 * rate for rate in rates])
    assert shifted == pytest.approx(result)
    # By hand, 3 rates: at 1 the runs 0, 1, 2 are at risk and 2 fails (mean 1, variance 2/3); at 2 (0, 1) 1 fails.
    result = hazards.log_rank_trend(onsets([1, 2], [3]), [2, 1, 0])
    assert result.z == pytest.approx((1 + 1 / 2) / math.sqrt(2 / 3 + 1 / 4))
    assert result.p == pytest.approx(math.erfc(result.z / math.sqrt(2)))
    assert hazards.log_rank_trend(onsets([], [1, 2]), [0, 1]).note == "no run failed"
    assert "do not differ" in hazards.log_rank_trend(onsets([1, 2]), [0.1, 0.1]).note
    assert hazards.log_rank_trend(onsets([4, 4, 4]), [0, 1, 2])[:2] == (0.0, 1.0)


def test_hazard_ratio_of_the_leukaemia_trial_and_by_hand():
    result = hazards.hazard_ratio(PLACEBO, TREATED)
    # Efron's ties; Breslow's would give 1.5092 (a ratio of 4.52).
    assert result.log_ratio == pytest.approx(1.5721, abs=1e-4)
    assert (result.ratio, result.lower, result.upper) == pytest.approx((4.817, 2.147, 10.809), abs=1e-3)
    assert result.p == pytest.approx(1.38e-4, rel=1e-2)
    swapped = hazards.hazard_ratio(TREATED, PLACEBO)
    assert (swapped.ratio, swapped.lower) == pytest.approx((1 / result.ratio, 1 / result.upper))
    # exp(b) / (2 exp(b) + 1) / (exp(b) + 1) is largest where exp(b) = 1 / sqrt(2).
    assert hazards.hazard_ratio(onsets([1], [3]), onsets([2])).ratio == pytest.approx(math.sqrt(0.5), rel=1e-5)


def test_hazard_ratio_that_does_not_exist_says_why():
    for first, second, word in (
        (onsets([], [9, 9]), onsets([5, 6]), "first arm"),
        (onsets([5, 6]), onsets([], [9, 9]), "second arm"),
        (onsets([1, 2, 3]), onsets([7, 8, 9]), "infinity"),
        (onsets([7, 8, 9]), onsets([1, 2, 3], [3]), "goes to 0"),
    ):
        result = hazards.hazard_ratio(first, second)
        assert result[:5] == (None,) * 5
        assert word in result.note
    assert "do not differ" in hazards.hazard_ratio_per_unit(onsets([1, 2, 3]), [4, 4, 4]).note
    assert "no run failed" in hazards.hazard_ratio_per_unit(onsets([], [1, 2]), [4, 5]).note
    # Nearly separated, so that lifelines warns; but the ratio exists.
    result = hazards.hazard_ratio(onsets([1, 2, 3]), onsets([2.5], [9, 9]))
    assert result.note is None
    assert 1 < result.ratio < math.inf


def test_hazard_ratio_per_unit():
    runs, arms = [*TREATED, *PLACEBO], hazards.hazard_ratio(PLACEBO, TREATED)
    # Rates so close together that lifelines alone would warn of their variance.
    rates = [0.010] * 21 + [0.011] * 21
    result = hazards.hazard_ratio_per_unit(runs, rates, unit=0.001)
    assert result[:5] == pytest.approx(arms[:5])
    half = hazards.hazard_ratio_per_unit(runs, rates, unit=0.0005)
    assert (half.ratio, half.upper, half.p) == pytest.approx((arms.ratio**0.5, arms.upper**0.5, arms.p))
    whole = hazards.hazard_ratio_per_unit(runs, rates)
    assert (whole.ratio, whole.log_ratio) == (None, pytest.approx(1572.1, abs=0.1))
    assert "smaller unit" in whole.note
    rng = np.random.default_rng(1)
    doses = np.repeat([0.0, 1.0, 2.0, 3.0], 100)
    simulated = onsets(np.ceil(20 * rng.exponential(size=400) * 2.0**-doses))
    # Hazards double with every unit; 400 onsets leave a standard error of the logarithm of about 0.06: 4 of them.
    fitted = hazards.hazard_ratio_per_unit(simulated, doses)
    assert fitted.log_ratio == pytest.approx(math.log(2), abs=0.25)
    assert fitted.lower < 2 < fitted.upper


def test_pairwise_adjusts_by_holm():
    arms = {"base": TREATED, "b": PLACEBO, "c": PLACEBO, "d": [*TREATED, *PLACEBO], "short": onsets([], [0.5])}
    result = hazards.pairwise(arms, "base")
    assert list(result) == ["b", "c", "d", "short"]
    strong, weak = result["b"].log_rank.p, result["d"].log_rank.p
    assert strong < weak < 0.1
    # Three comparisons have a p value. The tie of b and c would be 3 p and 2 p without the running maximum.
    assert (result["b"].p_holm, result["c"].p_holm) == pytest.approx((3 * strong, 3 * strong))
    assert result["d"].p_holm == pytest.approx(weak)
    assert (result["short"].log_rank.p, result["short"].p_holm) == (None, None)
    assert result["b"].hazard_ratio.ratio == pytest.approx(4.817, abs=1e-3)
    assert result["b"].num_events == 30
    assert power.power_of(result["b"].hazard_ratio_detectable, 30) == pytest.approx(0.8)
    assert power.power_of(result["d"].hazard_ratio_detectable, 39, share=1 / 3) == pytest.approx(0.8)
    same = hazards.pairwise({"base": TREATED, "b": TREATED, "c": TREATED}, "base")
    assert same["c"].p_holm == pytest.approx(1.0)


def test_power():
    assert [round(power.events_needed(ratio)) for ratio in (2, 3, 5)] == [65, 26, 12]
    assert power.events_needed(0.5) == pytest.approx(power.events_needed(2))
    assert power.seeds_per_arm(2, 1.0) == 33
    assert power.seeds_per_arm(2, 0.5) == 66
    assert power.power_of(2, 10) == pytest.approx(0.19, abs=5e-3)  # 5 per arm, all of which collapse
    for share in (0.5, 0.2):
        num = power.events_needed(3, power=0.9, alpha=0.01, share=share)
        assert power.power_of(3, num, alpha=0.01, share=share) == pytest.approx(0.9)
        assert power.hazard_ratio_detectable(num, power=0.9, alpha=0.01, share=share) == pytest.approx(3)
    assert power.hazard_ratio_detectable(1e-6) == math.inf
    assert power.events_needed(2, share=0.2) == pytest.approx(power.events_needed(2) * 0.25 / 0.16)


def test_the_power_is_what_simulated_trials_show():
    rng = np.random.default_rng(0)
    num_trials, which = 400, np.repeat([0.0, 1.0], 33)
    seen, false = 0, 0
    for _ in range(num_trials):
        times = rng.exponential(size=66)
        seen += hazards.log_rank_trend(onsets(times / 2.0**which), which).p < 0.05
        false += hazards.log_rank_trend(onsets(times), which).p < 0.05
    # Key 0, 400 trials: 4 standard errors.
    assert seen / num_trials == pytest.approx(0.8, abs=4 * math.sqrt(0.16 / num_trials))
    assert false / num_trials == pytest.approx(0.05, abs=4 * math.sqrt(0.0475 / num_trials))


def test_the_order_of_runs_does_not_matter():
    runs = random_onsets(7)
    mixed = [runs[i] for i in np.random.default_rng(0).permutation(len(runs))]
    for estimate in (survival.kaplan_meier, lambda listed: survival.cumulative_incidence(listed, "junk")):
        for one, two in zip(estimate(runs), estimate(mixed), strict=True):
            np.testing.assert_array_equal(np.asarray(one, float), np.asarray(two, float))
    tests = [hazards.log_rank({"a": listed, "b": PLACEBO}) for listed in (runs, mixed)]
    assert tests[0].statistic == pytest.approx(tests[1].statistic)
    ratios = [hazards.hazard_ratio(listed, PLACEBO).ratio for listed in (runs, mixed)]
    assert ratios[0] == pytest.approx(ratios[1])


def verdicts(listed, when="after forming", censored="healthy"):
    return [
        verdict("collapsed", time, "total", when=when) if cause else verdict(censored, last=time)
        for time, cause in listed
    ]


def test_summary():
    arms = {"6-MP": verdicts(TREATED), "placebo": verdicts(PLACEBO)}
    rates = {"6-MP": 0.0, "placebo": 0.1}
    result = onsets_module.onset_summary(arms, covariate=rates, unit=0.1)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    # The placebo arm is known to the end, so that the common last time is that of 6-MP.
    assert result["horizon"] == 35
    treated, placebo = (result["arms"][name] for name in arms)
    assert (treated["num_runs"], treated["num_never_formed"], treated["num_censored"]) == (21, 0, 12)
    assert treated["num_events"] == {"collapse": 9, "collapse while forming": 0, "junk": 0, "non-finite": 0}
    assert (treated["median"], treated["median_lower"], treated["median_upper"]) == (23, 13, None)
    assert treated["restricted_mean"]["mean"] == pytest.approx(23.29, abs=5e-3)
    assert treated["causes"]["collapse"]["at_horizon"]["incidence"] == pytest.approx(1 - 0.448, abs=5e-4)
    assert treated["curve"]["survival"][:2] == [1.0, pytest.approx(18 / 21)]
    assert placebo["restricted_mean"]["mean"] == pytest.approx(182 / 21)
    assert placebo["causes"]["collapse"]["at_horizon"]["incidence"] == 1.0
    assert (result["log_rank"]["statistic"], result["log_rank"]["degrees_of_freedom"]) == (
        pytest.approx(16.793, abs=1e-3),
        1,
    )
    against = result["pairwise"]["against"]
    assert (result["pairwise"]["baseline"], list(against)) == ("6-MP", ["placebo"])
    assert against["placebo"]["hazard_ratio"]["ratio"] == pytest.approx(4.817, abs=1e-3)
    assert result["trend"]["log_rank_trend"]["z"] == pytest.approx(4.098, abs=1e-3)
    assert result["trend"]["hazard_ratio_per_unit"]["ratio"] == pytest.approx(4.817, abs=1e-3)
    strength = result["power"]
    # 30 of 42 runs; the seeds follow from Schoenfeld's 65.35 and 26.01.
    assert (strength["num_events"], strength["event_share"]) == (30, pytest.approx(30 / 42))
    assert strength["seeds_per_arm"] == {"2": math.ceil(65.35 / 2 * 42 / 30), "3": math.ceil(26.01 / 2 * 42 / 30)}
    assert strength["num_events_in_two_arms"] == 30
    assert power.power_of(strength["hazard_ratio_detectable"], 30) == pytest.approx(0.8)
    turned = onsets_module.onset_summary(arms, baseline="placebo", horizon=40)
    assert turned["pairwise"]["against"]["6-MP"]["hazard_ratio"]["ratio"] == pytest.approx(1 / 4.817, abs=1e-3)
    assert turned["arms"]["6-MP"]["restricted_mean"]["mean"] is None
    assert turned["arms"]["6-MP"]["causes"]["collapse"]["at_horizon"]["incidence"] is None
    assert "beyond the last time, 35" in turned["arms"]["6-MP"]["note"]
    # The horizon is part of the time up to it, and by default as long as all can be followed.
    week = onsets_module.onset_summary({"6-MP": verdicts(TREATED)}, horizon=6)["arms"]["6-MP"]
    assert week["causes"]["collapse"]["at_horizon"]["incidence"] == pytest.approx(3 / 21)
    assert onsets_module.onset_summary({"a": [verdict("healthy", last=50)], "b": [verdict("healthy")]})["horizon"] == 50


def test_runs_that_collapse_while_forming_fail_and_runs_that_never_form_are_censored():
    # The same times of the trial, with half of its events of the other kind and its censored runs never formed.
    early = verdicts(TREATED[:4], "while forming") + verdicts(TREATED[4:], censored="never formed")
    whole = {"6-MP": verdicts(TREATED), "placebo": verdicts(PLACEBO)}
    mixed = {"6-MP": early, "placebo": verdicts(PLACEBO, "while forming")}
    one, two = (onsets_module.onset_summary(arms) for arms in (whole, mixed))
    for name in ("log_rank", "pairwise", "power", "horizon"):
        assert one[name] == two[name]
    plain, arm = one["arms"]["6-MP"], two["arms"]["6-MP"]
    assert arm["num_events"] == {"collapse": 5, "collapse while forming": 4, "junk": 0, "non-finite": 0}
    assert (arm["num_never_formed"], arm["share_never_formed"], arm["num_censored"]) == (12, pytest.approx(12 / 21), 0)
    for name in ("median", "curve", "restricted_mean"):
        assert arm[name] == plain[name]
    # Together they have the incidence of all collapses, and apart they add up to it.
    assert arm["causes"]["any collapse"] == plain["causes"]["any collapse"] == plain["causes"]["collapse"]
    parts = [arm["causes"][kind]["curve"]["incidence"] for kind in survival.COLLAPSES]
    np.testing.assert_allclose(np.sum(parts, axis=0), arm["causes"]["any collapse"]["curve"]["incidence"])
    # An arm whose runs all collapsed while forming is in the test, and one that never formed is watched to its end.
    apart = onsets_module.onset_summary({"a": verdicts(onsets([5, 6, 7]), "while forming"), "b": [NEVER] * 3})
    assert apart["log_rank"]["p"] < 0.05
    assert apart["arms"]["b"]["curve"]["survival"] == [1.0, 1.0]
    assert apart["arms"]["b"]["num_never_formed"] == 3


HEALTHY, BAD, NEVER = verdict("healthy"), verdict("collapsed", 5, "total"), verdict("never formed")


@pytest.mark.parametrize(
    ("arms", "tested", "median", "num_events"),
    [
        ({"a": [HEALTHY]}, None, None, 0),
        ({"a": [BAD]}, None, 5, 1),
        ({"a": [NEVER]}, None, None, 0),
        ({"a": [NEVER], "b": [NEVER, NEVER]}, None, None, 0),
        ({"a": [NEVER], "b": [BAD]}, 0.317, None, 1),
        ({"a": [BAD], "b": [NEVER]}, 0.317, 5, 1),
        ({"a": [verdict("collapsed", 5, "class", when="while forming")] * 3, "b": [NEVER] * 3}, 0.025, 5, 3),
        ({"a": [HEALTHY] * 3, "b": [HEALTHY] * 3}, None, None, 0),
        ({"a": [verdict("healthy", last=0)], "b": [verdict("healthy", last=0)]}, None, None, 0),
        ({"a": [verdict("non-finite", 0, "nonfinite", last=0)], "b": [HEALTHY]}, 0.317, 0, 1),
        ({"a": [BAD] * 3, "b": [BAD] * 3}, 1.0, 5, 6),
        ({"a": [BAD] * 3, "b": [HEALTHY] * 3}, 0.025, 5, 3),
        ({"a": [verdict("healthy", last=3)], "b": [BAD]}, None, None, 1),
    ],
)
@pytest.mark.parametrize("horizon", [None, 0, 1000])
def test_summary_of_little(arms, tested, median, num_events, horizon):
    result = onsets_module.onset_summary(arms, horizon, covariate={name: float(i) for i, name in enumerate(arms)})
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["arms"]["a"]["median"] == median
    assert result["power"]["num_events"] == num_events
    for test in (result["log_rank"], result["trend"]["log_rank_trend"]):
        assert test["p"] == (None if tested is None else pytest.approx(tested, abs=1e-3))
        assert tested is not None or test["note"]
    assert (result["power"]["seeds_per_arm"]["2"] is None) == (num_events == 0) == bool(result["power"]["note"])
    for arm in result["arms"].values():
        mean = arm["restricted_mean"]
        assert mean is None or mean["note"] or (mean["mean"] is not None and mean["standard_error"] is not None)
        assert arm["median"] is not None or arm["note"]
    for pair in result["pairwise"]["against"].values():
        assert (pair["hazard_ratio"]["ratio"] is None) == bool(pair["hazard_ratio"]["note"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: survival.kaplan_meier(onsets([-1.0])), "-1.0.*0 or more"),
        (lambda: survival.kaplan_meier(onsets([math.nan])), "nan.*finite"),
        (lambda: survival.kaplan_meier(onsets([1], cause="boredom")), "'boredom'.*collapse while forming, junk, non-"),
        (lambda: survival.kaplan_meier([]), "no onsets"),
        (lambda: survival.kaplan_meier(TREATED, confidence=1.0), "confidence=1.0.*between"),
        (lambda: survival.kaplan_meier(TREATED).restricted_mean(-2), "horizon=-2"),
        (lambda: survival.cumulative_incidence(TREATED, "total"), "'total'"),
        (lambda: survival.cumulative_incidence(TREATED, "junk", confidence=0.0), "confidence=0.0"),
        (lambda: hazards.log_rank({}), "no arm at all"),
        (lambda: hazards.log_rank({"a": TREATED, "b": []}), "'b'.*drop"),
        (lambda: hazards.pairwise({"a": TREATED}, "b"), "'b'.*arms are a"),
        (lambda: hazards.log_rank_trend(TREATED, [1.0]), "each of the 21"),
        (lambda: hazards.hazard_ratio(TREATED, []), "no onsets"),
        (lambda: hazards.hazard_ratio_per_unit(TREATED, [math.inf] * 21), "finite"),
        (lambda: hazards.hazard_ratio_per_unit(TREATED, [1.0] * 21, unit=0), "unit=0"),
        (lambda: power.events_needed(1.0), "hazard_ratio=1.0.*other than 1"),
        (lambda: power.events_needed(2.0, power=0.01), "power=0.01.*alpha=0.05"),
        (lambda: power.power_of(2.0, 0), "num_events=0"),
        (lambda: power.power_of(2.0, 10, share=1.0), "share=1.0"),
        (lambda: power.seeds_per_arm(2.0, 0.0), "event_share=0.0"),
        (lambda: onsets_module.onset_summary({}), "no arm at all"),
        (lambda: onsets_module.onset_summary({"a": []}), "'a'"),
        (lambda: onsets_module.onset_summary({"a": [HEALTHY]}, baseline="b"), "'b'.*arms are a"),
        (lambda: onsets_module.onset_summary({"a": [HEALTHY]}, covariate={"b": 1.0}), "a, b"),
        (lambda: onsets_module.onset_summary({"a": [NEVER]}, confidence=2.0), "confidence=2.0"),
        (lambda: onsets_module.onset_summary({"a": [{**HEALTHY, "outcome": "fine"}]}), "'fine'.*healthy"),
    ],
)
def test_bad_input_is_told_with_its_remedy(call, words):
    with pytest.raises(ValueError, match=words):
        call()
