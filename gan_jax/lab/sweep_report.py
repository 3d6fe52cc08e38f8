"""The report on a sweep: arms side by side, survival with its statistics, curves with bands, samples of every arm."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.lab.page import COLOURS, PAGE, data_uri, figure_svg, new_figure, settings_table, show, table
from gan_jax.lab.report import CURVES
from gan_jax.lab.run_directory import RunError
from gan_jax.lab.sweep_directory import SweepDirectory, SweepRecord, picture_step
from gan_jax.lab.sweep_survival import survival_plots, survival_table, survival_tests, sweep_statistics

_PICTURES_PER_ARM = 3
_OUTCOMES = ("healthy", "censored", "collapsed", "never formed", "non-finite")
_NAMES = {
    "modes": "modes",
    "high_quality": "high quality",
    "effective_classes": "effective classes",
    "junk": "junk",
    "variance_ratio": "variance",
    "kl": "KL (nats)",
}


def write_sweep_report(path: Path, out: Path | None = None) -> Path:
    """Writes report.html and statistics.json of a sweep, finished or not.

    Raises:
        RunError: if the folder is no sweep, has no evaluation yet, or the report cannot be written.
    """
    directory = SweepDirectory.open(path)
    rows = directory.read_members()
    if not rows:
        raise RunError(f"{path} has no evaluation yet: let it train to the first one")
    statistics = sweep_statistics(directory.read_record(), rows)
    target = out or directory.report_path
    try:
        (path / "statistics.json").write_text(json.dumps(statistics, indent=2) + "\n")
        target.write_text(render(directory, rows, statistics))
    except OSError as error:
        raise RunError(f"{target} cannot be written ({error.strerror or error}): choose another --out") from error
    return target


def render(directory: SweepDirectory, rows: list[dict[str, Any]], statistics: dict[str, Any]) -> str:
    """The page's HTML."""
    record, metrics = directory.read_record(), directory.read_metrics()
    ended = sum(row["ended"] for row in rows)
    num_members = len(record.sweep.arms) * len(record.sweep.seeds)
    unit, per_unit = _time_unit(record)
    sections = [
        f'<p class="verdict">{html.escape(_sentence(record, rows, statistics))}</p>',
        _unfinished(ended, num_members),
        "<h2>Arms</h2>",
        _outcomes(rows),
        _coincide(metrics, rows),
        "<h2>Survival</h2>",
        survival_plots(statistics, unit, per_unit),
        survival_table(statistics, unit, per_unit),
        survival_tests(record, statistics),
        "<h2>Curves</h2>",
        "<p>Medians over seeds; bands from the smallest to the largest.</p>",
        f'<div class="curves">{"".join(_curve(name, metrics, rows, unit, per_unit) for name in CURVES)}</div>',
        "<h2>Samples</h2>",
        _samples(directory, rows),
        "<h2>Experiment</h2>",
        _settings(record),
        "<h2>Provenance</h2>",
        _provenance(directory, record),
    ]
    title = f"{Path(record.config).stem or 'sweep'}: {len(record.sweep.arms)} arms, {len(record.sweep.seeds)} seeds"
    return PAGE.format(title=html.escape(title), body="\n".join(section for section in sections if section))


def _unfinished(ended: int, num: int) -> str:
    if ended == num:
        return ""
    return f"<p>{ended} of {num} runs have ended; the others are judged by what they have done so far.</p>"


def _sentence(record: SweepRecord, rows: list[dict[str, Any]], statistics: dict[str, Any]) -> str:
    counts = {name: sum(row["verdict"]["outcome"] == name for row in rows) for name in _OUTCOMES}
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    test = statistics["log_rank"]
    found = f"log-rank over the arms p = {test['p']:.2g}" if test["p"] is not None else f"no test: {test['note']}"
    return f"{len(rows)} runs of {len(record.sweep.arms)} arms: {said}; {found}"


def _time_unit(record: SweepRecord) -> tuple[str, float]:
    """("epoch", steps of one) where all arms have epochs of one length; else ("step", 1)."""
    return ("step", 1.0) if record.steps_per_epoch is None else ("epoch", record.steps_per_epoch)


def _outcomes(rows: list[dict[str, Any]]) -> str:
    lines = []
    for arm in _arms(rows):
        own = [row for row in rows if row["arm"] == arm]
        counts = [sum(row["verdict"]["outcome"] == name for row in own) for name in _OUTCOMES]
        lines.append([arm, str(len(own)), *(str(count) for count in counts), *_last_metrics(own)])
    head = ["arm", "runs", *_OUTCOMES, *(_NAMES[name] for name in _shown_metrics(rows))]
    caption = "What the runs ended in; last metrics as median over seeds, in brackets the smallest and the largest."
    return table(head, lines, caption)


def _shown_metrics(rows: list[dict[str, Any]]) -> list[str]:
    found = {name for row in rows for name, value in _watched(row["last"]).items() if isinstance(value, (int, float))}
    return [name for name in _NAMES if name in found]


def _last_metrics(own: list[dict[str, Any]]) -> list[str]:
    cells = []
    for name in _shown_metrics(own):
        values = [v for row in own if isinstance(v := _watched(row["last"]).get(name), (int, float))]
        cells.append(f"{np.median(values):.3g} ({min(values):.3g} to {max(values):.3g})" if values else "–")
    return cells


