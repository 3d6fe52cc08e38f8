"""Memorisation of a discriminator: its accuracy on training, held-out and fake examples, and floors of its loss.

A D that generalises classifies held-out examples as real as often as training examples; the gap between the two
accuracies measures memorisation. If D is trained on flipped labels, the loss of any D on freshly flipped labels has a
floor; the excess over it measures overconfidence.

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
from jaxtyping import Float, Int, Key

from gan_jax.experiment.schedules import value_at
from gan_jax.losses.criterion import Criterion, ElementwiseLoss
from gan_jax.losses.transforms import BernoulliFlips, ExactFlips, ExpectedFlips, LossTransform

_FARTHEST = 50.0
"""Largest |score| in the search for the floor, where every log loss has reached its limit in float32."""


class DiscriminatorAccuracies(NamedTuple):
    """Accuracies, losses and scores of D on n training examples, n held-out ones and n fakes. Scalars.

    Attributes:
        train, held_out: share classified as real, in [0, 1]; NaN for an objective without a decision threshold.
        fake: share of fakes classified as fake, in [0, 1]; NaN likewise.
        gap: train - held_out.
        overfitting: (mean score of train - of held-out) / (mean score of train - of fake): 0 if D scores held-out
            examples like training examples, 1 if it scores them like fakes.
        train_loss, held_out_loss, fake_loss: mean losses of D.
        train_score, held_out_score, fake_score: mean raw scores.

    Example:
        >>> from gan_jax.losses import Hinge
        >>> known, new, fake = jnp.array([2.0, 2.0]), jnp.array([-2.0, 0.0]), jnp.array([-2.0, -2.0])
        >>> found = discriminator_accuracies(Hinge().criterion(), known, new, fake)
        >>> float(found.overfitting)  # held-out scores are three quarters of the way to those of fakes
        0.75
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


def discriminator_accuracies(
    criterion: Criterion,
    train: Float[Array, " n"],
    held_out: Float[Array, " n"],
    fake: Float[Array, " n"],
    key: Key[Array, ""] | None = None,
    step: int | Int[Array, ""] = 0,
) -> DiscriminatorAccuracies:
    """Accuracies and losses of D from its scores.

    Args:
        criterion: gives the losses and the decision threshold; see `expected_transforms` for flipped labels.
        train: [n], raw scores of training examples. A relativistic criterion relates them and the held-out scores to
            the fakes, and the fakes to the training examples.
        held_out: [n], raw scores of held-out examples.
        fake: [n], raw scores of fakes.
        key: of the criterion's random draws. None takes a fixed key.
        step: at which schedules are evaluated.

    Returns:
        Scalars; losses are means over the n examples, in the criterion's unit.

    Example:
        >>> from gan_jax.losses import Hinge
        >>> known, new, fake = jnp.array([2.0, 2.0]), jnp.array([-2.0, 1.0]), jnp.array([-2.0, -2.0])
        >>> found = discriminator_accuracies(Hinge().criterion(), known, new, fake)
        >>> float(found.train), float(found.held_out), float(found.gap)
        (1.0, 0.5, 0.5)
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
    return DiscriminatorAccuracies(
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
    """Half-width of the confidence interval of the difference between two shares.

    Args:
        train: one share, in [0, 1].
        held_out: the other share.
        num: independent examples behind each share.
        deviations: half-width in standard errors; 1.96 gives 95 %.

    Returns:
        The half-width, a share.

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
    transforms: Sequence[LossTransform], batch_size: int, step: int | Int[Array, ""] = 0
) -> tuple[LossTransform, ...]:
    """Loss transforms with each random flip replaced by its expectation, which gives the exact mean over fresh flips.

    Args:
        transforms: of D.
        batch_size: of training. Exact flips of floor(batch_size * rate) labels per batch have the effective rate
            floor(batch_size * rate) / batch_size.
        step: at which schedules are evaluated.

    Returns:
        Transforms without random draws.

    Example:
        >>> flips = expected_transforms([ExactFlips(rate=0.1)], 64)  # 6 of 64
        >>> float(flips[0].rate)
        0.09375
    """

    def expected(transform: LossTransform) -> LossTransform:
        if isinstance(transform, ExactFlips):
            # 1e-4, as in the transform: rounding may put the product just below a whole number.
            count = jnp.floor(batch_size * value_at(transform.rate, jnp.asarray(step)) + 1e-4)
            return ExpectedFlips(rate=count / batch_size, side=transform.side)  # type: ignore[arg-type]
        if isinstance(transform, BernoulliFlips):
            return ExpectedFlips(rate=transform.rate, side=transform.side)
        return transform

    return tuple(expected(transform) for transform in transforms)


def loss_floor(losses: ElementwiseLoss, step: int | Int[Array, ""] = 0) -> float | None:
    """Infimum over all scores of one side's loss; None if it is unbounded below.

    With labels flipped at the rate p this is the loss of a D that separates real from fake perfectly: the entropy H(p)
    nats for the log loss, 2p for the hinge, p (1 - p) / 2 for least squares with the targets 0 and 1.

    Args:
        losses: of a criterion without random draws, such as one chained with `expected_transforms`.
        step: at which schedules are evaluated.

    Returns:
        The floor, in the criterion's unit.

    Example:
        >>> from gan_jax.losses import Hinge, chain
        >>> noisy = chain(Hinge().criterion(), (ExpectedFlips(rate=0.1),))
        >>> round(loss_floor(noisy.real), 3)  # 2p
        0.2
    """

    def values(scores: np.ndarray) -> np.ndarray:
        losses_at = losses(jnp.asarray(scores, jnp.float32), jax.random.key(0), jnp.asarray(step))
        # An overflow to NaN is not a minimum.
        return np.nan_to_num(np.asarray(losses_at, np.float64), nan=np.inf, neginf=-np.inf)

    scores = np.linspace(-_FARTHEST, _FARTHEST, 4001)
    rough = values(scores)
    least, at = float(np.min(rough)), float(scores[np.argmin(rough)])
    if np.min(values(np.array([-1e4, 1e4]))) < least - 1.0:
        return None
    return min(least, float(np.min(values(np.linspace(at - 0.05, at + 0.05, 2001)))))
