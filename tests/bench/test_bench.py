"""`gan-jax bench`: comparisons, operations by hand, cases, rows, and what wrong input gets."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy import stats

import gan_jax
from gan_jax.bench import comparison, kinds, served_step
from gan_jax.bench.cases import CASES, make_case, unrolled
from gan_jax.bench.ceilings import measured_ceilings
from gan_jax.bench.flops import step_flops
from gan_jax.bench.measures import FIGURES, measure_step, measure_sweep
from gan_jax.bench.rounds import compare
from gan_jax.bench.rows import SCHEMA, emit
from gan_jax.cli import bench as command
from gan_jax.cli.main import main
from gan_jax.experiment.examples import tiny_ring
from gan_jax.training.dynamics import Simultaneous
from gan_jax.training.evaluations import LoadedData

ROOT = Path(gan_jax.__file__).parents[1]
DESCRIBED = {*SCHEMA, *(name for names in FIGURES for name in names.split(", "))}


@pytest.mark.parametrize("case", comparison.STEPS)
def test_checkouts_are_compared_on_the_cases_of_the_other_measurements(case):
    same = unrolled(5) if case == "unrolled" else make_case(case)
    assert served_step.make_experiment(case) == same[0]


def test_the_interval_covers_the_true_ratio_as_often_as_it_says():
    """By enumeration for 4 and 4 rounds: of all orders of the eight, the interval leaves out 1 in at most 5 %."""
    left_out = 0
    orders = list(itertools.combinations(range(8), 4))
    for places in orders:
        first = [1.0 + place for place in places]
        second = [1.0 + place for place in range(8) if place not in places]
        low, high = compare(first, second)["ratio_interval"]
        left_out += not low <= 1 <= high
    assert 0 < left_out / len(orders) <= 0.05


def test_the_interval_leaves_out_1_just_where_the_exact_test_is_significant():
    rng = np.random.default_rng(0)
    for shift in np.linspace(0, 1.5, 40):
        first, second = np.exp(rng.normal(size=6)), np.exp(shift + rng.normal(size=7))
        found = compare(first, second)
        low, high = found["ratio_interval"]
        p = stats.mannwhitneyu(first, second, method="exact").pvalue
        assert (low > 1 or high < 1) == (p < 0.05)
        assert found["p"] == pytest.approx(p, rel=1e-3)


def test_too_few_rounds_have_no_interval():
    assert compare([1.0, 2.0], [3.0, 4.0])["ratio_interval"] is None


def test_the_published_dcgan_takes_the_operations_of_its_layers():
    """By hand, in multiplications and additions: D 101.7 million and G 102.5 million an image."""
    experiment, _ = make_case("dcgan64")
    disc = 32**2 * 16 * 64 + 16**2 * 16 * 64 * 128 + 8**2 * 16 * 128 * 256 + 4**2 * 16 * 256 * 512 + 16 * 512
    gen = 16 * 100 * 512 + 4**2 * 16 * 512 * 256 + 8**2 * 16 * 256 * 128 + 16**2 * 16 * 128 * 64 + 32**2 * 16 * 64
    assert step_flops(experiment) == 64 * 2 * (8 * disc + 3 * gen)


@pytest.mark.parametrize("name", CASES)
def test_cases_have_the_precision_and_the_batch_that_is_asked_for(name):
    experiment, resources = make_case(name, batch_size=4096, precision="bfloat16", convolution="native")
    assert (experiment.batch_size, experiment.precision) == (4096, "bfloat16")
    if name != "ring":
        assert len(resources.dataset.images) >= 4096
    if name.startswith("dcgan"):
        assert experiment.discriminator.network.convolution == "native"


def test_an_unrolled_ring_moves_both_players_at_once():
    experiment, _ = unrolled(7, "sqrt")
    assert (experiment.generator.unroll.num_steps, experiment.generator.unroll.memory) == (7, "sqrt")
    assert isinstance(experiment.dynamics, Simultaneous)
    assert unrolled(0)[0].generator.unroll is None


def test_figures_of_a_step_and_of_a_sweep_are_described():
    experiment = tiny_ring(num_steps=100)
    step = measure_step(experiment, LoadedData(), 2, num_rounds=2, ceilings={"float32": 1e-3})
    assert set(step) <= DESCRIBED
    assert step["mfu"] == pytest.approx(step["tflops"] / 1e-3, rel=1e-3)
    assert step["tflops"] == pytest.approx(step["step_flops"] * 2 / step["seconds"] / 1e12, rel=1e-2)
    assert len(step["round_seconds"]) == step["rounds"] == 2
    sweep = measure_sweep([experiment] * 2, LoadedData(), "vmap", 2, num_rounds=2)
    assert set(sweep) <= DESCRIBED
    assert sweep["steps_per_second"] == pytest.approx(np.median(4 / np.array(sweep["round_seconds"])), rel=1e-3)


def test_the_ceiling_of_a_precision_is_the_best_product_of_this_device():
    here = jax.devices()[0].device_kind
    rows = [
        {"case": "product float32 256", "arithmetic": "float32", "tflops": 1.0, "device": here},
        {"case": "product float32 512", "arithmetic": "float32", "tflops": 2.0, "device": here},
        {"case": "product bfloat16 512", "arithmetic": "bfloat16", "tflops": 9.0, "device": "another"},
        {"case": "product bfloat16 256", "arithmetic": "bfloat16", "error": "no", "device": here},
        {"case": "ring", "arithmetic": "float32", "tflops": 5.0, "device": here},
    ]
    assert measured_ceilings(rows) == {"float32": 2.0}


def test_the_command_prints_a_row_a_case_and_compares_files(tmp_path, monkeypatch, capsys):
    def measured(kind, case, sizes):
        # Twice as many steps take six times as long: three times as long per step.
        seconds = 1 if sizes.steps == 10 else 6
        return {"kind": kind, "steps": sizes.steps, "round_seconds": [seconds * (1 + i / 10) for i in range(6)]}

    monkeypatch.setattr(kinds, "measure_kind", measured)
    for name, steps in (("a", 10), ("b", 20)):
        options = ["--case", "ring,mlp", "--steps", str(steps), "--out", str(tmp_path / name)]
        assert main(["bench", "step", *options]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["question"], row["case"]) for row in rows] == [("bench step", "ring"), ("bench step", "mlp")] * 2
    assert main(["bench", "compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    compared = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["case"], row["ratio"], row["p"]) for row in compared] == [
        ("ring", 3.0, pytest.approx(2 / 924, rel=1e-3)),
        ("mlp", 3.0, pytest.approx(2 / 924, rel=1e-3)),
    ]


def test_the_kinds_of_the_command_are_those_that_are_measured():
    assert tuple(kinds.KINDS) == command.BENCH_KINDS


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["unrol"], "bench: no kind 'unrol'; did you mean 'unroll'?"),
        (["step", "somewhere"], "bench step takes no files, and got somewhere: name cases with --case"),
        (["step", "--case", "rign"], "no case 'rign'; did you mean 'ring'?"),
        (["compare", "one"], "bench compare takes two files of rows, or the folders of two checkouts"),
        (["compare", "one", "two"], "one does not exist: give a file of rows, or the folder of a checkout"),
        (["compare", ".", "."], ". is no checkout of this project: it has no package gan_jax"),
    ],
)
def test_wrong_input_is_answered_in_a_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *arguments]) == 2
    assert capsys.readouterr().err == f"gan-jax: {message}\n"


def test_files_without_a_common_case_are_refused(tmp_path, capsys):
    for name, case in (("a", "ring"), ("b", "mlp")):
        emit("bench step", case, {"round_seconds": [1.0]}, tmp_path / name, show=False)
    emit("bench step", "ring", {}, tmp_path / "c", show=False)
    assert main(["bench", "compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "have no case in common: measure the same cases" in capsys.readouterr().err
    assert main(["bench", "compare", str(tmp_path / "a"), str(tmp_path / "c")]) == 2
    assert "has no rows with round_seconds" in capsys.readouterr().err
    for name, batch_size in (("d", 64), ("e", 128)):
        emit("bench step", "ring", {"round_seconds": [1.0], "batch_size": batch_size}, tmp_path / name, show=False)
    assert main(["bench", "compare", str(tmp_path / "d"), str(tmp_path / "e")]) == 2
    assert "bench step ring: batch_size is 64 in" in capsys.readouterr().err


def test_two_checkouts_take_turns(monkeypatch):
    monkeypatch.setitem(comparison.STEPS, "ring", 2)
    ((case, found),) = comparison.compare_checkouts(ROOT, ROOT, ["ring"], 2)
    assert (case, found["rounds"], found["steps"]) == ("ring", [2, 2], 2)
    assert len(found["first_round_seconds"]) == len(found["second_round_seconds"]) == 2
    assert found["commits"][0] == found["commits"][1]
