"""Mode coverage: true samples score the ceilings under every rule, and known samples their hand-computed values."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.mixtures import Grid, HighDimensional, PointMass, RandomRing, Ring, Temperatures
from gan_jax.metrics.modes import Rule, count_divergence, mode_bounds, mode_metrics, truncated_spread

RULES = [Rule(), Rule(min_share=0.0), Rule(norm="linf"), Rule(radius=4.0), Rule(norm="mass")]
MIXTURES = [Ring(), Ring(closed=True), RandomRing(concentration=5.0), Grid(), Temperatures(), HighDimensional()]


@pytest.mark.parametrize("mixture", MIXTURES, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.norm}{r.radius:g}-{r.min_share:g}")
def test_true_samples_score_the_ceilings(mixture, rule, key):
    source = mixture.source(())
    num = 2_500
    metrics = jax.jit(mode_metrics)(source, source.sample(key, num), rule)
    bounds = mode_bounds(source, rule, num)
    ceiling = bounds["high_quality"].ceiling
    # key 0, 2,500 samples: within 5 standard errors of the closed form.
    error = 5 * math.sqrt(max(ceiling * (1 - ceiling), 1e-6) / num)
    assert float(metrics.high_quality) == pytest.approx(ceiling, abs=error)
    if ceiling < 0.5:
        return  # a literal radius in 1,200 dimensions: nothing else means anything
    assert int(metrics.modes) == int(metrics.modes_any) == bounds["modes"].ceiling
    # 2 n KL is chi-square with K - 1 degrees of freedom: mean (K - 1), deviation sqrt(2 (K - 1)).
    num_modes = source.modes.shape[0]
    for kl in (metrics.kl, metrics.kl_all):
        assert abs(float(kl) - bounds["kl"].floor) < 5 * math.sqrt(2 * (num_modes - 1)) / (2 * num)
    # The standard deviation of m points has a standard error of 1 / sqrt(2 m d); 5 of them, and 1 % for `mass`.
    members = num * float(source.weights.min()) * float(source.noisy.sum())
    assert float(metrics.spread) == pytest.approx(bounds["spread"].ceiling, abs=0.01 + 5 / math.sqrt(2 * members))


@pytest.mark.parametrize("rule", RULES, ids=lambda r: f"{r.norm}{r.radius:g}-{r.min_share:g}")
def test_data_without_noise_are_of_full_quality_and_have_no_spread(rule, key):
    source = PointMass(num_dims=2, position=1.0, std=0.1).source(())
    bounds = mode_bounds(source, rule, 100)
    assert bounds["high_quality"].ceiling == bounds["modes"].ceiling == 1.0
    assert bounds["spread"].ceiling is None
    measure = jax.jit(mode_metrics)
    exact = measure(source, source.sample(key, 100), rule)
    assert (int(exact.modes), float(exact.high_quality), float(exact.spread)) == (1, 1.0, 1.0)
    assert float(exact.kl) == float(exact.kl_all) == 0.0
    # 1.0 away on both axes is 14 standard units: junk under every rule.
    far = measure(source, jnp.zeros((100, 2)), rule)
    assert (int(far.modes), float(far.high_quality), float(far.spread)) == (0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("rule", "percent"),
    [(Rule(), 98.89), (Rule(norm="linf"), 99.46), (Rule(radius=4.0), 99.97)],
    ids=["l2", "linf", "4"],
)
def test_published_ceilings_in_two_dimensions(rule, percent):
    assert mode_bounds(Ring().source(()), rule, 2500)["high_quality"].ceiling * 100 == pytest.approx(percent, abs=0.01)


def test_a_literal_radius_rejects_all_real_data_in_1200_dimensions_and_mass_does_not(key):
    source = HighDimensional().source(())
    samples = source.sample(key, 500)
    assert float(mode_metrics(source, samples, Rule(radius=10.0)).high_quality) == 0
    assert mode_bounds(source, Rule(radius=10.0), 500)["high_quality"].ceiling < 1e-12
    assert float(mode_metrics(source, samples, Rule(norm="mass")).high_quality) > 0.96


def test_floors():
    assert mode_bounds(Ring().source(()), Rule(), 2500)["kl"].floor == pytest.approx(0.0014)
    assert mode_bounds(Grid().source(()), Rule(), 2500)["kl"].floor == pytest.approx(0.0048)


def test_truncated_spread():
    assert truncated_spread(3.0, 2) == pytest.approx(0.974, abs=1e-3)
    assert truncated_spread(30.0, 1) == pytest.approx(1.0)


@pytest.mark.parametrize("num_left", [1, 2, 4, 7])
def test_samples_of_few_modes(num_left, key):
    source = Ring().source(())
    weights = jnp.where(jnp.arange(8) < num_left, 1 / num_left, 0.0)
    samples = source._replace(weights=weights).sample(key, 2500)
    metrics = mode_metrics(source, samples, Rule())
    assert int(metrics.modes) == int(metrics.modes_any) == num_left
    # KL of uniform on m of 8 against uniform on 8 is ln(8 / m); the sampling noise of the counts adds about m / 5000.
    assert float(metrics.kl) == pytest.approx(math.log(8 / num_left), abs=5e-3)


def test_strays_capture_a_mode_only_under_the_count_of_one():
    source = Ring().source(())
    samples = jnp.concatenate([jnp.repeat(source.modes[:1], 2499, axis=0), source.modes[3:4]])
    metrics = mode_metrics(source, samples, Rule())
    assert (int(metrics.modes), int(metrics.modes_any)) == (1, 2)
    assert float(metrics.spread) == pytest.approx(0, abs=5e-3)  # float32 rounding about a mean of 2 std 0.02


def test_junk_looks_good_to_the_nearest_mode_kl_and_to_nothing_else(key):
    source = Ring().source(())
    samples = 4 * jax.random.normal(key, (2500, 2))
    metrics = mode_metrics(source, samples, Rule())
    assert float(metrics.kl_all) < 0.01
    assert float(metrics.high_quality) < 0.01
    assert int(metrics.modes) == 0


def test_the_share_is_of_the_samples_requested_even_if_some_are_not_finite():
    source = Ring().source(())
    samples = jnp.concatenate([jnp.repeat(source.modes, 5, axis=0), jnp.full((40, 2), jnp.nan)])
    metrics = mode_metrics(source, samples, Rule())
    assert float(metrics.high_quality) == pytest.approx(0.5)
    assert not bool(metrics.finite)
    assert all(np.all(np.isfinite(np.asarray(value))) for value in metrics)


def test_kl_is_in_nats_and_nan_without_counts():
    assert float(count_divergence(jnp.array([10, 0]), jnp.array([0.5, 0.5]))) == pytest.approx(math.log(2))
    assert math.isnan(float(count_divergence(jnp.array([0, 0]), jnp.array([0.5, 0.5]))))


def test_thresholds_are_traced_and_the_measurement_maps(key):
    source = Ring().source(())
    samples = source.sample(key, 500)
    traces = []

    @jax.jit
    def measure(rule):
        traces.append(1)
        return mode_metrics(source, samples, rule)

    one, two = measure(Rule(radius=1.0)), measure(Rule(radius=2.0))
    assert len(traces) == 1
    both = jax.vmap(measure)(Rule(radius=jnp.array([1.0, 2.0]), min_share=jnp.array([0.1, 0.1])))
    np.testing.assert_allclose(both.high_quality, [one.high_quality, two.high_quality], rtol=1e-6)
    eager = mode_metrics(source, samples, Rule(radius=2.0))
    np.testing.assert_allclose(eager.high_quality, two.high_quality, rtol=1e-6)
