"""The outcomes of a sweep's runs, in a sentence and in tables by arm; and arms that are equal."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
from markupsafe import Markup

from gan_jax.reports.html_parts import paragraph
from gan_jax.reports.page import html_table
from gan_jax.reports.page_figures import swatch
from gan_jax.reports.report import METRICS
from gan_jax.reports.report_curves import sample_names
from gan_jax.reports.sweep_survival import trend_words
from gan_jax.reports.text_tables import largest_modes, num_early
from gan_jax.runs.rows import watched
from gan_jax.runs.sweep_directory import SweepRecord

_OUTCOMES = ("healthy", "censored", "collapsed", "never formed", "non-finite")


def summary_sentence(record: SweepRecord, rows: list[dict[str, Any]], statistics: dict[str, Any]) -> str:
    """The outcomes of all runs, the trend over the arms and the test over them, in one line without a full stop.

    Args:
        record: the record of the sweep.
        rows: a row per member.
        statistics: the result of `sweep_statistics`.

    Returns:
        Words.
    """
    counts = ", ".join(f"{_count(rows, name)} {name}{_early_words(rows, name)}" for name in _outcomes(rows))
    test = statistics["log_rank"]
    found = f"log-rank over the arms p = {test['p']:.2g}" if test["p"] is not None else f"no test: {test['note']}"
    words = [f"{len(rows)} runs of {len(record.sweep.arms)} arms: {counts}", trend_words(record, statistics), found]
    return "; ".join(filter(None, words))


def _early_words(rows: list[dict[str, Any]], outcome: str) -> str:
    """The number of collapses while forming, in brackets; "" if there are none."""
    early = num_early(row["verdict"] for row in rows)
    if outcome != "collapsed" or not early:
        return ""
    return " (while forming)" if early == _count(rows, outcome) else f" ({early} of them while forming)"


def _outcomes(rows: list[dict[str, Any]]) -> list[str]:
    """The outcomes that occur, in the order of `_OUTCOMES`; others come last."""
    found = {row["verdict"]["outcome"] for row in rows}
    return [*(name for name in _OUTCOMES if name in found), *sorted(found.difference(_OUTCOMES))]


def _count(rows: list[dict[str, Any]], outcome: str) -> int:
    return sum(row["verdict"]["outcome"] == outcome for row in rows)


def outcomes_table(rows: list[dict[str, Any]]) -> Markup:
    """One row per arm: its outcomes; and a second table of its last metrics."""
    outcomes, metrics = _outcomes(rows), _shown_metrics(rows)
    early = num_early(row["verdict"] for row in rows) > 0
    onto = largest_modes([row["verdict"] for row in rows]) != ""
    lines, last = [], []
    for arm in arm_names(rows):
        own = [row for row in rows if row["arm"] == arm]
        verdicts = [row["verdict"] for row in own]
        counts = [_count(own, name) for name in outcomes] + [num_early(verdicts)] * early
        lines.append([arm, len(own), *counts, *[largest_modes(verdicts) or "–"] * onto])
        # The columns are the metrics of all arms; a metric that an arm lacks is an empty cell.
        last.append([arm, *(_over_seeds([watched(row["last"]) for row in own], name) for name in metrics)])
    head = ["arm", "runs", *outcomes, *["collapsed while forming"] * early, *["onto (runs)"] * onto]
    caption = "Outcomes of the runs."
    if early:
        caption = f"{caption} Collapsed: after forming and while forming together."
    if onto:
        caption = f"{caption} Onto: the largest mode or class at the end of the collapsed runs that still have few."
    if never := [row["verdict"] for row in rows if row["verdict"]["outcome"] == "never formed"]:
        num = sum(verdict.get("cause") == "junk" for verdict in never)
        caption = f"{caption} Of the runs that never formed, {num} of {len(never)} end with samples unlike the data."
    keys = [swatch(index) for index in range(len(lines))]
    shown = html_table(head, lines, caption, keys)
    if metrics:
        caption = "Last metrics: the median over seeds, and in brackets the smallest and the largest value."
        shown += html_table(["arm", *(METRICS[name] for name in metrics)], last, caption, keys)
    if chosen := sample_names(rows):
        found = {arm: [row.get("samples", {}) for row in rows if row["arm"] == arm] for arm in arm_names(rows)}
        values = [[arm, *(_over_seeds(own, name) for name in chosen)] for arm, own in found.items()]
        caption = "Chosen metrics of the last samples: the median over seeds, the smallest and the largest value."
        shown += html_table(["arm", *(name.replace("_", " ") for name in chosen)], values, caption, keys)
    return shown


def _shown_metrics(rows: list[dict[str, Any]]) -> list[str]:
    """The metrics of `METRICS` for which any member has a number."""
    found = {name for row in rows for name, value in watched(row["last"]).items() if isinstance(value, (int, float))}
    return [name for name in METRICS if name in found]


def _over_seeds(found: list[dict[str, Any]], name: str) -> str:
    values = [value for one in found if isinstance(value := one.get(name), (int, float))]
    return f"{np.median(values):.3g} ({min(values):.3g} to {max(values):.3g})" if values else "–"


def coinciding_arms(metrics: list[dict[str, Any]], rows: list[dict[str, Any]]) -> Markup:
    """A line that names arms which are equal in every metric of every seed that both have; empty if there are none."""
    of_member = {row["member"]: (row["arm"], row["seed"]) for row in rows}
    curves: dict[str, dict[int, list[Any]]] = {}
    for row in metrics:
        if row["member"] in of_member:
            arm, seed = of_member[row["member"]]
            curves.setdefault(arm, {}).setdefault(seed, []).append((row["step"], row["train"], row["evaluation"]))
    pairs = [(one, other) for one, other in itertools.combinations(arm_names(rows), 2) if {one, other} <= set(curves)]
    same = [words for one, other in pairs if (words := _equality(one, curves[one], other, curves[other]))]
    return paragraph(f"These arms are equal in every number: {'; '.join(same)}.") if same else Markup()


def _equality(one: str, its: dict[int, list[Any]], other: str, others: dict[int, list[Any]]) -> str:
    """Two arms that are equal, and in how many seeds; "" if they have no common seed, or differ."""
    common = set(its) & set(others)
    if not common or any(_sorted(its[seed]) != _sorted(others[seed]) for seed in common):
        return ""
    return f"{one} and {other} (seeds of both: {len(common)})"


def _sorted(curve: list[Any]) -> str:
    return json.dumps(sorted(curve, key=lambda point: point[0]))


def arm_names(rows: list[dict[str, Any]]) -> list[str]:
    """The arms of a sweep's rows, in the order of its members."""
    return list(dict.fromkeys(row["arm"] for row in sorted(rows, key=lambda row: row["member"])))
