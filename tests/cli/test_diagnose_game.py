"""gan-jax diagnose game: runs of games whose Jacobian is known, and of a ring."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gan_jax.cli.main import main
from gan_jax.reports.diagnosis_game import figure

SHORT = ["--num-steps", "2", "--eval-every-steps", "1", "--quiet"]


AT_REST = ["--generator.network.start", "0", "--discriminator.network.start", "0"]


def diagnosed(tmp_path, capsys, *train):
    path = str(tmp_path / "run")
    assert main(["train", *train, "--run-dir", path, *SHORT]) == 0
    capsys.readouterr()
    assert main(["diagnose", "game", path, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_dirac_gan_turns_about_its_equilibrium(tmp_path, capsys):
    result = diagnosed(tmp_path, capsys, "dirac", *AT_REST)
    assert len(result["rows"]) == 2
    for row in result["rows"]:
        np.testing.assert_allclose(sorted(row["values"]), [[0, -0.5], [0, 0.5]], atol=1e-6)
        assert (row["complete"], row["speed"], row["rotation"], row["largest_step"]) == (True, 0, 1, None)
        np.testing.assert_allclose(row["blocks"]["norms"], [[0, 0.5], [0.5, 0]], atol=1e-6)
        assert row["blocks"]["rotation"] == pytest.approx(1)
    assert "100% of all 2 eigenvalues are complex, and 100% of their length is rotation" in result["sentence"]
    figure(result)


def test_the_bilinear_game_is_the_same_everywhere(tmp_path, capsys):
    (first, second) = diagnosed(tmp_path, capsys, "bilinear")["rows"]
    for row in (first, second):
        np.testing.assert_allclose(sorted(row["values"]), [[0, -1], [0, 1]], atol=1e-6)
    assert second["speed"] > first["speed"] > 1  # it leaves: the field is as long as the way to the equilibrium


def test_a_penalty_is_part_of_the_game(tmp_path, capsys):
    config = tmp_path / "damped.py"
    config.write_text(
        "from gan_jax.experiment.configs import load\n"
        "from gan_jax.losses.penalties import R1\n"
        "from gan_jax.experiment.settings import override\n"
        "def experiment():\n"
        "    return override(load('dirac'), 'discriminator.penalties', (R1(weight=1.5),))\n"
    )
    (row, _) = diagnosed(tmp_path, capsys, str(config), *AT_REST)["rows"]
    root = np.sqrt(1.5**2 / 4 - 0.25)
    np.testing.assert_allclose(sorted(row["values"]), [[-0.75 - root, 0], [-0.75 + root, 0]], rtol=1e-5, atol=1e-6)
    assert row["attraction"] == pytest.approx(1)
    assert row["largest_step"] == pytest.approx(2 / (0.75 + root), rel=1e-5)


def test_a_ring(tmp_path, capsys):
    path = str(tmp_path / "run")
    small = ["--generator.network.widths", "32,32", "--discriminator.network.widths", "32,32"]
    assert main(["train", "ring", "--run-dir", path, *SHORT, *small, "--batch-size", "512"]) == 0
    plot = tmp_path / "game.png"
    asked = ["diagnose", "game", path, "--step", "2", "--values", "8", "--plot", str(plot)]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "At step 2" in said
    assert plot.stat().st_size > 5000
    (row,) = json.loads((tmp_path / "run" / "diagnosis" / "game.json").read_text())["rows"]
    assert not row["complete"]
    assert row["num_products"] < 100
    assert row["missing"] == 0
    values = np.array(row["values"])
    assert np.array_equal(np.sort(values[:, 1]), -np.sort(values[:, 1])[::-1])  # conjugates, both


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--values", "2"], "--values is 2, and must be between 4 and 10,000"),
        (["--step", "9"], "no checkpoint of step 9"),
        (["--data", "here"], "reads no files: leave out --data"),
    ],
)
def test_wrong_inputs(tmp_path, capsys, arguments, said):
    path = str(tmp_path / "run")
    assert main(["train", "dirac", "--run-dir", path, *SHORT]) == 0
    assert main(["diagnose", "game", path, *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_a_run_that_is_none(tmp_path, capsys):
    assert main(["diagnose", "game", str(tmp_path / "nothing")]) == 2
    assert "Traceback" not in capsys.readouterr().err
