"""The report on several runs: their verdicts, the settings that differ, samples and curves side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup

from gan_jax.experiment.settings import diff
from gan_jax.reports.figures import new_figure, series_style
from gan_jax.reports.html_parts import paragraph, render_template
from gan_jax.reports.page import MAX_BYTES, Section, document, html_table
from gan_jax.reports.page_figures import figure_svg, swatch
from gan_jax.reports.report import METRICS, state_of, title_of
from gan_jax.reports.report_curves import CURVE_HEIGHT, CURVE_WIDTH, CURVES, Series, dress, make_series
from gan_jax.reports.rows_download import rows_download
from gan_jax.reports.sample_pairs import Pictured, sample_pairs
from gan_jax.runs.files import write_text
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.runs.rows import watched
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.run_record import RunRecord
from gan_jax.runs.runner import read_verdict

MAX_RUNS = 8
"""Largest number of runs on a page, for which the lines of the curves differ."""


class Compared(NamedTuple):
    """A run of the comparison: its folder, its name on the page, and the contents of the folder."""

    run: RunDirectory
    name: str
    record: RunRecord
    rows: list[dict[str, Any]]
    sentence: str
    outcome: str


def write_comparison(paths: Sequence[Path], out: Path | None, allowed: AllowedCode = NO_CODE) -> Path:
    """Writes the report on several runs, finished or not. It executes no code of the user's own.

    Args:
        paths: folders of the runs, the one that the others are compared with first.
        out: file to write.
        allowed: code that may be executed to read a record with components of its own.

    Returns:
        The file that was written.

    Raises:
        RunError: if no file is given, a folder is not a run or has no metrics yet, or a folder is given twice.
    """
    if out is None:
        raise RunError("several runs share one report: say where it should be written, with --out FILE")
    if len(paths) > MAX_RUNS:
        raise RunError(
            f"{len(paths)} runs are too many to compare: give at most {MAX_RUNS}, or train them as one sweep"
        )
    if len({path.resolve() for path in paths}) < len(paths):
        raise RunError("a run is given twice: give folders of different runs")
    runs = [_read(path, allowed) for path in paths]
    try:
        write_text(out, render_comparison(runs))
    except OSError as error:
        raise RunError(f"{out} cannot be written ({error.strerror or error}): choose another --out") from error
    return out


def _read(path: Path, allowed: AllowedCode) -> Compared:
    run = RunDirectory.open(path, allowed)
    record, rows, verdict = run.read_record(), run.read_metrics(), read_verdict(run)
    if not rows:
        raise RunError(f"{path} has no metrics yet: let it train to its first evaluation")
    sentence = verdict["sentence"] if verdict else state_of(record, rows)
    outcome = verdict["outcome"].replace(" ", "-") if verdict else "running"
    return Compared(run, path.name, record, rows, sentence, outcome)


def render_comparison(runs: Sequence[Compared]) -> str:
    """The HTML of the page, of at most `MAX_BYTES`.

    Args:
        runs: the runs, at least two.

    Returns:
        The whole document.
    """
    verdicts = Markup().join(paragraph(f"{one.name}: {one.sentence}.", f"verdict named {one.outcome}") for one in runs)
    figures = [_curve(runs, group, name) for group, names in CURVES.values() for name in names]
    key = render_template("key", label="Lines of the runs", lines=[(swatch(i), r.name) for i, r in enumerate(runs)])
    all_rows = [{"run": one.name, **row} for one in runs for row in one.rows]
    before = [Section("Verdicts", verdicts + _numbers(runs)), Section("What differs", _differences(runs))]
    after = [
        Section("Curves", render_template("plots", note="By step.", key=key, figures=figures)),
        Section("All rows", rows_download(all_rows, "metrics.csv", "metrics.jsonl of the folders")),
    ]

    def page(samples: Markup) -> str:
        about = f"{len(runs)} runs: {', '.join(title_of(one.record) for one in runs)}"
        return document("Runs compared", about, [*before, Section("Samples", samples), *after])

    room = MAX_BYTES - len(page(Markup()).encode())
    note = "The first and the last samples of each run."
    shown = sample_pairs({one.name: [_pictured(one)] for one in runs}, room, note)
    if shown is None:
        shown = paragraph("The pictures are too many for one page; they are in the folders.")
    return page(shown or paragraph("No pictures were kept."))


def _pictured(one: Compared) -> Pictured:
    at = {row["step"]: row["evaluation"] for row in one.rows}
    pictures = {int(picture.stem.removeprefix("step_")): picture for picture in one.run.pictures()}
    return Pictured(one.name, "", pictures, lambda step: watched(at.get(step, {})))


def _numbers(runs: Sequence[Compared]) -> Markup:
    """The last metrics, one row per run."""
    last = [watched(one.rows[-1]["evaluation"]) for one in runs]
    named = [name for name in METRICS if any(isinstance(values.get(name), (int, float)) for values in last)]
    lines = [
        [one.name, one.rows[-1]["step"], *(values.get(name) for name in named)]
        for one, values in zip(runs, last, strict=True)
    ]
    head = ["run", "step", *(METRICS[name] for name in named)]
    rules = {one.rows[-1]["rule"] for one in runs}
    caption = "Last evaluations."
    if len(rules) > 1:
        caption = "Last evaluations. The runs measured by different rules, so the numbers may not be comparable."
    return html_table(head, lines, caption, [swatch(index) for index in range(len(lines))])


def _differences(runs: Sequence[Compared]) -> Markup:
    """The settings, seeds and data in which the others differ from the first run."""
    first, lines = runs[0], []
    for one in runs[1:]:
        for line in diff(first.record.experiment, one.record.experiment):
            path, _, change = line.partition(": ")
            before, _, after = change.partition(" -> ")
            lines.append([one.name, path, before, after])
        for what in ("seed", "data", "parent"):
            before, after = getattr(first.record, what), getattr(one.record, what)
            if before != after:
                lines.append([one.name, what, str(before), str(after)])
    if not lines:
        return paragraph("Nothing differs: the settings, the seed and the data are the same.")
    return html_table(["run", "setting", first.name, "here"], lines)


def _curve(runs: Sequence[Compared], group: str, metric: str) -> Markup:
    found = [_series(one.rows, group, metric) for one in runs]
    if all(series is None for series in found):
        return Markup()
    figure = new_figure(CURVE_WIDTH, CURVE_HEIGHT)
    axes = figure.add_subplot()
    for index, series in enumerate(found):
        if series is not None:
            colour, dashes = series_style(index)
            marker = "o" if len(series.steps) == 1 else ""
            axes.plot(series.steps, series.values, dashes, color=colour, linewidth=1.4, marker=marker, markersize=4)
    title = METRICS.get(metric, metric.replace("_", " "))
    title = title[:1].upper() + title[1:]
    dress(axes, title, "step")
    return figure_svg(figure, f"{title} by step, by run")


def _series(rows: Sequence[dict[str, Any]], group: str, metric: str) -> Series | None:
    points = []
    for row in rows:
        value = (row["train"] if group == "train" else watched(row["evaluation"])).get(metric)
        if isinstance(value, (int, float)):
            points.append((row["step"], float(value), float(value), float(value)))
    return make_series(points)
