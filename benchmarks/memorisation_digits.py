"""What D knows by heart in the label-noise study of the digits: the tables and tests of the documentation.

    python benchmarks/memorisation_digits.py [FOLDER]        FOLDER: docs/results

`digits_memorisation_onset.jsonl` has the runs with and without 10 % flips at 24 steps each, `digits_memorisation.jsonl`
the runs of five rates at step 20,000; both come from `gan-jax diagnose memorisation`. A gap is the share of the
training digits that D classifies as real less that of the held-out digits, in percentage points. Printed are medians
over the seeds, with the smallest and the largest; the mean difference of the pairs with its standard error, and
Wilcoxon's signed-rank test of it; and Spearman's rank correlation of rate and gap over the runs with flips.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr, wilcoxon

from benchmarks.study_table import spread
from gan_jax.runs.files import read_lines

GAME, RATES = "digits_label_noise", (0.0, 0.1)
PLACES = (-1000, -500, -250, 0, 250)
"""Steps from the onset of the plain run of the same seed."""


def gaps_around_onset(rows: Sequence[Mapping[str, Any]], place: int) -> tuple[list[float], list[float]]:
    """The gaps of the plain runs and of those with flips, by seed, at a step from the onset of the plain run."""
    gaps = {(row["flips"], row["seed"], row["step"]): 100 * row["gap"] for row in rows if row["game"] == GAME}
    onsets = {row["seed"]: row["onset"] for row in rows if row["game"] == GAME and row["flips"] == 0}
    plain, flips = ([gaps[rate, seed, onset + place] for seed, onset in sorted(onsets.items())] for rate in RATES)
    return plain, flips


def onset_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each place around the onset."""
    lines = []
    for place in PLACES:
        plain, flips = gaps_around_onset(rows, place)
        difference = np.subtract(plain, flips)
        error = difference.std(ddof=1) / np.sqrt(len(difference))
        lines.append(
            f"{place:+,} steps: plain {spread(plain, '{:.1f}')}; flips {spread(flips, '{:.1f}')}; difference "
            f"{difference.mean():.1f} +- {error:.1f}, Wilcoxon p = {wilcoxon(difference).pvalue:.2f}"
        )
    return lines


def end_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line for each rate, and the rank correlation over those above 0."""
    own = [row for row in rows if row["game"] == GAME and row["step"] == 20_000]
    lines = []
    for rate in sorted({row["flips"] for row in own}):
        gaps = [100 * row["gap"] for row in own if row["flips"] == rate]
        lines.append(f"{100 * rate:g} % flips, {len(gaps)} runs: gap {spread(gaps, '{:.1f}')}")
    flipped = [row for row in own if row["flips"] > 0]
    test = spearmanr([row["flips"] for row in flipped], [row["gap"] for row in flipped])
    lines.append(f"{len(flipped)} runs with flips: rank correlation {test.statistic:.2f}, p = {test.pvalue:.1g}")
    return lines


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs/results"), help="folder of the rows")
    return parser


def main() -> None:
    folder = make_parser().parse_args().folder
    print("around the onset of the plain run:")
    print("\n".join(onset_lines(read_lines(folder / "digits_memorisation_onset.jsonl"))))
    print("at step 20,000:")
    print("\n".join(end_lines(read_lines(folder / "digits_memorisation.jsonl"))))


if __name__ == "__main__":
    main()
