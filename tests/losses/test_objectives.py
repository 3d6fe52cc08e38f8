"""The contract of every objective, and closed forms."""

from __future__ import annotations

import inspect
import math
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.losses.divergences import DivergenceName
from gan_jax.losses.objectives import (
    FGAN,
    OBJECTIVES,
    AlphaGAN,
    BoundaryEquilibrium,
    Criterion,
    EnergyMargin,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    Relativistic,
    RelativisticAverage,
    Wasserstein,
)

SIDES = ("real", "fake", "generator", "generator_real")
RELATIVISTIC = (Relativistic, RelativisticAverage)
# Relativistic objectives have the losses of those they are given.
TABLE = {cls.__name__: cls() for cls in OBJECTIVES if cls not in RELATIVISTIC}
TABLE |= {f"FGAN-{name}": FGAN(divergence=name) for name in typing.get_args(DivergenceName)}
TABLE |= {
    "FGAN-alpha-0.9": FGAN(divergence="alpha", alpha=0.9),
    "FGAN-non_saturating": FGAN(divergence="reverse_kl", generator_loss="non_saturating"),
    "AlphaGAN-extremes": AlphaGAN(0.1, 100.0, "non_saturating"),
}


@pytest.mark.parametrize("name", TABLE)
def test_contract(name, key):
    criterion = TABLE[name].criterion()
    sides = {side: getattr(criterion, side) for side in SIDES if getattr(criterion, side) is not None}
    scores = jnp.concatenate([jnp.linspace(-5.0, 5.0, 11), jnp.array([-1e4, -100.0, 100.0, 1e4])])

    @jax.jit
    def outcomes(score):
        def alone(losses):
            return jax.vmap(jax.value_and_grad(lambda s: losses(s[None], key, 0)[0]))(score)

        return {side: (losses(score, key, 0), *alone(losses)) for side, losses in sides.items()}

    for dtype in (jnp.float32, jnp.bfloat16):
        for side, (values, singly, slopes) in outcomes(scores.astype(dtype)).items():
            assert values.shape == scores.shape, side
            assert values.dtype == dtype, side
            assert bool(jnp.all(jnp.isfinite(values))), side
            assert bool(jnp.all(jnp.isfinite(slopes))), side
            # Elementwise: each example alone gives the same loss.
            np.testing.assert_array_equal(values, singly, err_msg=side)
            if dtype == jnp.float32:
                eager = sides[side](scores, key, 0)
                np.testing.assert_allclose(values, eager, rtol=2e-6, atol=1e-6, err_msg=side)
    for losses in sides.values():
        assert list(inspect.signature(losses).parameters) == ["score", "key", "step"]


@pytest.mark.parametrize("objective", [FGAN(divergence="alpha"), AlphaGAN(), LeastSquares(), EnergyMargin()])
def test_numbers_are_traced_once_and_keep_the_precision_of_scores(objective, key):
    traces = []

    @jax.jit
    def losses(objective, score):
        traces.append(1)
        criterion = objective.criterion()
        return [getattr(criterion, side)(score, key, 0) for side in ("real", "fake", "generator")]

    score = jnp.linspace(-2.0, 2.0, 5, dtype=jnp.bfloat16)
    assert {part.dtype for part in losses(jax.tree.map(jnp.float32, objective), score)} == {jnp.dtype(jnp.bfloat16)}
    changed = losses(jax.tree.map(lambda x: jnp.float32(0.8 * x + 0.05), objective), score)
    assert len(traces) == 1
    assert not np.allclose(changed[1], losses(jax.tree.map(jnp.float32, objective), score)[1])


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


def test_least_squares_and_hinge_at_hand_computed_scores(key):
    score = jnp.array([-2.0, 0.5, 3.0])
    squares = LeastSquares(a=-1.0, b=1.0, c=0.0).criterion()
    np.testing.assert_allclose(squares.real(score, key, 0), [4.5, 0.125, 2.0])
    np.testing.assert_allclose(squares.fake(score, key, 0), [0.5, 1.125, 8.0])
    np.testing.assert_allclose(squares.generator(score, key, 0), [2.0, 0.125, 4.5])
    hinge = Hinge().criterion()
    np.testing.assert_allclose(hinge.real(score, key, 0), [3.0, 0.5, 0.0])
    np.testing.assert_allclose(hinge.fake(score, key, 0), [0.0, 1.5, 4.0])
    np.testing.assert_allclose(hinge.generator(score, key, 0), [2.0, -0.5, -3.0])


def test_energies_at_hand_computed_scores(key):
    energy = jnp.array([0.5, 2.0, 10.0])
    margin, equilibrium = EnergyMargin(margin=2.5).criterion(), BoundaryEquilibrium().criterion()
    np.testing.assert_allclose(margin.fake(-energy, key, 0), [2.0, 0.5, 0.0])
    np.testing.assert_array_equal(equilibrium.fake(-energy, key, 0), [0.0, 0.0, 0.0])
    for criterion in (margin, equilibrium):
        np.testing.assert_array_equal(criterion.real(-energy, key, 0), energy)
        np.testing.assert_array_equal(criterion.generator(-energy, key, 0), energy)


