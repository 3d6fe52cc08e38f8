"""Gradient cosines and forgotten fakes: gradients at known angles, discriminators that forget by construction."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.diagnostics.forgetting import accuracy_on_fakes, by_age, cosine_matrix, gradient_cosines
from gan_jax.diagnostics.scans import input_gradients


def test_cosines_of_known_angles():
    angles = np.array([0.0, 0.5, math.pi / 2 - 0.1, math.pi / 2 + 0.1, math.pi])
    first = jnp.tile(jnp.array([[1.0, 0.0]]), (5, 1)) * jnp.array([[1e-20], [1.0], [3.0], [1e10], [0.1]])
    second = jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], axis=1), jnp.float32) * 7e-18
    cosines = gradient_cosines(first, second)
    np.testing.assert_allclose(cosines.cosine, np.cos(angles), atol=1e-6)
    assert float(cosines.mean) == pytest.approx(np.mean(np.cos(angles)), abs=1e-6)
    assert float(cosines.reversed_share) == pytest.approx(2 / 5)


def test_probes_without_a_gradient_are_left_out():
    first = jnp.array([[1.0, 0.0], [0.0, 0.0], [0.0, 2.0]])
    second = jnp.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    cosines = gradient_cosines(first, second)
    assert np.isnan(cosines.cosine).tolist() == [False, True, False]
    assert float(cosines.mean) == 0
    assert float(cosines.reversed_share) == 0.5
    nothing = gradient_cosines(jnp.zeros((2, 3)), jnp.ones((2, 3)))
    assert np.isnan(nothing.mean)
    assert np.isnan(nothing.reversed_share)


def test_unrelated_gradients_in_many_dimensions_are_reversed_half_of_the_time(key):
    num, shape = 2000, (8, 8, 1)
    first, second = jax.random.normal(key, (2, num, *shape))
    cosines = gradient_cosines(first, second)
    # A cosine of random directions in d dimensions has variance 1 / d: 5 standard errors.
    assert abs(float(cosines.mean)) < 5 / math.sqrt(64 * num)
    assert abs(float(cosines.reversed_share) - 0.5) < 5 * 0.5 / math.sqrt(num)


def test_the_matrix_holds_the_cosines_of_every_two_times(key):
    gradients = jax.random.normal(key, (4, 6, 3, 2))
    matrix = jax.jit(cosine_matrix)(gradients)
    assert matrix.mean.shape == matrix.reversed_share.shape == (4, 4)
    for t in range(4):
        for u in range(4):
            single = gradient_cosines(gradients[t], gradients[u])
            np.testing.assert_allclose(matrix.mean[t, u], single.mean, atol=1e-6)
            np.testing.assert_allclose(matrix.cosine[t, u], single.cosine, atol=1e-6)
    np.testing.assert_allclose(np.diag(matrix.mean), 1, rtol=1e-6)
    np.testing.assert_array_equal(np.diag(matrix.reversed_share), 0)


def test_a_discriminator_that_flees_the_fakes_turns_round_when_they_cross_over(key):
    probes = jax.random.uniform(key, (100, 2), minval=-1, maxval=1)

    def fleeing(fakes):
        """Scores rise with the distance from the fakes, wherever the real points are: the forgetful D."""
        return lambda x: jnp.sum((x - fakes[None]) ** 2, axis=1)

    left, right = (input_gradients(fleeing(jnp.array([x, 0.0])), probes) for x in (-50.0, 50.0))
    assert float(gradient_cosines(left, right).reversed_share) == 1
    assert float(gradient_cosines(left, right).mean) == pytest.approx(-1, abs=0.01)
    assert float(gradient_cosines(left, left).reversed_share) == 0


def test_accuracy_by_age_of_a_discriminator_that_knows_only_the_fakes_of_the_day():
    fakes = jnp.arange(4.0)[:, None] * 10 + jnp.linspace(-1, 1, 5)[None]  # of four times, [4, 5]
    scores = jnp.stack([jnp.abs(fakes - 10.0 * t) - 5 for t in range(4)])  # D of time t rejects what is near 10 t
    matrix = accuracy_on_fakes(scores, 0.0)
    np.testing.assert_array_equal(matrix, np.eye(4))
    np.testing.assert_array_equal(by_age(matrix), [1, 0, 0, 0])
    remembering = jnp.stack([jnp.abs(fakes - 10.0 * t) - (5 + 10 * t) for t in range(4)])  # and all before it
    np.testing.assert_array_equal(by_age(accuracy_on_fakes(remembering, 0.0)), [1, 1, 1, 1])


def test_by_age_takes_the_mean_over_pairs_equally_far_apart():
    matrix = jnp.array([[1.0, 9.0, 9.0], [0.4, 0.5, 9.0], [0.3, 0.2, 0.0]])
    np.testing.assert_allclose(by_age(matrix), [0.5, 0.3, 0.3], rtol=1e-6)  # what lies ahead (9) is not asked for
