"""Tables as plain text for the terminal and for reports."""

from __future__ import annotations

import collections
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

_NUM_ONTO = 4
"""The largest number of modes that `largest_modes` names."""


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines with aligned columns, two spaces apart; nothing is wrapped or truncated.

    Example:
        >>> print(text_table([["step", "loss"], ["1,000", "0.5"]]))
        step   loss
        1,000  0.5
    """
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for _ in rows[0]:
        table.add_column(no_wrap=True, overflow="ignore")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    # A character takes at most two cells of a terminal.
    width = sum(2 * max(len(row[i]) for row in rows) + 2 for i in range(len(rows[0])))
    out = io.StringIO()
    Console(file=out, width=width, color_system=None, markup=False, emoji=False, highlight=False).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def evaluation_table(result: dict[str, Any]) -> str:
    """The result of `gan_jax.runs.evaluation.evaluate_run`: a row for each metric, with its ceiling and floor."""
    columns = list(result["metrics"])
    names = [n for n, v in result["metrics"][columns[0]].items() if not isinstance(v, (list, bool))]
    rows = [["metric", *columns, "ceiling", "floor"]]
    for name in names:
        bound = result["bounds"].get(name, {})
        values = [result["metrics"][column][name] for column in columns]
        rows.append([name, *(_cell(v) for v in (*values, bound.get("ceiling"), bound.get("floor")))])
    head = f"{result['run']} at step {result['step']:,}; {result['definition']['rule']}; latents: {result['latents']}"
    return "\n".join([*(f"note: {problem}" for problem in result["problems"]), head, text_table(rows)])


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def arms_table(members: Sequence[dict[str, Any]]) -> str:
    """The members of a sweep: a row for each arm, with the number of runs by outcome.

    `collapsed` counts both kinds of collapse; those while forming have a column of their own where there are any, and
    so have the modes onto which runs collapsed.
    """
    early = num_early(member["verdict"] for member in members) > 0
    onto = largest_modes([member["verdict"] for member in members]) != ""
    outcomes = ["healthy", "censored", "never formed", "non-finite", "collapsed"]
    names = list(dict.fromkeys(member["arm"] for member in members))
    head = ["arm", "runs", *outcomes, *["of these while forming"] * early, *["onto (runs)"] * onto, "onsets (steps)"]
    rows = [head]
    for name in names:
        verdicts = [member["verdict"] for member in members if member["arm"] == name]
        counts = [str(sum(v["outcome"] == outcome for v in verdicts)) for outcome in outcomes]
        counts += [str(num_early(verdicts))] * early + [largest_modes(verdicts) or "-"] * onto
        onsets = sorted(v["onset_step"] for v in verdicts if v["onset_step"] is not None)
        rows.append([name, str(len(verdicts)), *counts, ", ".join(f"{step:,}" for step in onsets) or "-"])
    return text_table(rows)


def num_early(verdicts: Iterable[Mapping[str, Any]]) -> int:
    """The number of stored verdicts of a collapse while forming."""
    return sum(v["outcome"] == "collapsed" and v.get("when") == "while forming" for v in verdicts)


def largest_modes(verdicts: Sequence[Mapping[str, Any]]) -> str:
    """The modes with most samples at the end of the collapsed runs that still have few, with the numbers of these runs.

    Args:
        verdicts: stored verdicts.

    Returns:
        Words such as "3 (15), 8 (14), 1 (4)"; the most frequent first. "" if there is no such run.

    Example:
        >>> largest_modes([{"onto": [["3", 0.9]]}, {"onto": [["8", 0.6], ["3", 0.4]]}, {"onto": [["8", 1.0]]}, {}])
        '8 (2), 3 (1)'
    """
    largest = collections.Counter(str(v["onto"][0][0]) for v in verdicts if v.get("onto"))
    shown = [f"{name} ({num})" for name, num in largest.most_common(_NUM_ONTO)]
    others = sum(largest.values()) - sum(num for _, num in largest.most_common(_NUM_ONTO))
    return ", ".join([*shown, *[f"others ({others})"] * (others > 0)])
