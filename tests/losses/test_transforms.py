"""Label noise in every variant: counts, identities, expectations and floors."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.schedules import Exponential, Linear
from gan_jax.losses.objectives import OBJECTIVES, LeastSquares, NonSaturating, RelativisticAverage
from gan_jax.losses.transforms import (
    GENERATOR_TRANSFORMS,
    TRANSFORMS,
    BernoulliFlips,
    ExactFlips,
    ExpectedFlips,
    GeneratorFlips,
    LossTransform,
    OneSidedSmoothing,
    SideWeights,
    TopK,
    TwoSidedSmoothing,
    chain,
)

NOISE = (ExactFlips, BernoulliFlips, ExpectedFlips)


def num_flips(transform, num, key, side="real"):
    """Flipped examples of a batch: with scores of 0 for own and a marker for the other side, counted exactly."""
    criterion = (
        NonSaturating()
        .criterion()
        ._replace(
            real=lambda score, key, step: jnp.zeros_like(score), fake=lambda score, key, step: jnp.ones_like(score)
        )
    )
    changed = transform(criterion)
    values = getattr(changed, side)(jnp.zeros(num), key, 0)
    return int(jnp.sum(values if side == "real" else 1 - values))


# Every transform and every objective once: a transform knows nothing of the losses that it changes.
PAIRS = list(zip(OBJECTIVES, itertools.cycle((*TRANSFORMS, *GENERATOR_TRANSFORMS)), strict=False))


@pytest.mark.parametrize(("objective", "transform"), PAIRS, ids=lambda part: part.__name__)
def test_contract(transform, objective, key):
    assert isinstance(transform(), LossTransform)
    changed = transform()(objective().criterion())
    scores = jnp.array([-1e4, -1.0, 0.0, 1.0, 1e4])
    for side in ("generator",) if transform in GENERATOR_TRANSFORMS else ("real", "fake"):
        losses = getattr(changed, side)
        values = losses(scores, key, jnp.int32(0))
        assert values.shape == scores.shape
        assert values.dtype == scores.dtype
        assert bool(jnp.all(jnp.isfinite(values)))
        np.testing.assert_allclose(jax.jit(losses)(scores, key, 0), values, rtol=1e-6)
        keys = jax.random.split(key, 3)
        np.testing.assert_allclose(
            jax.vmap(losses, (None, 0, None))(scores, keys, 0),
            jnp.stack([losses(scores, k, 0) for k in keys]),
            rtol=1e-6,
        )


def test_the_table_has_them_all():
    assert set(itertools.chain(*PAIRS)) == {*OBJECTIVES, *TRANSFORMS, *GENERATOR_TRANSFORMS}


@pytest.mark.parametrize("transform", [*TRANSFORMS, *GENERATOR_TRANSFORMS])
def test_numbers_are_traced_once_and_keep_the_precision_of_scores(transform, key):
    traces = []

    @jax.jit
    def value(t):
        traces.append(1)
        criterion = t(LeastSquares().criterion())
        score = jnp.linspace(-2.0, 2.0, 8, dtype=jnp.bfloat16)
        return criterion.real(score, key, 0), criterion.fake(score, key, 0), criterion.generator(score, key, 0)

    for number in (0.1, 0.3):
        made = jax.tree.map(jnp.float32, transform(number))
        assert {losses.dtype for losses in value(made)} == {jnp.dtype(jnp.bfloat16)}
    assert len(traces) == 1


@pytest.mark.parametrize("rate", [0.0, 0.01, 0.05, 0.1, 0.15, 0.2])
@pytest.mark.parametrize("batch", [64, 32])
def test_exact_counts_are_the_published_ones(rate, batch, key):
    # `int(batch_size * err)` of the published code, in Python's own arithmetic: 0/0/3/6/9/12 of 64, 0/0/1/3/4/6 of 32.
    published = int(batch * rate)
    for k in jax.random.split(key, 5):
        assert num_flips(ExactFlips(rate), batch, k, "real") == published
        assert num_flips(ExactFlips(rate), batch, k, "fake") == published


def test_exact_counts_are_right_for_every_rate_to_three_decimals():
    rates = np.arange(1001) / 1000
    count = jax.jit(lambda batch, rate: jnp.floor(batch * rate + 1e-4))
    for batch in (1, 32, 50, 64, 100, 128, 512, 1000):
        wanted = [math.floor(batch * Fraction(i, 1000)) for i in range(1001)]
        np.testing.assert_array_equal(count(jnp.float32(batch), jnp.asarray(rates, jnp.float32)), wanted)


def test_which_labels_are_flipped_is_uniform():
    criterion = (
        NonSaturating()
        .criterion()
        ._replace(real=lambda score, key, step: 0 * score, fake=lambda score, key, step: 0 * score + 1)
    )
    losses = ExactFlips(0.25)(criterion).real
    flips = jax.vmap(lambda k: losses(jnp.zeros(16), k, 0))(jax.random.split(jax.random.key(3), 4000))
    # key 3, 4,000 batches: each position is flipped 1,000 times, within 5 standard errors of 27.4.
    assert np.all(np.abs(np.asarray(flips.sum(axis=0)) - 1000) < 5 * math.sqrt(4000 * 0.25 * 0.75))


def test_bernoulli_flips_have_the_binomial_mean_and_variance():
    counts = [num_flips(BernoulliFlips(0.1), 64, k) for k in jax.random.split(jax.random.key(5), 300)]
    # key 5, 300 batches of 64: mean 6.4 within 5 standard errors, variance 5.76 within 5 of its own.
    assert np.mean(counts) == pytest.approx(6.4, abs=5 * math.sqrt(5.76 / 300))
    assert np.var(counts) == pytest.approx(5.76, abs=5 * 5.76 * math.sqrt(2 / 300))


@pytest.mark.parametrize("noise", NOISE)
def test_rate_0_is_the_identity_and_rate_1_swaps_the_sides(noise, key):
    plain = NonSaturating().criterion()
    scores = jnp.linspace(-3.0, 3.0, 8)
    off, swapped = noise(0.0)(plain), noise(1.0)(plain)
    np.testing.assert_array_equal(off.real(scores, key, 0), plain.real(scores, key, 0))
    np.testing.assert_array_equal(off.fake(scores, key, 0), plain.fake(scores, key, 0))
    np.testing.assert_array_equal(swapped.real(scores, key, 0), plain.fake(scores, key, 0))
    np.testing.assert_array_equal(swapped.fake(scores, key, 0), plain.real(scores, key, 0))


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("side", ["real", "fake"])
def test_one_side_leaves_the_other_alone(noise, side, key):
    plain = NonSaturating().criterion()
    changed = noise(0.5, side=side)(plain)
    scores = jnp.linspace(-3.0, 3.0, 8)
    other = "fake" if side == "real" else "real"
    np.testing.assert_array_equal(getattr(changed, other)(scores, key, 0), getattr(plain, other)(scores, key, 0))
    assert not np.allclose(getattr(changed, side)(scores, key, 0), getattr(plain, side)(scores, key, 0))


def test_flipping_is_the_flipped_target_of_binary_cross_entropy(key):
    scores = jnp.linspace(-3.0, 3.0, 64)
    probability = jax.nn.sigmoid(scores)
    losses = ExactFlips(0.25)(NonSaturating().criterion()).real(scores, key, 0)
    as_real, as_fake = -jnp.log(probability), -jnp.log(1 - probability)
    flipped = jnp.isclose(losses, as_fake, rtol=1e-5) & ~jnp.isclose(losses, as_real, rtol=1e-5)
    assert int(flipped.sum()) == 16
    np.testing.assert_allclose(losses, jnp.where(flipped, as_fake, as_real), rtol=1e-4)


def test_expected_flips_are_the_mean_of_bernoulli_flips():
    scores = jnp.linspace(-2.0, 2.0, 5)
    plain = NonSaturating().criterion()
    keys = jax.random.split(jax.random.key(7), 20_000)
    mean = jax.vmap(lambda k: BernoulliFlips(0.2)(plain).real(scores, k, 0))(keys).mean(axis=0)
    gap = jnp.abs(plain.real(scores, keys[0], 0) - plain.fake(scores, keys[0], 0))
    # key 7, 20,000 draws: within 5 standard errors.
    error = jnp.abs(mean - ExpectedFlips(0.2)(plain).real(scores, keys[0], 0))
    assert bool(jnp.all(error <= 5 * gap * math.sqrt(0.16 / 20_000) + 1e-5))


def test_expected_flips_are_differentiable_in_the_rate(key):
    plain = NonSaturating().criterion()
    score = jnp.array([1.0])
    slope = jax.grad(lambda rate: ExpectedFlips(rate)(plain).real(score, key, 0)[0])(0.1)
    assert float(slope) == pytest.approx(1.0, rel=1e-5)  # softplus(1) - softplus(-1) = 1


@pytest.mark.parametrize(
    ("rate", "floor"), [(0.05, 0.378), (0.10, 0.622), (0.15, 0.812), (0.20, 0.965)], ids=["5%", "10%", "15%", "20%"]
)
def test_an_optimal_discriminator_pays_twice_the_entropy_of_the_flips(rate, floor, key):
    # With k of 64 labels flipped the best score is log((1 - p) / p), and D's loss 2 H(p): the floor of the study.
    p = int(64 * rate) / 64
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert 2 * entropy == pytest.approx(floor, abs=1e-3)
    criterion = ExactFlips(rate)(NonSaturating().criterion())

    def loss(score):
        scores = jnp.full(64, score)
        keys = jax.random.split(key, 2)
        return float(criterion.real(scores, keys[0], 0).mean() + criterion.fake(-scores, keys[1], 0).mean())

    best = math.log((1 - p) / p)
    assert loss(best) == pytest.approx(2 * entropy, rel=1e-5)
    assert loss(best) < min(loss(best - 0.1), loss(best + 0.1))


def test_one_sided_smoothing_is_the_smoothed_target(key):
    scores = jnp.linspace(-3.0, 3.0, 9)
    probability = jax.nn.sigmoid(scores)
    smoothed = OneSidedSmoothing(0.1)(NonSaturating().criterion())
    wanted = -0.9 * jnp.log(probability) - 0.1 * jnp.log(1 - probability)
    np.testing.assert_allclose(smoothed.real(scores, key, 0), wanted, rtol=1e-5)
    np.testing.assert_array_equal(smoothed.fake(scores, key, 0), NonSaturating().criterion().fake(scores, key, 0))


def test_two_sided_smoothing_is_the_smoothed_targets(key):
    scores = jnp.linspace(-3.0, 3.0, 9)
    plain = NonSaturating().criterion()
    log_real, log_fake = -plain.real(scores, key, 0), -plain.fake(scores, key, 0)
    smoothed = TwoSidedSmoothing(0.1, fake_amount=0.3)(plain)
    np.testing.assert_allclose(smoothed.real(scores, key, 0), -0.9 * log_real - 0.1 * log_fake, rtol=1e-6)
    np.testing.assert_allclose(smoothed.fake(scores, key, 0), -0.3 * log_real - 0.7 * log_fake, rtol=1e-6)
    same, expected = TwoSidedSmoothing(0.2)(plain), ExpectedFlips(0.2)(plain)
    for side in ("real", "fake"):
        np.testing.assert_array_equal(getattr(same, side)(scores, key, 0), getattr(expected, side)(scores, key, 0))
    one = TwoSidedSmoothing(0.1, fake_amount=0.0)(plain)
    np.testing.assert_array_equal(one.real(scores, key, 0), OneSidedSmoothing(0.1)(plain).real(scores, key, 0))
    np.testing.assert_array_equal(one.fake(scores, key, 0), plain.fake(scores, key, 0))


def test_side_weights_multiply_each_side(key):
    scores = jnp.linspace(-3.0, 3.0, 9)
    plain = NonSaturating().criterion()
    weighted = SideWeights(2.0, Linear(start=0.0, stop=1.0, duration_steps=10))(plain)
    np.testing.assert_allclose(weighted.real(scores, key, 5), 2 * plain.real(scores, key, 5))
    np.testing.assert_allclose(weighted.fake(scores, key, 5), 0.5 * plain.fake(scores, key, 5))
    np.testing.assert_array_equal(weighted.generator(scores, key, 5), plain.generator(scores, key, 5))


@pytest.mark.parametrize(("share", "k"), [(0.0, 1), (0.3, 3), (0.55, 5), (1.0, 10)])
def test_top_k_is_the_mean_over_the_k_highest_scores(share, k, key):
    plain = NonSaturating().criterion()
    scores = jax.random.normal(key, (10,))
    top = TopK(share)(plain)
    mean, slopes = jax.value_and_grad(lambda s: top.generator(s, key, 0).mean())(scores)
    highest = jax.lax.top_k(scores, k)[0]
    assert float(mean) == pytest.approx(float(plain.generator(highest, key, 0).mean()), rel=1e-6)
    np.testing.assert_array_equal(slopes != 0, scores >= highest[-1])
    # Of equal scores the first count, and no more than k.
    np.testing.assert_array_equal(top.generator(jnp.zeros(10), key, 0) > 0, jnp.arange(10) < k)
    assert top.real is plain.real
    assert top.fake is plain.fake


@pytest.mark.parametrize(("rate", "num"), [(0.0, 0), (0.01, 0), (0.1, 6), (1.0, 64)])
def test_flipped_fakes_of_g_have_d_s_loss_for_fakes(rate, num, key):
    plain = NonSaturating().criterion()
    scores = jax.random.normal(key, (64,))
    noisy = GeneratorFlips(rate)(plain)
    losses, own = noisy.generator(scores, key, 0), plain.generator(scores, key, 0)
    flipped = losses != own
    assert int(flipped.sum()) == num
    np.testing.assert_array_equal(losses[flipped], plain.fake(scores, key, 0)[flipped])
    assert noisy.real is plain.real
    assert noisy.fake is plain.fake
    if 0 < num < 64:
        assert not np.array_equal(flipped, noisy.generator(scores, jax.random.key(7), 0) != own)


def test_top_k_shrinks_with_its_schedule_down_to_its_floor(key):
    top = TopK(Exponential(start=1.0, decay_rate=0.5, every_steps=1, floor=0.3))(RelativisticAverage().criterion())
    counts = [int(jnp.sum(top.generator(jnp.zeros(10), key, jnp.int32(step)) > 0)) for step in (0, 1, 2, 9)]
    assert counts == [10, 5, 3, 3]


def test_chain_applies_the_first_transform_innermost(key):
    scores = jnp.linspace(-1.0, 1.0, 4)
    plain = NonSaturating().criterion()
    chained = chain(plain, (OneSidedSmoothing(0.2), ExpectedFlips(1.0)))
    np.testing.assert_allclose(
        chained.fake(scores, key, 0), OneSidedSmoothing(0.2)(plain).real(scores, key, 0), rtol=1e-6
    )
    assert chain(plain, ()) is plain


def test_rates_may_be_schedules(key):
    transform = ExpectedFlips(rate=Linear(start=0.0, stop=1.0, duration_steps=10))
    plain = NonSaturating().criterion()
    scores = jnp.array([1.0])
    assert float(transform(plain).real(scores, key, 0)[0]) == pytest.approx(float(plain.real(scores, key, 0)[0]))
    assert float(transform(plain).real(scores, key, 20)[0]) == pytest.approx(float(plain.fake(scores, key, 0)[0]))
    decay = Exponential(start=1.0, decay_rate=0.5, every_steps=10, floor=0.2)
    assert [float(decay(jnp.float32(step))) for step in (0, 10, 100)] == pytest.approx([1.0, 0.5, 0.2])
