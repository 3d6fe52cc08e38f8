"""The report on a sweep: arms side by side, survival with its statistics, curves with bands, samples of every arm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from gan_jax.experiment.configs import config_label
from gan_jax.reports.arm_sentences import arm_sentences
from gan_jax.reports.figures import new_figure, series_style
from gan_jax.reports.html_parts import paragraph, render_template
from gan_jax.reports.page import MAX_BYTES, Live, Section, document, html_table
from gan_jax.reports.page_figures import figure_svg, swatch
from gan_jax.reports.report import METRICS
from gan_jax.reports.report_curves import CURVE_HEIGHT, CURVE_WIDTH, CURVES, Series, dress, make_series, sample_names
from gan_jax.reports.report_experiment import experiment_settings, provenance
from gan_jax.reports.rows_download import rows_download
from gan_jax.reports.sample_pairs import Pictured, sample_pairs
from gan_jax.reports.sweep_outcomes import arm_names, coinciding_arms, outcomes_table, summary_sentence
from gan_jax.reports.sweep_survival import survival_plots, survival_table, survival_tests, sweep_statistics
from gan_jax.runs.files import write_text
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.runs.joined_sweeps import JoinedSweeps, open_sweeps
from gan_jax.runs.json_text import json_text
from gan_jax.runs.links import refuse_links
from gan_jax.runs.missing_rows import tell_missing_member_rows
from gan_jax.runs.rows import watched
from gan_jax.runs.sweep_directory import SweepDirectory, SweepRecord, picture_step

_PICTURES_PER_ARM = 3


def write_sweep_report(
    path: Path,
    out: Path | None = None,
    baseline: str | None = None,
    more: Sequence[Path] = (),
    allowed: AllowedCode = NO_CODE,
) -> Path:
    """Writes report.html and statistics.json of a sweep, finished or not; or of several sweeps as one.

    Args:
        path: folder of the sweep.
        out: file to write; report.html of the sweep if None. The statistics of several sweeps lie beside it.
        baseline: name of the arm that the others are compared with; the first if None.
        more: folders of further sweeps, read with the first as one.
        allowed: code that may be executed, to compare the experiment with its config.

    Returns:
        The report's file.

    Raises:
        RunError: if a folder is not a sweep, has no evaluation yet or no such arm, if the sweeps do not fit together,
            or the report cannot be written.
    """
    if more and out is None:
        raise RunError("several sweeps share one report: say where it should be written, with --out FILE")
    directory = open_sweeps([path, *more], allowed)
    rows = directory.read_members()
    if not rows:
        raise RunError(f"{path} has no evaluation yet: let it train to the first one")
    record = directory.read_record()
    try:
        statistics = sweep_statistics(record, rows, baseline)
    except ValueError as error:
        raise RunError(f"--baseline: {error}") from error
    target = out or path / "report.html"
    numbers = target.with_suffix(".statistics.json") if more else path / "statistics.json"
    for file in (target, numbers):
        if file.parent == path:
            refuse_links(path, file)
    try:
        write_text(numbers, json_text(statistics, indent=2) + "\n")
        write_text(target, render_sweep(directory, rows, statistics))
    except OSError as error:
        raise RunError(f"{target} cannot be written ({error.strerror or error}): choose another --out") from error
    return target


def render_sweep(
    directory: SweepDirectory | JoinedSweeps,
    rows: list[dict[str, Any]],
    statistics: dict[str, Any],
    live: Live | None = None,
) -> str:
    """The HTML of a sweep's page, of at most `MAX_BYTES`.

    Args:
        directory: folder of the sweep, or several as one.
        rows: the rows of its members, at least one.
        statistics: the result of `sweep_statistics`.
        live: state of a page that is served; None for a file.

    Returns:
        The whole document.
    """
    record, metrics = directory.read_record(), directory.read_metrics()
    experiments = {arm.name: arm.experiment for arm in record.sweep.arms}
    tell_missing_member_rows(directory.path, experiments, rows, metrics)
    unit, per_unit = _time_unit(record)
    arms, num_seeds, num_runs = record.sweep.arms, len(record.sweep.seeds), directory.num_members()
    title = f"{config_label(record.config) or 'sweep'}: {len(arms)} arms, {num_seeds} seeds"
    named = [(group, name) for group, names in CURVES.values() for name in names]
    named += [("samples", name) for name in sample_names(rows)]
    figures = [_curve(group, name, metrics, rows, unit, per_unit) for group, name in named]
    note = f"Curves are medians over seeds, bands reach from the smallest to the largest value, all by {unit}."
    before = [
        Section(
            "Arms",
            _verdict(record, rows, statistics, num_runs)
            + outcomes_table(rows)
            + coinciding_arms(metrics, rows)
            + rows_download(rows, "members.csv", "members.csv of the folder"),
        ),
        Section(
            "Survival",
            survival_plots(statistics, unit, per_unit)
            + survival_table(statistics, unit, per_unit)
            + survival_tests(record, statistics),
        ),
        Section("Curves", render_template("plots", note=note, key=_key(rows), figures=figures)),
    ]
    after = [
        Section("Experiment", _settings(directory, record)),
        Section("How to reproduce it", _provenance(directory, record)),
    ]

    def page(samples: Markup) -> str:
        about = f"Sweep of {num_runs} runs, {len(rows)} with an evaluation"
        return document(title, about, [*before, Section("Samples", samples), *after], live)

    return page(_samples(directory, rows, metrics, MAX_BYTES - len(page(Markup()).encode())))


def _verdict(record: SweepRecord, rows: list[dict[str, Any]], statistics: dict[str, Any], num: int) -> Markup:
    ended = sum(row["ended"] for row in rows)
    first, *others = arm_sentences(statistics, *_time_unit(record))
    shown = paragraph(f"{first}.", "verdict named") + paragraph(f"{summary_sentence(record, rows, statistics)}.")
    if others:
        rest = html_table([], [[f"{sentence}."] for sentence in others])
        shown += render_template("details", name="arms", summary="The other arms against the baseline", body=rest)
    if ended < num:
        shown += paragraph(f"{ended} of {num} runs have ended; the others are counted with their results so far.")
    return shown


def _time_unit(record: SweepRecord) -> tuple[str, float]:
    """("epoch", its number of steps) if all arms have epochs of the same length; otherwise ("step", 1).

    An epoch counts D's batches. Where D makes several updates a step, times are shown in steps.
    """
    several = any(arm.experiment.discriminator.updates_per_step != 1 for arm in record.sweep.arms)
    return ("step", 1.0) if several or record.steps_per_epoch is None else ("epoch", record.steps_per_epoch)


def _key(rows: list[dict[str, Any]]) -> Markup:
    """The legend of the arms' lines, for all figures."""
    lines = [(swatch(index), arm) for index, arm in enumerate(arm_names(rows))]
    return render_template("key", label="Lines of the arms", lines=lines)


