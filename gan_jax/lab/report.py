"""The report on a run: one self-contained HTML file with its verdict, numbers, curves, samples and experiment."""

from __future__ import annotations

import base64
import html
import io
import re
from pathlib import Path
from typing import Any

from gan_jax.component import is_component
from gan_jax.lab.run_directory import RunDirectory, RunError
from gan_jax.lab.runner import read_verdict
from gan_jax.settings import walk

_MAX_FRAMES = 40
_CURVES = {
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
_COLOURS = ("#2a78d6", "#e8590c", "#2f9e44")


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
        f'<div class="curves">{"".join(_curve(name, rows, verdict) for name in _CURVES)}</div>',
        "<h2>Experiment</h2>",
        _experiment(record.experiment),
        "<h2>Provenance</h2>",
        _provenance(record),
    ]
    return _PAGE.format(title=html.escape(title), body="\n".join(section for section in sections if section))


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
        cells = "".join(f"<td>{_show(value)}</td>" for value in values)
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
        f'src="data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}">'
        for index, picture in enumerate(pictures)
    )
    steps = ",".join(str(_step(picture)) for picture in pictures)
    last = len(pictures) - 1
    return (
        f'<div class="frames" data-steps="{steps}">{images}<label>step <output>{_step(pictures[-1]):,}</output>'
        f'<input type="range" min="0" max="{last}" value="{last}" aria-label="training step"></label></div>'
    )


def _curve(name: str, rows: list[dict[str, Any]], verdict: dict[str, Any] | None) -> str:
    group, metrics = _CURVES[name]
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
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.4, 2.6), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    for index, (label, points) in enumerate(series.items()):
        colour, style = _COLOURS[index // len(modes) % len(_COLOURS)], "-" if index % len(modes) == 0 else ":"
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
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace("#000000", "currentColor").replace("stroke: #000", "stroke: currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Ids would clash between the figures of one page.
    prefix = re.sub(r"\W", "", name)
    svg = re.sub(r'(id="|xlink:href="#|url\(#)', lambda match: match.group(1) + prefix, svg)
    return f'<figure role="img" aria-label="{html.escape(name)} by step">{svg}</figure>'


def _experiment(experiment: Any) -> str:
    rows = []
    for setting in walk(experiment):
        value = setting.value
        if isinstance(value, tuple):
            value = ", ".join(type(v).__name__ if is_component(v) else str(v) for v in value) or "none"
        shown = type(value).__name__ if is_component(value) else value
        doc = html.escape(setting.field.metadata.get("doc", ""))
        rows.append(f"<tr><th>{html.escape(setting.path)}</th><td>{html.escape(str(shown))}</td><td>{doc}</td></tr>")
    return f"<details><summary>{len(rows)} settings</summary><table>{''.join(rows)}</table></details>"


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


def _show(value: Any) -> str:
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --line: #d9dee4; --soft: #f4f6f8; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e6e8ea; --paper: #16191d; --line: #363c43; --soft: #20252b; }} }}
body {{ font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }}
h1 {{ font-size: 1.4rem; margin: 0 0 .5rem; }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .5rem; }}
.verdict {{ font-size: 1.25rem; padding: .8rem 1rem; border-left: .4rem solid #868e96; background: var(--soft); }}
.verdict.healthy {{ border-color: #2f9e44; }} .verdict.collapsed, .verdict.non-finite {{ border-color: #c92a2a; }}
.verdict.never-formed, .verdict.censored {{ border-color: #e67700; }}
table {{ border-collapse: collapse; font-size: .9rem; display: block; overflow-x: auto; }}
caption {{ text-align: left; padding: .3rem 0; }}
th, td {{ text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); font-weight: normal;
  vertical-align: top; overflow-wrap: anywhere; }} td {{ font-variant-numeric: tabular-nums; }}
.curves {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(19rem, 100%), 1fr)); gap: 1rem; }}
figure {{ margin: 0; }} figure svg {{ width: 100%; height: auto; fill: currentColor; }}
.frames img {{ max-width: 100%; width: 30rem; background: #fff; display: block; }}
.frames img[hidden] {{ display: none; }}
.frames label {{ display: flex; gap: .6rem; align-items: center; max-width: 30rem; margin-top: .5rem; }}
.frames input {{ flex: 1; }} output {{ min-width: 5em; font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
<script>
for (const frames of document.querySelectorAll('.frames')) {{
  const steps = frames.dataset.steps.split(',').map(Number), images = frames.querySelectorAll('img');
  frames.querySelector('input').addEventListener('input', event => {{
    images.forEach((image, index) => {{ image.hidden = index !== Number(event.target.value); }});
    frames.querySelector('output').textContent = steps[event.target.value].toLocaleString('en');
  }});
}}
</script>
</body>
</html>
"""
