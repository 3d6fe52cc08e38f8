r"""D's score along lines through examples, f(k) = D(x + k u): whether it peaks there, how wide, how sharp, how flat.

Everything is a function of a score that judges each sample by itself, [n, *shape] -> [n], and of arrays. A direction u
has length 1 over all values of an example, so that k is a distance in data units.

References:
    A. Gainetdinov, "GAN Mode Collapse Explanation", Towards AI, 2023: f(k) along random lines through MNIST digits has
        a local maximum at k = 0 where a GAN converges, a sharper one where D overfits, none where it forgets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

Score = Callable[[Array], Array]
"""Samples [n, *shape] -> raw scores [n], each sample judged by itself."""


class ScanMeasures(NamedTuple):
    """What a scan says of the point it goes through. All [n], one a scan; delta is the spacing of its offsets.

    Attributes:
        peak: whether f(0) is above f(-delta) and f(delta): a local maximum at this resolution.
        highest: whether f(0) is above every other value of the scan.
        half_width: the |k| at which f has fallen half of the way from f(0) to its least value on that side, mean of the
            two sides, between offsets linearly; data units. A Gaussian bump far from others has sqrt(2 ln 2) std.
        curvature: (2 f(0) - f(delta) - f(-delta)) / delta^2, minus the second derivative; scores per unit^2.
        sharpness: the curvature relative to the fall from f(0) to the mean of the two sides' least values, per unit^2,
            which no rescaling of D changes; 1 / std^2 for a narrow spacing and a Gaussian bump.

    `half_width`, `curvature` and `sharpness` are NaN where there is no peak.
    """

    peak: Array
    highest: Array
    half_width: Array
    curvature: Array
    sharpness: Array


def in_blocks(function: Callable[..., Any], *arrays: Array, size: int) -> Any:
    """A function of rows, `size` rows at a time, so that its memory does not grow with their number.

    Args:
        function: arrays [b, ...] -> a tree of arrays [b, ...], row by row.
        *arrays: each [n, ...].
        size: rows of a block, b; the last block is filled up with the last row.

    Returns:
        What the function gives for all rows: leaves [n, ...].

    Example:
        >>> in_blocks(lambda x: 2 * x, jnp.arange(5), size=2).tolist()
        [0, 2, 4, 6, 8]
    """
    num = arrays[0].shape[0]
    if num <= size:
        return function(*arrays)
    count = -(-num // size)

    def cut(rows: Array) -> Array:
        filling = jnp.broadcast_to(rows[-1:], (count * size - num, *rows.shape[1:]))
        return jnp.concatenate([rows, filling]).reshape(count, size, *rows.shape[1:])

    parts = jax.lax.map(lambda blocks: function(*blocks), tuple(cut(rows) for rows in arrays))
    return jax.tree.map(lambda part: part.reshape(count * size, *part.shape[2:])[:num], parts)


def input_gradients(score: Score, points: Array, *, size: int = 256) -> Array:
    """dD/dx at every point: [n, *shape] -> [n, *shape]."""
    return in_blocks(jax.grad(lambda block: jnp.sum(score(block))), points, size=size)


def lengths(vectors: Array) -> Array:
    """Euclidean lengths over all values of a row: [n, ...] -> [n]."""
    return jnp.sqrt(jnp.sum(jnp.square(vectors), axis=tuple(range(1, vectors.ndim))))


def unit(vectors: Array) -> Array:
    """Rows of length 1; a row of zeros stays one. [n, ...] -> [n, ...]."""
    size = lengths(vectors).reshape(-1, *(1,) * (vectors.ndim - 1))
    return jnp.where(size > 0, vectors / jnp.where(size > 0, size, 1), 0)


def random_directions(key: Array, shape: tuple[int, ...]) -> Array:
    """Directions of length 1, uniform on the sphere: [n, *shape]."""
    return unit(jax.random.normal(key, shape))


def offsets(reach: Array | float, num: int) -> Array:
    """`2 num + 1` evenly spaced values of k from -reach to reach; the middle one is exactly 0."""
    return reach * jnp.arange(-num, num + 1) / num


def scan(score: Score, points: Array, directions: Array, ks: Array, *, size: int = 1024) -> Array:
    """D(x + k u) for every point x, its own direction u, and every k.

    Args:
        score: D.
        points: [n, *shape].
        directions: [n, *shape], of length 1 for k to be a distance.
        ks: [m].
        size: samples that are scored at once, about.

    Returns:
        [n, m].
    """
    num = ks.shape[0]

    def block(x: Array, u: Array) -> Array:
        shape = x.shape[1:]
        along = ks.reshape(1, num, *(1,) * len(shape)) * u[:, None]
        return score((x[:, None] + along).reshape(-1, *shape)).reshape(-1, num)

    return in_blocks(block, points, directions, size=max(1, size // num))


def measure_scans(values: Array, ks: Array) -> ScanMeasures:
    """What scans say; see `ScanMeasures`.

    Args:
        values: [n, m] scores, m odd.
        ks: [m] from `offsets`.

    Example:
        >>> ks = offsets(5.0, 50)
        >>> bump = measure_scans(jnp.exp(-0.5 * ks**2)[None], ks)
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
    """Where, in fractions of an index, sides [n, m] first reach the middle between their first and least value."""
    half = 0.5 * (side[:, :1] + jnp.min(side, axis=1, keepdims=True))
    # The first value is the half only where nothing falls, which is no peak.
    index = jnp.maximum(jnp.argmax(side <= half, axis=1), 1)[:, None]
    above, below = (jnp.take_along_axis(side, i, axis=1) for i in (index - 1, index))
    share = (above - half) / jnp.where(above > below, above - below, 1)
    return (index - 1 + share)[:, 0]


def flat_share(slopes: Array, reference: Array, fraction: float = 0.1) -> Array:
    """The share of points whose |dD/dx| is below a fraction of the median over a reference set.

    Args:
        slopes: [n] gradient norms of the points.
        reference: [r] gradient norms that the median is of.
        fraction: below which a point is in a flat region; 0.1: an order of magnitude.
    """
    return jnp.mean(slopes < fraction * jnp.median(reference))
