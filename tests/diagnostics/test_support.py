"""Support size: samplers whose support is known; distances against a direct computation."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.diagnostics.support import (
    Neighbours,
    batch_with_chance,
    chance_in_batch,
    closest_pairs,
    coincidences,
    nearest_neighbours,
    observed_chances,
    support_size,
)


def atoms(key, num, dim=24):
    """`num` points of a known distance from each other: about sqrt(2 dim)."""
    return jax.random.normal(key, (num, dim))


def draws(key, points, num, noise=0.0, p=None):
    index = jax.random.choice(key, points.shape[0], (num,), p=p)
    return points[index] + noise * jax.random.normal(jax.random.fold_in(key, 1), (num, points.shape[1]))


@pytest.mark.parametrize(("size", "num"), [(20, 300), (500, 1000), (4000, 2500)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_uniform_sampler_within_a_factor_of_2(size, num, seed):
    key = jax.random.key(seed)
    samples = draws(key, atoms(jax.random.key(99), size), num, noise=0.01)
    found = support_size(np.asarray(coincidences(samples, 0.5).degree))
    assert size / 2 < found.size < 2 * size
    assert found.low < found.size < found.high
    assert found.batch_half == pytest.approx(1.18 * math.sqrt(found.size), rel=0.1)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng, size, hits = np.random.default_rng(0), 1000, 0
    for _ in range(400):
        counts = np.bincount(rng.integers(0, size, 200), minlength=size)
        degree = np.repeat(counts - 1, counts)
        found = support_size(degree)
        hits += found.low <= size <= (found.high or math.inf)
    assert hits / 400 > 0.95 - 3 * math.sqrt(0.05 * 0.95 / 400)


def test_an_uneven_sampler_has_the_size_of_equally_likely_samples_and_a_wider_interval():
    # Weights 0.5, and 0.5 over 999 others: p = 0.25 + 0.25 / 999, so that the support size is 3.98.
    rng, size = np.random.default_rng(0), 1 / (0.25 + 0.25 / 999)
    hits = 0
    for _ in range(300):
        index = np.where(rng.random(100) < 0.5, 0, rng.integers(1, 1000, 100))
        _, inverse, counts = np.unique(index, return_inverse=True, return_counts=True)
        found = support_size(counts[inverse] - 1)
        hits += found.low <= size <= found.high
    assert hits / 300 > 0.95 - 4 * math.sqrt(0.05 * 0.95 / 300)


def test_no_coincidence_bounds_the_size_from_below():
    found = support_size(np.zeros(1000))
    assert (found.size, found.high, found.batch_half) == (None, None, None)
    # 3.69 pairs are the most that show none with probability 0.025.
    assert found.low == pytest.approx(1000 * 999 / 2 / -math.log(0.025))


def test_one_sample_over_and_over():
    samples = jnp.ones((50, 3))
    found = coincidences(samples, 1e-6)
    assert np.all(found.degree == 49)
    assert found.next.tolist() == [*range(1, 50), 50]
    assert support_size(np.asarray(found.degree)).size == 1
    assert support_size(np.asarray(found.degree)).low == pytest.approx(1, abs=0.2)


def test_distances_are_those_of_a_direct_computation(key):
    for dim in (2, 40):  # one by differences, one by products
        queries, references = (
            jax.random.normal(key, (300, dim)) + 5,
            jax.random.normal(jax.random.key(1), (70, dim)) + 5,
        )
        found = nearest_neighbours(queries, references)
        squares = np.sum((np.asarray(queries)[:, None] - np.asarray(references)[None]) ** 2, axis=2)
        np.testing.assert_allclose(found.distance, np.sqrt(squares.min(axis=1)), rtol=1e-5)
        assert np.array_equal(found.which, squares.argmin(axis=1))
        among = nearest_neighbours(references, references, exclude_self=True)
        own = np.sum((np.asarray(references)[:, None] - np.asarray(references)[None]) ** 2, axis=2)
        np.fill_diagonal(own, np.inf)
        assert np.array_equal(among.which, own.argmin(axis=1))
        near = coincidences(references, float(np.sqrt(np.median(own))))
        assert np.array_equal(near.degree, np.sum(own <= np.median(own), axis=1))
        later = np.where(np.triu(own <= np.median(own), 1), np.arange(70)[None], 70).min(axis=1)
        assert np.array_equal(near.next, later)


def test_a_copy_is_at_distance_0_though_products_round(key):
    points = 100 + jax.random.normal(key, (500, 200))
    assert np.all(nearest_neighbours(points[:10], points).distance == 0)


def test_the_chance_in_a_batch_is_the_observed_one():
    samples = draws(jax.random.key(0), atoms(jax.random.key(1), 800), 6000)
    found = coincidences(samples, 0.1)
    rows = observed_chances(np.asarray(found.next), [10, 30, 60])
    assert [(size, num) for size, num, _ in rows] == [(10, 600), (30, 200), (60, 100)]
    for size, num, hits in rows:
        chance = chance_in_batch(800, size)
        assert hits / num == pytest.approx(chance, abs=4 * math.sqrt(chance * (1 - chance) / num))


def test_the_birthday_paradox():
    assert math.ceil(batch_with_chance(365)) == 23
    assert chance_in_batch(365, batch_with_chance(365)) == pytest.approx(0.5)


def test_the_closest_pairs_come_first_and_once():
    found = Neighbours(jnp.array([0.5, 0.5, 0.1, 0.1, 0.9]), jnp.array([1, 0, 3, 2, 0]))
    assert closest_pairs(found, 3).tolist() == [[2, 3], [0, 1], [0, 4]]


def test_too_few_samples():
    with pytest.raises(ValueError, match="there are 2 samples"):
        support_size(np.zeros(2))
