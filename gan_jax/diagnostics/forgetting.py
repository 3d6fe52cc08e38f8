"""Forgetting of a discriminator: how its input gradient changes over training, and its accuracy on earlier fakes.

A D that keeps what it has learned pushes fakes in the same direction later as it does now. A D that responds only to
the current fakes reverses its gradient once they have moved, and classifies earlier fakes as real.

In many dimensions unrelated gradients are nearly orthogonal, and half of their cosines are below 0. A reversed share of
0.5 with a mean cosine of 0 is therefore a change without memory; above 0.5 the gradient reverses.

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
from jaxtyping import Float


class GradientCosines(NamedTuple):
    """Cosines between D's input gradients at the same n points at two times.

    Attributes:
        mean: mean of the cosines, in [-1, 1].
        reversed_share: share of the points whose cosine is below 0.
        cosine: [n], by point. NaN where a gradient is 0; `mean` and `reversed_share` leave such points out, and are NaN
            if there is no other point.

    Example:
        >>> cosines = gradient_cosines(jnp.array([[2.0, 0.0], [0.0, 0.0]]), jnp.array([[1.0, 0.0], [0.0, 1.0]]))
        >>> cosines.cosine.tolist(), float(cosines.mean)
        ([1.0, nan], 1.0)
    """

    mean: Array
    reversed_share: Array
    cosine: Array


def gradient_cosines(first: Float[Array, " n *shape"], second: Float[Array, " n *shape"]) -> GradientCosines:
    """Cosines between two arrays of gradients, [n, *shape], at the same points.

    Example:
        >>> before, after = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.array([[3.0, 0.0], [0.0, -1.0]])
        >>> cosines = gradient_cosines(before, after)
        >>> cosines.cosine.tolist(), float(cosines.reversed_share)
        ([1.0, -1.0], 0.5)
    """
    cosine = jnp.sum(_unit_rows(first) * _unit_rows(second), axis=1)
    known = jnp.isfinite(cosine)
    num = jnp.sum(known)
    return GradientCosines(
        mean=jnp.sum(jnp.where(known, cosine, 0)) / num,
        reversed_share=jnp.sum(known & (cosine < 0)) / num,
        cosine=cosine,
    )


def cosine_matrix(gradients: Float[Array, "t n *shape"]) -> GradientCosines:
    """`gradient_cosines` between every two of T times: [T, n, *shape] -> leaves [T, T], and `cosine` [T, T, n].

    Example:
        >>> gradients = jnp.array([[[1.0, 0.0]], [[0.0, 2.0]], [[-1.0, 0.0]]])  # at one point, three times
        >>> cosine_matrix(gradients).reversed_share.tolist()
        [[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    num = gradients.shape[0]
    return jax.lax.map(lambda t: jax.vmap(lambda u: gradient_cosines(gradients[t], u))(gradients), jnp.arange(num))


def accuracy_on_fakes(
    scores: Float[Array, "*batch n"], decision_threshold: float | Float[Array, ""]
) -> Float[Array, "*batch"]:
    """Share of fakes whose score is below D's decision threshold: scores [..., n] -> [...].

    Example:
        >>> float(accuracy_on_fakes(jnp.array([-2.0, -1.0, 0.5, -3.0]), 0.0))
        0.75
    """
    return jnp.mean(scores < decision_threshold, axis=-1)


def by_age(matrix: Float[Array, "t t"]) -> Float[Array, " t"]:
    """Means over the pairs of times that are equally far apart.

    Args:
        matrix: [T, T]. Rows are times of D; columns are times of what D is applied to, such as fakes.

    Returns:
        [T]. Entry a is the mean over t of matrix[t, t - a]: the same time, one time earlier, two times earlier, ...

    Example:
        >>> by_age(jnp.array([[1.0, 0.0], [0.25, 0.5]])).tolist()
        [0.75, 0.25]
    """
    num = matrix.shape[0]
    age = jnp.arange(num)[:, None] - jnp.arange(num)[None]
    belongs = age[None] == jnp.arange(num)[:, None, None]
    return jnp.sum(jnp.where(belongs, matrix[None], 0), axis=(1, 2)) / jnp.sum(belongs, axis=(1, 2))


def _unit_rows(gradients: Array) -> Array:
    """Flattened rows of length 1; NaN for a row of zeros. [n, *shape] -> [n, size]."""
    flat = gradients.reshape(gradients.shape[0], -1)
    # Divide by the greatest entry first: squares of gradients as small as 1e-23 are 0 in float32.
    greatest = jnp.max(jnp.abs(flat), axis=1, keepdims=True)
    flat = flat / greatest
    return flat / jnp.sqrt(jnp.sum(flat**2, axis=1, keepdims=True))
