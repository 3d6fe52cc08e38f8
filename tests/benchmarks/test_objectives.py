"""The grouped test of objectives: closed forms, simulated truths, and the tables."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.objectives import (
    BASELINE,
    OTHERS,
    answer,
    outcome_tables,
    paired_p,
    permutation_p,
    shares_interval,
    stored_members,
    table_text,
    variance_shares,
)
from gan_jax.metrics.hazards import holm


def rows(outcomes):
    return [
        {"settings": {"game": game, "objective": objective}, "seed": seed, "verdict": {"outcome": outcome}}
        for (game, objective), row in outcomes.items()
        for seed, outcome in enumerate(row)
    ]


def test_shares_of_a_table_that_one_cause_explains():
    by_objective = np.repeat([[0.0], [1.0], [1.0]], 6, axis=1)
    assert variance_shares([by_objective]) == (1.0, 0.0, 0.0)
    assert variance_shares([by_objective.T.copy()]) == (0.0, 1.0, 0.0)
    assert all(map(math.isnan, variance_shares([np.ones((3, 4))])))


def test_shares_are_those_that_were_drawn():
    rng = np.random.default_rng(0)
    drawn = [rng.normal(0, 1, (200, 1)) + rng.normal(0, 2, (1, 200)) + rng.normal(0, 3, (200, 200)) for _ in range(20)]
    np.testing.assert_allclose(variance_shares(drawn), np.array([1, 4, 9]) / 14, atol=0.02)


def test_the_permutation_test_keeps_its_level_and_has_power():
    rng = np.random.default_rng(1)
    nothing = [
        permutation_p([(rng.random((10, 8)) < rng.random((1, 8))).astype(float)], 199, seed) for seed in range(400)
    ]
    assert 0.02 < np.mean(np.array(nothing) <= 0.05) < 0.08  # seeds differ and objectives do not
    differing = (rng.random((10, 8)) < np.linspace(0.05, 0.95, 10)[:, None]).astype(float)
    assert permutation_p([differing], 999) < 0.01


def test_the_interval_holds_the_share_that_was_drawn():
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        table = rng.normal(0, 1, (40, 1)) + rng.normal(0, 2, (40, 12))
        low, high = shares_interval([table])
        share = np.var(table.mean(1), ddof=1) - 4 / 12  # of these 40 objectives, not of all that could be drawn
        held += low <= share / (share + 4) <= high
    assert 0.85 < held / 200 <= 1


def test_paired_p_is_that_of_the_binomial_test():
    own = np.array([True] * 8 + [False] * 4)
    assert paired_p(own, np.zeros(12, bool)) == pytest.approx(2 / 2**8)
    assert paired_p(own, own) == 1
    assert paired_p(~own, own) == paired_p(own, ~own)


def test_holm_by_hand():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03}) == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})


def test_tables_and_answer():
    healthy, collapsed, junk = "healthy", "collapsed", "never formed"
    made = rows(
        {
            ("hard", BASELINE): [collapsed] * 3 + [healthy],
            ("hard", "hinge"): [collapsed] * 3 + [healthy],
            ("hard", OTHERS[1]): [junk] * 4,
            ("easy", BASELINE): [healthy] * 4,
            ("easy", "hinge"): [healthy] * 4,
            ("easy", OTHERS[1]): [collapsed] * 4,
        }
    )
    tables = outcome_tables(made, "collapsed")
    assert tables["hard"]["hinge"].tolist() == [True, True, True, False]
    assert outcome_tables(made, "failed")["hard"][OTHERS[1]].all()
    # The seed explains all that differs; the arm that changes more than the objective does not count.
    said = answer(tables, "collapsed")
    assert "(hard), the objective explains 0 % of the variance of 'collapsed'" in said
    assert "the seed 100 %" in said
    assert said.endswith("On the games where it does not (easy), no outcome differs.")
    assert "| hinge | 3 of 4 | 0 of 4 | 3 of 8 | 1 |" in table_text(tables).splitlines()
    with pytest.raises(ValueError, match="same seeds"):
        outcome_tables(made[1:], "collapsed")
    with pytest.raises(ValueError, match="no game and objective"):
        outcome_tables([{**made[0], "settings": {"rate": 0.0}}], "collapsed")


def test_stored_rows_give_the_tables_of_the_page():
    members = stored_members(Path(__file__).parents[2] / "docs" / "results" / "objectives.jsonl")
    found = outcome_tables(members, "collapsed")
    assert len(members) == 768
    assert {name: int(table["non-saturating"].sum()) for name, table in found.items()} == {
        "ring, small G": 5,
        "cities, small D": 6,
        "ring": 0,
        "cities": 0,
    }
