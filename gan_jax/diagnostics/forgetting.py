"""Does D forget? Its input gradient at fixed points at two times, and its verdict on fakes of other times.

A D that keeps what it learned sends fakes the same way later as it does now. One that answers only the fakes of the day
turns its gradient round when they have moved, and takes old fakes for real.

In many dimensions unrelated gradients are nearly orthogonal, and half of their cosines are below 0: a share of
reversals of 0.5 with a mean cosine of 0 is a change without memory, and above 0.5 the gradient turns round.

References:
    H. Thanh-Tung, T. Tran, "Catastrophic forgetting and mode collapse in GANs", IJCNN 2020, arXiv 1807.04015.
    A. Gainetdinov, "GAN Mode Collapse Explanation", Towards AI, 2023: "the direction of the gradients can be opposite
        to itself at different iterations".
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Turning(NamedTuple):
    """D's input gradient at n probes, at two times.

    Attributes:
        mean: of the cosines.
        reversed_share: of the probes, those with a cosine below 0.
        cosine: [n]; NaN where a gradient is 0, which the two above leave out (they are NaN if all are).
    """

    mean: Array
    reversed_share: Array
    cosine: Array


def turning(first: Array, second: Array) -> Turning:
    """How far gradients have turned: two arrays [n, *shape] of the same probes.

    Example:
        >>> before, after = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.array([[3.0, 0.0], [0.0, -1.0]])
        >>> turn = turning(before, after)
        >>> turn.cosine.tolist(), float(turn.reversed_share)
        ([1.0, -1.0], 0.5)
    """
    cosine = jnp.sum(_directions(first) * _directions(second), axis=1)
    known = jnp.isfinite(cosine)
    num = jnp.sum(known)
    return Turning(
        mean=jnp.sum(jnp.where(known, cosine, 0)) / num,
        reversed_share=jnp.sum(known & (cosine < 0)) / num,
        cosine=cosine,
    )


def turning_matrix(gradients: Array) -> Turning:
    """`turning` between every two of T times: gradients [T, n, *shape] -> leaves [T, T], and [T, T, n]."""
    num = gradients.shape[0]
    return jax.lax.map(lambda t: jax.vmap(lambda u: turning(gradients[t], u))(gradients), jnp.arange(num))


def accuracy_on_fakes(scores: Array, decision_threshold: Array | float) -> Array:
    """The share of fakes that D scores below its decision threshold: scores [..., n] -> [...]."""
    return jnp.mean(scores < decision_threshold, axis=-1)


def by_age(matrix: Array) -> Array:
    """Means over pairs of times that are equally far apart.

    Args:
        matrix: [T, T], of a D (rows) and something of another time (columns), such as accuracy on its fakes.

    Returns:
        [T]: entry a is the mean over t of matrix[t, t - a]: now, one time back, two times back, ...

    Example:
        >>> by_age(jnp.array([[1.0, 0.0], [0.5, 0.8]])).tolist()
        [0.8999999761581421, 0.5]
    """
    num = matrix.shape[0]
    age = jnp.arange(num)[:, None] - jnp.arange(num)[None]
    belongs = age[None] == jnp.arange(num)[:, None, None]
    return jnp.sum(jnp.where(belongs, matrix[None], 0), axis=(1, 2)) / jnp.sum(belongs, axis=(1, 2))


def _directions(gradients: Array) -> Array:
    """Rows of length 1, flat; NaN for a row of zeros. [n, *shape] -> [n, size]."""
    flat = gradients.reshape(gradients.shape[0], -1)
    # Divided by the greatest entry first: squares of gradients as small as 1e-23 are 0 in float32.
    greatest = jnp.max(jnp.abs(flat), axis=1, keepdims=True)
    flat = flat / greatest
    return flat / jnp.sqrt(jnp.sum(flat**2, axis=1, keepdims=True))
