"""gan-jax diagnose landscape: planes, lines and scans of runs, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.cli.main import main
from gan_jax.data.mixtures import HighDimensional, Temperatures
from gan_jax.data.weighted import Weighted
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.diagnostics.state import plane_survey as plane
from gan_jax.diagnostics.state import scan_survey
from gan_jax.experiment.examples import tiny_dcgan, tiny_ring
from gan_jax.experiment.experiment import Discriminator, Experiment
from gan_jax.losses.objectives import Wasserstein
from gan_jax.metrics.modes import Rule
from gan_jax.networks.committee import Committee
from gan_jax.networks.mlp import MLPDiscriminator
from gan_jax.reports import diagnosis_landscape as landscape
from gan_jax.reports.landscape_scans import scan_row
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.run_directory import RunDirectory, RunRecord
from gan_jax.scaling.programs import compiled_init


def run_of(experiment: Experiment, path: Path, steps=(10, 20)) -> Path:
    """A run's folder with checkpoints of freshly initialised players, which is all that a diagnosis reads."""
    run = RunDirectory.create(path, RunRecord(experiment, seed=0, keep_every_steps=10))
    checkpoints = Checkpoints(run.checkpoints_path, keep=100)
    for step in steps:
        checkpoints.save(compiled_init(experiment, jax.random.key(step))._replace(step=jnp.int32(step)))
    checkpoints.close()
    return path


def diagnosed(path: Path, *options: str) -> dict:
    assert main(["diagnose", "landscape", str(path), *options]) == 0
    return json.loads((path / "diagnosis" / "landscape.json").read_text())


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    """(the folder of a run on a ring, its diagnosis, what it printed it into)."""
    folder = tmp_path_factory.mktemp("ring")
    path = run_of(tiny_ring(), folder / "run", steps=(10, 20, 30))
    result = diagnosed(path, "--film", str(folder / "film.gif"), "--plot", str(folder / "picture.png"))
    return path, result, folder


def test_a_plane_with_its_frames_film_and_picture(ring):
    path, result, folder = ring
    assert [row["step"] for row in result["checkpoints"]] == [10, 20, 30]
    assert [(path / name).read_bytes()[:4] for name in result["frames"]] == [b"\x89PNG"] * 3
    with Image.open(folder / "film.gif") as shown:
        assert shown.n_frames == 3
    assert (folder / "picture.png").stat().st_size > 10_000
    row = result["checkpoints"][-1]
    assert np.array(row["scores"]).shape == (plane.NUM_GRID, plane.NUM_GRID)
    assert np.array(row["field"]).shape == np.array(result["arrows"]).shape == (plane.NUM_ARROWS**2, 2)
    assert row["modes_seen"] == sum(row["local_maxima"]["seen"])
    assert result["ceiling"] == pytest.approx(1 - np.exp(-4.5))
    assert f"a peak at {row['modes_seen']} of 8 modes" in result["sentence"]
    assert "modes seen of 8" in landscape.table(result)


def test_the_field_goes_up_the_stored_surface(ring):
    """A non-saturating G's loss falls as D's score rises, so the field is along D's gradient: here by differences."""
    _, result, _ = ring
    every = (plane.NUM_GRID - 1) // (plane.NUM_ARROWS - 1)
    assert every * (plane.NUM_ARROWS - 1) == plane.NUM_GRID - 1
    row = result["checkpoints"][-1]
    up = np.stack(np.gradient(np.array(row["scores"]))[::-1], axis=-1)[::every, ::every][1:-1, 1:-1].reshape(-1, 2)
    field = np.array(row["field"]).reshape(plane.NUM_ARROWS, plane.NUM_ARROWS, 2)[1:-1, 1:-1].reshape(-1, 2)
    steep = np.linalg.norm(up, axis=1) > np.median(np.linalg.norm(up, axis=1))  # four digits are kept of a score
    up, field = up[steep], field[steep]
    cosine = np.sum(up * field, axis=1) / (np.linalg.norm(up, axis=1) * np.linalg.norm(field, axis=1))
    assert np.median(cosine) > 0.99
    assert np.mean(cosine > 0.8) > 0.9  # the rest are at kinks of the ReLUs


