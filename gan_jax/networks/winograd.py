"""Kernels of two by two taps with fewer multiplications, by Winograd's method.

Along one axis, a kernel of two taps (g0, g1) at two neighbouring positions takes four multiplications. Three are
enough. A convolution gives from each window (d0, d1, d2) the two outputs

    d0 g0 + d1 g1 = (d0 - d1) g0 + d1 (g0 + g1),    d1 g0 + d2 g1 = d1 (g0 + g1) + (d2 - d1) g1.

A transposed convolution gives from each pair (x0, x1) the three outputs

    x0 g0,    x0 g1 + x1 g0 = (x0 + x1) (g0 + g1) - x0 g0 - x1 g1,    x1 g1.

Along both axes there are nine multiplications in place of sixteen: nine matrix products over a quarter of the
positions, in place of four over all of them. Less has to be copied, too.

References:
    S. Winograd, "Arithmetic Complexity of Computations", SIAM 1980; A. Lavin, S. Gray, "Fast Algorithms for
        Convolutional Neural Networks", CVPR 2016, whose notation for the convolution is F(2x2, 2x2).
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

_Parts = tuple[Array, Array, Array]


def suits_winograd(taps: Float[Array, "_ _ in out"], height: int, width: int) -> bool:
    """Whether there are two by two taps, an even number of positions along both axes, and at least 32 bits.

    With fewer bits the sums before the products would be rounded, and lose digits that the products keep.

    Args:
        taps: [taps along the height, taps along the width, in, out].
        height: of the output of a convolution, or of the input of a transposed one.
        width: the same.

    Returns:
        True if `winograd_conv` or `winograd_conv_transpose` can be used and loses no digits.
    """
    return taps.shape[:2] == (2, 2) and height % 2 == width % 2 == 0 and taps.dtype.itemsize >= 4


def winograd_conv(
    x: Float[Array, "n rows columns in"], taps: Float[Array, "2 2 in out"]
) -> Float[Array, "n rows-1 columns-1 out"]:
    """Convolution with stride 1 and without padding: out[b, i, j] = sum_{u, v} x[b, i + u, j + v] taps[u, v].

    Args:
        x: [n, rows, columns, in]; rows and columns are odd.
        taps: [2, 2, in, out].

    Returns:
        [n, rows - 1, columns - 1, out].
    """
    return _nine_products(x, taps, _window_parts, _join_windows)


def winograd_conv_transpose(
    x: Float[Array, "n height width in"], taps: Float[Array, "2 2 in out"]
) -> Float[Array, "n height+1 width+1 out"]:
    """Transposed convolution with stride 1 and without padding: out[b, i + u, j + v] += x[b, i, j] taps[u, v].

    Args:
        x: [n, height, width, in]; height and width are even.
        taps: [2, 2, in, out].

    Returns:
        [n, height + 1, width + 1, out].
    """
    return _nine_products(x, taps, _pair_parts, _join_pairs)


def _nine_products(
    x: Array, taps: Array, split: Callable[[Array, int], _Parts], join: Callable[[Sequence[Array], int], Array]
) -> Array:
    """Splits x along both axes, multiplies the parts by the sums of taps, and joins the products along both axes."""

    def product(part: Array, tap: Array) -> Array:
        positions = part.shape[:3]
        return (part.reshape(math.prod(positions), part.shape[3]) @ tap).reshape(*positions, tap.shape[1])

    rows = []
    for row, row_taps in zip(split(x, 1), _tap_parts(taps), strict=True):
        rows.append(join(list(map(product, split(row, 2), _tap_parts(row_taps))), 2))
    return join(rows, 1)


def _tap_parts(taps: Array) -> _Parts:
    return taps[0], taps[0] + taps[1], taps[1]


def _window_parts(x: Array, axis: int) -> _Parts:
    """Returns d0 - d1, d1 and d2 - d1 of each window (d0, d1, d2); a window begins at every second position."""
    first, middle, last = (lax.slice_in_dim(x, i, x.shape[axis] - 2 + i, 2, axis) for i in range(3))
    return first - middle, middle, last - middle


def _join_windows(products: Sequence[Array], axis: int) -> Array:
    """Returns the outputs a + b, b + c of each window, one window after another."""
    first, middle, last = products
    pairs = jnp.stack([first + middle, middle + last], axis=axis + 1)
    return pairs.reshape(*first.shape[:axis], 2 * first.shape[axis], *first.shape[axis + 1 :])


def _pair_parts(x: Array, axis: int) -> _Parts:
    """Returns x0, x0 + x1 and x1 of each pair."""
    first, last = (lax.slice_in_dim(x, i, None, 2, axis) for i in range(2))
    return first, first + last, last


def _join_pairs(products: Sequence[Array], axis: int) -> Array:
    """Returns the outputs a, b - a - c, c of each pair; the last of a pair and the first of the next are added."""
    first, both, last = products
    placed = []
    for start, part in enumerate((first, both - first - last, last)):
        config = [(start, 2 - start, 1) if axis == i else (0, 0, 0) for i in range(part.ndim)]
        placed.append(lax.pad(part, jnp.zeros((), part.dtype), config))
    return functools.reduce(operator.add, placed)
