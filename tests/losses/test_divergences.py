"""f-divergences against quadrature and closed forms on two Gaussians, and the alpha-loss against its definition."""

from __future__ import annotations

import math
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.losses.divergences import DivergenceName, alpha_loss, divergence
from gan_jax.losses.objectives import FGAN

NAMES = typing.get_args(DivergenceName)

# p = N(1/2, 1) and q = N(-1/2, 1), so that log p/q = x. The grid ends where both are below 1e-20.
X = np.linspace(-10.5, 10.5, 4001)
P, Q = (np.exp(-0.5 * (X - mean) ** 2) / math.sqrt(2 * math.pi) for mean in (0.5, -0.5))
RATIO = P / Q

# The scores at which g_f(v) = f'(p/q), solved by hand.
OPTIMAL = {
    "kl": 1 + X,
    "reverse_kl": X,
    "pearson": 2 * (RATIO - 1),
    "neyman": 2 * X,
    "squared_hellinger": X / 2,
    "jensen_shannon": X,
    "gan": X,
    "alpha": -np.log(np.expm1(2 * RATIO**-0.5)),  # at order 1/2
}
# E_Q[(p/q)^k] = exp(k (k - 1) / 2).
CLOSED_FORM = {
    "kl": 0.5,
    "reverse_kl": 0.5,
    "pearson": math.e - 1,
    "neyman": math.e - 1,
    "squared_hellinger": 2 - 2 * math.exp(-1 / 8),
    "alpha": 4 - 4 * math.exp(-1 / 8),
}


def bound(name, score):
    """E_P[g_f(v)] - E_Q[f*(g_f(v))], from D's losses."""
    criterion = FGAN(divergence=name).criterion()
    key = jax.random.key(0)
    return -np.trapezoid(P * criterion.real(score, key, 0) + Q * criterion.fake(score, key, 0), X)


@pytest.mark.parametrize("name", NAMES)
def test_the_optimal_critic_attains_the_divergence_and_others_less(name):
    with jax.enable_x64(True):
        score = jnp.asarray(OPTIMAL[name])
        wanted = float(np.trapezoid(Q * divergence(name).f(jnp.asarray(RATIO)), X))
        assert bound(name, score) == pytest.approx(wanted, abs=1e-6)
        if name in CLOSED_FORM:
            assert wanted == pytest.approx(CLOSED_FORM[name], abs=1e-6)
        for other in (score + 0.1, score - 0.1, 0.9 * score, score + 0.2 * jnp.sin(3 * X)):
            assert bound(name, other) < wanted


@pytest.mark.parametrize("name", NAMES)
def test_functions_fit_together(name):
    with jax.enable_x64(True):
        d = divergence(name, 0.3)
        ratio = jnp.linspace(0.2, 5.0, 25)
        slope = jax.vmap(jax.grad(d.f))(ratio)
        # Fenchel: f*(f'(u)) = u f'(u) - f(u).
        np.testing.assert_allclose(d.conjugate(slope), ratio * slope - d.f(ratio), rtol=1e-9, atol=1e-12)
        assert float(jax.grad(d.f)(1.0)) == pytest.approx(d.threshold, abs=1e-12)
        assert float(d.f(jnp.float64(1.0))) == pytest.approx(-math.log(4) if name == "gan" else 0.0, abs=1e-12)
        score = jnp.linspace(-3.0, 3.0, 25)
        composed = d.conjugate(d.activation(score))
        np.testing.assert_allclose(d.conjugate_of_activation(score), composed, rtol=1e-9, atol=1e-12)
        assert bool(jnp.all(jnp.diff(d.activation(jnp.linspace(-60.0, 20.0, 99))) > 0))


def test_the_gan_divergence_is_twice_the_jensen_shannon_minus_log_4():
    half = (P + Q) / 2
    jsd = 0.5 * np.trapezoid(P * np.log(P / half) + Q * np.log(Q / half), X)
    values = {name: np.trapezoid(Q * divergence(name).f(jnp.asarray(RATIO)), X) for name in ("gan", "jensen_shannon")}
    assert values["jensen_shannon"] == pytest.approx(2 * jsd, abs=1e-5)
    assert values["gan"] == pytest.approx(2 * jsd - math.log(4), abs=1e-5)


def test_alpha_divergences_of_two_gaussians():
    for alpha in (0.1, 0.5, 0.9):
        wanted = (math.exp(alpha * (alpha - 1) / 2) - 1) / (alpha * (alpha - 1))
        with jax.enable_x64(True):
            value = np.trapezoid(Q * divergence("alpha", alpha).f(jnp.asarray(RATIO)), X)
        assert value == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_tangents_join_smoothly_and_rise(name):
    with jax.enable_x64(True):
        score = jnp.linspace(-100.0, 100.0, 20_001)
        for function in (divergence(name).activation, divergence(name).conjugate_of_activation):
            slope = jax.jit(jax.vmap(jax.grad(function)))(score)
            change = jnp.diff(slope) / 0.01
            # Where nothing jumps, a slope changes by no more than itself a unit of score.
            assert bool(jnp.all(jnp.abs(change) <= 1.1 * jnp.maximum(jnp.abs(slope[1:]), jnp.abs(slope[:-1])) + 0.6))
            if name != "pearson":
                assert bool(jnp.all(slope >= 0))


def test_alpha_loss_is_its_definition():
    with jax.enable_x64(True):
        probability = jnp.linspace(0.01, 0.99, 50)
        for alpha in (0.2, 0.5, 0.9999, 1.0001, 2.0, 50.0):
            wanted = alpha / (alpha - 1) * (1 - probability ** ((alpha - 1) / alpha))
            np.testing.assert_allclose(alpha_loss(-jnp.log(probability), alpha), wanted, rtol=1e-10)
        np.testing.assert_allclose(alpha_loss(-jnp.log(probability), 0.5), 1 / probability - 1, rtol=1e-12)
        np.testing.assert_allclose(alpha_loss(-jnp.log(probability), 1e12), 1 - probability, rtol=1e-9)


def test_alpha_loss_at_1_is_the_log_loss_with_its_derivatives():
    log_loss = jnp.array([1e-6, 0.1, 1.0, 10.0])
    np.testing.assert_array_equal(alpha_loss(log_loss, 1.0), log_loss)
    # d/da of (1 - p^t)/t with t = 1 - 1/a is -(log p)^2 / 2 at a = 1.
    slopes_at = jax.jit(jax.vmap(jax.grad(alpha_loss, argnums=(0, 1)), (0, None)))
    for alpha in (1.0, 1.0 + 1e-6, 1.0 - 1e-6):
        slopes = slopes_at(log_loss, alpha)
        np.testing.assert_allclose(slopes[0], jnp.ones(4), rtol=3e-5)
        np.testing.assert_allclose(slopes[1], -jnp.square(log_loss) / 2, rtol=1e-4)


def test_alpha_loss_is_finite_for_every_order():
    log_loss = jnp.array([0.0, 1e-3, 1.0, 1e4])
    both_at = jax.jit(jax.vmap(jax.value_and_grad(alpha_loss, argnums=(0, 1)), (0, None)))
    for alpha in (0.1, 0.5, 0.99999, 1.0, 1.00001, 2.0, 1e6):
        values, slopes = both_at(log_loss, alpha)
        assert all(bool(jnp.all(jnp.isfinite(part))) for part in (values, *slopes))
        assert bool(jnp.all(slopes[0] >= 0))
