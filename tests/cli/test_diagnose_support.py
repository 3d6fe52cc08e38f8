"""gan-jax diagnose support: generators that repeat themselves or the training set, and the command on runs."""

from __future__ import annotations

import base64
import io
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.cli.diagnose_support import figure, make_spaces, measure, table
from gan_jax.cli.main import main
from gan_jax.data.images import Images, normalise
from gan_jax.metrics.classifier import load_classifier
from gan_jax.runs.run_directory import RunError

SHORT = ["--num-steps", "2", "--eval-every-steps", "1", "--quiet"]


@pytest.fixture(scope="module")
def space():
    """A standard normal in five dimensions: 4,000 training points and 2,000 held-out ones."""
    points = jax.random.normal(jax.random.key(0), (6000, 5))
    (made,) = make_spaces(points[:4000], points[4000:], None)
    return made, points


def test_the_threshold_is_the_held_out_examples_own_quantile(space):
    made, points = space
    distance = np.min(np.linalg.norm(np.asarray(points)[4000:, None] - np.asarray(points)[None, :4000], axis=2), axis=1)
    assert made.name == "data"
    assert made.threshold == pytest.approx(np.quantile(distance, 0.01), rel=1e-4)
    np.testing.assert_allclose(made.held_distance, distance, rtol=1e-4, atol=1e-5)


def test_a_generator_that_generalises(space):
    made, _ = space
    found, _ = measure(made, jax.random.normal(jax.random.key(1), (3000, 5)))
    # 2,000 queries and as many for the threshold, which is itself the mean of about 20 points.
    assert found["share_close"] == pytest.approx(0.01, abs=0.012)
    assert found["nearest_ratio"] == pytest.approx(1, abs=0.06)


def test_a_generator_that_copies_the_training_set(space):
    made, points = space
    found, _ = measure(made, points[:2500])
    assert (found["share_close"], found["nearest_ratio"]) == (1.0, 0.0)


def test_a_generator_of_300_samples(space):
    made, _ = space
    atoms = jax.random.normal(jax.random.key(2), (300, 5))
    fakes = atoms[jax.random.randint(jax.random.key(3), (2000,), 0, 300)]
    found, (among, _) = measure(made, fakes)
    assert 240 < found["size"] < 360
    assert found["low"] < 300 < found["high"]
    # All but those that were drawn once: 300 exp(-2000 / 300) = 0.4 of them.
    assert float(jnp.mean(among.distance == 0)) > 0.99


def test_images_are_told_apart_by_pixels_and_by_the_classifiers_features():
    dataset = Images(name="digits", image_size=28).load()
    train, held = normalise(dataset.images[:600]), normalise(dataset.test_images[:200])
    spaces = make_spaces(train, held, load_classifier("digits"))
    assert [space.name for space in spaces] == ["pixels", "features"]
    assert [space.train.shape for space in spaces] == [(600, 784), (600, 96)]
    for space in spaces:
        copied, _ = measure(space, train[:300])
        assert copied["share_close"] == 1
        shifted, _ = measure(space, jnp.clip(held + 0.3, -1, 1))
        assert shifted["share_close"] < 0.1


def test_data_without_spread_have_no_threshold():
    with pytest.raises(RunError, match="1% or more of the held-out examples are training examples too"):
        make_spaces(jnp.ones((50, 2)), jnp.ones((50, 2)), None)


@pytest.fixture(scope="module")
def ring(tmp_path_factory):
    path = tmp_path_factory.mktemp("support") / "ring"
    small = ["--generator.network.widths", "16,16", "--discriminator.network.widths", "16,16"]
    assert main(["train", "ring", "--run-dir", str(path), *SHORT, *small]) == 0
    return path


def test_the_command(ring, tmp_path, capsys):
    plot = tmp_path / "support.png"
    assert main(["diagnose", "support", str(ring), "--samples", "1000", "--plot", str(plot)]) == 0
    said = capsys.readouterr().out
    assert "At step 2 G makes" in said
    assert plot.stat().st_size > 5000
    result = json.loads((ring / "diagnosis" / "support.json").read_text())
    assert [row["step"] for row in result["rows"]] == [1, 2]
    assert result["num_samples"] == 1024  # whole batches of 128
    assert result["pictures"] == {}
    assert result["spaces"].keys() == {"data"}
    assert len(table(result).splitlines()) >= 7
    figure(result)


def test_the_command_on_images(tmp_path, capsys):
    path = tmp_path / "digits"
    small = ["--generator.network.width", "4", "--discriminator.network.width", "4", "--detector.num-samples", "64"]
    assert main(["train", "digits", "--run-dir", str(path), *SHORT, *small]) == 0
    assert main(["diagnose", "support", str(path), "--samples", "192"]) == 0
    assert "in features" in capsys.readouterr().out
    result = json.loads((path / "diagnosis" / "support.json").read_text())
    assert [row["step"] for row in result["rows"]] == [2]
    assert result["spaces"].keys() == result["pictures"].keys() == {"pixels", "features"}
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(result["pictures"]["pixels"]["nearest"]))))
    assert picture.shape == (2 * 17 - 1, 8 * 17 - 1)
    # Below each fake is a training example, as it is.
    train = np.asarray(Images(name="digits", image_size=16).load().images[..., 0])
    for column in range(8):
        shown = picture[17:33, 17 * column : 17 * column + 16]
        assert np.any(np.all(train == shown, axis=(1, 2)))
    figure(result)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--samples", "5"], "--samples is 5, and must be between 100 and 100,000"),
        (["--samples", "many"], "many"),
        (["--step", "7"], "no checkpoint of step 7; it has 1, 2"),
    ],
)
def test_wrong_inputs(ring, capsys, arguments, said):
    assert main(["diagnose", "support", str(ring), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
