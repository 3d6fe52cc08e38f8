"""The documentation's tests of what D knows by heart, from rows that were made up and from the stored ones."""

from __future__ import annotations

import math
from pathlib import Path

from benchmarks.memorisation_digits import PLACES, end_lines, onset_lines
from gan_jax.runs.files import read_lines

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def test_pairs_by_hand():
    made = [
        {"game": "digits_label_noise", "flips": rate, "seed": seed, "step": 4000 + place, "onset": 4000, "gap": gap}
        for seed, gaps in enumerate([(0.01, 0.02), (0.05, 0.02)])
        for rate, gap in zip((0.0, 0.1), gaps, strict=True)
        for place in PLACES
    ]
    lines = onset_lines(made)
    assert len(lines) == len(PLACES)
    error = (4 / 2) / math.sqrt(2) * math.sqrt(2)  # of -1 and 3 points
    assert lines[0].startswith("-1,000 steps: plain 3.0 (1.0 to 5.0); flips 2.0; difference 1.0 +- ")
    assert f"+- {error:.1f}," in lines[0]


def test_the_stored_runs_give_the_numbers_of_the_documentation():
    lines = end_lines(read_lines(RESULTS / "digits_memorisation.jsonl"))
    assert lines[-1] == "28 runs with flips: rank correlation -0.58, p = 0.001"
