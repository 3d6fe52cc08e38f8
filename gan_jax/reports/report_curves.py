"""The curves of a run: training metrics with bands, evaluations with ceilings, and recorded probe values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from gan_jax.reports.figures import BAD, GOOD, QUIET, SERIES, new_figure, plain_text, series_style
from gan_jax.reports.html_parts import render_template
from gan_jax.reports.page import slug
from gan_jax.reports.page_figures import figure_svg
from gan_jax.runs.run_directory import RunDirectory

CURVES = {
    "Losses": ("train", ("discriminator_loss", "generator_loss", "generator_loss_before_unrolling")),
    "Scores (raw)": ("train", ("real_score", "fake_score")),
    "Gradient norms": ("train", ("discriminator_grad_norm", "generator_grad_norm")),
    "Accuracy of D": ("train", ("real_accuracy", "fake_accuracy")),
    "Modes captured": ("evaluation", ("modes",)),
    "Modes held": ("evaluation", ("modes_held",)),
    "Modes with a high-quality sample": ("evaluation", ("modes_sure",)),
    "High-quality share": ("evaluation", ("high_quality",)),
    "Effective classes": ("evaluation", ("effective_classes",)),
    "Junk share": ("evaluation", ("junk",)),
    "Variance and distance, relative to real": (
        "evaluation",
        ("variance_ratio", "intra_class_ratio", "pairwise_ratio"),
    ),
    "KL of modes (nats)": ("evaluation", ("kl",)),
    "Spread inside modes": ("evaluation", ("spread",)),
}
"""By title of the figure: the group in a row of metrics.jsonl, and the metrics that are drawn together."""

MAX_POINTS = 240
_MAX_GROUPS = 24
_LOG_FROM = 30
CURVE_WIDTH, CURVE_HEIGHT = 4.2, 2.8
"""Size of a curve's figure, in inches."""


class Series(NamedTuple):
    """A curve with its band, in arrays [points]. Without a spread, `low` and `high` equal the values."""

    steps: np.ndarray
    values: np.ndarray
    low: np.ndarray
    high: np.ndarray


def make_series(points: Iterable[tuple[int, float, float, float]], most: int = MAX_POINTS) -> Series | None:
    """A curve from points (step, value, low, high), sorted by step; None without finite values.

    If there are more than `most` points, neighbours are merged: the mean of their values, and a band from the lowest to
    the highest.
    """
    kept = sorted(point for point in points if all(map(math.isfinite, point)))
    if not kept:
        return None
    array = np.array(kept, float)
    parts = np.array_split(array, min(most, len(array)))
    return Series(
        steps=np.array([part[:, 0].mean() for part in parts]),
        values=np.array([part[:, 1].mean() for part in parts]),
        low=np.array([part[:, 2].min() for part in parts]),
        high=np.array([part[:, 3].max() for part in parts]),
    )


def run_curves(rows: Sequence[dict[str, Any]], verdict: dict[str, Any] | None) -> Markup:
    """The figures of `CURVES` that a run has values for."""
    drawn = [_curve(title, rows, verdict) for title in CURVES]
    drawn += [_sample_curve(name, rows, verdict) for name in sample_names(rows)]
    notes = []
    if any("train_band" in row for row in rows):
        notes.append(
            "Training metrics are means over the steps since the last evaluation; the bands hold the middle 80 %."
        )
    else:
        notes.append("Training metrics are means over the steps since the last evaluation.")
    if len(rows) > MAX_POINTS:
        notes.append(f"{len(rows):,} rows are drawn as {MAX_POINTS} points, with bands from the lowest to the highest.")
    note = " ".join([*notes, _marks_note(verdict)])
    return render_template("plots", note=note, key="", figures=drawn)


def _marks_note(verdict: dict[str, Any] | None) -> str:
    marks = {"formed_step": "formed (green)", "onset_step": "collapsed (red)"}
    found = [words for key, words in marks.items() if verdict and verdict.get(key) is not None]
    return f"Upright lines: where the run had {' and '.join(found)}." if found else ""


def _curve(title: str, rows: Sequence[dict[str, Any]], verdict: dict[str, Any] | None) -> Markup:
    group, metrics = CURVES[title]
    modes: list[str | None] = [None]
    if group == "evaluation":
        modes = list(dict.fromkeys(mode for row in rows for mode in row["evaluation"]))
    series: dict[str, tuple[int, str, Series]] = {}
    for index, metric in enumerate(metrics):
        for style, mode in zip(("-", ":"), modes, strict=False):
            points = [point for row in rows if (point := _point(row, metric, mode)) is not None]
            found = make_series(points)
            if found is not None:
                label = metric.replace("_", " ")
                series[label if len(modes) == 1 else f"{label}, {mode}"] = (index, style, found)
    if not series:
        return Markup()
    figure = new_figure(CURVE_WIDTH, CURVE_HEIGHT)
    axes = figure.add_subplot()
    for label, (index, style, one) in series.items():
        _draw(axes, one, label, SERIES[index % len(SERIES)], style)
    bound = (verdict or {}).get("bounds", {}).get(metrics[0], {}) if len(metrics) == 1 else {}
    for name, x, side in (("ceiling", 1, "right"), ("floor", 0, "left")):
        if bound.get(name) is not None:
            axes.axhline(bound[name], color=QUIET, linewidth=1, linestyle="--")
            place: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "ha": side, "va": "bottom"}
            axes.annotate(name, (x, bound[name]), **place, fontsize=8)
    if len(series) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    ends = ", ".join(f"{label} {one.values[-1]:.3g}" for label, (_, _, one) in series.items())
    return _finish(figure, axes, title, verdict, f"{title} by step; at the end {ends}")