def _curve(
    group: str, metric: str, metrics: list[dict[str, Any]], rows: list[dict[str, Any]], unit: str, per_unit: float
) -> Markup:
    arm_of = {row["member"]: row["arm"] for row in rows}
    found = [_over_seeds(metrics, arm_of, arm, group, metric) for arm in arm_names(rows)]
    if all(series is None for series in found):
        return Markup()
    figure = new_figure(CURVE_WIDTH, CURVE_HEIGHT)
    axes = figure.add_subplot()
    for index, series in enumerate(found):
        if series is not None:
            colour, dashes = series_style(index)
            steps = series.steps / per_unit
            marker = "o" if len(steps) == 1 else ""
            axes.plot(steps, series.values, dashes, color=colour, linewidth=1.4, marker=marker, markersize=4)
            axes.fill_between(steps, series.low, series.high, color=colour, alpha=0.1, linewidth=0)
    title = METRICS.get(metric, metric.replace("_", " "))
    if group == "samples":
        title = f"{metric.replace('_', ' ')} of the samples"
    dress(axes, title[:1].upper() + title[1:], unit)
    return figure_svg(figure, f"{title} by {unit}, by arm")


def _over_seeds(
    metrics: list[dict[str, Any]], arm_of: dict[int, str], arm: str, group: str, metric: str
) -> Series | None:
    """The median of a metric over the seeds of an arm, with the smallest and the largest value."""
    at: dict[int, list[float]] = {}
    for row in metrics:
        if arm_of.get(row["member"]) == arm:
            values = row.get(group, {}) if group in ("train", "samples") else watched(row["evaluation"])
            if isinstance(values.get(metric), (int, float)):
                at.setdefault(row["step"], []).append(float(values[metric]))
    return make_series((step, float(np.median(found)), min(found), max(found)) for step, found in at.items())


