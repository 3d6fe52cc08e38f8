"""The documentation's table of a study, from rows that were made up and from a stored study."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.study_table import pair_line, spread, table
from gan_jax.runs.run import SweepRun

STUDY = Path(__file__).parents[2] / "docs" / "results" / "digits_label_noise" / "seeds_00-03"


def row(arm, outcome, onset, when, classes, onto=(), cause="class"):
    verdict = {"outcome": outcome, "onset_step": onset, "when": when, "onto": list(onto), "cause": cause}
    verdict["last_step"] = 20_000
    last = {"running": {"modes": 99.0, "junk": 0.5}, "batch": {"modes": classes, "junk": 0.25}}  # batch is watched
    return {"arm": arm, "verdict": verdict, "last": last}


def test_cells_by_hand():
    made = [
        row("plain", "collapsed", 4_500, "while forming", 1.0, [["3", 0.9], ["8", 0.1]]),
        row("plain", "collapsed", 15_500, "after forming", 3.0),
        row("plain", "healthy", None, None, 9.0),
        row("flips", "never formed", None, None, 8.0),
        row("noise", "collapsed", 300, "after forming", 0.0, cause="junk"),
    ]
    assert table(made).splitlines()[2:] == [
        "| plain | 2 of 3 (9 to 99 %) | 1 | 1 | 10,000 (4,500 to 15,500) | 3 (1 to 9) | – | 25 | 3 (1) |",
        "| flips | 0 of 1 (0 to 98 %) | 0 | 0 | – | 8 | – | 25 | – |",
        "| noise | 0 of 1 (0 to 98 %) | 0 | 0 | – | 0 | – | 25 | – |",
    ]
    assert spread([]) == "–"


def test_a_stored_study_has_a_row_for_each_arm():
    lines = table(SweepRun(STUDY).rows).splitlines()
    assert len(lines) == 2 + 6
    assert lines[2].startswith("| rate=0.0 | 4 of 4 (40 to 100 %) | 4 | 0 | 4,500 (3,750 to 5,750) |")


def test_two_arms_of_a_stored_study_are_compared():
    rows = SweepRun(STUDY).rows
    line = pair_line(rows, ("rate=0.0", "rate=0.2"))
    assert line.startswith("rate=0.0: 4 of 4 (40 to 100 %), median 4,250; rate=0.2: 0 of 4 (0 to 60 %), median -; ")
    assert line.endswith("Fisher p 0.03")  # 2 / C(8, 4) = 0.0286; and no hazard ratio exists
    with pytest.raises(ValueError, match=r"no arm 'rate=0\.3'"):
        pair_line(rows, ("rate=0.0", "rate=0.3"))


def test_a_fall_to_junk_is_no_collapse_in_a_comparison():
    made = [
        row("noise", "collapsed", 300, "after forming", 0.0, cause="junk"),
        row("plain", "healthy", None, None, 9.0),
    ]
    assert pair_line(made, ("noise", "plain")).startswith("noise: 0 of 1 (0 to 98 %), median -; plain: 0 of 1")
