"""The table of a study of collapses, for the documentation: a row for each arm of one or several sweeps.

    python benchmarks/study_table.py FOLDER [FOLDER ...] [--pair ARM ARM ...]

A folder is a sweep, or what `benchmarks/stored_study.py` kept of it. Columns: runs that collapsed, with the exact 95 %
interval of their share (Clopper and Pearson); how many of them while forming, and after; onsets of
the collapsed runs; of the last evaluations of all runs the number of classes, effective classes and the share of junk;
and the class with most samples at the end of the collapsed runs that still have few, with the number of these runs.
Onsets and last values are medians, with the smallest and the largest.

With --pair, a line for each pair of arms instead: how many runs of each collapsed (with the 95 % interval), the
Kaplan-Meier median of the time to it in steps ("-" if half of the runs do not get there), the log-rank test, Fisher's
exact test of the two counts, and the hazard ratio of the first arm to the second (Cox, 95 %). Runs that fall to junk,
or become non-finite, did not collapse; they are watched until then.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import fisher_exact

from gan_jax.experiment.component import unknown_name
from gan_jax.metrics.hazards import hazard_ratio, log_rank
from gan_jax.metrics.prevention import share_of
from gan_jax.metrics.survival import COLLAPSES, Onset, kaplan_meier, onset_of
from gan_jax.reports.text_tables import largest_modes
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
    collapsed = [verdict for verdict in verdicts if onset_of(verdict).cause in COLLAPSES]
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
    head = [
        "arm",
        "collapsed (95 %)",
        "while forming",
        "after forming",
        "onset of these (steps)",
        *LAST.values(),
        "onto (runs)",
    ]
    arms = dict.fromkeys(row["arm"] for row in rows)
    lines = [[arm, *arm_cells([row for row in rows if row["arm"] == arm])] for arm in arms]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *lines))


def pair_line(rows: Sequence[Mapping[str, Any]], pair: tuple[str, str]) -> str:
    """Two arms compared, in one line.

    Args:
        rows: of the members of all arms.
        pair: the names of the two arms.

    Raises:
        ValueError: if an arm has no rows.
    """
    arms = {name: [_collapse_of(row["verdict"]) for row in rows if row["arm"] == name] for name in pair}
    for name, onsets in arms.items():
        if not onsets:
            raise ValueError(unknown_name("no arm", name, dict.fromkeys(row["arm"] for row in rows)))
    counts = {name: (sum(onset.cause in COLLAPSES for onset in arms[name]), len(arms[name])) for name in pair}
    words = []
    for name, (count, num) in counts.items():
        share, median = share_of(count, num), kaplan_meier(arms[name]).median
        limits = f"{100 * share.lower:.0f} to {100 * share.upper:.0f} %"
        words.append(f"{name}: {count} of {num} ({limits}), median {'-' if median is None else f'{median:,.0f}'}")
    p = log_rank(arms).p
    fisher = fisher_exact([[count, num - count] for count, num in counts.values()]).pvalue
    words.append(f"log-rank p {'-' if p is None else f'{p:.1g}'}, Fisher p {fisher:.1g}")
    ratio = hazard_ratio(*(arms[name] for name in pair))
    if ratio.ratio is not None:
        words.append(f"hazard ratio {ratio.ratio:.2g} ({ratio.lower:.2g} to {ratio.upper:.2g})")
    return "; ".join(words)


def _collapse_of(verdict: Mapping[str, Any]) -> Onset:
    """The collapse of a run; one that fell to junk, or whose values were not finite, is censored there."""
    onset = onset_of(verdict)
    return onset if onset.cause in COLLAPSES else Onset(onset.time, None)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, nargs="+", help="folder of a sweep, or its stored part")
    parser.add_argument("--pair", nargs=2, action="append", metavar="ARM", help="two arms to compare; can be repeated")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    try:
        rows = SweepRun(*options.sweep).rows
        print("\n".join(pair_line(rows, tuple(pair)) for pair in options.pair) if options.pair else table(rows))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
