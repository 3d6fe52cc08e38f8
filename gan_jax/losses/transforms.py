"""Loss transforms: from a criterion to a criterion, composed by `chain` as optax composes gradient transformations.

Those in `TRANSFORMS` change D's losses, those in `GENERATOR_TRANSFORMS` G's.

All label noise is here. To flip an example's label means to use the other side's loss for it, so label noise works with
every objective. For binary cross-entropy it equals the flipped target of the label-noise study.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.experiment.schedules import SCHEDULES, Schedule, value_at
from gan_jax.losses.criterion import Criterion, ElementwiseLoss

Side = Literal["both", "real", "fake"]
_RATE = "share of D's labels that are wrong, in [0, 1], or a schedule"
_SIDE = "labels that may flip: of real examples, of fakes, or both"


@runtime_checkable
class LossTransform(Protocol):
    """A pure function from a criterion to a criterion."""

    def __call__(self, criterion: Criterion) -> Criterion:
        """The transformed criterion."""
        ...


def chain(criterion: Criterion, transforms: Sequence[LossTransform]) -> Criterion:
    """Applies transforms in order: the first is the innermost, next to the objective.

    Example:
        >>> from gan_jax.losses.objectives import Wasserstein
        >>> noisy = chain(Wasserstein().criterion(), (OneSidedSmoothing(0.25), SideWeights(real_weight=2.0)))
        >>> noisy.real(jnp.ones(1), jax.random.key(0), 0).tolist()  # 2 (0.75 * -1 + 0.25 * 1)
        [-1.0]
    """
    for transform in transforms:
        criterion = transform(criterion)
    return criterion


@component
class ExactFlips:
    """Flips exactly floor(batch * rate) labels of every batch, chosen at random: the published rule.

    The label-noise study computes `int(batch_size * rate)` separately for real and for fake labels. At batch size 64 a
    rate of 1 % is therefore 0 flips, the same as 0 %; 5, 10, 15 and 20 % are 3, 6, 9 and 12 of 64, and half as many
    (rounded down) in the epoch's last batch of 32.

    Example:
        >>> from gan_jax.losses.objectives import Wasserstein
        >>> noisy = ExactFlips(rate=0.05)(Wasserstein().criterion())
        >>> losses = noisy.real(jnp.ones(64), jax.random.key(0), 0)  # -1, or 1 where the label is flipped
        >>> int(jnp.sum(losses > 0))
        3

    References:
        R. Patwa et al., "Exploring mode collapse in GANs" (the label-noise DCGAN study), `src/model.py`.
    """

    rate: float | Schedule = setting(default=0.05, at_least=0, at_most=1, choices=SCHEDULES, doc=_RATE)
    side: Side = setting(default="both", doc=_SIDE)

    def __call__(self, criterion: Criterion) -> Criterion:
        def flips(key: Array, num: int, step: Array) -> Array:
            return jax.random.permutation(key, num) < _count(num, value_at(self.rate, step))

        return _flip(criterion, flips, self.side)


@component
class BernoulliFlips:
    """Flips each label independently with probability `rate`.

    Example:
        >>> from gan_jax.losses.objectives import Wasserstein
        >>> noisy = BernoulliFlips(rate=0.05)(Wasserstein().criterion())
        >>> losses = noisy.real(jnp.ones(10_000), jax.random.key(0), 0)  # -1, or 1 where the label is flipped
        >>> round(float(jnp.mean(losses > 0)), 2)
        0.05
    """

    rate: float | Schedule = setting(default=0.05, at_least=0, at_most=1, choices=SCHEDULES, doc=_RATE)
    side: Side = setting(default="both", doc=_SIDE)

    def __call__(self, criterion: Criterion) -> Criterion:
        def flips(key: Array, num: int, step: Array) -> Array:
            return jax.random.uniform(key, (num,)) < value_at(self.rate, step)

        return _flip(criterion, flips, self.side)


@component
class ExpectedFlips:
    """The expectation of label noise in closed form: (1 - rate) * own loss + rate * the other side's loss.

    It is the mean of `BernoulliFlips`, without its variance, and is differentiable in the rate.

    Example:
        >>> from gan_jax.losses.objectives import Wasserstein
        >>> noisy = ExpectedFlips(rate=0.25)(Wasserstein().criterion())
        >>> noisy.real(jnp.array([1.0]), jax.random.key(0), 0).tolist()  # 0.75 * -1 + 0.25 * 1
        [-0.5]
    """

    rate: float | Schedule = setting(default=0.05, at_least=0, at_most=1, choices=SCHEDULES, doc=_RATE)
    side: Side = setting(default="both", doc=_SIDE)

    def __call__(self, criterion: Criterion) -> Criterion:
        return _blend(criterion, self.rate, self.side)


@component
class OneSidedSmoothing:
    """The target of real examples is 1 - amount instead of 1.

    For a loss that is linear in the target, as cross-entropy is, this is `ExpectedFlips(amount, side="real")`. That
    identity defines it for all other objectives.

    Example:
        >>> from gan_jax.losses.objectives import Wasserstein
        >>> smooth, score, key = OneSidedSmoothing(0.25)(Wasserstein().criterion()), jnp.ones(1), jax.random.key(0)
        >>> smooth.real(score, key, 0).tolist(), smooth.fake(score, key, 0).tolist()  # -1 and 1 without smoothing
        ([-0.5], [1.0])

    References:
        T. Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, section 3.4.
    """

    amount: float | Schedule = setting(
        default=0.1, at_least=0, at_most=1, choices=SCHEDULES, doc="1 minus the target of reals"
    )

    def __call__(self, criterion: Criterion) -> Criterion:
        return _blend(criterion, self.amount, "real")


@component
class TwoSidedSmoothing:
    """The target of real examples is 1 - amount instead of 1, and that of fakes is amount instead of 0.

    As in `OneSidedSmoothing`, the expected loss under flipped labels defines it for losses other than cross-entropy.
    Smoothing the fakes puts their density into the numerator of the optimal D, which then draws G less away from where
    there are no data. Smoothing one side is therefore the common choice.

    Example:
        >>> from gan_jax.losses.objectives import Wasserstein
        >>> smooth, score, key = TwoSidedSmoothing(0.25)(Wasserstein().criterion()), jnp.ones(1), jax.random.key(0)
        >>> smooth.real(score, key, 0).tolist(), smooth.fake(score, key, 0).tolist()  # -1 and 1 without smoothing
        ([-0.5], [0.5])

    References:
        T. Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, section 3.4.
    """

    amount: float | Schedule = setting(
        default=0.1, at_least=0, at_most=1, choices=SCHEDULES, doc="1 minus the target of reals"
    )
    fake_amount: float | Schedule | None = setting(
        default=None, at_least=0, at_most=1, choices=SCHEDULES, doc="the target of fakes; None takes `amount`"
    )

    def __call__(self, criterion: Criterion) -> Criterion:
        fake_amount = self.amount if self.fake_amount is None else self.fake_amount
        fake = _blend(criterion, fake_amount, "fake").fake
        return _blend(criterion, self.amount, "real")._replace(fake=fake)


@component
class SideWeights:
    """Multiplies D's losses for real examples and for fakes by a weight each; weights of 1 are the identity.

    Example:
        >>> from gan_jax.losses.objectives import Wasserstein
        >>> weighted = SideWeights(real_weight=3.0)(Wasserstein().criterion())
        >>> weighted.real(jnp.ones(1), jax.random.key(0), 0).tolist()
        [-3.0]
    """

    real_weight: float | Schedule = setting(default=1.0, at_least=0, choices=SCHEDULES, doc="factor of D's real losses")
    fake_weight: float | Schedule = setting(default=1.0, at_least=0, choices=SCHEDULES, doc="factor of D's fake losses")

    def __call__(self, criterion: Criterion) -> Criterion:
        def weighted(losses: ElementwiseLoss, weight: float | Schedule) -> ElementwiseLoss:
            return lambda score, key, step: _like(score, value_at(weight, step)) * losses(score, key, step)

        return criterion._replace(
            real=weighted(criterion.real, self.real_weight), fake=weighted(criterion.fake, self.fake_weight)
        )


@component
class TopK:
    """G learns from the k fakes of a batch that D scores highest: L_G is the mean of their losses; the others count 0.

    It is a transform of G's loss. k = floor(batch * share), and at least 1; among equal scores the first in the batch
    are taken. With relativistic objectives the relative scores are ranked. The published share begins at 1 and shrinks
    by a factor every epoch, down to a floor: `Exponential(start=1.0, decay_rate=0.99, every_steps=..., floor=0.5)`.

    Example:
        >>> from gan_jax.losses.objectives import Wasserstein
        >>> best, scores = TopK(share=0.5)(Wasserstein().criterion()), jnp.array([3.0, 1.0, 2.0, 0.0])
        >>> float(jnp.mean(best.generator(scores, jax.random.key(0), 0)))  # the mean of -3 and -2
        -2.5

    References:
        S. Sinha, Z. Zhao, A. Goyal, C. Raffel, A. Odena, "Top-k Training of GANs: Improving GAN Performance by Throwing
        Away Bad Samples", NeurIPS 2020, algorithm 1.
    """

    share: float | Schedule = setting(
        default=0.5, at_least=0, at_most=1, choices=SCHEDULES, doc="k over the batch size, or a schedule"
    )

    def __call__(self, criterion: Criterion) -> Criterion:
        def losses(score: Array, key: Array, step: Array) -> Array:
            num = score.shape[0]
            count = jnp.maximum(_count(num, value_at(self.share, step)), 1.0)
            # The rank of each score from the top, by a stable sort: ties are broken, and exactly k ranks are below k.
            order = jnp.argsort(jax.lax.stop_gradient(score), descending=True, stable=True)
            rank = jnp.zeros(num, jnp.int32).at[order].set(jnp.arange(num, dtype=jnp.int32))
            weights = jnp.where(rank < count, num / count, 0.0)
            return _like(score, weights) * criterion.generator(score, key, step)

        return criterion._replace(generator=losses)


@component
class GeneratorFlips:
    """Flips exactly floor(batch * rate) labels of the fakes that G learns from: G is told to make D reject them.

    It is a transform of G's loss, and label noise on G's side: a flipped fake has D's loss for fakes instead of G's. In
    the published study only D's labels are flipped.

    Example:
        >>> from gan_jax.losses.objectives import Wasserstein
        >>> noisy = GeneratorFlips(rate=0.05)(Wasserstein().criterion())
        >>> losses = noisy.generator(jnp.ones(64), jax.random.key(0), 0)  # -1, or 1 where the label is flipped
        >>> int(jnp.sum(losses > 0))
        3
    """

    rate: float | Schedule = setting(
        default=0.05, at_least=0, at_most=1, choices=SCHEDULES, doc="share of G's labels that are wrong, or a schedule"
    )

    def __call__(self, criterion: Criterion) -> Criterion:
        def losses(score: Array, key: Array, step: Array) -> Array:
            key_flip, key_own, key_other = jax.random.split(key, 3)
            num = score.shape[0]
            flip = jax.random.permutation(key_flip, num) < _count(num, value_at(self.rate, step))
            return jnp.where(flip, criterion.fake(score, key_other, step), criterion.generator(score, key_own, step))

        return criterion._replace(generator=losses)


TRANSFORMS = (ExactFlips, BernoulliFlips, ExpectedFlips, OneSidedSmoothing, TwoSidedSmoothing, SideWeights)
"""Transforms of D's losses."""

