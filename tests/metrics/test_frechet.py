"""Frechet and kernel distances against scipy, closed forms and loops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import sqrtm

from gan_jax.metrics.frechet import frechet_distance, frechet_floor
from gan_jax.metrics.kernel_distances import gaussian_mmd, kernel_distance, median_distance

RNG = np.random.default_rng(0)


def correlated(num, dims, shift=0.0):
    return jnp.asarray(RNG.normal(size=(num, dims)) @ RNG.normal(size=(dims, dims)) + shift, jnp.float32)


def by_matrix_roots(a, b):
    a, b = np.asarray(a, float), np.asarray(b, float)
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(first)
    cross = np.trace(np.real(sqrtm(root @ second @ root)))
    return np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(first) + np.trace(second) - 2 * cross


@pytest.mark.parametrize(("num", "other", "dims"), [(200, 150, 5), (12, 200, 20), (12, 15, 20)])
def test_the_frechet_distance_is_that_of_matrix_roots(num, other, dims):
    a, b = correlated(num, dims, 1.0), correlated(other, dims)
    assert frechet_distance(a, b) == pytest.approx(by_matrix_roots(a, b), rel=2e-3)


def test_it_is_0_for_equal_sets_and_ignores_a_common_shift():
    a, b = correlated(300, 8), correlated(200, 8)
    scale = float(np.trace(np.cov(a, rowvar=False)))
    assert float(frechet_distance(a, a)) < 1e-5 * scale
    assert frechet_distance(a + 1000, b + 1000) == pytest.approx(float(frechet_distance(a, b)), rel=1e-2)


def test_isotropic_gaussians_have_the_closed_form():
    """|delta|^2 + d (s1 - s2)^2 = 12 + 3 (2 - 1)^2; the sampling error of 50,000 points is below 1 %."""
    a = 2.0 * jax.random.normal(jax.random.key(0), (50_000, 3)) + 2.0
    b = jax.random.normal(jax.random.key(1), (50_000, 3))
    assert float(frechet_distance(a, b)) == pytest.approx(15.0, rel=0.01)


def test_the_floor_is_the_mean_of_real_against_real():
    """40 pairs of sets of 400 and 300 points: the mean's standard error is about 2 %."""
    scales = jnp.array([[3.0, 1.0, 1.0, 0.3]])

    def one(key):
        a, b = (jax.random.normal(k, (n, 4)) * scales for k, n in zip(jax.random.split(key), (400, 300), strict=True))
        return frechet_distance(a, b)

    found = jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 40))
    floor = frechet_floor(jax.random.normal(jax.random.key(5), (20_000, 4)) * scales, 400, 300)
    error = float(jnp.std(found)) / 40**0.5
    assert abs(float(jnp.mean(found)) - float(floor)) < 4 * error
    assert error < 0.2 * float(floor)


def loop_mmd(x, y, kernel):
    x, y = np.asarray(x, float), np.asarray(y, float)
    within = [np.mean([kernel(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (x, y)]
    return sum(within) - 2 * np.mean([kernel(a, b) for a in x for b in y])


def test_kernel_distances_are_those_of_loops():
    x, y = correlated(20, 3, 0.5), correlated(25, 3)
    width = np.median([np.linalg.norm(y[i] - y[j]) for i in range(25) for j in range(i)])
    assert float(median_distance(y)) == pytest.approx(width, rel=1e-5)
    gauss = loop_mmd(x, y, lambda a, b: np.exp(-np.sum((a - b) ** 2) / (2 * width**2)))
    assert float(gaussian_mmd(x, y)) == pytest.approx(gauss, abs=1e-5)
    cubic = loop_mmd(x, y[:20], lambda a, b: (a @ b / 3 + 1) ** 3)
    whole = kernel_distance(x, y[:20], jax.random.key(0), num_subsets=1, subset_size=20)
    assert float(whole) == pytest.approx(cubic, rel=1e-3)


def test_kid_is_0_in_expectation_and_often_negative():
    """30 independent pairs: the mean is within 4 of its standard errors of 0."""

    def one(key):
        points = jax.random.normal(key, (200, 4))
        return kernel_distance(points[:100], points[100:], key, num_subsets=1, subset_size=100)

    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 30)))
    assert abs(found.mean()) < 4 * found.std(ddof=1) / 30**0.5
    assert 5 < np.sum(found < 0) < 25


def test_kid_of_fifty_runs_is_one_program():
    runs = jax.random.normal(jax.random.key(0), (50, 60, 4)) + jnp.linspace(0, 2, 50)[:, None, None]
    real = jax.random.normal(jax.random.key(1), (60, 4))
    key = jax.random.key(2)

    def kid(run):
        return kernel_distance(run, real, key, num_subsets=3, subset_size=50)

    many = jax.jit(jax.vmap(kid))(runs)
    one = jax.jit(kid)
    np.testing.assert_allclose(many[::24], [one(run) for run in runs[::24]], rtol=1e-4, atol=1e-5)
    assert np.all(np.diff(np.asarray(many)[::10]) > 0)
