"""The table of a study of collapses, for the documentation: a row for each arm of one or several sweeps.

    python benchmarks/study_table.py FOLDER [FOLDER ...]

A folder is a sweep, or what `benchmarks/stored_study.py` kept of it. Columns: runs that collapsed, with the exact 95 %
interval of their share (Clopper and Pearson); how many of them while forming, and after; onsets; of the last
evaluations the number of classes, effective classes and the share of junk; and the class with most samples at the end
of the collapsed runs that still have few, with the number of these runs. Onsets and last values are medians over the
runs, with the smallest and the largest.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.metrics.prevention import share_of
from gan_jax.reports.text_tables import largest_modes
from gan_jax.runs.folders import RunError
from gan_jax.runs.rows import watched
from gan_jax.runs.run import SweepRun

LAST = {"modes": "classes at the end", "effective_classes": "effective classes", "junk": "junk (%)"}


def spread(values: Sequence[float], words: str = "{:,.3g}") -> str:
    """The median of some values, and in brackets the smallest and the largest; "–" for none."""
    if not values:
        return "–"
    median, low, high = (words.format(float(value)) for value in (np.median(values), min(values), max(values)))
    return median if low == high else f"{median} ({low} to {high})"


def arm_cells(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The cells of an arm's row, from its members' rows."""
    verdicts = [row["verdict"] for row in rows]
    collapsed = [verdict for verdict in verdicts if verdict["outcome"] == "collapsed"]
    early = sum(verdict.get("when") == "while forming" for verdict in collapsed)
    share = share_of(len(collapsed), len(rows))
    last = [watched(row["last"]) for row in rows]
    values = {name: [one[name] for one in last if one.get(name) is not None] for name in LAST}
    return [
        f"{len(collapsed)} of {len(rows)} ({100 * share.lower:.0f} to {100 * share.upper:.0f} %)",
        str(early),
        str(len(collapsed) - early),
        spread([verdict["onset_step"] for verdict in collapsed], "{:,.0f}"),
        spread(values["modes"]),
        spread(values["effective_classes"], "{:.1f}"),
        spread([100 * share for share in values["junk"]], "{:.0f}"),
        largest_modes(verdicts) or "–",
    ]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown, a row for each arm in their order."""
    head = ["arm", "collapsed (95 %)", "while forming", "after forming", "onset (steps)", *LAST.values(), "onto (runs)"]
    arms = dict.fromkeys(row["arm"] for row in rows)
    lines = [[arm, *arm_cells([row for row in rows if row["arm"] == arm])] for arm in arms]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, nargs="+", help="folder of a sweep, or its stored part")
    return parser


def main() -> None:
    parser = make_parser()
    try:
        rows = SweepRun(*parser.parse_args().sweep).rows
    except RunError as error:
        parser.error(str(error))
    print(table(rows))


if __name__ == "__main__":
    main()
