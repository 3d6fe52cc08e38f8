"""Does D know the training examples or the data? What it makes of training, held-out and fake examples.

A D that has learnt what real data look like calls held-out examples real as often as training ones; the gap between the
two is what it knows by heart. Where D is trained on flipped labels, its loss on fresh flips has a floor that no D gets
below: the excess says how much surer of its training labels it is than the flips allow.

References:
    A. Brock, J. Donahue, K. Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019,
        section 4.2: 98 % of training examples called real, and 50 to 55 % of held-out ones.
    T. Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020, arXiv 2006.06676,
        equation 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.experiment.schedules import value_at
from gan_jax.losses.criterion import Criterion, ElementwiseLoss
from gan_jax.losses.transforms import BernoulliFlips, ExactFlips, ExpectedFlips, LossTransform

_FARTHEST = 50.0
"""Largest |score| among which the floor is sought: every log loss is at its limit there in float32."""


class Judgement(NamedTuple):
    """What D makes of n training examples, n held-out ones and n fakes. Scalars.

    Attributes:
        train, held_out: share of these called real, in [0, 1]; NaN for an objective without a decision threshold.
        fake: share of fakes called fake; NaN likewise.
        gap: train - held_out.
        overfitting: (mean score of train - of held-out) / (of train - of fake): 0 where D scores held-out examples as
            it scores those it was trained on, 1 where it scores them like fakes.
        train_loss, held_out_loss, fake_loss: mean losses of D.
        train_score, held_out_score, fake_score: mean raw scores.
    """

    train: Array
    held_out: Array
    fake: Array
    gap: Array
    overfitting: Array
    train_loss: Array
    held_out_loss: Array
    fake_loss: Array
    train_score: Array
    held_out_score: Array
    fake_score: Array


def judge(
    criterion: Criterion, train: Array, held_out: Array, fake: Array, key: Array | None = None, step: Array | int = 0
) -> Judgement:
    """What the scores [n] of each kind mean under a criterion.

    Args:
        criterion: whose losses and decision_threshold count; see `expected_transforms` for one with flipped labels.
        train: raw scores. Where the criterion relates scores, those of both real kinds are related to the fakes, and
            fakes are judged against the training examples.
        held_out: the same.
        fake: the same.
        key: of the criterion's draws, if it makes any.
        step: of its schedules.
    """
    key = jax.random.key(0) if key is None else key
    related_train, related_fake = criterion.relate(train, fake)
    related_held, _ = criterion.relate(held_out, fake)
    nothing = jnp.full((), jnp.nan, train.dtype)
    shares = [nothing, nothing, nothing]
    if criterion.decision_threshold is not None:
        decision_threshold = criterion.decision_threshold
        shares = [
            jnp.mean(related_train > decision_threshold),
            jnp.mean(related_held > decision_threshold),
            jnp.mean(related_fake < decision_threshold),
        ]
    means = [jnp.mean(scores) for scores in (train, held_out, fake)]
    apart = means[0] - means[2]
    return Judgement(
        train=shares[0],
        held_out=shares[1],
        fake=shares[2],
        gap=shares[0] - shares[1],
        overfitting=(means[0] - means[1]) / jnp.where(apart == 0, jnp.nan, apart),
        train_loss=jnp.mean(criterion.real(related_train, key, jnp.asarray(step))),
        held_out_loss=jnp.mean(criterion.real(related_held, key, jnp.asarray(step))),
        fake_loss=jnp.mean(criterion.fake(related_fake, key, jnp.asarray(step))),
        train_score=means[0],
        held_out_score=means[1],
        fake_score=means[2],
    )


def gap_interval(train: float, held_out: float, num: int, *, deviations: float = 1.96) -> float:
    """Half the width of the confidence interval of a gap between two shares of `num` independent examples each.

    Example:
        >>> round(gap_interval(0.98, 0.52, 2048), 4)
        0.0225

    References:
        A. Agresti, B. Caffo, "Simple and Effective Confidence Intervals for Proportions and Differences of Proportions
            Result from Adding Two Successes and Two Failures", The American Statistician 54, 2000.
    """
    shares = [(share * num + 1) / (num + 2) for share in (train, held_out)]
    return deviations * math.sqrt(sum(share * (1 - share) for share in shares) / (num + 2))


def expected_transforms(
    transforms: Sequence[LossTransform], batch_size: int, step: Array | int = 0
) -> tuple[LossTransform, ...]:
    """The transforms with every random flip replaced by its expectation: the mean loss over fresh flips, exactly.

    A share of exactly floor(batch_size * rate) labels of a batch is a rate of floor(batch_size * rate) / batch_size.
    """

    def expected(transform: LossTransform) -> LossTransform:
        if isinstance(transform, ExactFlips):
            # The 1e-4 is that of the transform, whose product may fall just short of a whole number.
            count = jnp.floor(batch_size * value_at(transform.rate, jnp.asarray(step)) + 1e-4)
            return ExpectedFlips(rate=count / batch_size, side=transform.side)  # type: ignore[arg-type]
        if isinstance(transform, BernoulliFlips):
            return ExpectedFlips(rate=transform.rate, side=transform.side)
        return transform

    return tuple(expected(transform) for transform in transforms)


def loss_floor(losses: ElementwiseLoss, step: Array | int = 0) -> float | None:
    """The least that one side's losses can be, whatever the score; None if they have no lower bound.

    With labels flipped at the rate p it is the floor of that side where D tells real from fake without doubt: the
    entropy H(p) nats for the log loss, 2p for the hinge, p (1 - p) / 2 for least squares with the targets 0 and 1.

    Args:
        losses: of a criterion without random draws, such as one chained with `expected_transforms`.
        step: of its schedules.
    """

    def values(scores: np.ndarray) -> np.ndarray:
        losses_at = losses(jnp.asarray(scores, jnp.float32), jax.random.key(0), jnp.asarray(step))
        # An overflow is no minimum, nor is 0 times it.
        return np.nan_to_num(np.asarray(losses_at, np.float64), nan=np.inf, neginf=-np.inf)

    scores = np.linspace(-_FARTHEST, _FARTHEST, 4001)
    rough = values(scores)
    least, at = float(np.min(rough)), float(scores[np.argmin(rough)])
    if np.min(values(np.array([-1e4, 1e4]))) < least - 1.0:
        return None
    return min(least, float(np.min(values(np.linspace(at - 0.05, at + 0.05, 2001)))))
