"""gan-jax diagnose forgetting: a game of known players, real networks, and what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.cli.main import main
from gan_jax.data.mixtures import PointMass
from gan_jax.experiment.examples import tiny_dcgan, tiny_ring
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.losses.auxiliary import Reconstruction
from gan_jax.losses.inference import VEEGAN
from gan_jax.losses.objectives import EnergyMargin, Minimax
from gan_jax.networks.autoencoder import AutoencoderDiscriminator
from gan_jax.networks.encoder import Bidirectional
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.points import LinearDiscriminator, PointGenerator
from gan_jax.reports import diagnosis_forgetting as forgetting
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.run_directory import RunDirectory, RunRecord
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.dynamics import Simultaneous
from gan_jax.training.optimizers import SGD

RATE = 1e-3


def linear_game(**changes) -> Experiment:
    """A point and a direction in the plane; the data are the point (0, 0)."""
    settings = {
        "data": PointMass(num_dims=2),
        "generator": Generator(network=PointGenerator(), optimizer=SGD(), learning_rate=RATE, latent_dim=1),
        "discriminator": Discriminator(network=LinearDiscriminator(), optimizer=SGD(), learning_rate=RATE),
        "objective": Minimax(),
        "dynamics": Simultaneous(),
        "batch_size": 4,
    }
    return tiny_ring(**{**settings, **changes})


def run_of(experiment: Experiment, path: Path, directions=None, points=None, steps=(10, 20, 30)) -> Path:
    """A folder with a checkpoint a step, of given directions of D and points of G, or of fresh networks."""
    run = RunDirectory.create(path, RunRecord(experiment, seed=0, keep_every_steps=10))
    checkpoints = Checkpoints(run.checkpoints_path, keep=100)
    for index, step in enumerate(steps):
        state = compiled_init(experiment, jax.random.key(step))._replace(step=jnp.int32(step))
        if directions is not None:
            gen, disc = state.generator, state.discriminator
            disc = disc._replace(variables=disc.variables._replace(params={"direction": jnp.array(directions[index])}))
            gen = gen._replace(variables=gen.variables._replace(params={"point": jnp.array(points[index])}))
            state = state._replace(generator=gen, discriminator=disc)
        checkpoints.save(state)
    checkpoints.close()
    return path


def diagnosed(path: Path, *options: str) -> dict:
    assert main(["diagnose", "forgetting", str(path), *options]) == 0
    return json.loads((path / "diagnosis" / "forgetting.json").read_text())


def test_directions_that_turn_by_known_angles(tmp_path):
    """D's gradient is its direction everywhere: the cosines are of the angles; it forgets what it has turned from."""
    angle = 2.0  # radians: past a right angle
    directions = [[1.0, 0.0], [math.cos(angle), math.sin(angle)], [1.0, 0.0]]
    points = [[-1.0, 0.0], [-math.cos(angle), -math.sin(angle)], [-3.0, 0.0]]  # where D of the time is below 0
    path = run_of(linear_game(), tmp_path / "run", directions, points)
    result = diagnosed(path, "--plot", str(tmp_path / "picture.png"))
    assert result["steps"] == [10, 20, 30]
    cosine = math.cos(angle)
    for kind in ("real", "fake"):
        expected = [[1, cosine, 1], [cosine, 1, cosine], [1, cosine, 1]]
        np.testing.assert_allclose(result["gradient_cosines"][kind]["mean"], expected, atol=1e-3)
        np.testing.assert_array_equal(result["gradient_cosines"][kind]["reversed_share"], np.array(expected) < 0)
    # D of step 10 rejects its own fakes (score -1) and those of step 30, not those of step 20 (score -cos 2 > 0).
    np.testing.assert_array_equal(result["accuracy"], [[1, 0, 1], [0, 1, 0], [1, 0, 1]])
    np.testing.assert_array_equal(result["accuracy_by_age"], [1, 0, 1])
    assert result["age_steps"] == [0, 10, 20]
    assert result["modes_seen"] == [0, 0, 0]
    assert "reverses at 100% of the real and 100% of the fake points" in result["sentence"]
    assert "100% of the current fakes and 100% of the fakes from 20 steps before" in result["sentence"]
    # From step to step: L_D's gradient in the direction psi is sigmoid(<psi, theta>) theta at the point theta.
    psi, theta = np.array([1.0, 0.0]), np.array([-1.0, 0.0])
    first = next(row for row in result["lags"] if (row["step"], row["lag"]) == (10, 1))
    moved = psi - RATE * theta / (1 + math.exp(-psi @ theta))
    assert first["real"]["mean"] == pytest.approx(moved @ psi / np.linalg.norm(moved), abs=1e-3)
    assert [row["lag"] for row in result["lags"]] == [1, 10, 100] * 3
    assert (tmp_path / "picture.png").stat().st_size > 5000
    forgetting.figure(json.loads(json.dumps(result)))
    assert "rejects own fakes" in forgetting.table(result)


