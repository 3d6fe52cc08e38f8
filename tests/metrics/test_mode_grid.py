"""Counts and divergences of modes over the grid of thresholds, and exact scores on mixtures, against loops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import entropy, multivariate_normal

from gan_jax.data.mixtures import Ring
from gan_jax.metrics.mixture_scores import cell_divergences, entropy_of, mean_log_likelihood, separated_entropy
from gan_jax.metrics.mode_grid import CONFIDENCES, MIN_COUNTS, expected_total_variation, mode_grid
from gan_jax.metrics.modes import Rule, mode_bounds, mode_metrics
from gan_jax.metrics.sample_sets import nearest_modes

RNG = np.random.default_rng(0)


def test_every_cell_of_the_grid_is_that_of_a_loop():
    mode, confidence = RNG.integers(0, 30, 200) ** 2 // 30, RNG.uniform(size=200)
    weights = RNG.dirichlet(np.ones(30))
    axes = jnp.array(CONFIDENCES), jnp.array(MIN_COUNTS)
    grid = mode_grid(jnp.asarray(mode), jnp.asarray(confidence), jnp.asarray(weights), *axes)
    assert grid.modes.shape == (len(CONFIDENCES), len(MIN_COUNTS))
    for i, least in enumerate(CONFIDENCES):
        for j, needed in enumerate(MIN_COUNTS):
            counts = np.bincount(mode[confidence >= np.float32(least)], minlength=30)
            counts = np.where(counts >= needed, counts, 0)
            assert grid.modes[i, j] == np.sum(counts > 0)
            if counts.sum() == 0:
                assert np.isnan(grid.kl[i, j])
                assert np.isnan(grid.reverse_kl[i, j])
                assert grid.total_variation[i, j] == 1.0
                continue
            share, smoothed = counts / counts.sum(), (counts + 0.5) / np.sum(counts + 0.5)
            middle = (share + weights) / 2
            assert grid.kl[i, j] == pytest.approx(entropy(share, weights), rel=1e-4)
            assert grid.reverse_kl[i, j] == pytest.approx(entropy(weights, smoothed), rel=1e-4)
            assert grid.total_variation[i, j] == pytest.approx(np.abs(share - weights).sum() / 2, rel=1e-4)
            both = (entropy(share, middle) + entropy(weights, middle)) / 2
            assert grid.jensen_shannon[i, j] == pytest.approx(both, abs=1e-5)


def test_the_same_samples_have_all_modes_or_almost_none_by_two_thresholds():
    """747 against 2.9 modes: unsure samples spread over 1,000 modes, and few modes with many sure ones."""
    mode = np.concatenate([np.repeat([1, 2, 3], 300), RNG.integers(0, 1000, 2000)])
    confidence = np.where(np.arange(2900) < 900, 0.99, 0.5)
    weights = jnp.full(1000, 1e-3)
    axes = jnp.array([0.0, 0.9]), jnp.array([1, 10])
    grid = mode_grid(jnp.asarray(mode), jnp.asarray(confidence), weights, *axes)
    assert int(grid.modes[0, 0]) > 800
    assert int(grid.modes[1, 1]) == 3


def test_the_expected_total_variation_of_a_perfect_sampler():
    weights = np.array([0.5, 0.3, 0.15, 0.05])
    drawn = RNG.multinomial(400, weights, 2000) / 400
    found = np.abs(drawn - weights).sum(1) / 2
    assert float(expected_total_variation(jnp.asarray(weights), 400)) == pytest.approx(found.mean(), rel=0.03)


def test_likelihood_and_entropy_of_a_mixture():
    source = Ring(num_modes=4, radius=3.0, std=0.2).source(())
    points = source.sample(jax.random.key(0), 50)
    parts = [multivariate_normal(mode, 0.04).pdf(np.asarray(points)) / 4 for mode in np.asarray(source.modes)]
    expected = np.log(np.sum(parts, axis=0)).mean()
    assert float(mean_log_likelihood(source, points)) == pytest.approx(expected, rel=1e-4)
    # 50,000 draws of -log p with a standard deviation of 1: a standard error of 0.0045.
    drawn = float(entropy_of(source, jax.random.key(1)))
    assert drawn == pytest.approx(float(separated_entropy(source)), abs=0.02)
    centre = float(mean_log_likelihood(source, source.modes[:1]))
    assert centre == pytest.approx(-drawn + 1.0, abs=0.02)  # one point scores d / 2 nats above the data


def test_cells_of_true_samples_are_near_their_exact_shares_and_of_one_mode_far():
    source, rule, num = Ring().source(()), Rule(), 4000
    inside = mode_bounds(source, rule, num)["high_quality"].ceiling
    points = source.sample(jax.random.key(0), num)
    found = cell_divergences(source, mode_metrics(source, points, rule), num, inside)
    assert float(found.kl) < 3 * 8 / (2 * num)
    assert float(found.total_variation) < 0.05
    one = cell_divergences(source, mode_metrics(source, points * 0 + source.modes[:1], rule), num, inside)
    assert float(one.kl) == pytest.approx(np.log(8 / inside), rel=1e-4)
    assert float(one.total_variation) == pytest.approx(1 - inside / 8, rel=1e-4)
    assert float(one.jensen_shannon) > 0.4


def test_the_nearest_mode_and_its_radius_are_those_of_the_rule():
    source = Ring(std=0.3).source(())
    points = source.sample(jax.random.key(2), 500)
    mode, inside = nearest_modes(points, source.modes, source.std, source.noisy)
    metrics = mode_metrics(source, points, Rule(norm="mass"))
    counts = np.bincount(np.asarray(mode)[np.asarray(inside) > 0], minlength=8)
    np.testing.assert_array_equal(counts, metrics.counts)
