"""The sentences of a sweep's report about its arms, from rows that were made up."""

from __future__ import annotations

import types

from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Arm, Sweep, numeric_setting
from gan_jax.reports.sweep_outcomes import coinciding_arms, outcomes_table
from gan_jax.reports.sweep_report import _time_unit

SEEDS = {"plain": (0, 1, 2), "one": (0, 1), "two": (2, 3), "apart": (5,)}
MEMBERS = [
    {"member": index, "arm": arm, "seed": seed}
    for index, (arm, seed) in enumerate((arm, seed) for arm, seeds in SEEDS.items() for seed in seeds)
]


def metrics(values):
    """One evaluation of each member; `values` are by (arm, seed), 0 where none is given."""
    return [
        {
            "member": row["member"],
            "step": 10,
            "train": {},
            "evaluation": {"batch": {"modes": values.get((row["arm"], row["seed"]), 0)}},
        }
        for row in MEMBERS
    ]


def test_arms_are_equal_if_the_runs_of_all_common_seeds_are():
    equal = "plain and one (seeds of both: 2); plain and two (seeds of both: 1)"
    assert str(coinciding_arms(metrics({}), MEMBERS)) == f"<p>These arms are equal in every number: {equal}.</p>"
    assert "plain and one" not in coinciding_arms(metrics({("one", 1): 7}), MEMBERS)
    assert "plain and one" in coinciding_arms(metrics({("plain", 2): 7}), MEMBERS)  # a seed of one of them
    assert coinciding_arms(metrics({("plain", 0): 1, ("plain", 2): 2}), MEMBERS) == ""


def test_the_table_counts_junk_among_the_runs_that_never_formed():
    def row(member, outcome, cause, onto=()):
        verdict = {"outcome": outcome, "cause": cause, "onset_step": None, "onto": onto}
        return {"member": member, "arm": "plain", "seed": member, "verdict": verdict, "last": {}}

    rows = [row(0, "never formed", "junk"), row(1, "never formed", None), row(2, "collapsed", "class", [["3", 0.9]])]
    page = str(outcomes_table(rows))
    assert "Of the runs that never formed, 1 of 2 end with samples unlike the data." in page
    assert "3 (1)" in page
    assert "that never formed" not in str(outcomes_table(rows[2:]))
    assert "onto" not in str(outcomes_table(rows[:2]))


def test_times_are_in_steps_where_d_makes_several_updates():
    several = override(tiny_ring(), "discriminator.updates_per_step", 5)

    def unit(*experiments, steps_per_epoch=30.0):
        sweep = Sweep(tuple(Arm(str(index), one, {}) for index, one in enumerate(experiments)), (0,))
        return _time_unit(types.SimpleNamespace(sweep=sweep, steps_per_epoch=steps_per_epoch))

    assert unit(tiny_ring()) == ("epoch", 30.0)
    assert unit(tiny_ring(), several) == ("step", 1.0)
    assert unit(tiny_ring(), steps_per_epoch=None) == ("step", 1.0)


def test_a_setting_that_is_no_finite_number_is_no_covariate():
    assert numeric_setting({"a": {"rate": 0.0}, "b": {"rate": 1.0}}).unit == 0.05
    assert numeric_setting({"a": {"rate": 0.0}, "b": {"rate": float("inf")}}) is None
    assert numeric_setting({"a": {"rate": 0.0}, "b": {"rate": "none"}}) is None
    assert numeric_setting({"a": {"rate": 0.0}, "b": {"rate": 1.0, "other": 2}}) is None
    assert numeric_setting({"a": {"rate": 1.0}, "b": {"rate": 1.0}}) is None