def test_a_step_leaves_later_checkpoints_out_and_an_objective_without_a_threshold_has_no_accuracies(tmp_path):
    discriminator = Discriminator(network=AutoencoderDiscriminator())
    path = run_of(tiny_ring(objective=EnergyMargin(), discriminator=discriminator), tmp_path / "run")
    result = diagnosed(path, "--step", "20")
    assert result["steps"] == [10, 20]
    assert len(forgetting.successive(result, "real", "mean")) == 1
    assert not result["has_decision_threshold"]
    assert result["accuracy"] == [[None, None], [None, None]]
    assert "rejects" not in result["sentence"]
    forgetting.figure(result)
    assert forgetting.table(result)


def test_a_discriminator_without_a_gradient_is_said_to_have_none(tmp_path):
    path = run_of(linear_game(), tmp_path / "run", [[0.0, 0.0]] * 2, [[0.0, 0.0]] * 2, steps=(10, 20))
    result = diagnosed(path)
    assert result["gradient_cosines"]["real"]["mean"] == [[None, None], [None, None]]
    assert "has no cosine" in result["sentence"]
    assert "nan" not in result["sentence"]
    forgetting.figure(result)
    assert "nan" not in forgetting.table(result)


def test_images(tmp_path):
    result = diagnosed(run_of(tiny_dcgan(), tmp_path / "run", steps=(10, 20)))
    assert np.array(result["accuracy"]).shape == (2, 2)
    assert "modes_seen" not in result
    np.testing.assert_allclose(np.diag(result["gradient_cosines"]["fake"]["mean"]), 1, atol=1e-3)
    # Two networks of independent weights: far from alike.
    assert abs(result["gradient_cosines"]["real"]["mean"][0][1]) < 0.5
    assert [row["lag"] for row in result["lags"]] == [1, 10, 1, 10]


def test_one_checkpoint_is_too_few(tmp_path, capsys):
    path = run_of(linear_game(), tmp_path / "run", [[1.0, 0.0]], [[1.0, 0.0]], steps=(10,))
    assert main(["diagnose", "forgetting", str(path)]) == 2
    assert "has only one up to step 10: train longer, or with more --branch-points" in capsys.readouterr().err
    assert main(["diagnose", "forgetting", str(path), "--step", "11"]) == 2
    assert "has no checkpoint of step 11: give --step one of 10" in capsys.readouterr().err
    assert main(["diagnose", "forgetting", str(tmp_path)]) == 2
    assert "is not a run folder" in capsys.readouterr().err


def test_a_game_with_an_encoder_is_refused(tmp_path, capsys):
    network = Bidirectional(network=MLPGenerator(widths=(8,)), trunk=MLPDiscriminator(widths=(8,)))
    generator = Generator(network=network, latent_dim=2, penalties=(Reconstruction(),))
    path = run_of(tiny_ring(generator=generator, inference=VEEGAN()), tmp_path / "run", steps=(10, 20))
    assert main(["diagnose", "forgetting", str(path)]) == 2
    error = capsys.readouterr().err
    assert "forgetting needs D's score of a sample, and this D scores pairs of a sample and a latent (VEEGAN)" in error
    assert "Traceback" not in error
