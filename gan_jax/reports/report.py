"""The report on a run: one self-contained HTML file with the verdict, the onset, samples, curves and settings."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from gan_jax.experiment.configs import config_label
from gan_jax.metrics.image_metrics import PIXELS_ONLY, is_pixels_only
from gan_jax.reports.html_parts import paragraph, render_template
from gan_jax.reports.page import MAX_BYTES, Live, Section, document, html_table, show
from gan_jax.reports.page_pictures import Frame, read_png, slider
from gan_jax.reports.report_curves import probe_curves, run_curves
from gan_jax.reports.report_diagnoses import diagnoses, film, onset_section
from gan_jax.reports.report_experiment import experiment_settings, provenance
from gan_jax.reports.rows_download import rows_download
from gan_jax.reports.sample_pairs import Pictured, sample_pairs
from gan_jax.runs.files import write_text
from gan_jax.runs.folder_code import NO_CODE, AllowedCode
from gan_jax.runs.folders import RunError
from gan_jax.runs.links import refuse_links
from gan_jax.runs.missing_rows import tell_missing_rows
from gan_jax.runs.rows import watched
from gan_jax.runs.run_directory import RunDirectory
from gan_jax.runs.run_record import RunRecord
from gan_jax.runs.runner import read_verdict

METRICS = {
    "modes": "modes captured",
    "modes_held": "modes held",
    "effective_classes": "effective classes",
    "high_quality": "high-quality share",
    "junk": "junk share",
    "variance_ratio": "variance ratio",
    "intra_class_ratio": "variance ratio in a class",
    "kl": "KL of modes (nats)",
}
"""The metrics that the page shows first, in this order, with their names on it."""
_PIXEL_METRICS = {"pairwise_ratio": "pairwise distance ratio", "pixel_std": "pixel standard deviation"}
_SHARES = ("high_quality", "junk")
_MAX_TILES = 6
_BOUNDS_NOTE = "The ceiling is the value that real data get, the floor what finite samples of a perfect generator get."


def write_report(path: Path, out: Path | None = None, allowed: AllowedCode = NO_CODE) -> Path:
    """Writes the report of a run, finished or not. It needs no code of the user's own.

    Args:
        path: folder of the run.
        out: file to write; report.html of the run if None.
        allowed: code that may be executed, to compare the experiment with its config.

    Returns:
        The file that was written.

    Raises:
        RunError: if the folder is not a run, has no metrics yet, or the report cannot be written.
    """
    run = RunDirectory.open(path, allowed)
    rows = run.read_metrics()
    if not rows:
        if run.verdict_path.exists():
            raise RunError(f"{run.metrics_path} has no rows: gan-jax train --resume {path} computes them again")
        raise RunError(f"{path} has no metrics yet: let it train to its first evaluation")
    target = out or run.report_path
    if out is None:
        refuse_links(path, target)
    try:
        write_text(target, render_run(run, rows))
    except OSError as error:
        raise RunError(f"{target} cannot be written ({error.strerror or error}): choose another --out") from error
    return target


def render_run(run: RunDirectory, rows: list[dict[str, Any]], live: Live | None = None) -> str:
    """The HTML of a run's page, of at most `MAX_BYTES`.

    Args:
        run: folder of the run.
        rows: the rows of its metrics, at least one.
        live: state of a page that is served; None for a file.

    Returns:
        The complete document.
    """
    record, verdict = run.read_record(), read_verdict(run)
    last = None if verdict is None else verdict["last_step"]
    tell_missing_rows(run.metrics_path, record.experiment, rows, last, record.began_at())
    first = [Section("Verdict", _verdict(record, rows, verdict)), onset_section(run, verdict)]
    drawn = [Section("Curves", run_curves(rows, verdict)), Section("Probe values", probe_curves(run, verdict))]
    rest = [
        Section("All numbers", _numbers(rows[-1], verdict) + rows_download(rows, "metrics.csv", run.metrics_path.name)),
        Section("Experiment", experiment_settings(record.config, record.experiment, run.allowed)),
        Section("How to reproduce it", _provenance(record)),
    ]
    found = diagnoses(run)

    def page(samples: Markup, landscape: Markup) -> str:
        seen = [shown.section(landscape if kind == "landscape" else Markup()) for kind, shown in found.items()]
        sections = [*first, Section("Samples over training", samples), *drawn, *seen, *rest]
        return document(title_of(record), _about(record, rows), sections, live)

    # Texts and figures come first; pictures get the remaining space.
    room = MAX_BYTES - len(page(Markup(), Markup()).encode())
    landscape = film(run, 0.4 * room)
    return page(_samples(run, rows, verdict, room - len(landscape)), landscape)


def title_of(record: RunRecord) -> str:
    """The title of a run: its config and seed."""
    return f"{config_label(record.config) or 'run'}, seed {record.seed}"


def _about(record: RunRecord, rows: list[dict[str, Any]]) -> str:
    parts = [f"Run of {record.experiment.num_steps:,} steps", f"last evaluated at step {rows[-1]['step']:,}"]
    if record.parent:
        parts.append(f"branched from {record.parent}")
    return ", ".join(parts)


def state_of(record: RunRecord, rows: list[dict[str, Any]]) -> str:
    """The progress of a run that has not ended, in words."""
    step, num_steps = rows[-1]["step"], record.experiment.num_steps
    return f"not finished: step {step:,} of {num_steps:,} ({step / num_steps:.0%}), {rows[-1]['label']}"


def _verdict(record: RunRecord, rows: list[dict[str, Any]], verdict: dict[str, Any] | None) -> Markup:
    evaluation = watched(rows[-1]["evaluation"])
    bounds = (verdict or {}).get("bounds", {})
    shown = _PIXEL_METRICS if is_pixels_only(evaluation) else METRICS
    tiles = [
        (words, _short(name, evaluation[name]), _bound_text(name, bounds.get(name, {})))
        for name, words in shown.items()
        if isinstance(evaluation.get(name), (int, float))
    ]
    return render_template(
        "verdict",
        outcome=verdict["outcome"].replace(" ", "-") if verdict else "running",
        sentence=verdict["sentence"] if verdict else state_of(record, rows),
        message=verdict.get("message") if verdict else None,
        tiles=tiles[:_MAX_TILES],
        step=f"{rows[-1]['step']:,}",
        note=_verdict_note(evaluation, verdict is not None),
    )


def _verdict_note(evaluation: dict[str, Any], ended: bool) -> str:
    note = _BOUNDS_NOTE if ended else "Ceilings and floors are computed at the end of the run."
    return f"{note} {PIXELS_ONLY[0].upper()}{PIXELS_ONLY[1:]}." if is_pixels_only(evaluation) else note


def _bound_text(name: str, bound: dict[str, Any]) -> str:
    known = [key for key in ("ceiling", "floor") if bound.get(key) is not None]
    return ", ".join(f"{key} {_short(name, bound[key])}" for key in known)


def _short(name: str, value: float) -> str:
    return f"{100 * value:.3g} %" if name in _SHARES else f"{value:.3g}"


def _numbers(row: dict[str, Any], verdict: dict[str, Any] | None) -> Markup:
    bounds = (verdict or {}).get("bounds", {})
    modes = list(row["evaluation"])
    lines = []
    for name in dict.fromkeys(name for mode in modes for name in row["evaluation"][mode]):
        values = [row["evaluation"][mode].get(name) for mode in modes]
        if any(isinstance(value, (list, bool)) for value in values):
            continue
        bound = bounds.get(name, {})
        lines.append([name.replace("_", " "), *values, bound.get("ceiling"), bound.get("floor")])
    evaluated = html_table(
        ["metric", *(f"{mode} statistics" for mode in modes), "ceiling", "floor"],
        lines,
        f"Last evaluation, step {row['step']:,}. Rule: {row['rule']}. {_BOUNDS_NOTE}",
    )
    bands = row.get("train_band", {})
    trained = [
        [name.replace("_", " "), value, *(bands.get(name) or [None, None])[: 2 if bands else 0]]
        for name, value in row["train"].items()
    ]
    head = ["metric", "mean", *(["10 % below", "10 % above"] if bands else [])]
    speed = row.get("steps_per_second")
    speed_text = f" {show(float(speed))} steps/s." if speed else ""
    caption = f"Training, over the steps since the previous evaluation.{speed_text}"
    return evaluated + html_table(head, trained, caption)


def _samples(run: RunDirectory, rows: list[dict[str, Any]], verdict: dict[str, Any] | None, room: float) -> Markup:
    labels = {row["step"]: row["label"] for row in rows}
    pictures = run.pictures()
    steps = [int(picture.stem.removeprefix("step_")) for picture in pictures]
    captions = [f"step {step:,}" + (f": {labels[step]}" if step in labels else "") for step in steps]
    frames = [Frame(partial(read_png, picture), text) for picture, text in zip(pictures, captions, strict=True)]
    marks = []
    for key, words in (("formed_step", "Formed"), ("onset_step", "Collapsed"), ("recovered_step", "Recovered")):
        step = (verdict or {}).get(key)
        if step is not None and steps:
            nearest = min(range(len(steps)), key=lambda index: abs(steps[index] - step))
            marks.append((f"{words}: step {step:,}", nearest))
    pair = _first_and_last(run, rows, 0.25 * room)
    film = slider(frames, "samples-film", "samples", room - len(pair), marks)
    return pair + (film if len(frames) > 2 or not pair else "") or paragraph("No pictures were kept.")


def _first_and_last(run: RunDirectory, rows: list[dict[str, Any]], room: float) -> Markup:
    """The first and the last picture side by side, with the classes of their samples."""
    at = {row["step"]: row["evaluation"] for row in rows}
    pictures = {int(picture.stem.removeprefix("step_")): picture for picture in run.pictures()}
    pictured = Pictured("samples", "", pictures, lambda step: watched(at.get(step, {})))
    return sample_pairs({"": [pictured]}, room, "") or Markup()


def _provenance(record: RunRecord) -> Markup:
    return provenance(
        record,
        {
            "seed": record.seed,
            "data": f"{record.location or 'default place'} (contents {record.data})"
            if record.data
            else "made from settings",
            "branched from": record.parent,
        },
    )