GENERATOR_TRANSFORMS = (TopK, GeneratorFlips)
"""Transforms of G's losses."""


def _count(num: int, share: float | Array) -> Array:
    # num * share in float32 may fall just below the intended whole number (100 * 0.53). The 1e-4 restores it, and is
    # smaller than the distance to the next whole number for shares of three decimals and batches up to 1,000.
    return jnp.floor(num * share + 1e-4)


def _like(score: Array, value: float | Array) -> Array:
    """A setting in the scores' dtype; a traced one would otherwise promote the scores."""
    return jnp.asarray(value, score.dtype)


def _flip(criterion: Criterion, flips: object, side: Side) -> Criterion:
    def flipped(own: ElementwiseLoss, other: ElementwiseLoss) -> ElementwiseLoss:
        def losses(score: Array, key: Array, step: Array) -> Array:
            key_flip, key_own, key_other = jax.random.split(key, 3)
            flip = flips(key_flip, score.shape[0], step)  # type: ignore[operator]
            return jnp.where(flip, other(score, key_other, step), own(score, key_own, step))

        return losses

    return _on_side(criterion, flipped, side)


def _blend(criterion: Criterion, rate: float | Schedule, side: Side) -> Criterion:
    def blended(own: ElementwiseLoss, other: ElementwiseLoss) -> ElementwiseLoss:
        def losses(score: Array, key: Array, step: Array) -> Array:
            key_own, key_other = jax.random.split(key)
            share = _like(score, value_at(rate, step))
            return (1.0 - share) * own(score, key_own, step) + share * other(score, key_other, step)

        return losses

    return _on_side(criterion, blended, side)


def _on_side(criterion: Criterion, change: object, side: Side) -> Criterion:
    real = criterion.real if side == "fake" else change(criterion.real, criterion.fake)  # type: ignore[operator]
    fake = criterion.fake if side == "real" else change(criterion.fake, criterion.real)  # type: ignore[operator]
    return criterion._replace(real=real, fake=fake)