def test_the_report_draws_it_from_the_stored_numbers_alone(ring):
    _, result, folder = ring
    landscape.figure(json.loads(json.dumps(result))).savefig(folder / "again.png")
    assert (folder / "again.png").read_bytes() == (folder / "picture.png").read_bytes()


def test_a_line_over_degrees(tmp_path, capsys):
    experiment = tiny_ring(
        data=Weighted(Temperatures(), num_points=64),
        discriminator=Discriminator(network=Committee(network=MLPDiscriminator(widths=(8,), input_scale=0.03), num=3)),
    )
    result = diagnosed(run_of(experiment, tmp_path / "run", steps=(10,)), "--plot", str(tmp_path / "picture.png"))
    assert "frames" not in result
    assert "committee's 3 members" in result["score"]
    assert len(result["checkpoints"][0]["scores"]) == plane.NUM_LINE
    assert result["low"][0] < -28 < 36 < result["high"][0]
    assert result["ceiling"] == pytest.approx(0.9973, abs=1e-4)
    assert (tmp_path / "picture.png").stat().st_size > 5000
    film_path = str(tmp_path / "film.gif")
    assert main(["diagnose", "landscape", str(tmp_path / "run"), "--film", film_path]) == 2
    assert "--film needs 2-D data, and the run's data (Weighted) are not 2-D: leave it out" in capsys.readouterr().err


def test_scans_of_images(tmp_path):
    path = run_of(tiny_dcgan(), tmp_path / "run")
    result = diagnosed(path, "--points", "16", "--plot", str(tmp_path / "picture.png"))
    assert result["kinds"] == ["training", "held-out", "fake"]
    assert result["measured"] == "probability"
    assert result["offsets"][scan_survey.NUM_OFFSETS] == 0
    assert result["offsets"][-1] == pytest.approx(result["reach"], rel=1e-3)
    for point in result["checkpoints"]:
        assert [(row["kind"], row["direction"]) for row in point["rows"]] == [
            (kind, direction) for kind in result["kinds"] for direction in scan_survey.DIRECTIONS
        ]
        for row in point["rows"]:
            assert 0 <= row["highest_share"] <= row["peak_share"] <= 1
            assert np.all(np.array(row["low"]) <= np.array(row["high"]))
        # A score that a gradient moves is no maximum along it, but for a kink within a thirtieth of the scan.
        assert scan_row(point, "training", "gradient")["peak_share"] < 0.5
        assert list(point["slopes"]) == ["score", "probability", "G's loss"]
    assert "towards another" in landscape.table(result)
    assert (tmp_path / "picture.png").stat().st_size > 10_000


def test_scans_of_vectors_in_many_dimensions_with_an_objective_without_probabilities(tmp_path):
    experiment = tiny_ring(
        data=HighDimensional(num_dims=12, num_noisy_dims=7),
        detector=MixtureDetector(num_samples=64, rule=Rule(norm="mass")),
        objective=Wasserstein(),
    )
    result = diagnosed(run_of(experiment, tmp_path / "run", steps=(10,)), "--points", "8")
    assert result["kinds"] == ["real", "fake"]
    assert result["measured"] == "score"
    assert list(result["checkpoints"][0]["slopes"]) == ["score", "G's loss"]
    landscape.figure(result)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--step", "15"], "no checkpoint of step 15: give --step one of 10, 20, 30"),
        (["--points", "1"], "--points is 1, and must be at least 2"),
        (["--film", "film.mp4"], "must end in .gif"),
        (["--film", "nowhere/film.gif"], "does not exist: make it first"),
    ],
)
def test_wrong_options(ring, capsys, monkeypatch, tmp_path, options, said):
    monkeypatch.chdir(tmp_path)
    assert main(["diagnose", "landscape", str(ring[0]), *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
