"""`gan-jax evaluate --samples`: files of plain NumPy scripts, tables, JSON, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gan_jax.cli.main import main
from gan_jax.data.mixtures import Ring

RING = ["--num-steps", "4", "--eval-every-steps", "2", "--detector.num-samples", "64", "--batch-size", "16", "--quiet"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GAN_JAX_DATA", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    rng = np.random.default_rng(0)
    modes = np.asarray(Ring().source(()).modes)
    np.save("ring.npy", modes[rng.integers(0, 4, 300)] + 0.02 * rng.normal(size=(300, 2)))
    np.save("ten.npy", rng.uniform(size=(10, 1, 16, 16)))
    np.save("wide.npy", rng.normal(size=(100, 1, 16, 16)))
    np.savez("two.npz", a=np.zeros((3, 2)), b=np.zeros((3, 2)))
    return tmp_path


def test_points_of_a_plain_script_have_a_table_and_json(folder, capsys):
    words = ["evaluate", "--samples", "ring.npy", "--data", "ring", "--metrics", "modes,likelihood", "--no-intervals"]
    assert main(words) == 0
    table = capsys.readouterr().out
    assert "300 samples (2) against 300 draws of the mixture" in table
    row = next(line for line in table.splitlines() if line.startswith("↑  modes"))
    assert row.split()[2:6] == ["4", "-", "8", "8"]
    assert "modes by the two published thresholds" in table
    assert main([*words, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["values"]["modes"]["value"] == 4
    assert result["values"]["modes"]["definition"].startswith("mode = most probable class or nearest mode")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--samples ten.npy --data digits --metrics frechet", "at least 97 samples, and there are 10: draw more"),
        ("--samples wide.npy --data digits", "clip or rescale them"),
        ("--samples two.npz --data ring", "call the array of samples `samples`"),
        ("--samples ring.npy --data digits", "has the shape [300, 2]"),
        ("--samples ring.npy", "--samples needs --data NAME"),
        ("--samples ring.npy --data ring --metrics fid", "there is no metric 'fid'"),
        ("--samples ring.npy --data ring --reference none.npy", "none.npy does not exist"),
        ("--samples ring.npy --data ring --step 3", "--step is for runs"),
        ("--samples ring.npy --data ring --num-samples 301", "holds only 300"),
        ("--samples none.npy --data ring", "none.npy does not exist"),
        ("--samples ring.npy run --data ring", "give exactly one of them"),
        ("", "give exactly one of them"),
        ("run --reference test", "needs --metrics or --samples"),
        ("run --metrics all", "is not a run folder"),
    ],
)
def test_what_is_wrong_is_refused_in_a_line(folder, capsys, arguments, words):
    assert main(["evaluate", *arguments.split()]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert 1 <= len(captured.err.strip().splitlines()) <= 2
    assert captured.out == ""


def test_a_run_is_measured_by_chosen_metrics(folder, capsys):
    assert main(["train", "ring", "--run-dir", "run", *RING]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--metrics", "modes,likelihood", "--no-intervals", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["step"], result["num_samples"]) == (4, 64)
    assert result["values"]["modes"]["real"] == 8
    assert "latents: the run's own bank" in result["notes"]
    assert main(["evaluate", "run", "--metrics", "modes,ssim"]) == 2
    assert "ssim takes images" in capsys.readouterr().err


def test_a_generator_with_batch_norm_is_measured_by_either_statistics(folder, capsys):
    words = [*RING, "--generator.network.norm", "batch"]
    assert main(["train", "ring", "--run-dir", "run", *words]) == 0
    capsys.readouterr()
    found = []
    for statistics, note in ((), "the statistics of batches"), (("--statistics", "running"), "running statistics"):
        assert main(["evaluate", "run", "--metrics", "mmd", "--no-intervals", "--json", *statistics]) == 0
        result = json.loads(capsys.readouterr().out)
        assert f"batch norm of G: by {note}" in result["notes"]
        found.append(result["values"]["mmd"]["value"])
    assert found[0] != found[1]
    assert main(["evaluate", "run", "--statistics", "running"]) == 2
    assert "--statistics needs --metrics" in capsys.readouterr().err


def test_a_generator_of_images_is_inverted(folder, capsys):
    words = ["--num-steps", "2", "--eval-every-steps", "2", "--detector.num-samples", "64", "--quiet"]
    assert main(["train", "digits_collapse", "--run-dir", "run", *words]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--metrics", "ivom,modes", "--no-intervals", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["values"]["ivom"]
    low, high = row["interval"]
    assert low < row["value"] < high
    assert row["real"] < 0.01 < row["value"]