def sample_names(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Names of the metrics that the run measured beside those of its detector."""
    return list(dict.fromkeys(name for row in rows for name in row.get("samples", ())))[:_MAX_GROUPS]


def _sample_curve(name: str, rows: Sequence[dict[str, Any]], verdict: dict[str, Any] | None) -> Markup:
    values = [(row["step"], row.get("samples", {}).get(name)) for row in rows]
    series = make_series((step, value, value, value) for step, value in values if value is not None)
    if series is None:
        return Markup()
    figure = new_figure(CURVE_WIDTH, CURVE_HEIGHT)
    axes = figure.add_subplot()
    _draw(axes, series, name, SERIES[0])
    title = f"{name.replace('_', ' ')} of the samples"
    return _finish(figure, axes, title, verdict, f"{title} by step; at the end {series.values[-1]:.3g}")


def _point(row: dict[str, Any], metric: str, mode: str | None) -> tuple[int, float, float, float] | None:
    values = row["train"] if mode is None else row["evaluation"].get(mode, {})
    value = values.get(metric)
    if not isinstance(value, (int, float)):
        return None
    band = row.get("train_band", {}).get(metric) if mode is None else None
    low, high = band if band and None not in band else (value, value)
    return row["step"], float(value), float(low), float(high)


def _draw(axes: Any, series: Series, label: str, colour: str, style: str = "-") -> None:
    # A single point is no line: it gets a marker.
    marker = "o" if len(series.steps) == 1 else ""
    axes.plot(
        series.steps,
        series.values,
        style,
        color=colour,
        linewidth=1.4,
        marker=marker,
        markersize=4,
        label=plain_text(label),
    )
    if np.any(series.high > series.low):
        axes.fill_between(series.steps, series.low, series.high, color=colour, alpha=0.16, linewidth=0)


def _finish(figure: Any, axes: Any, title: str, verdict: dict[str, Any] | None, label: str) -> Markup:
    for key, colour in (("formed_step", GOOD), ("onset_step", BAD)):
        if verdict and verdict.get(key) is not None:
            axes.axvline(verdict[key], color=colour, linewidth=1)
    dress(axes, title, "step")
    return figure_svg(figure, label)


def dress(axes: Any, title: str, unit: str) -> None:
    """Sets title, labels and ticks of a curve's axes, in sizes that are legible on a phone.

    Args:
        axes: the matplotlib axes to draw on.
        title: the title, on the left; `$` has no special meaning in it.
        unit: label of the horizontal axis.
    """
    axes.set_title(plain_text(title), fontsize=10, loc="left")
    axes.set_xlabel(unit, fontsize=9)
    axes.tick_params(labelsize=9)
    axes.locator_params(axis="x", nbins=5)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.margins(x=0.02)


# --- Probe values -----------------------------------------------------------------------------------------------------


def probe_curves(run: RunDirectory, verdict: dict[str, Any] | None) -> Markup:
    """The figures of signals.jsonl, one per group of names.

    The group of "player/quantity/layer" is "player/quantity", that of "kind/name" is "kind". A row is {"step": int,
    "signals": {name: number}}. A group is drawn on a logarithmic scale if its values are positive and differ by a
    factor of more than 30. The result is empty without the file.
    """
    found: dict[str, dict[str, list[tuple[int, float, float, float]]]] = {}
    for row in run.read_signals():
        for name, value in row["signals"].items():
            if isinstance(value, (int, float)):
                parts = name.split("/")
                num = min(2, len(parts) - 1)
                group, label = "/".join(parts[:num]) or name, "/".join(parts[num:])
                number = float(value)
                found.setdefault(group, {}).setdefault(label, []).append((row["step"], number, number, number))
    groups = {}
    for group, points in found.items():
        series = {label: one for label, own in points.items() if (one := make_series(own)) is not None}
        if series:
            groups[group] = series
    if not groups:
        return Markup()
    figures = [_probe_figure(group, groups[group], verdict) for group in list(groups)[:_MAX_GROUPS]]
    left_out = list(groups)[_MAX_GROUPS:]
    note = "Values that the recorder measured during training."
    if any(len(points) > MAX_POINTS for own in found.values() for points in own.values()):
        note += " Bands reach from the lowest to the highest of the values that are drawn as one point."
    if left_out:
        note += f" Not drawn: {', '.join(left_out)}."
    return render_template("plots", note=note, key="", figures=figures)


def _probe_figure(group: str, series: dict[str, Series], verdict: dict[str, Any] | None) -> Markup:
    figure = new_figure(CURVE_WIDTH, CURVE_HEIGHT + 0.13 * math.ceil(len(series) / 2))
    axes = figure.add_subplot()
    for index, (label, one) in enumerate(series.items()):
        _draw(axes, one, label.replace("_", " "), *series_style(index))
    low = min(float(one.low.min()) for one in series.values())
    high = max(float(one.high.max()) for one in series.values())
    if low > 0 and high > _LOG_FROM * low:
        axes.set_yscale("log")
    if len(series) > 1:
        figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    title = ": ".join(part.replace("_", " ") for part in group.split("/"))
    title = title[0].upper() + title[1:]
    return _finish(figure, axes, title, verdict, f"Probe values {slug(title)} by step, {len(series)} curves")
