"""Checks of the unrolled gradient: a right one, a wrong one, and what it costs."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import pytest

from gan_jax.diagnostics.state.hypergradients import check_hypergradient, compare_estimators, estimators, warm_state
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.experiment import Unroll
from gan_jax.experiment.settings import override
from gan_jax.reports.diagnosis_unroll import figure, sentence, table
from gan_jax.training.evaluations import load_data


def test_a_games_gradient_is_right_and_its_options_agree(tmp_path):
    experiment = override(tiny_ring(), "generator.unroll", Unroll(inner_data="fresh"))
    experiment = override(experiment, "discriminator.network.activation", "tanh")
    resources = load_data(experiment)
    state = warm_state(experiment, resources, seed=0, num_steps=5)
    result = check_hypergradient(experiment, resources, state, num_steps=(2,), memories=("all", "sqrt"), num_rounds=1)
    (accuracy,) = result["accuracy"]
    assert accuracy["difference_error"] < 1e-6
    assert accuracy["forward_error"] < 1e-10
    assert accuracy["finite"]
    assert accuracy["cosine"].keys() == estimators(2).keys() - {"exact"}
    assert all(-1 <= value < 1 - 1e-9 for value in accuracy["cosine"].values())
    assert [row["memory"] for row in result["cost"]] == ["all", "sqrt"]
    assert result["cost"][1]["difference"] < 1e-5
    assert result["cost"][0]["seconds"] > 0
    json.dumps(result)
    assert "central differences" in table(result)
    assert sentence(result).startswith("With K = 2 the exact gradient agrees with central differences to ")
    assert "MB of temporaries" in sentence({**result, "accuracy": []})
    figure(result).savefig(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 5000


def test_a_wrong_gradient_is_noticed():
    @jax.custom_jvp
    def wrong(x):
        return x**2

    @wrong.defjvp
    def _(primals, tangents):
        return wrong(primals[0]), 2.1 * primals[0] * tangents[0]

    with jax.enable_x64(True):
        at = (jnp.array([1.0, 2.0]), jnp.zeros(()))
        losses = {"exact": lambda x, _: jnp.sum(wrong(x)), "right": lambda x, _: jnp.sum(x**2)}
        row = compare_estimators(1, losses, at, 2, True)
    assert row.difference_error == pytest.approx(0.1 / 2.1, rel=0.05)
    assert row.norm_ratio["right"] == pytest.approx(2 / 2.1)
