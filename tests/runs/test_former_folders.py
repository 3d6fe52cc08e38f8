"""Folders that version 0.1.0 at commit 1bc3e11 wrote, before modules moved, are read, reported, sampled and resumed.

`former/run` was stopped at step 200 of 400, `former/sweep` at step 150 of 200; `former/went_on.json` has the losses of
the same commit gave when it went on.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

import gan_jax as gj
from gan_jax.cli.main import main

FORMER = Path(__file__).with_name("former")
WENT_ON = json.loads((FORMER / "went_on.json").read_text(encoding="utf-8"))


@pytest.fixture
def former(tmp_path):
    for name in ("run", "sweep"):
        shutil.copytree(FORMER / name, tmp_path / name)
    return tmp_path


def test_a_run_is_read_reported_evaluated_and_sampled(former, capsys):
    run = gj.Run(former / "run")
    assert run.experiment == gj.replace(
        gj.load("ring"),
        {
            "num_steps": 200,
            "eval_every_steps": 50,
            "generator.network.widths": (16, 16),
            "discriminator.network.widths": (16, 16),
            "batch_size": 32,
            "detector.num_samples": 256,
        },
    )
    assert (run.seed, run.steps, run.verdict.outcome) == (1, (200,), "never formed")
    losses = [row["generator_loss"] for row in WENT_ON["run"][:4]]
    np.testing.assert_array_equal(run.metrics["train/generator_loss"], losses)
    assert main(["report", str(run.path)]) == 0
    assert "never formed" in (run.path / "report.html").read_text(encoding="utf-8")
    assert main(["evaluate", str(run.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.split("\n", 1)[1])["metrics"]["G, running statistics"]
    np.testing.assert_allclose(found["high_quality"], run.metrics["running/high_quality"][-1], atol=1 / 256)
    assert main(["sample", str(run.path), "--num", "7", "--out", str(former / "samples.npz")]) == 0
    with np.load(former / "samples.npz") as file:
        np.testing.assert_allclose(file["samples"], run.generator().sample(None, 7), rtol=1e-6)


def test_a_run_is_resumed(former):
    assert main(["train", "--resume", str(former / "run"), "--num-steps", "250", "--quiet"]) == 0
    row = gj.Run(former / "run").metrics
    assert row["step"].tolist() == [50, 100, 150, 200, 250]
    for name in ("generator_loss", "discriminator_loss"):  # compiled without optimisation here, and rounded otherwise
        np.testing.assert_allclose(row[f"train/{name}"][-1], WENT_ON["run"][4][name], rtol=1e-3)


def test_a_sweep_is_read_reported_sampled_and_resumed(former):
    sweep = gj.SweepRun(former / "sweep")
    assert len(sweep) == 4
    assert [arm.settings for arm in sweep.sweep.arms] == [
        {"generator.learning_rate": "1e-4"},
        {"generator.learning_rate": "1e-3"},
    ]
    member = sweep.member(2)
    assert (member.seed, member.steps) == (1, (150,))
    assert member.generator().sample(jax.random.key(0), 5).shape == (5, 2)
    assert main(["report", str(sweep.path)]) == 0
    assert main(["sweep", "--resume", str(sweep.path), "--quiet"]) == 0
    assert all(row["ended"] for row in gj.SweepRun(sweep.path).rows)
    for number in range(4):
        expected = [row["generator_loss"] for row in WENT_ON["sweep"] if row["member"] == number]
        found = gj.Run(f"{sweep.path}#{number}").metrics["train/generator_loss"]
        np.testing.assert_array_equal(found[:3], expected[:3])
        np.testing.assert_allclose(found[3], expected[3], rtol=1e-3)


def test_a_branch_from_a_member(former):
    arguments = ["train", "--branch-from", f"{former / 'sweep'}#1@150", "--num-steps", "200", "--quiet"]
    assert main([*arguments, "--run-dir", str(former / "branch")]) == 0
    expected = next(row for row in WENT_ON["sweep"] if (row["member"], row["step"]) == (1, 200))
    found = gj.Run(former / "branch").metrics
    assert found["step"].tolist() == [200]
    np.testing.assert_allclose(found["train/generator_loss"], [expected["generator_loss"]], rtol=1e-3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sweep", "is a sweep: name one of its members"),
        ("sweep#9", "has no member 9: give one from 0 to 3"),
        ("nothing", "is not a run folder"),
    ],
)
def test_names_that_are_no_run(former, name, message):
    with pytest.raises(ValueError, match=message):
        gj.Run(former / name)
