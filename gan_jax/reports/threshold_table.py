"""The dependence of verdicts on thresholds, as text: one line per set of thresholds, one column per arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gan_jax.diagnostics.verdict import Verdict
from gan_jax.experiment.sweep import NumericSetting, numeric_setting
from gan_jax.metrics.hazards import hazard_ratio_per_unit, log_rank, log_rank_trend
from gan_jax.metrics.survival import Onset, onset_of
from gan_jax.reports.text_tables import text_table
from gan_jax.runs.thresholds import Reading, StoredSeries

_MOVED = 1 / 3
"""Share of an arm's runs whose verdict must change under a set of thresholds for the arm to be named."""
_NUM_CHANGED = 8


def threshold_summary(series: Sequence[StoredSeries], found: Sequence[Reading]) -> dict[str, Any]:
    """The outcomes of each arm under each set of thresholds, for JSON.

    Args:
        series: the series of the runs.
        found: their readings, of which the first has the thresholds of training.

    Returns:
        "changed": stored verdicts that differ from those of the thresholds of training (mostly from older versions);
        "readings": for each set its thresholds, the outcomes by arm, the log-rank test over the arms, and, if the arms
        differ in one numeric setting only, its trend and hazard ratio; "unit" of that ratio; and "sentence".
    """
    numeric = numeric_setting({one.arm: one.settings for one in series})
    arms = list(dict.fromkeys(one.arm for one in series))
    lines = []
    for reading in found:
        by_arm = {
            arm: [verdict for verdict, one in zip(reading.verdicts, series, strict=True) if one.arm == arm]
            for arm in arms
        }
        onsets = {arm: [onset_of(v.to_json()) for v in verdicts] for arm, verdicts in by_arm.items()}
        test = log_rank(onsets)
        lines.append(
            {
                "thresholds": reading.name(),
                "changes": reading.changes,
                "arms": {arm: _counts(verdicts) for arm, verdicts in by_arm.items()},
                "log_rank_p": test.p,
                **_trend(onsets, numeric),
                "verdicts": [verdict.sentence() for verdict in reading.verdicts] if len(series) == 1 else None,
            }
        )
    changed = [
        {"run": one.name or "the run", "stored": one.verdict["sentence"], "read": verdict.sentence()}
        for one, verdict in zip(series, found[0].verdicts, strict=True)
        if (one.verdict["outcome"], one.verdict["onset_step"]) != (verdict.outcome, verdict.onset_step)
    ]
    summary = {"num_runs": len(series), "changed": changed, "readings": lines, "unit": numeric and numeric.unit}
    return {**summary, "sentence": _sentence(summary)}


def _trend(onsets: Mapping[str, Sequence[Onset]], numeric: NumericSetting | None) -> dict[str, Any]:
    if numeric is None:
        return {"trend_z": None, "hazard_ratio": None}
    pooled = [onset for listed in onsets.values() for onset in listed]
    numbers = [numeric.values[arm] for arm, listed in onsets.items() for _ in listed]
    ratio = hazard_ratio_per_unit(pooled, numbers, unit=numeric.unit)
    return {"trend_z": log_rank_trend(pooled, numbers).z, "hazard_ratio": ratio._asdict()}


def _counts(verdicts: Sequence[Verdict]) -> dict[str, int]:
    early = sum(v.outcome == "collapsed" and v.when == "while forming" for v in verdicts)
    return {
        "runs": len(verdicts),
        "collapsed after forming": sum(v.outcome == "collapsed" for v in verdicts) - early,
        "collapsed while forming": early,
        "never formed": sum(v.outcome == "never formed" for v in verdicts),
        "non-finite": sum(v.outcome == "non-finite" for v in verdicts),
    }


def _failed(counts: dict[str, int]) -> int:
    return counts["collapsed after forming"] + counts["collapsed while forming"] + counts["non-finite"]


def _sentence(summary: dict[str, Any]) -> str:
    """A sentence that names the arms whose number of failures depends on a threshold."""
    first, *others = summary["readings"]
    moved: dict[str, list[str]] = {}
    for line in others:
        for arm, counts in line["arms"].items():
            if abs(_failed(counts) - _failed(first["arms"][arm])) >= max(1.0, _MOVED * counts["runs"]):
                moved.setdefault(arm, []).append(line["thresholds"])
    if not others:
        return "no other thresholds were tried"
    if not moved:
        return f"no arm changes by a third of its runs under any of {len(others)} other sets of thresholds"
    return "; ".join(
        f"{arm or 'the run'} depends on a threshold: its number of failures changes under {', '.join(names)}"
        for arm, names in moved.items()
    )


def threshold_table(summary: dict[str, Any]) -> str:
    """The summary as lines for the terminal.

    Args:
        summary: the result of `threshold_summary`.

    Returns:
        Lines. A cell "9+2 of 12" means nine collapses after forming and two while forming among twelve runs.
    """
    arms = list(summary["readings"][0]["arms"])
    several = summary["num_runs"] > 1
    head = ["thresholds", *(arm or "the run" for arm in arms)]
    unit = summary["unit"]
    trend = [] if unit is None else ["trend z", f"hazard ratio for {unit:g}"]
    rows = [head + ["log-rank p"] * (len(arms) > 1) + trend]
    for line in summary["readings"]:
        cells = [_cell(line["arms"][arm]) for arm in arms] if several else line["verdicts"]
        p = line["log_rank_p"]
        tests = [f"{p:.2g}" if p is not None else "-"] * (len(arms) > 1) + (_trend_cells(line) if trend else [])
        rows.append([line["thresholds"], *cells, *tests])
    note = "each cell: collapses after forming + while forming, of all runs (n: never formed, x: not finite)"
    same = summary["num_runs"] - len(summary["changed"])
    lines = [note] if several else []
    lines += [
        text_table(rows),
        f"{same} of {summary['num_runs']} stored verdicts are confirmed by the thresholds as trained",
    ]
    lines += [f"  {one['run']}: {one['stored']} -> {one['read']}" for one in summary["changed"][:_NUM_CHANGED]]
    if len(summary["changed"]) > _NUM_CHANGED:
        lines.append(f"  and {len(summary['changed']) - _NUM_CHANGED} more (--json has all)")
    return "\n".join([*lines, summary["sentence"]])


def _trend_cells(line: dict[str, Any]) -> list[str]:
    z, ratio = line["trend_z"], line["hazard_ratio"]
    if ratio is None or ratio["ratio"] is None:
        return ["-" if z is None else f"{z:.1f}", "-"]
    return [f"{z:.1f}", f"{ratio['ratio']:.2f} ({ratio['lower']:.2f} to {ratio['upper']:.2f})"]


def _cell(counts: dict[str, int]) -> str:
    cell = f"{counts['collapsed after forming']}+{counts['collapsed while forming']} of {counts['runs']}"
    marks = [f"{counts[name]}{mark}" for name, mark in (("never formed", "n"), ("non-finite", "x")) if counts[name]]
    return f"{cell} ({', '.join(marks)})" if marks else cell
