"""Onsets in the report on a sweep: survival curves, medians, tests, hazard ratios, power."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from markupsafe import Markup

from gan_jax.experiment.sweep import NumericSetting, numeric_setting
from gan_jax.metrics.hazards import log_rank, log_rank_trend
from gan_jax.metrics.onsets import onset_summary, plain_json
from gan_jax.metrics.survival import COLLAPSES, Onset, SurvivalCurve, kaplan_meier
from gan_jax.reports.figures import SERIES, draw_survival, new_figure, plain_text, series_style
from gan_jax.reports.html_parts import paragraph, render_template
from gan_jax.reports.page import html_table
from gan_jax.reports.page_figures import figure_svg, swatch
from gan_jax.reports.report_curves import CURVE_HEIGHT, CURVE_WIDTH, dress
from gan_jax.runs.sweep_directory import SweepRecord

_CAUSE_WORDS = {"any collapse": "collapse", "collapse": "collapse after forming"}
_LEVEL = 0.05
"""Level of significance: a trend with a smaller p is reported as one."""
_LONG_LABEL = 26
"""If a label has more characters than this, the legend has a single column."""


def sweep_statistics(record: SweepRecord, rows: list[dict[str, Any]], baseline: str | None = None) -> dict[str, Any]:
    """The statistics of `onsets.onset_summary`, with a trend over the arms if they differ only in one numeric setting.

    Args:
        record: the record of the sweep.
        rows: a row per member.
        baseline: name of the arm that the others are compared with; the first if None.

    Returns:
        Values for JSON; the statistics of the time to forming are under "forming".

    Raises:
        ValueError: if the baseline is not the name of an arm.
    """
    arms: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        arms.setdefault(row["arm"], []).append(row["verdict"])
    numbers = _covariate(record, arms)
    covariate, unit = (numbers.values, numbers.unit) if numbers else (None, 1.0)
    made = onset_summary(arms, baseline=baseline, covariate=covariate, unit=unit)
    return {**made, "forming": _forming(arms, covariate)}


def _forming(arms: dict[str, list[dict[str, Any]]], covariate: dict[str, float] | None) -> dict[str, Any]:
    """The same statistics with forming as the event; runs that have not formed are censored at their last step."""
    times = {
        name: [
            Onset(v["last_step"], None) if v["formed_step"] is None else Onset(v["formed_step"], "collapse")
            for v in verdicts
        ]
        for name, verdicts in arms.items()
    }
    curves = {name: kaplan_meier(onsets) for name, onsets in times.items()}
    pooled = [onset for onsets in times.values() for onset in onsets]
    numbers = [covariate[name] for name, onsets in times.items() for _ in onsets] if covariate else []
    return plain_json(
        {
            "median": {name: curve.median for name, curve in curves.items()},
            "log_rank": log_rank(times),
            "trend": log_rank_trend(pooled, numbers) if covariate else None,
        }
    )


def _covariate(record: SweepRecord, arms: Iterable[str]) -> NumericSetting | None:
    """The numeric setting in which these arms differ, if it is the only difference of all arms of the sweep."""
    settings = {arm.name: arm.settings for arm in record.sweep.arms}
    found = numeric_setting(settings)
    return found and numeric_setting({name: settings[name] for name in arms})


def trend_words(record: SweepRecord, statistics: dict[str, Any]) -> str:
    """The trend in words, such as "the larger the rate, the later a run fails (trend p = 0.001)"; "" without one.

    Args:
        record: the record of the sweep.
        statistics: the result of `sweep_statistics`.

    Returns:
        Words without a full stop.
    """
    numbers, trend = _covariate(record, statistics["arms"]), statistics["trend"]
    test = trend["log_rank_trend"]
    if not numbers or test["p"] is None:
        return ""
    name = numbers.path.rpartition(".")[2].replace("_", " ")
    if test["p"] >= _LEVEL:
        return f"no trend over the {name} (p = {test['p']:.2g})"
    when = "later" if test["z"] < 0 else "sooner"
    return f"the larger the {name}, the {when} a run fails (trend p = {test['p']:.2g})"


def survival_plots(statistics: dict[str, Any], unit: str, per_unit: float) -> Markup:
    """Kaplan-Meier curves of the arms with their bands, and cumulative incidence by cause.

    Args:
        statistics: the result of `sweep_statistics`.
        unit: the unit of the time axis: "step" or "epoch".
        per_unit: steps of one unit.

    Returns:
        HTML.
    """
    figure = new_figure(CURVE_WIDTH, CURVE_HEIGHT)
    axes = figure.add_subplot()
    drawn = 0
    for index, (name, arm) in enumerate(statistics["arms"].items()):
        drawn += 1
        label = plain_text(f"{name} ({sum(arm['num_events'].values())} of {arm['num_runs']} failed)")
        draw_survival(axes, _read_curve(arm["curve"]), index=index, label=label, per_unit=per_unit)
    dress(axes, "Share without failure (95 % bands; | censored)", unit)
    axes.set(ylim=(-0.03, 1.03), xlim=(0, None))
    if drawn <= len(SERIES):
        columns = 2 if max(map(len, axes.get_legend_handles_labels()[1])) <= _LONG_LABEL else 1
        figure.set_figheight(CURVE_HEIGHT + 0.16 * -(-drawn // columns))
        figure.legend(loc="outside lower center", ncols=columns, fontsize=8, frameon=False)
    figures = [figure_svg(figure, "Kaplan-Meier curves of the arms")]
    kinds = _collapses(statistics)
    # Both kinds of collapse together, and separately if both occur.
    for cause in ("any collapse", *(kinds if len(kinds) > 1 else ()), "junk"):
        figure = new_figure(CURVE_WIDTH, CURVE_HEIGHT)
        axes = figure.add_subplot()
        for index, arm in enumerate(statistics["arms"].values()):
            curve = arm["causes"][cause]["curve"]
            times = np.array(curve["times"]) / per_unit
            colour, dashes = series_style(index)
            axes.step(times, curve["incidence"], where="post", color=colour, linestyle=dashes, linewidth=1.4)
        name = _CAUSE_WORDS.get(cause, cause)
        dress(axes, f"Cumulative incidence of {name}", unit)
        axes.set(ylim=(-0.03, 1.03), xlim=(0, None))
        figures.append(figure_svg(figure, f"cumulative incidence of {name}"))
    return render_template("plots", note="", key="", figures=figures)


def _collapses(statistics: dict[str, Any]) -> list[str]:
    """The kinds of collapse that occur."""
    return [kind for kind in COLLAPSES if any(arm["num_events"][kind] for arm in statistics["arms"].values())]


def _read_curve(values: dict[str, Any]) -> SurvivalCurve:
    """A curve from JSON, in which None stands for NaN."""
    arrays: dict[str, Any] = {name: np.array(values[name], float) for name in ("times", "survival", "lower", "upper")}
    counts: dict[str, Any] = {name: np.array(values[name], int) for name in ("at_risk", "events")}
    medians: dict[str, Any] = {name: values.get(name) for name in ("median", "median_lower", "median_upper")}
    return SurvivalCurve(**arrays, **counts, **medians)


def survival_table(statistics: dict[str, Any], unit: str, per_unit: float) -> Markup:
    """One row per arm: failures, median, restricted mean, hazard ratio and log-rank test against the baseline.

    Args:
        statistics: the result of `sweep_statistics`.
        unit: the unit of the times: "step" or "epoch".
        per_unit: steps of one unit.

    Returns:
        HTML.
    """
    against = statistics["pairwise"]["against"]
    lines = []
    for name, arm in statistics["arms"].items():
        events, mean = arm["num_events"], arm["restricted_mean"]
        other = against.get(name)
        ratio = other["hazard_ratio"] if other else None
        lines.append(
            [
                name,
                f"{arm['num_never_formed']} of {arm['num_runs']}",
                _median(statistics["forming"]["median"][name], per_unit),
                ", ".join(f"{count} {_CAUSE_WORDS.get(cause, cause)}" for cause, count in events.items() if count)
                or "none",
                str(arm["num_censored"]),
                _interval(arm["median"], arm["median_lower"], arm["median_upper"], per_unit),
                _plus_minus(mean["mean"], mean["standard_error"], per_unit),
                "baseline" if name == statistics["pairwise"]["baseline"] else _ratio(ratio),
                "" if other is None else _p(other["log_rank"]["p"], other["p_holm"]),
            ]
        )
    horizon = statistics["horizon"]
    to = "the horizon" if horizon is None else f"{unit} {horizon / per_unit:,.4g}"
    head = [
        "arm",
        "never formed",
        f"median forming ({unit})",
        "failures",
        "censored",
        f"median onset ({unit})",
        f"restricted mean to {to}",
    ]
    head += ["hazard ratio (95 %)", "log-rank p (Holm)"]
    caption = (
        "All runs count, from step 0. A collapse is a failure, be it after forming or while forming; a run that never "
        "formed and did not collapse is censored at its last step: its samples were poorly made, or of too few modes "
        "to count as formed. Censored times are not averaged: it is only known that such a run lasts longer. A hazard "
        "ratio above 1 means that the arm fails sooner than the baseline."
    )
    return html_table(head, lines, caption, [swatch(index) for index in range(len(lines))])


def _median(value: float | None, scale: float) -> str:
    return "not reached" if value is None else f"{value / scale:.4g}"


def _interval(value: Any, low: Any, high: Any, scale: float) -> str:
    if value is None:
        return "not reached" + (f" (above {low / scale:.4g})" if low is not None else "")
    upper = f"{high / scale:.4g}" if high is not None else "∞"
    return f"{value / scale:.4g} ({f'{low / scale:.4g}' if low is not None else '0'} to {upper})"


def _plus_minus(value: Any, error: Any, scale: float) -> str:
    if value is None:
        return "–"
    return f"{value / scale:.4g}" + (f" ± {error / scale:.2g}" if error is not None else "")


def _ratio(ratio: dict[str, Any] | None) -> str:
    if ratio is None:
        return "–"
    if ratio["ratio"] is None:
        note = ratio["note"].replace("first arm", "arm").replace("second arm", "baseline")
        return f"– ({note})"
    return f"{ratio['ratio']:.3g} ({ratio['lower']:.2g} to {ratio['upper']:.2g})"


def _p(raw: float | None, adjusted: float | None) -> str:
    return "–" if raw is None else f"{raw:.2g}" + (f" ({adjusted:.2g})" if adjusted is not None else "")


def survival_tests(record: SweepRecord, statistics: dict[str, Any]) -> Markup:
    """The tests over all arms, the trend, and the power of the number of failures, in sentences."""
    test, trend, power = statistics["log_rank"], statistics["trend"], statistics["power"]
    lines = []
    if test["p"] is not None:
        lines.append(
            f"Log-rank over all arms: χ² = {test['statistic']:.3g}, {test['degrees_of_freedom']} degrees of "
            f"freedom, p = {test['p']:.2g}."
        )
    forming = statistics["forming"]
    if forming["log_rank"]["p"] is not None:
        line = f"Time to forming, over all runs and arms: log-rank p = {forming['log_rank']['p']:.2g}"
        if forming["trend"] and forming["trend"]["p"] is not None:
            line += (
                f"; trend z = {forming['trend']['z']:.3g} (below 0: larger values form later), "
                f"p = {forming['trend']['p']:.2g}"
            )
        lines.append(line + ".")
    numbers = _covariate(record, statistics["arms"])
    if numbers and trend["log_rank_trend"]["p"] is not None:
        line = (
            f"Trend over {numbers[0]}: z = {trend['log_rank_trend']['z']:.3g}, p = {trend['log_rank_trend']['p']:.2g}"
        )
        ratio = trend["hazard_ratio_per_unit"]
        if ratio["ratio"] is not None:
            line += (
                f"; each increase by {trend['unit']:g} multiplies the hazard by {ratio['ratio']:.3g} "
                f"({ratio['lower']:.3g} to {ratio['upper']:.3g})"
            )
        lines.append(line + ".")
    if power["hazard_ratio_detectable"] is not None:
        seeds = ", ".join(f"{number} for a ratio of {ratio}" for ratio, number in power["seeds_per_arm"].items())
        lines.append(
            f"Power: {power['num_events']} failures were observed. Two arms together have "
            f"{power['num_events_in_two_arms']:.3g} of them on average, enough to detect a hazard ratio of "
            f"{power['hazard_ratio_detectable']:.3g} in 80 % of studies. Seeds needed per arm: {seeds} "
            "(Schoenfeld, two-sided 5 %)."
        )
    else:
        lines.append(f"Power: {power['note']}.")
    return Markup().join(paragraph(line) for line in lines)
