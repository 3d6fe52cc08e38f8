"""The report on a run: one self-contained HTML file with its verdict, numbers, curves, samples and experiment."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

from gan_jax.lab.page import COLOURS, PAGE, data_uri, figure_svg, new_figure, settings_table, show
from gan_jax.lab.run_directory import RunDirectory, RunError
from gan_jax.lab.runner import read_verdict

_MAX_FRAMES = 40
CURVES = {
    "Losses": ("train", ("discriminator_loss", "generator_loss")),
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


def render(run: RunDirectory, rows: list[dict[str, Any]]) -> str:
    """The page's HTML."""
    record, verdict = run.read_record(), read_verdict(run)
    sentence = verdict["sentence"] if verdict else f"not finished: step {rows[-1]['step']:,}, {rows[-1]['label']}"
    outcome = verdict["outcome"] if verdict else "running"
    title = f"{Path(record.config).stem or 'run'}, seed {record.seed}"
    sections = [
        f'<p class="verdict {outcome.replace(" ", "-")}">{html.escape(sentence)}</p>',
        _numbers(rows[-1], verdict),
        "<h2>Samples over training</h2>",
        _frames(run),
        "<h2>Curves</h2>",
        f'<div class="curves">{"".join(_curve(name, rows, verdict) for name in CURVES)}</div>',
        "<h2>Experiment</h2>",
        settings_table(record.experiment),
        "<h2>Provenance</h2>",
        _provenance(record),
    ]
    return PAGE.format(title=html.escape(title), body="\n".join(section for section in sections if section))


def _numbers(row: dict[str, Any], verdict: dict[str, Any] | None) -> str:
    bounds = verdict["bounds"] if verdict else {}
    modes = list(row["evaluation"])
    head = "".join(f"<th>{html.escape(mode)} statistics</th>" for mode in modes)
    lines = []
    for name, first in row["evaluation"][modes[0]].items():
        if isinstance(first, (list, bool)):
            continue
        bound = bounds.get(name, {})
        values = [row["evaluation"][mode][name] for mode in modes] + [bound.get("ceiling"), bound.get("floor")]
        cells = "".join(f"<td>{show(value)}</td>" for value in values)
        lines.append(f"<tr><th>{html.escape(name)}</th>{cells}</tr>")
    return (
        f"<table><caption>Last evaluation, step {row['step']:,}. Rule: {html.escape(row['rule'])}. The ceiling is what "
        "real data get, the floor what finite samples make of a perfect generator.</caption>"
        f"<tr><th>metric</th>{head}<th>ceiling</th><th>floor</th></tr>{''.join(lines)}</table>"
    )


def _frames(run: RunDirectory) -> str:
    pictures = run.pictures()
    if not pictures:
        return "<p>No pictures were kept.</p>"
    if len(pictures) > _MAX_FRAMES:
        last = len(pictures) - 1
        pictures = [pictures[round(i * last / (_MAX_FRAMES - 1))] for i in range(_MAX_FRAMES)]
    images = "".join(
        f'<img {"" if index == len(pictures) - 1 else "hidden"} alt="samples at step {_step(picture):,}" '
        f'src="{data_uri(picture)}">'
        for index, picture in enumerate(pictures)
    )
    steps = ",".join(str(_step(picture)) for picture in pictures)
    last = len(pictures) - 1
    return (
        f'<div class="frames" data-steps="{steps}">{images}<label>step <output>{_step(pictures[-1]):,}</output>'
        f'<input type="range" min="0" max="{last}" value="{last}" aria-label="training step"></label></div>'
    )


def _curve(name: str, rows: list[dict[str, Any]], verdict: dict[str, Any] | None) -> str:
    group, metrics = CURVES[name]
    modes = [None] if group == "train" else list(rows[0]["evaluation"])
    series: dict[str, list[tuple[int, float]]] = {}
    for metric in metrics:
        for mode in modes:
            points = []
            for row in rows:
                values = row["train"] if mode is None else row["evaluation"].get(mode, {})
                if isinstance(values.get(metric), (int, float)):
                    points.append((row["step"], float(values[metric])))
            if points:
                label = metric if mode is None or len(modes) == 1 else f"{metric}, {mode}"
                series[label] = points
    if not series:
        return ""
    figure, axes = new_figure(4.4, 2.6)
    for index, (label, points) in enumerate(series.items()):
        colour, style = COLOURS[index // len(modes) % len(COLOURS)], "-" if index % len(modes) == 0 else ":"
        axes.plot(*zip(*points, strict=True), style, color=colour, linewidth=1.4, label=label, marker="", markersize=3)
    bound = (verdict or {}).get("bounds", {}).get(metrics[0], {}).get("ceiling") if len(metrics) == 1 else None
    if bound is not None:
        axes.axhline(bound, color="#888", linewidth=0.8, linestyle="--", label="ceiling")
    for key, colour in (("formed_step", "#2f9e44"), ("onset_step", "#c92a2a")):
        if verdict and verdict.get(key) is not None:
            axes.axvline(verdict[key], color=colour, linewidth=0.9, alpha=0.8)
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    axes.tick_params(labelsize=8)
    if len(series) > 1 or bound is not None:
        axes.legend(fontsize=7, frameon=False)
    return figure_svg(figure, f"{name} by step")


def _provenance(record: Any) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in record.environment.get("versions", {}).items())
    facts = {
        "command": record.command,
        "data": f"{record.location or 'default place'} (contents {record.data})"
        if record.data
        else "made from settings",
        "branched from": record.parent or "",
        "device": f"{record.environment.get('device', '')}, {record.environment.get('num_cpus', '')} CPUs",
        "versions": versions,
        "started": record.environment.get("started", ""),
    }
    rows = "".join(f"<tr><th>{k}</th><td>{html.escape(str(v))}</td></tr>" for k, v in facts.items() if v)
    return f"<table>{rows}</table><p>Lines in the curves mark where the run had formed (green) and collapsed (red).</p>"


def _step(picture: Path) -> int:
    return int(picture.stem.removeprefix("step_"))
