"""Feature matching, reconstruction, classification, and the aggregation of several discriminators, by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.losses.aggregation import AGGREGATIONS, Aggregation, Hardest, SoftMixing
from gan_jax.losses.auxiliary import LOGITS, Classification, FeatureMatching, Reconstruction
from tests.helpers import FAKE, REAL, penalty_view


def test_feature_matching_by_hand():
    view = penalty_view()  # the features are the samples themselves
    gap = np.asarray(REAL.mean(axis=0) - FAKE.mean(axis=0))
    assert float(FeatureMatching(weight=2.0)(view)) == pytest.approx(2 * np.sum(gap**2), rel=1e-5)
    assert float(FeatureMatching(norm="l1")(view)) == pytest.approx(np.mean(np.abs(gap)), rel=1e-5)
    spread = np.cov(REAL.T, bias=True) - np.cov(FAKE.T, bias=True)
    wanted = np.sum(gap**2) + np.sum(spread**2) / 2
    assert float(FeatureMatching(covariance=True)(view)) == pytest.approx(wanted, rel=1e-5)
    l1 = np.mean(np.abs(gap)) + np.mean(np.abs(spread))
    assert float(FeatureMatching(norm="l1", covariance=True)(view)) == pytest.approx(l1, rel=1e-5)


def test_feature_matching_names_the_layers_that_there_are():
    layers = {"first": REAL, "second": 2 * REAL, LOGITS: REAL}
    view = penalty_view()._replace(features=lambda x: {name: x * (i + 1) for i, name in enumerate(layers)})
    last = FeatureMatching(weight=1.0)(view)
    assert float(last) == pytest.approx(4 * float(FeatureMatching(layer="first")(view)), rel=1e-5)
    with pytest.raises(ValueError, match="D has no layer 'secnd'; did you mean 'second'"):
        FeatureMatching(layer="secnd")(view)
    with pytest.raises(ValueError, match="needs a discriminator with hidden layers"):
        FeatureMatching()(view._replace(features=lambda x: {}))


def test_reconstruction_is_the_mean_squared_error_of_the_latents():
    view = penalty_view()._replace(
        latent=jnp.ones((4, 3)), encode=lambda x: jnp.tile(jnp.array([1.0, 2.0, 4.0]), (4, 1))
    )
    assert float(Reconstruction(weight=3.0)(view)) == pytest.approx(3 * (0 + 1 + 9))
    with pytest.raises(ValueError, match=r"needs an encoder: set generator.network to Bidirectional"):
        Reconstruction()(penalty_view())


def test_classification_is_the_cross_entropy_of_who_made_a_sample():
    logits = jnp.array([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0], [3.0, 0.0]])
    view = penalty_view()._replace(features=lambda x: {LOGITS: logits})
    log = np.asarray(jax.nn.log_softmax(logits))
    wanted = -np.mean([log[0, 0], log[1, 1], log[2, 0], log[3, 1]])
    assert float(Classification(weight=0.5)(view)) == pytest.approx(0.5 * wanted, rel=1e-5)


@pytest.mark.parametrize("cls", AGGREGATIONS)
def test_mixings_of_equal_losses_are_that_loss(cls):
    assert isinstance(cls(), Aggregation)
    assert float(cls()(jnp.full(3, 0.7))) == pytest.approx(0.7, rel=1e-5)


def test_mixings_by_hand():
    losses = jnp.array([1.0, 2.0, 4.0])
    assert float(SoftMixing(sharpness=0.0)(losses)) == pytest.approx(7 / 3, rel=1e-5)
    assert float(SoftMixing(mean="geometric", sharpness=0.0)(losses)) == pytest.approx(2.0, rel=1e-5)
    assert float(SoftMixing(mean="harmonic", sharpness=0.0)(losses)) == pytest.approx(3 / 1.75, rel=1e-5)
    weights = np.exp([1, 2, 4]) / np.sum(np.exp([1, 2, 4]))
    assert float(SoftMixing(sharpness=1.0)(losses)) == pytest.approx(np.sum(weights * [1, 2, 4]), rel=1e-5)
    assert float(SoftMixing(mean="geometric", sharpness=0.0)(-losses)) == pytest.approx(-2.0, rel=1e-5)
    assert float(SoftMixing(mean="harmonic", sharpness=0.0)(-losses)) == pytest.approx(-3 / 1.75, rel=1e-5)
    assert float(SoftMixing(sharpness=100.0)(losses)) == pytest.approx(float(Hardest()(losses)), rel=1e-5)
