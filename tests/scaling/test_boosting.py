"""AdaGAN's weightings: theorems 1 and 2 by hand, by their properties, and against a bisection."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from gan_jax.scaling.boosting import (
    WEIGHTINGS,
    bootstrap_weights,
    component_weight,
    dagger_weights,
    density_ratio,
    star_weights,
)

QUARTERS = jnp.full(4, 0.25)
MISSED = jnp.array([0.0, 0.0, 1.0, 3.0])
"""A mixture that misses half of four equal points, and has their mass on the last one."""


def random_case(seed, num=200):
    """Masses and ratios of mean 1 under them."""
    rng = np.random.default_rng(seed)
    p_data = rng.dirichlet(np.ones(num))
    ratio = rng.lognormal(0.0, 2.0, num)
    return jnp.asarray(p_data, float), jnp.asarray(ratio / (p_data @ ratio), float)


@pytest.mark.parametrize(
    ("weighting", "beta", "weights", "multiplier"),
    [
        # lambda - (1 - beta) d must sum to 4 beta: 3 lambda - 0.5 = 2, since 1.5 > lambda leaves out the last point.
        (star_weights, 0.5, [5 / 12, 5 / 12, 1 / 6, 0], 5 / 6),
        # 4 lambda - 1 = 3: nothing is over-covered, so lambda is 1 and the new mixture is the data.
        (star_weights, 0.75, [1 / 3, 1 / 3, 1 / 4, 1 / 12], 1),
        # The missed half holds beta or more: it gets everything, at lambda = beta / delta.
        (star_weights, 0.2, [0.5, 0.5, 0, 0], 0.4),
        # 3 - 0.4 lambda = 2.4, since 1 - 1.2 lambda < 0 leaves out the last point.
        (dagger_weights, 0.6, [5 / 12, 5 / 12, 1 / 6, 0], 1.5),
        (dagger_weights, 0.75, [1 / 3, 1 / 3, 1 / 4, 1 / 12], 1),
        # The missed half holds beta or more: there is no multiplier, and they share in proportion.
        (dagger_weights, 0.5, [0.5, 0.5, 0, 0], np.inf),
        (dagger_weights, 0.2, [0.5, 0.5, 0, 0], np.inf),
    ],
)
def test_four_points_by_hand(weighting, beta, weights, multiplier):
    found = weighting(QUARTERS, MISSED, beta)
    np.testing.assert_allclose(found.weights, weights, atol=1e-6)
    assert float(found.multiplier) == pytest.approx(multiplier, rel=1e-6)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("beta", [0.05, 0.3, 0.5, 0.9])
def test_the_sorted_solutions_are_those_of_a_bisection(seed, beta):
    p_data, ratio = random_case(seed)
    p, c = np.asarray(p_data, np.float64), (1 - beta) * np.asarray(ratio, np.float64)
    star = brentq(lambda level: p @ np.maximum(level - c, 0) - beta, 0, 1e4)
    dagger = brentq(lambda slope: p @ np.maximum(1 - slope * c, 0) - beta, 0, 1e8, rtol=1e-14)
    found_star, found_dagger = (weighting(p_data, ratio, beta) for weighting in (star_weights, dagger_weights))
    assert float(found_star.multiplier) == pytest.approx(star, rel=1e-4)
    assert float(found_dagger.multiplier) == pytest.approx(dagger, rel=1e-4)
    np.testing.assert_allclose(found_star.weights, p / beta * np.maximum(star - c, 0), atol=1e-5)
    np.testing.assert_allclose(found_dagger.weights, p / beta * np.maximum(1 - dagger * c, 0), atol=1e-5)


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_what_the_new_mixture_is(beta):
    p_data, ratio = random_case(7)
    old = (1 - beta) * p_data * ratio
    star, dagger = star_weights(p_data, ratio, beta), dagger_weights(p_data, ratio, beta)
    assert beta - 1e-6 <= float(star.multiplier) <= 1 + 1e-6
    assert float(dagger.multiplier) >= 1 - 1e-6
    np.testing.assert_allclose(old + beta * star.weights, jnp.maximum(star.multiplier * p_data, old), atol=1e-6)
    rest = p_data - beta * dagger.weights
    np.testing.assert_allclose(rest, jnp.minimum(p_data, dagger.multiplier * old), atol=1e-6)


def test_star_is_the_best_of_many_components_by_two_divergences():
    beta, (p_data, ratio) = 0.4, random_case(3, num=20)
    p, old = np.asarray(p_data, np.float64), 0.6 * np.asarray(p_data * ratio, np.float64)
    best = np.asarray(star_weights(p_data, ratio, beta).weights, np.float64)
    others = np.random.default_rng(0).dirichlet(np.ones(20), 500)
    others = np.concatenate([others, 0.9 * best + 0.1 * others])

    def total_variation(new):
        return np.abs(new - p).sum(-1) / 2

    def kl(new):
        return (new * np.log(new / p)).sum(-1)

    for divergence in (total_variation, kl):
        assert divergence(old + beta * best) <= np.min(divergence(old + beta * others)) + 1e-6


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("beta", [0.01, 0.5, 1.0])
def test_a_perfect_mixture_changes_nothing(name, beta):
    p_data = jnp.array([0.1, 0.2, 0.3, 0.4])
    found = WEIGHTINGS[name](p_data, jnp.ones(4), beta)
    np.testing.assert_allclose(found.weights, p_data, atol=1e-6)
    assert float(found.multiplier) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_component_that_replaces_the_mixture_ignores_it(name):
    np.testing.assert_allclose(WEIGHTINGS[name](QUARTERS, MISSED, 1.0).weights, QUARTERS, atol=1e-6)


@pytest.mark.parametrize("name", WEIGHTINGS)
@pytest.mark.parametrize("scores", ["small", "huge", "equal and huge"])
def test_weights_are_a_distribution_whatever_the_scores(name, scores, key):
    score = {
        "small": jax.random.normal(key, (5_000,)),
        "huge": 1e4 * jax.random.normal(key, (5_000,)),
        "equal and huge": jnp.full(5_000, -1e4),
    }[scores]
    found = WEIGHTINGS[name](jnp.full(5_000, 1 / 5_000), density_ratio(score), 0.3)
    assert float(jnp.min(found.weights)) >= 0
    assert float(jnp.sum(found.weights)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_one_program_serves_all_values(name):
    traces = []

    @jax.jit
    def weigh(p_data, ratio, beta):
        traces.append(1)
        return WEIGHTINGS[name](p_data, ratio, beta)

    for beta in (0.2, 0.75):
        jitted, eager = weigh(QUARTERS, MISSED, beta), WEIGHTINGS[name](QUARTERS, MISSED, beta)
        np.testing.assert_allclose(jitted.weights, eager.weights, atol=1e-6)
    assert len(traces) == 1


def test_the_ratio_of_an_ideal_logit():
    p_data, p_mixture = jnp.array([0.2, 0.3, 0.5]), jnp.array([0.4, 0.5, 0.1])
    np.testing.assert_allclose(density_ratio(jnp.log(p_data / p_mixture)), p_mixture / p_data, rtol=1e-5)
    assert jnp.all(jnp.isfinite(density_ratio(jnp.array([-1e4, 1e4]))))


def test_a_bootstrap_leaves_out_a_share_of_1_over_e(key):
    num = 20_000
    weights = bootstrap_weights(key, jnp.full(num, 1 / num))
    assert float(jnp.sum(weights)) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(weights * num, jnp.round(weights * num), atol=1e-3)
    # Key 0. Boxes left empty by as many balls: variance (1/e)(1 - 2/e) / n; 5 standard errors.
    empty, error = float(jnp.mean(weights == 0)), np.sqrt(np.exp(-1) * (1 - 2 * np.exp(-1)) / num)
    assert abs(empty - np.exp(-1)) < 5 * error


def test_components_join_with_1_over_t_or_a_constant():
    assert [component_weight(None, number) for number in (1, 2, 4)] == [1.0, 0.5, 0.25]
    assert [component_weight(0.3, number) for number in (1, 2, 4)] == [1.0, 0.3, 0.3]
