"""Copies of training examples, intervals, and inversion of a generator."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from gan_jax.metrics.copying import authenticity, copying_distances, data_copying, training_cells
from gan_jax.metrics.frechet import frechet_distance
from gan_jax.metrics.intervals import bootstrap_interval, error_quantile, half_sample_errors
from gan_jax.metrics.inversion import inversion_errors

RNG = np.random.default_rng(0)
TRAIN, HELD, FRESH = (RNG.normal(size=(num, 4)).astype(np.float32) for num in (400, 300, 350))


def measured(points, cells):
    return copying_distances(jnp.asarray(points), jnp.asarray(TRAIN), jnp.asarray(cells))


def test_copies_are_not_authentic_and_fresh_points_are_as_often_as_by_a_loop():
    cells = training_cells(TRAIN, 3)
    assert float(authenticity(measured(TRAIN[:50], cells))) == 0.0
    found = measured(FRESH, cells)
    between = np.linalg.norm(FRESH[:, None] - TRAIN[None], axis=-1)
    own = np.linalg.norm(TRAIN[:, None] - TRAIN[None], axis=-1) + np.diag(np.full(400, np.inf))
    expected = between.min(1) > own.min(1)[between.argmin(1)]
    np.testing.assert_array_equal(found.authentic, expected)
    assert 0.3 < float(authenticity(found)) < 0.7


def test_the_test_of_copying_is_mann_whitney_in_each_cell():
    cells = training_cells(TRAIN, 3)
    fakes, held = measured(FRESH, cells), measured(HELD, cells)
    total, weight = 0.0, 0
    for cell in range(3):
        a, b = (np.asarray(p.distance)[np.asarray(p.cell) == cell] for p in (fakes, held))
        statistic = mannwhitneyu(a, b).statistic
        n, m = len(a), len(b)
        total += m * (statistic - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12)
        weight += m
    assert float(data_copying(fakes, held, 3)) == pytest.approx(total / weight, abs=1e-3)
    assert abs(float(data_copying(fakes, held, 3))) < 3


def test_copying_is_seen_in_proportion():
    cells = training_cells(TRAIN, 1)
    held = measured(HELD, cells)
    values = []
    for copies in (0, 50, 150, 350):
        mixed = np.concatenate([TRAIN[:copies] + 0.01, FRESH[copies:]])
        values.append(float(data_copying(measured(mixed, cells), held, 1)))
    assert values == sorted(values, reverse=True)
    assert values[-1] < -10
    assert float(data_copying(measured(FRESH * 3, cells), held, 1)) > 3
    few = measured(FRESH[:5], cells)
    assert np.isnan(float(data_copying(few, held, 1)))


def test_errors_by_halves_are_those_over_new_sets():
    """Of a mean (closed form) and of a Frechet distance (200 new pairs), within the spread of 10 halves (about 1/4)."""
    points = jax.random.normal(jax.random.key(0), (400, 3))

    def statistic(a, b):
        return {"mean": jnp.mean(a[:, 0]), "frechet": frechet_distance(a, b)}

    shifted = points + 1.0
    errors = jax.jit(lambda key: half_sample_errors(statistic, shifted, points, key, num=40))(jax.random.key(1))
    assert float(errors["mean"]) == pytest.approx(1 / 20, rel=0.4)

    def new(key):
        a, b = jax.random.normal(key, (2, 400, 3))
        return frechet_distance(a + 1.0, b)

    fresh = jnp.std(jax.jit(jax.vmap(new))(jax.random.split(jax.random.key(2), 200)))
    # Both sets hold the same points here, but their halves are drawn independently, as those of two sets are.
    assert float(errors["frechet"]) == pytest.approx(float(fresh), rel=0.4)


def test_the_bootstrap_of_a_mean_over_seeds():
    values = jnp.asarray(RNG.normal(size=40))
    low, high = bootstrap_interval(values, jax.random.key(0))
    half = 1.96 * float(jnp.std(values)) / 40**0.5
    assert float(high - low) == pytest.approx(2 * half, rel=0.15)
    rows = bootstrap_interval(jnp.ones((5, 2)), jax.random.key(0), statistic=lambda x: jnp.mean(x, axis=0), num=50)
    np.testing.assert_allclose(rows.low, 1.0)
    assert error_quantile() == pytest.approx(2.262, abs=1e-3)


def test_inversion_finds_what_a_generator_can_make_and_the_distance_of_what_it_cannot():
    """G maps R^2 onto a plane of R^3 (values (z1, z2, 0)): an image at height h keeps h^2 / 3."""
    images = jnp.array([[0.5, -0.5, 0.0], [0.2, 0.1, 0.6]])
    starts = jax.random.normal(jax.random.key(0), (2, 2, 2))

    def generate(latent):
        return jnp.concatenate([latent, jnp.zeros((latent.shape[0], 1))], axis=1)

    found = jax.jit(lambda s: inversion_errors(generate, images, s, num_steps=300))(starts)
    np.testing.assert_allclose(found, [0.0, 0.12], atol=1e-4)
