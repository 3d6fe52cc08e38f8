r"""D's score along lines through examples, f(k) = D(x + k u): local maxima, their width and sharpness, flat regions.

Scores are functions of single samples, [n, *shape] -> [n]. A direction u has length 1 over all values of an example, so
that k is a distance in data units.

References:
    A. Gainetdinov, "GAN Mode Collapse Explanation", Towards AI, 2023: f(k) along random lines through MNIST digits has
        a local maximum at k = 0 where a GAN converges, a sharper one where D overfits, and none where it forgets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from gan_jax.metrics.distances import in_blocks as in_blocks

Score = Callable[[Array], Array]
"""Samples [n, *shape] -> raw scores [n]; the score of a sample does not depend on the others."""


class ScanMeasures(NamedTuple):
    """Measures of n scans, each through one point. All [n]; delta is the spacing of the offsets k.

    Attributes:
        peak: whether f(0) is above f(-delta) and f(delta): a local maximum at this resolution.
        highest: whether f(0) is above every other value of the scan.
        half_width: |k| at which f has fallen halfway from f(0) to its least value on that side, mean of both sides,
            interpolated linearly; data units. It is sqrt(2 ln 2) std for an isolated Gaussian bump.
        curvature: (2 f(0) - f(delta) - f(-delta)) / delta^2, minus the second derivative; scores per squared unit.
        sharpness: the curvature divided by the fall from f(0) to the mean of both sides' least values, per squared
            unit. It does not depend on the scale of D, and is 1 / std^2 for a Gaussian bump and a small delta.

    `half_width`, `curvature` and `sharpness` are NaN where there is no peak.

    Example:
        >>> ks = offsets(5.0, 50)
        >>> tent = jax.jit(measure_scans)(-jnp.abs(ks)[None], ks)
        >>> bool(tent.peak[0]), round(float(tent.half_width[0]), 2)  # half of the way to 5
        (True, 2.5)
    """

    peak: Array
    highest: Array
    half_width: Array
    curvature: Array
    sharpness: Array


def input_gradients(score: Score, points: Float[Array, " n *shape"], *, size: int = 256) -> Float[Array, " n *shape"]:
    """dD/dx at every point.

    Args:
        score: D.
        points: [n, *shape].
        size: points that are differentiated at once.

    Returns:
        [n, *shape], scores per data unit.

    Example:
        >>> input_gradients(lambda x: x[:, 0] ** 2, jnp.array([[3.0, 1.0], [0.5, 0.0]])).tolist()
        [[6.0, 0.0], [1.0, 0.0]]
    """
    return in_blocks(jax.grad(lambda block: jnp.sum(score(block))), points, size=size)


def lengths(vectors: Float[Array, " n *shape"]) -> Float[Array, " n"]:
    """Euclidean lengths of rows, over all their values: [n, *shape] -> [n].

    Example:
        >>> lengths(jnp.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [5.0, 0.0]
    """
    return jnp.sqrt(jnp.sum(jnp.square(vectors), axis=tuple(range(1, vectors.ndim))))


def unit(vectors: Float[Array, " n *shape"]) -> Float[Array, " n *shape"]:
    """Rows scaled to length 1; a row of zeros stays 0.

    Example:
        >>> unit(jnp.array([[0.0, -4.0], [0.0, 0.0]])).tolist()
        [[0.0, -1.0], [0.0, 0.0]]
    """
    size = lengths(vectors).reshape(-1, *(1,) * (vectors.ndim - 1))
    return jnp.where(size > 0, vectors / jnp.where(size > 0, size, 1), 0)


def random_directions(key: Key[Array, ""], shape: tuple[int, ...]) -> Float[Array, " n *shape"]:
    """Directions of length 1, uniform on the sphere, as an array of the given shape: the first axis counts them.

    Example:
        >>> directions = random_directions(jax.random.key(0), (2, 2))
        >>> lengths(directions).round(4).tolist()
        [1.0, 1.0]
    """
    return unit(jax.random.normal(key, shape))


def offsets(reach: float | Float[Array, ""], num: int) -> Float[Array, " m"]:
    """`2 num + 1` evenly spaced values of k from -reach to reach; the middle one is exactly 0.

    Example:
        >>> offsets(3.0, 2).tolist()
        [-3.0, -1.5, 0.0, 1.5, 3.0]
    """
    return reach * jnp.arange(-num, num + 1) / num


def scan(
    score: Score,
    points: Float[Array, " n *shape"],
    directions: Float[Array, " n *shape"],
    ks: Float[Array, " m"],
    *,
    size: int = 1024,
) -> Float[Array, "n m"]:
    """D(x + k u) for every point x, its own direction u, and every k.

    Args:
        score: D.
        points: [n, *shape].
        directions: [n, *shape], of length 1 for k to be a distance.
        ks: [m] offsets, in data units.
        size: approximate number of samples that are scored at once.

    Returns:
        [n, m] raw scores.

    Example:
        >>> points, directions = jnp.array([[1.0, 0.0]]), jnp.array([[0.0, 1.0]])
        >>> scan(lambda x: jnp.sum(x**2, axis=1), points, directions, offsets(2.0, 2)).tolist()
        [[5.0, 2.0, 1.0, 2.0, 5.0]]
    """
    num = ks.shape[0]

    def block(x: Array, u: Array) -> Array:
        shape = x.shape[1:]
        along = ks.reshape(1, num, *(1,) * len(shape)) * u[:, None]
        return score((x[:, None] + along).reshape(-1, *shape)).reshape(-1, num)

    return in_blocks(block, points, directions, size=max(1, size // num))


def measure_scans(values: Float[Array, "n m"], ks: Float[Array, " m"]) -> ScanMeasures:
    """Measures of scans; see `ScanMeasures`.

    Args:
        values: [n, m] scores, m odd.
        ks: [m] from `offsets`.

    Returns:
        `ScanMeasures`, leaves [n].

    Example:
        >>> ks = offsets(5.0, 50)
        >>> bump = jax.jit(measure_scans)(jnp.exp(-0.5 * ks**2)[None], ks)
        >>> bool(bump.peak[0]), round(float(bump.half_width[0]), 2)  # sqrt(2 ln 2) = 1.177
        (True, 1.18)
    """
    middle = ks.shape[0] // 2
    top, spacing = values[:, middle], ks[middle + 1] - ks[middle]
    before, after = values[:, middle::-1], values[:, middle:]
    peak = (top > before[:, 1]) & (top > after[:, 1])
    others = jnp.delete(values, middle, axis=1, assume_unique_indices=True)
    fall = top - 0.5 * (jnp.min(before, axis=1) + jnp.min(after, axis=1))
    curvature = (2 * top - before[:, 1] - after[:, 1]) / spacing**2
    half_width = spacing * 0.5 * (_half_index(before) + _half_index(after))

    def of_peaks(value: Array) -> Array:
        return jnp.where(peak, value, jnp.nan)

    return ScanMeasures(
        peak=peak,
        highest=top > jnp.max(others, axis=1),
        half_width=of_peaks(half_width),
        curvature=of_peaks(curvature),
        sharpness=of_peaks(curvature / jnp.where(peak, fall, 1)),
    )


def _half_index(side: Array) -> Array:
    """Fractional index at which sides [n, m] first reach the middle between their first and their least value: [n]."""
    half = 0.5 * (side[:, :1] + jnp.min(side, axis=1, keepdims=True))
    # The first value is at most the half only where the side does not fall, which is no peak.
    index = jnp.maximum(jnp.argmax(side <= half, axis=1), 1)[:, None]
    above, below = (jnp.take_along_axis(side, i, axis=1) for i in (index - 1, index))
    share = (above - half) / jnp.where(above > below, above - below, 1)
    return (index - 1 + share)[:, 0]


def flat_share(slopes: Float[Array, " n"], reference: Float[Array, " r"], fraction: float = 0.1) -> Float[Array, ""]:
    """Share of points whose |dD/dx| is below a fraction of the median over a reference set.

    Args:
        slopes: [n], gradient norms at the points.
        reference: [r], gradient norms whose median is the scale.
        fraction: threshold of a flat region, relative to the median; the default is an order of magnitude.

    Returns:
        A scalar in [0, 1].

    Example:
        >>> slopes = jnp.array([0.01, 1.0, 2.0, 1.0])
        >>> float(flat_share(slopes, slopes))
        0.25
    """
    return jnp.mean(slopes < fraction * jnp.median(reference))
