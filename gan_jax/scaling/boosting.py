"""AdaGAN's weightings: weights of the training points for the next generator, given what the present mixture covers.

A mixture P_g has been trained, and a new component Q joins it with weight beta: (1 - beta) P_g + beta Q. The functions
here compute the best Q on a discrete sample: p_i is the data's mass at training point i, and d_i = p_g / p_data there,
which is exp(-s) for the logit s of an ideal discriminator between data and mixture. All are pure and jittable, and find
the multiplier in closed form after one sort.

References:
    I. Tolstikhin, S. Gelly, O. Bousquet, C.-J. Simon-Gabriel, B. Schölkopf, "AdaGAN: Boosting Generative Models",
        NeurIPS 2017: theorems 1 and 2, and the algorithm that finds lambda*.
    L. Breiman, "Bagging Predictors", Machine Learning 24, 1996: the bootstrap.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

MAX_LOGIT = 30.0
"""Logits are clipped to +- this, so that exp(-s) stays within float32; ratios are then at least 1e-13."""


class Reweighting(NamedTuple):
    """Weights of the training points for the next component.

    Attributes:
        weights: [N], not negative, summing to 1.
        multiplier: the theorem's lambda, scalar.
    """

    weights: Array
    multiplier: Array


def density_ratio(score: Float[Array, "n"]) -> Float[Array, "n"]:
    """The ratio d = p_g / p_data = exp(-s) from raw scores s = log(p_data / p_g). [N] -> [N]."""
    return jnp.exp(jnp.clip(-score, -MAX_LOGIT, MAX_LOGIT))


def star_weights(p_data: Float[Array, "n"], ratio: Float[Array, "n"], beta: float | Float[Array, ""]) -> Reweighting:
    """The component that makes the new mixture nearest to the data in every f-divergence (theorem 1).

    w_i = p_i / beta (lambda* - (1 - beta) d_i)_+, so that the new mixture has max(lambda* p_i, (1 - beta) p_i d_i):
    points with too little mass are raised to a common level. lambda* is the only number for which the weights sum to 1.
    With d_i of mean 1 it is at most 1, and is 1 if and only if (1 - beta) d_i <= 1 everywhere: then the new mixture can
    be the data. If the mixture misses a share delta of the data and covers the rest evenly, the missed points get all
    the weight if and only if beta <= delta.

    Args:
        p_data: [N] mass of the data at each point, summing to 1.
        ratio: [N] d_i. Their mean under `p_data` is 1 in theory; estimates of a discriminator are not rescaled.
        beta: weight of the new component in the mixture, in (0, 1].

    Returns:
        The weights and lambda*.

    Example:
        >>> round(float(star_weights(jnp.full(4, 0.25), jnp.array([0.0, 0.0, 1.0, 3.0]), 0.5).multiplier), 4)
        0.8333
    """
    beta = jnp.asarray(beta, ratio.dtype)
    covered = (1 - beta) * ratio
    level, mass, lifted, _ = _by_coverage(p_data, covered)
    last = jnp.sum(lifted < beta) - 1
    room = (beta - lifted[last]) / mass[last]  # lambda* above the last point that gets weight: no difference of sums
    weights = p_data * jnp.maximum(level[last] - covered + room, 0.0)
    return Reweighting(weights / jnp.sum(weights), level[last] + room)


def dagger_weights(p_data: Float[Array, "n"], ratio: Float[Array, "n"], beta: float | Float[Array, ""]) -> Reweighting:
    """The component that leaves the old mixture as good as possible for the rest of the data (theorem 2).

    w_i = p_i / beta (1 - lambda† (1 - beta) d_i)_+, with lambda† such that they sum to 1: the minimiser of
    D_f(P_g || (P_data - beta Q) / (1 - beta)) over the Q with beta Q <= P_data. No point gets more than p_i / beta.

    lambda† exists if the points with d_i = 0 hold less than a share beta of the data. If they hold beta or more, every
    choice of a share beta among them is a minimiser; the one in proportion to p_i is returned, and lambda† is infinite.
    The d_i of a discriminator are never 0: lambda† is then large, and the weight goes to the share beta of the data
    with the smallest d_i.

    Args:
        p_data: [N] mass of the data at each point, summing to 1.
        ratio: [N] d_i.
        beta: weight of the new component in the mixture, in (0, 1]. At 1 the weights are `p_data`.

    Returns:
        The weights and lambda† (at least 1 if the d_i have mean 1 under `p_data`).

    Example:
        >>> round(float(dagger_weights(jnp.full(4, 0.25), jnp.array([0.0, 0.0, 1.0, 3.0]), 0.6).multiplier), 4)
        1.5
    """
    beta = jnp.asarray(beta, ratio.dtype)
    covered = (1 - beta) * ratio
    level, mass, lifted, total = _by_coverage(p_data, covered)
    last = jnp.sum((lifted < beta * level) | (level == 0)) - 1
    exists = total[last] > 0
    multiplier = jnp.where(exists, (mass[last] - beta) / jnp.where(exists, total[last], 1.0), 0.0)
    weights = jnp.where(covered <= level[last], p_data * jnp.maximum(1 - multiplier * covered, 0.0), 0.0)
    missing = jnp.where(beta < 1, jnp.inf, 1.0)  # at beta = 1 any multiplier is valid
    return Reweighting(weights / jnp.sum(weights), jnp.where(exists, multiplier, missing))


def _by_coverage(p_data: Array, covered: Array) -> tuple[Array, Array, Array, Array]:
    """Points in ascending order of c_i = (1 - beta) d_i, with sums over those up to each; all [N].

    Returns:
        (c_k, sum p_i, sum p_i (c_k - c_i), sum p_i c_i). The third is the mass needed to raise them all to c_k. It is
        summed from increments, which are not negative: for a large c_k the difference of two sums would be noise.
    """
    order = jnp.argsort(covered)
    level, p_sorted = covered[order], p_data[order]
    mass = jnp.cumsum(p_sorted)
    lifted = jnp.cumsum(jnp.append(0.0, mass[:-1] * jnp.diff(level)).astype(level.dtype))
    return level, mass, lifted, jnp.cumsum(p_sorted * level)


def bootstrap_weights(key: Key[Array, ""], p_data: Float[Array, "n"]) -> Float[Array, "n"]:
    """Bagging: the share [N] of each point among N draws with replacement from `p_data` [N]; no mixture is involved."""
    num = p_data.shape[0]
    drawn = jax.random.choice(key, num, (num,), p=p_data)
    return jnp.zeros_like(p_data).at[drawn].add(1.0) / num


def component_weight(beta: float | None, number: int) -> float:
    """Weight with which component `number` = 1, 2, ... joins the mixture: 1 for the first, then beta.

    `beta=None` is 1 / number, AdaGAN's choice, which gives all components equal weights in the end. With a constant
    beta the weight of a component that joined n rounds ago is beta (1 - beta)^n.
    """
    if number == 1:
        return 1.0
    return 1.0 / number if beta is None else beta


WEIGHTINGS = {"star": star_weights, "dagger": dagger_weights}