def _samples(
    directory: SweepDirectory | JoinedSweeps, rows: list[dict[str, Any]], metrics: list[dict[str, Any]], room: float
) -> Markup:
    """First and last pictures of the first seeds of every arm; fewer seeds or arms if they do not fit."""
    arms, at = arm_names(rows), {(row["member"], row["step"]): row["evaluation"] for row in metrics}
    for num_seeds, num_arms in ((_PICTURES_PER_ARM, len(arms)), *((1, len(arms) // part) for part in (1, 4, 16, 64))):
        groups = {
            arm: [
                _pictured(directory, row, at)
                for row in sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["seed"])[:num_seeds]
            ]
            for arm in arms[:num_arms]
        }
        seeds = "seed" if num_seeds == 1 else f"{num_seeds} seeds"
        of = "every arm" if num_arms == len(arms) else f"the first {num_arms} arms of {len(arms)}"
        note = f"The first and the last samples of the first {seeds} of {of}. All arms use the same latents."
        shown = sample_pairs(groups, room, note)
        if shown is not None:
            return shown or paragraph("No pictures were kept.")
    return paragraph("There are too many pictures for one page; they are in the folder of the sweep.")


def _pictured(
    directory: SweepDirectory | JoinedSweeps, row: dict[str, Any], at: dict[tuple[int, int], dict[str, Any]]
) -> Pictured:
    """The pictures of a member with its verdict."""
    return Pictured(
        name=f"{row['arm']}, seed {row['seed']}",
        sentence=f"seed {row['seed']}: " + ("" if row["ended"] else "so far: ") + row["verdict"]["sentence"],
        pictures={picture_step(picture): picture for picture in directory.pictures(row["member"])},
        evaluation=lambda step: watched(at.get((row["member"], step), {})),
    )


def _settings(directory: SweepDirectory | JoinedSweeps, record: SweepRecord) -> Markup:
    lines = [[arm.name, ", ".join(f"{k} = {v}" for k, v in arm.settings.items()) or "–"] for arm in record.sweep.arms]
    first = record.sweep.arms[0]
    return (
        html_table(["arm", "its own settings"], lines)
        + render_template("heading", text=first.name)
        + experiment_settings(record.config, first.experiment, directory.allowed)
    )


def _provenance(directory: SweepDirectory | JoinedSweeps, record: SweepRecord) -> Markup:
    strategies = []
    for plan in directory.read_plans():
        line = f"{plan.strategy} over {plan.num_devices} devices, {sum(map(len, plan.batches))} members"
        if plan.timings:
            line += f" (steps/s: {', '.join(f'{name} {speed:.4g}' for name, speed in plan.timings.items())})"
        strategies.append(line)
    data = "; ".join(f"{name} (contents {known})" for name, known in record.data.items()) or "made from settings"
    seeds = ", ".join(map(str, record.sweep.seeds))
    return provenance(record, {"seeds": seeds, "data": data, "strategy": "; ".join(strategies)})
