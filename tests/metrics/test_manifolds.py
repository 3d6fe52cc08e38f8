"""Precision, recall, density, coverage and neighbours against loops over all distances."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from gan_jax.metrics.distances import kth_smallest, nearest_neighbours
from gan_jax.metrics.manifolds import expected_coverage, prdc, precision_recall


def by_all_distances(samples, real, k, inclusive):
    """All four from full matrices of distances in float64."""
    samples, real = np.asarray(samples, float), np.asarray(real, float)
    within = cdist(real, real), cdist(samples, samples)
    radii, own = (np.sort(d, axis=1)[:, k] for d in within)  # the point itself comes first
    between = cdist(real, samples)
    less = np.less_equal if inclusive else np.less
    in_real, in_samples = less(between, radii[:, None]), less(between, own[None])
    return in_real.any(0).mean(), in_samples.any(1).mean(), in_real.sum(0).mean() / k, in_real.any(1).mean()


@pytest.mark.parametrize(("num", "other", "dims"), [(300, 280, 3), (40, 300, 30), (500, 400, 1000)])
def test_all_four_are_those_of_full_matrices(num, other, dims):
    rng = np.random.default_rng(0)
    samples = jnp.asarray(rng.normal(size=(num, dims)) * 0.8 + 0.2, jnp.float32)
    real = jnp.asarray(rng.normal(size=(other, dims)), jnp.float32)
    np.testing.assert_allclose(prdc(samples, real), by_all_distances(samples, real, 5, False), rtol=1e-6)
    expected = by_all_distances(samples, real, 3, True)[:2]
    np.testing.assert_allclose(precision_recall(samples, real), expected, rtol=1e-6)


def test_equal_sets_have_1_and_points_that_are_all_one_have_it_by_the_inclusive_rule_alone():
    points = jnp.asarray(np.random.default_rng(1).normal(size=(60, 2)), jnp.float32)
    np.testing.assert_allclose(prdc(points, points), np.ones(4))
    same = jnp.ones((20, 2))
    np.testing.assert_array_equal(prdc(same, same), np.zeros(4))
    np.testing.assert_array_equal(precision_recall(same, same), np.ones(2))


def test_a_far_cluster_has_neither_precision_nor_coverage():
    real = jax.random.normal(jax.random.key(0), (100, 4))
    found = prdc(real + 100.0, real)
    assert [float(value) for value in found] == [0.0, 0.0, 0.0, 0.0]


def test_the_coverage_of_a_perfect_sampler():
    """20 pairs of sets: the mean is within 4 standard errors of the closed form."""

    def one(key):
        points = jax.random.normal(key, (250, 2))
        return prdc(points[:100], points[100:]).coverage

    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 20)))
    assert abs(found.mean() - expected_coverage(100, 150)) < 4 * found.std(ddof=1) / 20**0.5


def test_the_published_values_for_gaussians():
    """Naeem et al.'s example: two sets of N(0, I), n = 10,000, 1,000 dimensions, k = 5.

    Their draws are not ours, and their seed is not known. The expected density is 1 for any distribution; in so many
    dimensions a few points are near very many, so one draw's density varies far more than the shares do.
    """
    a, b = (jax.random.normal(jax.random.key(i), (10_000, 1000)) for i in range(2))
    found = [float(value) for value in jax.jit(prdc)(a, b)]
    published = [0.4772, 0.4705, 1.0555, 0.9735]
    assert np.all(np.abs(np.subtract(found, published)) < [0.02, 0.02, 0.12, 0.02])
    assert found[3] == pytest.approx(expected_coverage(10_000, 10_000), abs=0.005)


@pytest.mark.parametrize("num", [7, 700, 3000])
def test_the_kth_smallest_is_that_of_a_sort(num):
    values = np.random.default_rng(2).integers(0, 50, (5, num)).astype(np.float32)
    np.testing.assert_array_equal(kth_smallest(jnp.asarray(values), 5), np.sort(values, axis=1)[:, 4])


def test_neighbours_may_leave_out_one_reference_each():
    points = np.random.default_rng(3).normal(size=(30, 20)).astype(np.float32)
    own = jnp.array([4, 9, 9])
    found = nearest_neighbours(points[own], points, left_out=own)
    whole = nearest_neighbours(points, points, exclude_self=True)
    np.testing.assert_array_equal(found.which, whole.which[own])
    np.testing.assert_allclose(found.distance, whole.distance[own], rtol=1e-6)
