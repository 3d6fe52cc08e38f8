"""The report on a run: one self-contained HTML file, the verdict first, then what led to it, then everything else."""

from __future__ import annotations

import html
from functools import partial
from pathlib import Path
from typing import Any

from gan_jax.reports.page import MAX_BYTES, Live, Section, document, show, table
from gan_jax.reports.page_pictures import Frame, read_png, slider
from gan_jax.reports.report_curves import curves, signals
from gan_jax.reports.report_diagnoses import diagnoses, film, onset_section
from gan_jax.reports.report_experiment import experiment, provenance
from gan_jax.runs.run_directory import RunDirectory, RunError, RunRecord
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
"""The metrics that are shown first, in this order, and what people call them."""
_SHARES = ("high_quality", "junk")
_MOST_TILES = 6


def write_report(path: Path, out: Path | None = None) -> Path:
    """Writes the report of a run, finished or not.

    Raises:
        RunError: if the folder is no run, has no metrics yet, or the report cannot be written.
    """
    run = RunDirectory.open(path)
    rows = run.read_metrics()
    if not rows:
        raise RunError(f"{path} has no metrics yet: let it train to its first evaluation")
    target = out or run.report_path
    try:
        target.write_text(render(run, rows))
    except OSError as error:
        raise RunError(f"{target} cannot be written ({error.strerror or error}): choose another --out") from error
    return target


def render(run: RunDirectory, rows: list[dict[str, Any]], live: Live | None = None) -> str:
    """The page's HTML, of at most `MAX_BYTES`."""
    record, verdict = run.read_record(), read_verdict(run)
    first = [Section("Verdict", _verdict(record, rows, verdict)), onset_section(run, verdict)]
    drawn = [Section("Curves", curves(rows, verdict)), Section("ProbeValues", signals(run, verdict))]
    rest = [
        Section("All numbers", _numbers(rows[-1], verdict)),
        Section("Experiment", experiment(record.config, record.experiment)),
        Section("How to reproduce it", _provenance(record)),
    ]
    found = diagnoses(run)

    def page(samples: str, landscape: str) -> str:
        seen = [shown.section(landscape if kind == "landscape" else "") for kind, shown in found.items()]
        sections = [*first, Section("Samples over training", samples), *drawn, *seen, *rest]
        return document(title_of(record), _about(record, rows), sections, live)

    # Texts and figures come first; pictures take what these leave.
    room = MAX_BYTES - len(page("", "").encode())
    landscape = film(run, 0.4 * room)
    return page(_samples(run, rows, verdict, room - len(landscape)), landscape)


def title_of(record: RunRecord) -> str:
    """A run's name for people."""
    return f"{Path(record.config).stem or 'run'}, seed {record.seed}"


def _about(record: RunRecord, rows: list[dict[str, Any]]) -> str:
    parts = [f"Run of {record.experiment.num_steps:,} steps", f"last evaluated at step {rows[-1]['step']:,}"]
    if record.parent:
        parts.append(f"branched from {record.parent}")
    return ", ".join(parts)


def state_of(record: RunRecord, rows: list[dict[str, Any]]) -> str:
    """How far a run is that has not ended."""
    step, num_steps = rows[-1]["step"], record.experiment.num_steps
    return f"not finished: step {step:,} of {num_steps:,} ({step / num_steps:.0%}), {rows[-1]['label']}"


def _verdict(record: RunRecord, rows: list[dict[str, Any]], verdict: dict[str, Any] | None) -> str:
    sentence = verdict["sentence"] if verdict else state_of(record, rows)
    outcome = verdict["outcome"].replace(" ", "-") if verdict else "running"
    parts = [f'<p class="verdict {outcome}">{html.escape(sentence)}.</p>']
    if verdict and verdict.get("message"):
        parts.append(f"<p>{html.escape(verdict['message'])}</p>")
    bounds = verdict["bounds"] if verdict else {}
    tiles = []
    for name, value in watched(rows[-1]["evaluation"]).items():
        if name not in METRICS or not isinstance(value, (int, float)):
            continue
        bound = bounds.get(name, {})
        known = [key for key in ("ceiling", "floor") if bound.get(key) is not None]
        said = ", ".join(f"{key} {_short(name, bound[key])}" for key in known)
        tiles.append(
            (
                list(METRICS).index(name),
                f'<div><dt>{METRICS[name]}</dt><dd class="value">{_short(name, value)}</dd>'
                f'<dd class="bound">{said or "&nbsp;"}</dd></div>',
            )
        )
    shown = "".join(tile for _, tile in sorted(tiles)[:_MOST_TILES])
    parts.append(f'<dl class="tiles">{shown}</dl>' if shown else "")
    note = "The ceiling is what real data get, the floor what finite samples make of a perfect generator."
    if not verdict:
        note = "Ceilings and floors are there when the run has ended."
    parts.append(f'<p class="note">At step {rows[-1]["step"]:,}. {note}</p>')
    return "".join(parts)


def watched(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The metrics of the mode of batch norm that the detector looks at."""
    return evaluation.get("batch") or evaluation.get("running") or {}


def _short(name: str, value: float) -> str:
    return f"{100 * value:.3g} %" if name in _SHARES else f"{value:.3g}"


def _numbers(row: dict[str, Any], verdict: dict[str, Any] | None) -> str:
    bounds = verdict["bounds"] if verdict else {}
    modes = list(row["evaluation"])
    lines = []
    for name, first in row["evaluation"][modes[0]].items():
        if isinstance(first, (list, bool)):
            continue
        bound = bounds.get(name, {})
        values = [row["evaluation"][mode].get(name) for mode in modes] + [bound.get("ceiling"), bound.get("floor")]
        lines.append([name.replace("_", " "), *values])
    evaluated = table(
        ["metric", *(f"{mode} statistics" for mode in modes), "ceiling", "floor"],
        lines,
        f"Last evaluation, step {row['step']:,}. Rule: {row['rule']}. The ceiling is what real data get, the floor "
        "what finite samples make of a perfect generator.",
    )
    bands = row.get("train_band", {})
    trained = [
        [name.replace("_", " "), value, *(bands.get(name) or [None, None])[: 2 if bands else 0]]
        for name, value in row["train"].items()
    ]
    head = ["metric", "mean", *(["10 % below", "10 % above"] if bands else [])]
    speed = row.get("steps_per_second")
    said = f" {show(float(speed))} steps/s." if speed else ""
    return evaluated + table(head, trained, f"Training, over the steps since the evaluation before.{said}")


def _samples(run: RunDirectory, rows: list[dict[str, Any]], verdict: dict[str, Any] | None, room: float) -> str:
    labels = {row["step"]: row["label"] for row in rows}
    pictures = run.pictures()
    steps = [int(picture.stem.removeprefix("step_")) for picture in pictures]
    said = [f"step {step:,}" + (f": {labels[step]}" if step in labels else "") for step in steps]
    frames = [Frame(partial(read_png, picture), words) for picture, words in zip(pictures, said, strict=True)]
    marks = []
    for key, words in (("formed_step", "Formed"), ("onset_step", "Collapsed"), ("recovered_step", "Recovered")):
        step = (verdict or {}).get(key)
        if step is not None and steps:
            nearest = min(range(len(steps)), key=lambda index: abs(steps[index] - step))
            marks.append((f"{words}: step {step:,}", nearest))
    shown = slider(frames, "samples-film", "samples", room, marks)
    return shown or "<p>No pictures were kept.</p>"


def _provenance(record: RunRecord) -> str:
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