def assert_same(criterion: Criterion, wanted: Criterion, key):
    score = jnp.linspace(-8.0, 8.0, 17)
    for side in SIDES:
        ours, theirs = getattr(criterion, side), getattr(wanted, side)
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(ours(score, key, 0), theirs(score, key, 0), rtol=2e-6, err_msg=side)


def test_special_cases_are_the_plain_objectives(key):
    assert_same(FGAN(divergence="gan").criterion(), Minimax().criterion(), key)
    assert_same(FGAN(divergence="gan", generator_loss="non_saturating").criterion(), NonSaturating().criterion(), key)
    assert_same(AlphaGAN(1.0, 1.0).criterion(), Minimax().criterion(), key)
    assert_same(AlphaGAN(1.0, 1.0, "non_saturating").criterion(), NonSaturating().criterion(), key)


def test_alpha_gan_takes_each_alpha_on_its_side(key):
    score = jnp.array([-1.0, 0.0, 2.0])
    probability = jax.nn.sigmoid(score)
    criterion = AlphaGAN(discriminator_alpha=0.5, generator_alpha=1e6).criterion()
    np.testing.assert_allclose(criterion.real(score, key, 0), jnp.exp(-score), rtol=1e-5)  # 1/p - 1
    np.testing.assert_allclose(criterion.fake(score, key, 0), jnp.exp(score), rtol=1e-5)
    np.testing.assert_allclose(criterion.generator(score, key, 0), -probability, rtol=1e-5)  # soft 0-1
    np.testing.assert_allclose(criterion.generator_real(score, key, 0), probability - 1, rtol=1e-5)


def test_relativistic_pairs_at_hand_computed_scores(key):
    real, fake = jnp.array([1.0, 3.0]), jnp.array([0.0, 5.0])
    criterion = Relativistic(Hinge()).criterion()
    related = criterion.relate(real, fake)
    np.testing.assert_array_equal(related[0], [1.0, -2.0])
    np.testing.assert_array_equal(related[1], [-1.0, 2.0])
    np.testing.assert_array_equal(criterion.real(related[0], key, 0), [0.0, 3.0])
    np.testing.assert_array_equal(criterion.fake(related[1], key, 0), [0.0, 3.0])
    np.testing.assert_array_equal(criterion.generator(related[1], key, 0), [2.0, 0.0])
    np.testing.assert_array_equal(criterion.generator_real(related[0], key, 0), [2.0, 0.0])


def test_relativistic_averages_at_hand_computed_scores(key):
    real, fake = jnp.array([1.0, 3.0]), jnp.array([0.0, 5.0, 1.0])
    criterion = RelativisticAverage(LeastSquares(a=-1.0)).criterion()
    related = criterion.relate(real, fake)
    np.testing.assert_array_equal(related[0], [-1.0, 1.0])
    np.testing.assert_array_equal(related[1], [-2.0, 3.0, -1.0])
    np.testing.assert_array_equal(criterion.real(related[0], key, 0), [2.0, 0.0])
    np.testing.assert_array_equal(criterion.fake(related[1], key, 0), [0.5, 8.0, 0.0])
    np.testing.assert_array_equal(criterion.generator(related[1], key, 0), [4.5, 2.0, 2.0])
    np.testing.assert_array_equal(criterion.generator_real(related[0], key, 0), [0.0, 2.0])


def test_relativistic_standard_gan_is_twice_the_simplified_loss(key):
    real, fake = jnp.array([0.3, -1.0]), jnp.array([0.1, 2.0])
    criterion = Relativistic().criterion()
    related = criterion.relate(real, fake)
    simplified = jax.nn.softplus(fake - real)
    np.testing.assert_allclose(criterion.real(related[0], key, 0), simplified, rtol=1e-6)
    np.testing.assert_allclose(criterion.fake(related[1], key, 0), simplified, rtol=1e-6)
    both = criterion.generator(related[1], key, 0) + criterion.generator_real(related[0], key, 0)
    np.testing.assert_allclose(both, 2 * jax.nn.softplus(real - fake), rtol=1e-6)


@pytest.mark.parametrize("relativistic", RELATIVISTIC)
def test_relativistic_of_a_zero_sum_objective_is_zero_sum(relativistic, key):
    real, fake = jnp.array([0.3, -1.0]), jnp.array([0.1, 2.0])
    criterion = relativistic(Minimax()).criterion()
    related = criterion.relate(real, fake)
    np.testing.assert_allclose(criterion.generator(related[1], key, 0), -criterion.fake(related[1], key, 0))
    np.testing.assert_allclose(criterion.generator_real(related[0], key, 0), -criterion.real(related[0], key, 0))


def test_what_cannot_work_is_refused_with_its_remedy():
    with pytest.raises(ValueError, match="relativistic already: give the objective inside it, NonSaturating"):
        RelativisticAverage(Relativistic())
    with pytest.raises(
        ValueError, match="3 real scores and 2 fake ones: make the batches equal, or use RelativisticAverage"
    ):
        Relativistic().criterion().relate(jnp.zeros(3), jnp.zeros(2))
    for alpha in (0.0, 1.0):
        with pytest.raises(ValueError, match="choose 'reverse_kl' and 'kl'"):
            FGAN(divergence="alpha", alpha=alpha)
    with pytest.raises(ValueError, match=r"at least 0\.1"):
        AlphaGAN(discriminator_alpha=0.01)