def _watched(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The metrics of the mode of batch norm that the detector looks at."""
    return evaluation.get("batch") or evaluation.get("running") or {}


def _coincide(metrics: list[dict[str, Any]], rows: list[dict[str, Any]]) -> str:
    """Which arms are the same experiment as far as the numbers go: equal in every metric of every seed."""
    of_member = {row["member"]: (row["arm"], row["seed"]) for row in rows}
    curves: dict[str, list[Any]] = {}
    for row in metrics:
        arm, seed = of_member.get(row["member"], ("", 0))
        curves.setdefault(arm, []).append((seed, row["step"], row["train"], row["evaluation"]))
    arms = _arms(rows)
    same = [
        f"{one} and {other}"
        for index, one in enumerate(arms)
        for other in arms[index + 1 :]
        if curves.get(one) and _sorted(curves[one]) == _sorted(curves.get(other, []))
    ]
    return f"<p>Equal in every number of every seed: {html.escape('; '.join(same))}.</p>" if same else ""


def _sorted(curve: list[Any]) -> str:
    return json.dumps(sorted(curve, key=lambda point: point[:2]))


def _curve(name: str, metrics: list[dict[str, Any]], rows: list[dict[str, Any]], unit: str, per_unit: float) -> str:
    group, names = CURVES[name]
    arm_of = {row["member"]: row["arm"] for row in rows}
    figure, axes = new_figure(4.4, 2.6)
    drawn = 0
    for index, arm in enumerate(_arms(rows)):
        own = [row for row in metrics if arm_of.get(row["member"]) == arm]
        for style, metric in zip(("-", ":", "--"), names, strict=False):
            at: dict[int, list[float]] = {}
            for row in own:
                values = row["train"] if group == "train" else _watched(row["evaluation"])
                if isinstance(values.get(metric), (int, float)):
                    at.setdefault(row["step"], []).append(float(values[metric]))
            if not at:
                continue
            drawn += 1
            steps = np.array(sorted(at))
            low, middle, high = (np.array([f(at[s]) for s in steps]) for f in (np.min, np.median, np.max))
            colour, label = COLOURS[index % len(COLOURS)], arm if len(names) == 1 else f"{arm}, {metric}"
            axes.plot(steps / per_unit, middle, style, color=colour, linewidth=1.3, label=label)
            axes.fill_between(steps / per_unit, low, high, color=colour, alpha=0.08, linewidth=0)
    if not drawn:
        return ""
    axes.set_title(name, fontsize=10)
    axes.set_xlabel(unit, fontsize=8)
    axes.tick_params(labelsize=8)
    if drawn <= 8:
        axes.legend(fontsize=6, frameon=False)
    return figure_svg(figure, f"{name} by {unit}, by arm")


def _samples(directory: SweepDirectory, rows: list[dict[str, Any]]) -> str:
    parts = []
    for arm in _arms(rows):
        own = sorted((row for row in rows if row["arm"] == arm), key=lambda row: row["seed"])[:_PICTURES_PER_ARM]
        images = []
        for row in own:
            pictures = directory.pictures(row["member"])
            if pictures:
                sentence = ("" if row["ended"] else "so far: ") + row["verdict"]["sentence"]
                said = f"{arm}, seed {row['seed']}, step {picture_step(pictures[-1]):,}: {sentence}"
                images.append(
                    f'<figure class="sample"><img alt="{html.escape(said)}" src="{data_uri(pictures[-1])}">'
                    f"<figcaption>seed {row['seed']}: {html.escape(sentence)}</figcaption></figure>"
                )
        if images:
            parts.append(f'<h3>{html.escape(arm)}</h3><div class="curves">{"".join(images)}</div>')
    note = f"<p>The last samples of the first {_PICTURES_PER_ARM} seeds of every arm; the same latents in all arms.</p>"
    return note + "".join(parts) if parts else "<p>No pictures were kept.</p>"


def _settings(record: SweepRecord) -> str:
    lines = [[arm.name, ", ".join(f"{k} = {v}" for k, v in arm.settings.items()) or "–"] for arm in record.sweep.arms]
    first = record.sweep.arms[0]
    return (
        table(["arm", "what sets it apart"], lines)
        + f"<p>All settings of {html.escape(first.name)}:</p>"
        + settings_table(first.experiment)
    )


def _provenance(directory: SweepDirectory, record: SweepRecord) -> str:
    plans = directory.read_plans()
    facts = {
        "command": record.command,
        "data": "; ".join(f"{name} (contents {known})" for name, known in record.data.items()) or "made from settings",
        "engine": "; ".join(
            f"{plan.engine} over {plan.num_devices} devices, {sum(map(len, plan.batches))} members"
            + (f" (steps/s: {', '.join(f'{k} {v:.4g}' for k, v in plan.timings.items())})" if plan.timings else "")
            for plan in plans
        ),
        "device": f"{record.environment.get('device', '')}, {record.environment.get('num_cpus', '')} CPUs",
        "versions": ", ".join(f"{k} {v}" for k, v in record.environment.get("versions", {}).items()),
        "started": record.environment.get("started", ""),
    }
    return table(["", ""], [[name, show(value)] for name, value in facts.items() if value])


def _arms(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["arm"] for row in sorted(rows, key=lambda row: row["member"])))
