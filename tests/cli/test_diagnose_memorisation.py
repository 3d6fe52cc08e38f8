"""gan-jax diagnose memorisation: the command on runs."""

from __future__ import annotations

import json
import math

import pytest

from gan_jax.cli.main import main
from gan_jax.reports.diagnosis_memorisation import figure, table

CONFIG = """
from gan_jax.data.mixtures import Ring
from gan_jax.data.weighted import Weighted
from gan_jax.experiment.settings import override
from gan_jax.experiment.examples import tiny_ring
from gan_jax.losses.transforms import ExactFlips

def experiment():
    made = tiny_ring(data=Weighted(data=Ring(), num_points=64), num_steps=6, eval_every_steps=3)
    return override(made, "discriminator.transforms", (ExactFlips(rate=0.1),))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memorisation")
    (folder / "points.py").write_text(CONFIG)
    path = folder / "run"
    assert main(["train", str(folder / "points.py"), "--quiet", "--run-dir", str(path)]) == 0
    return path


def test_the_command(run, tmp_path, capsys):
    out, plot = tmp_path / "result.json", tmp_path / "plot.png"
    assert main(["diagnose", "memorisation", str(run), "--points", "64", "--out", str(out), "--plot", str(plot)]) == 0
    said = capsys.readouterr().out
    assert "At step 6 D classifies" in said
    assert "64 fixed training points" in said
    result = json.loads(out.read_text())
    assert [row["step"] for row in result["rows"]] == [3, 6]
    assert result == json.loads((run / "diagnosis" / "memorisation.json").read_text())
    assert plot.stat().st_size > 5000
    p = 3 / 32
    floor = 2 * (-p * math.log(p) - (1 - p) * math.log(1 - p))
    assert sum(result["rows"][0]["floor"].values()) == pytest.approx(floor, abs=1e-4)
    for row in result["rows"]:
        noisy = row["modes"]["running"]["noisy"]
        assert noisy["train_loss"] + noisy["fake_loss"] > floor
    assert table(result).count("\n") > 3
    figure(json.loads(out.read_text()))


def test_it_is_the_same_every_time_and_other_examples_give_other_numbers(run, capsys):
    rows = []
    for seed in ("0", "0", "1"):
        assert main(["diagnose", "memorisation", str(run), "--step", "6", "--seed", seed, "--json"]) == 0
        rows.append(json.loads(capsys.readouterr().out)["rows"])
    assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--points", "0"], "--points is 0, and must be at least 1"),
        (["--points", "8"], "there are 8 training or held-out examples, fewer than a training batch of 32"),
        (["--step", "5"], "has no checkpoint of step 5: give --step one of 3, 6"),
    ],
)
def test_wrong_inputs(run, capsys, arguments, said):
    assert main(["diagnose", "memorisation", str(run), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
