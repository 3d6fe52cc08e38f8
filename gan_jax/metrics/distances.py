"""Distances between sets of points in blocks of rows, which bounds their memory, and nearest neighbours."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Shaped

_BLOCK = 256
_FEW_DIMS = 16
_FEW_COLUMNS = 64
_SLICES = 16


class Neighbours(NamedTuple):
    """Nearest reference of each of n queries.

    Attributes:
        distance: [n], Euclidean distance to it.
        which: int32 [n], its index among the references.

    Example:
        >>> found = Neighbours(jnp.array([0.5]), jnp.array([2]))
        >>> references = jnp.array([[0.0], [1.0], [7.0]])
        >>> references[found.which].tolist()
        [[7.0]]
    """

    distance: Array
    which: Array


def in_blocks(function: Callable[..., Any], *arrays: Shaped[Array, "n ..."], size: int) -> Any:
    """Applies a function of rows to `size` rows at a time, which bounds its memory.

    Args:
        function: arrays [b, ...] -> a tree of arrays [b, ...], row by row.
        *arrays: each [n, ...].
        size: rows of a block, b; the last block is padded with the last row.

    Returns:
        The function's values for all rows: leaves [n, ...].

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


@functools.partial(jax.jit, static_argnames="exclude_self")
def nearest_neighbours(
    queries: Float[Array, "n d"],
    references: Float[Array, "m d"],
    *,
    exclude_self: bool = False,
    left_out: Int[Array, " n"] | None = None,
) -> Neighbours:
    """Nearest reference of each query by Euclidean distance, in blocks, which bounds the memory.

    Args:
        queries: [n, d].
        references: [m, d].
        exclude_self: whether query i ignores reference i, for queries that are the references. Static.
        left_out: int [n], the reference that each query ignores, for queries that are some of the references.

    Returns:
        `Neighbours`, leaves [n].

    Example:
        >>> points = jnp.array([[0.0], [1.0], [7.0]])
        >>> nearest_neighbours(jnp.array([[6.0]]), points).which.tolist()
        [2]
        >>> nearest_neighbours(points, points, exclude_self=True).distance.tolist()
        [1.0, 1.0, 6.0]
    """
    centre = jnp.mean(references, axis=0, keepdims=True)
    references = references - centre
    without = jnp.arange(queries.shape[0]) if left_out is None else left_out

    def block(rows: Array, positions: Array) -> tuple[Array, Array]:
        squares = squared_distances(rows - centre, references)
        if exclude_self or left_out is not None:
            squares = jnp.where(positions[:, None] == jnp.arange(references.shape[0])[None], jnp.inf, squares)
        index = jnp.argmin(squares, axis=1)
        own = rows - centre - references[index]  # differences: the products below lose digits
        return jnp.sqrt(jnp.sum(own * own, axis=1)), index.astype(jnp.int32)

    return Neighbours(*in_blocks(block, queries, without, size=_BLOCK))


def neighbour_radii(points: Float[Array, "n d"], k: int) -> Float[Array, " n"]:
    """Squared distance of each point [n, d] to its k-th nearest other point, [n]; k is static and below n."""
    columns = jnp.arange(points.shape[0])

    def block(rows: Array, positions: Array) -> Array:
        squares = jnp.where(positions[:, None] == columns[None], jnp.inf, squared_distances(rows, points))
        return kth_smallest(squares, k)

    return in_blocks(block, points, columns, size=_BLOCK)


def kth_smallest(values: Float[Array, "n m"], k: int) -> Float[Array, " n"]:
    """The k-th smallest number of each row; equal numbers count as often as they occur.

    XLA's `top_k` sorts whole rows on a CPU. Here each row is cut into 16 slices of w numbers. A scan over the slices
    keeps the k smallest numbers at each of the w positions, with minima and maxima of vectors only. That is repeated on
    the k w numbers that are left, until a row is short enough to sort.

    Args:
        values: [n, m].
        k: static, at most m.

    Returns:
        [n].

    Example:
        >>> kth_smallest(jnp.array([[3.0, 1.0, 1.0, 2.0]]), 2).tolist()
        [1.0]
    """

    def insert(smallest: tuple[Array, ...], new: Array) -> tuple[tuple[Array, ...], None]:
        kept = []
        for one in smallest:
            kept.append(jnp.minimum(one, new))
            new = jnp.maximum(one, new)
        return tuple(kept), None

    while values.shape[1] > _FEW_COLUMNS * k:
        width = -(-values.shape[1] // _SLICES)
        padded = jnp.pad(values, ((0, 0), (0, _SLICES * width - values.shape[1])), constant_values=jnp.inf)
        slices = jnp.swapaxes(padded.reshape(-1, _SLICES, width), 0, 1)
        smallest, _ = jax.lax.scan(insert, (jnp.full(slices.shape[1:], jnp.inf),) * k, slices)
        values = jnp.concatenate(smallest, axis=1)
    return jnp.sort(values, axis=1)[:, k - 1]


def squared_distances(a: Float[Array, "n d"], b: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """Squared Euclidean distances, [n, d] and [m, d] -> [n, m]. Above 16 dimensions both sets must be centred."""
    if a.shape[1] <= _FEW_DIMS:
        return sum(jnp.square(a[:, i][:, None] - b[:, i][None]) for i in range(a.shape[1]))  # type: ignore[return-value]
    # |a|^2 + |b|^2 - 2 <a, b> loses the leading digits that |a|^2 and |b|^2 share, few of them in centred sets.
    squares = jnp.sum(a * a, axis=1)[:, None] + jnp.sum(b * b, axis=1)[None]
    return jnp.maximum(squares - 2 * jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST), 0.0)
