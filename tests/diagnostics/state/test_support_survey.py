"""Support size of G: generators that repeat themselves or the training set."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.images import Images, normalise
from gan_jax.diagnostics.state.support_survey import fake_support, support_spaces
from gan_jax.metrics.classifier import load_classifier


@pytest.fixture(scope="module")
def space():
    """A standard normal in five dimensions: 4,000 training points and 2,000 held-out ones."""
    points = jax.random.normal(jax.random.key(0), (6000, 5))
    (made,) = support_spaces(points[:4000], points[4000:], None)
    return made, points


def test_the_threshold_is_the_held_out_examples_own_quantile(space):
    made, points = space
    distance = np.min(np.linalg.norm(np.asarray(points)[4000:, None] - np.asarray(points)[None, :4000], axis=2), axis=1)
    assert made.name == "data"
    assert made.threshold == pytest.approx(np.quantile(distance, 0.01), rel=1e-4)
    np.testing.assert_allclose(made.held_distance, distance, rtol=1e-4, atol=1e-5)


def test_a_generator_that_generalises(space):
    made, _ = space
    found, _ = fake_support(made, jax.random.normal(jax.random.key(1), (3000, 5)))
    # 2,000 queries and as many for the threshold, which is itself the mean of about 20 points.
    assert found["share_close"] == pytest.approx(0.01, abs=0.012)
    assert found["nearest_ratio"] == pytest.approx(1, abs=0.06)


def test_a_generator_that_copies_the_training_set(space):
    made, points = space
    found, _ = fake_support(made, points[:2500])
    assert (found["share_close"], found["nearest_ratio"]) == (1.0, 0.0)


def test_a_generator_of_300_samples(space):
    made, _ = space
    atoms = jax.random.normal(jax.random.key(2), (300, 5))
    fakes = atoms[jax.random.randint(jax.random.key(3), (2000,), 0, 300)]
    found, (among, _) = fake_support(made, fakes)
    assert 240 < found["size"] < 360
    assert found["low"] < 300 < found["high"]
    # All but those that were drawn once: 300 exp(-2000 / 300) = 0.4 of them.
    assert float(jnp.mean(among.distance == 0)) > 0.99


def test_images_are_told_apart_by_pixels_and_by_the_classifiers_features():
    dataset = Images(name="digits", image_size=28).load()
    train, held = normalise(dataset.images[:600]), normalise(dataset.test_images[:200])
    spaces = support_spaces(train, held, load_classifier("digits"))
    assert [space.name for space in spaces] == ["pixels", "features"]
    assert [space.train.shape for space in spaces] == [(600, 784), (600, 96)]
    for space in spaces:
        copied, _ = fake_support(space, train[:300])
        assert copied["share_close"] == 1
        shifted, _ = fake_support(space, jnp.clip(held + 0.3, -1, 1))
        assert shifted["share_close"] < 0.1


def test_data_without_spread_have_no_threshold():
    with pytest.raises(ValueError, match="1% or more of the held-out examples are also training examples"):
        support_spaces(jnp.ones((50, 2)), jnp.ones((50, 2)), None)
