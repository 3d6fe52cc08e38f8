"""gan-jax diagnose unroll: the command."""

from __future__ import annotations

import json

import pytest

from gan_jax.cli.main import main


def test_the_command(tmp_path, capsys):
    out = tmp_path / "result.json"
    settings = ["--generator.network.widths", "8", "--discriminator.network.widths", "8", "--batch-size", "16"]
    asked = ["--steps", "1", "--memory", "step", "--rounds", "1", "--directions", "1", "--warm-up", "2"]
    assert main(["diagnose", "unroll", "ring_unrolled", *settings, *asked, "--out", str(out)]) == 0
    assert "cost of a gradient" in capsys.readouterr().out
    result = json.loads(out.read_text())
    assert [row["num_steps"] for row in result["accuracy"]] == [1]
    assert result["settings"]["batch-size"] == "16"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--steps", "0"], "--steps is 0, and must be between 1 and 10,000"),
        (["--steps", "many"], "--steps is 'many', and must be a whole number"),
        (["--memory", "stp"], "did you mean 'step'"),
        (["--directions", "-1"], "--directions is -1, and must be between 0 and 1,000"),
        (["--generator.unrol", "none"], "did you mean 'generator.unroll'"),
        (["--generator.unroll.gradient", "exakt"], "Exact, FirstOrder"),
    ],
)
def test_wrong_inputs(capsys, arguments, said):
    assert main(["diagnose", "unroll", "ring_unrolled", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
