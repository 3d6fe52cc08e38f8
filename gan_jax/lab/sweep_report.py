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
from gan_jax.metrics.onsets import summary

_PICTURES_PER_ARM = 3
_OUTCOMES = ("healthy", "censored", "collapsed", "never formed", "non-finite")


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


def sweep_statistics(record: SweepRecord, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """`onsets.summary` of the verdicts, against the first arm; with a trend if one number sets the arms apart."""
    arms: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        arms.setdefault(row["arm"], []).append(row["verdict"])
    numbers = _covariate(record, arms)
    return summary(arms, covariate=numbers[1] if numbers else None, unit=numbers[2] if numbers else 1.0)


def _covariate(record: SweepRecord, arms: dict[str, Any]) -> tuple[str, dict[str, float], float] | None:
    """(path, number by arm, a twentieth of their range in round digits) if one numeric setting is all that differs."""
    paths = {path for arm in record.sweep.arms for path in arm.settings}
    if len(paths) != 1 or len(arms) < 2:
        return None
    path = paths.pop()
    values: dict[str, float] = {}
    for arm in record.sweep.arms:
        try:
            values[arm.name] = float(arm.settings[path])
        except (TypeError, ValueError):
            return None
    values = {name: values[name] for name in arms}
    span = max(values.values()) - min(values.values())
    return (path, values, float(f"{span / 20:.0e}")) if span > 0 else None


def render(directory: SweepDirectory, rows: list[dict[str, Any]], statistics: dict[str, Any]) -> str:
    """The page's HTML."""
    record, metrics = directory.read_record(), directory.read_metrics()
    ended = sum(row["ended"] for row in rows)
    num_members = len(record.sweep.arms) * len(record.sweep.seeds)
    unit, per_unit = _time_unit(record)
    sections = [
        f'<p class="verdict">{html.escape(_sentence(record, rows, statistics))}</p>',
        f"<p>{ended} of {num_members} runs have ended.</p>" if ended < num_members else "",
        "<h2>Arms</h2>",
        _outcomes(rows),
        _coincide(metrics, rows),
        "<h2>Survival</h2>",
        _survival_plots(statistics, unit, per_unit),
        _survival_table(statistics, unit, per_unit),
        _tests(record, statistics),
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


_NAMES = {
    "modes": "modes",
    "high_quality": "high quality",
    "effective_classes": "effective classes",
    "junk": "junk",
    "variance_ratio": "variance",
    "kl": "KL (nats)",
}


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


def _survival_plots(statistics: dict[str, Any], unit: str, per_unit: float) -> str:
    figure, axes = new_figure(5.2, 3.2)
    drawn = 0
    for index, (name, arm) in enumerate(statistics["arms"].items()):
        curve = arm["curve"]
        if curve is None:
            continue
        drawn += 1
        times = np.array(curve["times"]) / per_unit
        survival, low, high = (
            np.array([np.nan if v is None else v for v in curve[key]]) for key in ("survival", "lower", "upper")
        )
        colour = COLOURS[index % len(COLOURS)]
        # Arms that coincide are told apart by dashes of different lengths.
        dashes = "-" if index < 1 else (0, (7 - index % 6, 1 + index % 3))
        formed = arm["num_runs"] - arm["num_never_formed"]
        label = f"{name} ({formed} of {arm['num_runs']} formed)"
        axes.step(times, survival, where="post", color=colour, linestyle=dashes, linewidth=1.6, label=label)
        axes.fill_between(times, low, high, step="post", color=colour, alpha=0.1, linewidth=0)
        ends = [t for t, n, d in zip(times, curve["at_risk"], curve["events"], strict=True) if n and not d and t > 0]
        axes.plot(ends, np.interp(ends, times, survival), "|", color=colour, markersize=7)
    axes.set(ylim=(-0.03, 1.03), xlim=(0, None), xlabel=unit, ylabel="share without failure")
    axes.set_title("Failure of any cause (95 % bands; | censored)", fontsize=10)
    axes.tick_params(labelsize=8)
    if not drawn:
        return "<p>No run has formed: there is no time of collapse to speak of.</p>"
    axes.legend(fontsize=7, frameon=False, loc="lower left")
    figures = [figure_svg(figure, "Kaplan-Meier curves of the arms")]
    for cause in ("collapse", "junk"):
        figure, axes = new_figure(4.2, 2.6)
        for index, arm in enumerate(statistics["arms"].values()):
            if arm["causes"] is None:
                continue
            curve = arm["causes"][cause]["curve"]
            times = np.array(curve["times"]) / per_unit
            axes.step(times, curve["incidence"], where="post", color=COLOURS[index % len(COLOURS)], linewidth=1.4)
        axes.set(ylim=(-0.03, 1.03), xlim=(0, None), xlabel=unit)
        axes.set_title(f"Cumulative incidence of {cause}", fontsize=10)
        axes.tick_params(labelsize=8)
        figures.append(figure_svg(figure, f"cumulative incidence of {cause}"))
    return f'<div class="curves">{"".join(figures)}</div>'


def _survival_table(statistics: dict[str, Any], unit: str, per_unit: float) -> str:
    against = statistics["pairwise"]["against"]
    lines = []
    for name, arm in statistics["arms"].items():
        events, mean = arm["num_events"], arm["restricted_mean"] or {"mean": None, "standard_error": None}
        other = against.get(name)
        ratio = other["hazard_ratio"] if other else None
        lines.append(
            [
                name,
                f"{arm['num_never_formed']} of {arm['num_runs']}",
                ", ".join(f"{count} {cause}" for cause, count in events.items() if count) or "none",
                str(arm["num_censored"]),
                _interval(arm["median"], arm["median_lower"], arm["median_upper"], per_unit, arm["curve"]),
                _plus_minus(mean["mean"], mean["standard_error"], per_unit),
                "baseline" if name == statistics["pairwise"]["baseline"] else _ratio(ratio),
                "" if other is None else _p(other["log_rank"]["p"], other["p_holm"]),
            ]
        )
    horizon = statistics["horizon"]
    to = "the horizon" if horizon is None else f"{unit} {horizon / per_unit:,.4g}"
    head = ["arm", "never formed", "failures", "censored", f"median onset ({unit})", f"restricted mean to {to}"]
    head += ["hazard ratio (95 %)", "log-rank p (Holm)"]
    caption = (
        "Of the runs that formed. Censored times are never averaged: a run without failure counts as lasting at least "
        "as long as it was seen. A hazard ratio above 1 fails sooner than the baseline."
    )
    return table(head, lines, caption)


def _interval(value: Any, low: Any, high: Any, scale: float, curve: Any) -> str:
    if curve is None:
        return "–"
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
        return f"– ({ratio['note']})"
    return f"{ratio['ratio']:.3g} ({ratio['lower']:.2g} to {ratio['upper']:.2g})"


def _p(raw: float | None, adjusted: float | None) -> str:
    return "–" if raw is None else f"{raw:.2g}" + (f" ({adjusted:.2g})" if adjusted is not None else "")


def _tests(record: SweepRecord, statistics: dict[str, Any]) -> str:
    test, trend, power = statistics["log_rank"], statistics["trend"], statistics["power"]
    lines = []
    if test["p"] is not None:
        lines.append(
            f"Log-rank over all arms: χ² = {test['statistic']:.3g}, {test['degrees_of_freedom']} degrees of "
            f"freedom, p = {test['p']:.2g}."
        )
    numbers = _covariate(record, statistics["arms"])
    if numbers and trend["log_rank_trend"]["p"] is not None:
        line = (
            f"Trend over {numbers[0]}: z = {trend['log_rank_trend']['z']:.3g}, p = {trend['log_rank_trend']['p']:.2g}"
        )
        ratio = trend["hazard_ratio_per_unit"]
        if ratio["ratio"] is not None:
            line += (
                f"; for each {trend['unit']:g} more the hazard is multiplied by {ratio['ratio']:.3g} "
                f"({ratio['lower']:.3g} to {ratio['upper']:.3g})"
            )
        lines.append(line + ".")
    if power["hazard_ratio_detectable"] is not None:
        seeds = ", ".join(f"{number} for a ratio of {ratio}" for ratio, number in power["seeds_per_arm"].items())
        lines.append(
            f"Power: {power['num_events']} failures were seen. Two arms together have "
            f"{power['num_events_in_two_arms']:.3g} of them on average, which would show a hazard ratio of "
            f"{power['hazard_ratio_detectable']:.3g} in 80 % of studies; seeds an arm that would: {seeds} "
            "(Schoenfeld, two-sided 5 %)."
        )
    else:
        lines.append(f"Power: {power['note']}.")
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


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
                said = f"{arm}, seed {row['seed']}, step {picture_step(pictures[-1]):,}: {row['verdict']['sentence']}"
                images.append(
                    f'<figure class="sample"><img alt="{html.escape(said)}" src="{data_uri(pictures[-1])}">'
                    f"<figcaption>seed {row['seed']}: {html.escape(row['verdict']['sentence'])}</figcaption></figure>"
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
