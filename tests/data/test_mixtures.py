from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from gan_jax.data.mixtures import Grid, HighDimensional, PointMass, RandomRing, Ring, Temperatures

MIXTURES = [Ring(), Ring(num_modes=6, weights=(1, 1, 1, 1, 1, 5)), Ring(closed=True), RandomRing(), Grid()]
MIXTURES += [Temperatures(share_hot=0.3), HighDimensional(), PointMass(num_dims=3, position=1.5)]


@pytest.mark.parametrize("mixture", MIXTURES, ids=lambda m: type(m).__name__)
def test_samples_have_the_mixtures_moments(mixture, key):
    source = mixture.source(())
    num = 4_000
    samples = source.sample(key, num)
    assert samples.shape == (num, *mixture.shape)
    assert samples.dtype == jnp.float32
    mean = source.weights @ source.modes
    second = source.weights @ (source.modes**2 + (source.std[:, None] * source.noisy[None]) ** 2)
    error = jnp.abs(jnp.mean(samples, axis=0) - mean)
    # key 0, 4,000 samples: 5 standard errors of the mean in every coordinate.
    assert jnp.all(error <= 5 * jnp.sqrt((second - mean**2) / num) + 1e-6)


@pytest.mark.parametrize("mixture", MIXTURES, ids=lambda m: type(m).__name__)
def test_weights_sum_to_one_and_modes_are_distinct(mixture):
    source = mixture.source(())
    assert float(jnp.sum(source.weights)) == pytest.approx(1, abs=1e-6)
    distances = np.linalg.norm(np.asarray(source.modes)[:, None] - np.asarray(source.modes)[None], axis=-1)
    assert np.min(distances + 1e9 * np.eye(len(distances))) > 6 * float(jnp.max(source.std)) * 0.1


def test_the_notebooks_linspace_duplicates_a_mode():
    source = Ring(num_modes=8, closed=True, radius=1.0).source(())
    angles = np.linspace(0, 2 * np.pi, 8)  # both ends included, as in the notebook
    published = np.unique(np.round(np.stack([np.cos(angles), np.sin(angles)], -1), 6), axis=0)
    assert len(published) == source.modes.shape[0] == 7
    assert sorted(np.asarray(source.weights).tolist()) == pytest.approx([0.125] * 6 + [0.25])
    ours = np.asarray(sorted(np.round(np.asarray(source.modes), 5).tolist()))
    np.testing.assert_allclose(ours, np.asarray(sorted(published.tolist())), atol=1e-4)


@pytest.mark.parametrize("mixture", [Ring(std=0.3), Grid(side=2, std=0.3)])
def test_log_prob_integrates_to_one(mixture):
    source = mixture.source(())
    density = jax.jit(lambda x, y: jnp.exp(source.log_prob(jnp.stack([x, y])[None])[0]))
    axis = np.linspace(-4, 4, 201)
    values = jax.vmap(jax.vmap(density, (0, None)), (None, 0))(jnp.asarray(axis), jnp.asarray(axis))
    total = integrate.simpson(integrate.simpson(np.asarray(values), x=axis), x=axis)
    assert total == pytest.approx(1, abs=1e-3)


def test_high_dimensional_noise_is_on_the_first_700_dimensions_only(key):
    source = HighDimensional().source(())
    samples = source.sample(key, 50)
    exact = samples[:, 700:]
    assert bool(jnp.all(exact == exact[:, :1]))
    assert float(jnp.std(samples[:, :700] - exact[:, :1])) == pytest.approx(1, abs=0.02)


def test_random_ring_weights_belong_to_the_data_not_to_the_run():
    first, second = RandomRing(weights_seed=1).source(()), RandomRing(weights_seed=2).source(())
    assert not np.allclose(first.weights, second.weights)
    np.testing.assert_array_equal(first.weights, RandomRing(weights_seed=1).source(()).weights)


def test_batches_depend_on_key_and_step_alone(key):
    source = Ring().source(())
    np.testing.assert_array_equal(source.batch(key, 3, 16), source.batch(key, jnp.int32(3), 16))
    assert not np.array_equal(source.batch(key, 3, 16), source.batch(key, 4, 16))
    assert source.batch(key, 3, 16, count=5).shape == (5, 2)


def test_std_can_be_swept_without_retracing(key):
    traces = []

    @jax.jit
    def sample(mixture):
        traces.append(1)
        return mixture.source(()).sample(key, 4)

    sample(Ring(std=0.1))
    sample(Ring(std=0.2))
    stacked = jax.vmap(lambda std: Ring(std=std).source(()).sample(key, 4))(jnp.array([0.1, 0.2]))
    assert len(traces) == 1
    np.testing.assert_allclose(stacked[1], sample(Ring(std=0.2)), rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Ring(weights=(1.0,)), "1 entries for num_modes=8"),
        (lambda: Ring(num_modes=2, weights=(0.0, 2.0)), "all must be positive"),
        (lambda: Ring(num_modes=1, closed=True), "at least 2"),
        (lambda: Temperatures(cold=40.0), "must be below hot"),
        (lambda: HighDimensional(num_dims=10), "more than num_dims"),
        (lambda: Ring().load("somewhere"), "leave out --data"),
    ],
)
def test_wrong_settings(make, words):
    with pytest.raises(ValueError, match=words):
        make()
