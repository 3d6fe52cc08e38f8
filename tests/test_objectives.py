"""The contract of every objective, and closed forms."""

from __future__ import annotations

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.objectives import OBJECTIVES, Minimax, NonSaturating, Objective, Wasserstein

SIDES = ("real", "fake", "generator", "generator_real")


def functions():
    for objective in OBJECTIVES:
        criterion = objective().criterion()
        for side in SIDES:
            if getattr(criterion, side) is not None:
                yield pytest.param(getattr(criterion, side), id=f"{objective.__name__}-{side}")


@pytest.mark.parametrize("losses", list(functions()))
def test_contract(losses, key):
    scores = jnp.linspace(-5.0, 5.0, 11)
    assert list(inspect.signature(losses).parameters) == ["score", "key", "step"]
    for dtype in (jnp.float32, jnp.bfloat16):
        values = losses(scores.astype(dtype), key, 0)
        assert values.shape == scores.shape
        assert values.dtype == dtype
    extreme = jnp.array([-1e4, 1e4])
    assert bool(jnp.all(jnp.isfinite(losses(extreme, key, 0))))
    assert bool(jnp.all(jnp.isfinite(jax.vmap(jax.grad(lambda s: losses(s[None], key, 0)[0]))(extreme))))
    np.testing.assert_allclose(jax.jit(losses)(scores, key, 0), losses(scores, key, 0), rtol=1e-6)
    # Elementwise: each example alone gives the same loss.
    np.testing.assert_allclose(
        jax.vmap(lambda s: losses(s[None], key, 0)[0])(scores), losses(scores, key, 0), rtol=1e-6
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_objectives_satisfy_the_protocol(objective):
    assert isinstance(objective(), Objective)


def test_closed_forms(key):
    score = jnp.array([0.0, 2.0])
    sigmoid = 1 / (1 + math.exp(-2.0))
    ns, mm = NonSaturating().criterion(), Minimax().criterion()
    np.testing.assert_allclose(ns.real(score, key, 0), [math.log(2), -math.log(sigmoid)], rtol=1e-6)
    np.testing.assert_allclose(ns.fake(score, key, 0), [math.log(2), -math.log(1 - sigmoid)], rtol=1e-6)
    np.testing.assert_allclose(ns.generator(score, key, 0), [math.log(2), -math.log(sigmoid)], rtol=1e-6)
    np.testing.assert_allclose(mm.generator(score, key, 0), [-math.log(2), math.log(1 - sigmoid)], rtol=1e-6)
    wasserstein = Wasserstein().criterion()
    np.testing.assert_array_equal(wasserstein.real(score, key, 0), [0.0, -2.0])
    np.testing.assert_array_equal(wasserstein.fake(score, key, 0), [0.0, 2.0])
    np.testing.assert_array_equal(wasserstein.generator(score, key, 0), [0.0, -2.0])


@pytest.mark.parametrize("objective", [Minimax, Wasserstein])
def test_zero_sum_objectives(objective, key):
    criterion = objective().criterion()
    scores = jnp.linspace(-3.0, 3.0, 7)
    np.testing.assert_allclose(criterion.generator(scores, key, 0), -criterion.fake(scores, key, 0), rtol=1e-6)
    np.testing.assert_allclose(criterion.generator_real(scores, key, 0), -criterion.real(scores, key, 0), rtol=1e-6)


def test_where_d_rejects_the_fakes_only_non_saturating_keeps_a_gradient(key):
    def slope(criterion):
        return float(jax.grad(lambda s: criterion.generator(s[None], key, 0)[0])(-10.0))

    assert abs(slope(NonSaturating().criterion())) == pytest.approx(1, abs=1e-4)
    assert abs(slope(Minimax().criterion())) < 1e-4


def test_the_optimal_discriminator_of_two_gaussians_minimises_the_loss(key):
    # p = N(1, 1), q = N(-1, 1): the optimal score is log p - log q = 2x, and E[loss] = 2 log 2 - 2 JSD by quadrature.
    x = np.linspace(-12, 12, 20_001)
    p, q = (np.exp(-0.5 * (x - m) ** 2) / math.sqrt(2 * math.pi) for m in (1, -1))
    criterion = NonSaturating().criterion()

    def loss(scale):
        score = jnp.asarray(scale * x, jnp.float32)
        values = p * np.asarray(criterion.real(score, key, 0)) + q * np.asarray(criterion.fake(score, key, 0))
        return np.trapezoid(values, x)

    half = (p + q) / 2
    jsd = 0.5 * np.trapezoid(p * np.log(p / half) + q * np.log(q / half), x)
    assert loss(2.0) == pytest.approx(2 * math.log(2) - 2 * jsd, abs=1e-5)
    assert loss(2.0) < min(loss(1.9), loss(2.1))
