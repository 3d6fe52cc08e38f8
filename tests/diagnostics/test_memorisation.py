"""What D knows by heart: discriminators whose accuracies, losses and floors are known in closed form."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from gan_jax.diagnostics.memorisation import discriminator_accuracies, expected_transforms, gap_interval, loss_floor
from gan_jax.experiment.schedules import Linear
from gan_jax.losses.objectives import (
    FGAN,
    EnergyMargin,
    Hinge,
    LeastSquares,
    NonSaturating,
    Relativistic,
    RelativisticAverage,
    Wasserstein,
)
from gan_jax.losses.transforms import BernoulliFlips, ExactFlips, ExpectedFlips, OneSidedSmoothing, SideWeights, chain


def entropy(p):
    return -p * math.log(p) - (1 - p) * math.log(1 - p)


def test_a_d_that_looks_examples_up():
    """It knows 3 of 4 training examples by name, and gives the rest the score of fakes."""
    known = jnp.array([4.0, 4.0, 4.0, -2.0] * 8)
    new = jnp.full(32, -2.0)
    found = discriminator_accuracies(NonSaturating().criterion(), known, new, new)
    assert [float(share) for share in found[:4]] == [0.75, 0.0, 1.0, 0.75]
    assert float(found.overfitting) == 1
    wanted = 0.75 * math.log1p(math.exp(-4)) + 0.25 * math.log1p(math.exp(2))
    assert float(found.train_loss) == pytest.approx(wanted, rel=1e-5)
    assert float(found.held_out_loss) == pytest.approx(math.log1p(math.exp(2)), rel=1e-5)
    assert float(found.fake_loss) == pytest.approx(math.log1p(math.exp(-2)), rel=1e-5)


def test_the_optimal_d_of_two_gaussians_has_no_gap_and_the_known_accuracy():
    """Data N(1, 1), fakes N(-1, 1): the best score is 2x, right with probability Phi(1)."""
    keys, num = jax.random.split(jax.random.key(0), 3), 40_000
    train, held, fake = (mean + jax.random.normal(k, (num,)) for mean, k in zip((1.0, 1.0, -1.0), keys, strict=True))
    found = discriminator_accuracies(NonSaturating().criterion(), 2 * train, 2 * held, 2 * fake)
    right, width = norm.cdf(1), 4 * math.sqrt(norm.cdf(1) * norm.sf(1) / num)
    for share in (found.train, found.held_out, found.fake):
        assert float(share) == pytest.approx(right, abs=width)
    assert abs(float(found.gap)) < 1.5 * width
    assert abs(float(found.overfitting)) < 4 * 2 * math.sqrt(2 / num) / 4
    # The loss on data is E_p ln(1 + q / p), here by quadrature.
    x = np.linspace(-12, 12, 100_001)
    p, q = norm.pdf(x, 1), norm.pdf(x, -1)
    wanted = np.trapezoid(p * np.log1p(q / p), x)
    assert float(found.train_loss) == pytest.approx(wanted, abs=0.02)


def test_related_scores_are_classified_relative_to_the_fakes():
    train, held, fake = jnp.array([1.0, 1.0]), jnp.array([-1.0, 0.5]), jnp.array([0.0, 0.0])
    found = discriminator_accuracies(Relativistic().criterion(), train, held, fake)
    assert [float(share) for share in found[:3]] == [1.0, 0.5, 1.0]
    found = discriminator_accuracies(RelativisticAverage().criterion(), train + 10, held + 10, fake + 10)
    assert [float(share) for share in found[:3]] == [1.0, 0.5, 1.0]


def test_boundaries_are_the_objectives():
    scores = jnp.array([0.4, 0.6]), jnp.array([0.4, 0.4]), jnp.array([0.6, 0.2])
    assert [float(s) for s in discriminator_accuracies(LeastSquares().criterion(), *scores)[:3]] == [0.5, 0.0, 0.5]
    assert [float(s) for s in discriminator_accuracies(NonSaturating().criterion(), *scores)[:3]] == [1.0, 1.0, 0.0]
    assert np.isnan(float(discriminator_accuracies(EnergyMargin().criterion(), *scores).gap))


@pytest.mark.parametrize(("count", "floor"), [(3, 0.378), (6, 0.622), (9, 0.812), (12, 0.965)])
def test_the_floors_of_the_label_noise_study(count, floor):
    """Of both sides, as in its published table: 5, 10, 15 and 20 % are 3, 6, 9 and 12 of 64."""
    rate = {3: 0.05, 6: 0.1, 9: 0.15, 12: 0.2}[count]
    criterion = chain(NonSaturating().criterion(), expected_transforms((ExactFlips(rate=rate),), 64))
    found = loss_floor(criterion.real) + loss_floor(criterion.fake)
    assert found == pytest.approx(2 * entropy(count / 64), abs=1e-5)
    assert found == pytest.approx(floor, abs=1e-3)


FLOORS = [
    (Hinge(), lambda p: 2 * p),
    (LeastSquares(), lambda p: p * (1 - p) / 2),
    (NonSaturating(), entropy),
]


@pytest.mark.parametrize(("objective", "floor"), FLOORS, ids=["hinge", "least_squares", "non_saturating"])
def test_floors_in_closed_form(objective, floor):
    for p in (0.03, 0.25):
        criterion = chain(objective.criterion(), (ExpectedFlips(rate=p),))
        assert loss_floor(criterion.real) == pytest.approx(floor(p), abs=1e-5)
        assert loss_floor(criterion.fake) == pytest.approx(floor(p), abs=1e-5)
    plain = objective.criterion()
    assert loss_floor(plain.real) == pytest.approx(0, abs=1e-6)


def test_a_floor_that_is_none():
    assert loss_floor(Wasserstein().criterion().real) is None
    assert loss_floor(FGAN(divergence="kl").criterion().real) is None
    noisy = chain(FGAN(divergence="kl").criterion(), (ExpectedFlips(rate=0.1),))
    # (1 - p)(-v) + p exp(v - 1), least at v = 1 + ln((1 - p) / p).
    assert loss_floor(noisy.real) == pytest.approx(-0.9 * (1 + math.log(9)) + 0.9, abs=1e-4)


def test_expected_flips_are_the_mean_of_the_random_ones(key):
    scores = jnp.linspace(-3, 3, 64)
    step = jnp.int32(0)
    for transforms in (
        (ExactFlips(rate=0.1),),
        (BernoulliFlips(rate=0.2, side="fake"), SideWeights(fake_weight=2.0)),
        (OneSidedSmoothing(amount=0.1), ExactFlips(rate=Linear(start=0.3, stop=0.0, duration_steps=10.0))),
    ):
        noisy = chain(NonSaturating().criterion(), transforms)
        sure = chain(NonSaturating().criterion(), expected_transforms(transforms, 64, step))
        for side in ("real", "fake"):
            losses = jax.vmap(lambda k, side=side, noisy=noisy: getattr(noisy, side)(scores, k, step))(
                jax.random.split(key, 4000)
            )
            wanted = getattr(sure, side)(scores, key, step)
            error = np.std(losses, axis=0) / math.sqrt(4000)
            assert np.all(np.abs(np.mean(losses, axis=0) - wanted) <= 5 * error + 1e-5)


def test_no_score_gets_below_the_floor(key):
    criterion = chain(NonSaturating().criterion(), expected_transforms((ExactFlips(rate=0.1),), 64))
    floor = loss_floor(criterion.real)
    scores = 20 * jax.random.normal(key, (1000,))
    losses = criterion.real(scores, key, 0)
    assert float(jnp.min(losses)) >= floor - 1e-6
    # A D that is as sure as the flips allow pays the floor; the published bound on its score is 2.27.
    p = 6 / 64
    sure = jnp.full(10, math.log((1 - p) / p))
    assert float(sure[0]) == pytest.approx(2.27, abs=0.01)
    found = discriminator_accuracies(criterion, sure, -sure, -sure)
    assert float(found.train_loss) == pytest.approx(floor, abs=1e-5)
    assert float(found.held_out_loss) > floor + 1


def test_the_interval_of_a_gap_holds_it_as_often_as_it_says():
    rng, num, hits = np.random.default_rng(0), 300, 0
    for _ in range(2000):
        train, held = rng.binomial(num, 0.98) / num, rng.binomial(num, 0.55) / num
        hits += abs(train - held - 0.43) <= gap_interval(train, held, num)
    assert hits / 2000 == pytest.approx(0.95, abs=4 * math.sqrt(0.05 * 0.95 / 2000))
