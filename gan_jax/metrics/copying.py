r"""Copies of training examples among samples: authenticity, and the test of data copying.

References:
    A. Alaa et al., "How Faithful is your Synthetic Data?", ICML 2022, arXiv 2102.08921, section 4.3; reported as
        AuthPct by G. Stein et al., NeurIPS 2023, arXiv 2306.04675.
    C. Meehan, K. Chaudhuri, S. Dasgupta, "A Non-Parametric Test to Detect Data-Copying in Generative Models", AISTATS
        2020, arXiv 2004.05675, definition 4 and section 4.2.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from gan_jax.metrics.distances import in_blocks, nearest_neighbours

_LEAST_IN_CELL = 20
_BLOCK = 256
_SEED = 0


class CopyingDistances(NamedTuple):
    """Where n points lie relative to the training set. All [n].

    Attributes:
        distance: Euclidean distance to the nearest training example.
        authentic: whether it is larger than that example's distance to its own nearest training example.
        cell: int32, the cell of the space that the point is in.

    Example:
        >>> found = CopyingDistances(jnp.array([0.1, 1.4]), jnp.array([False, True]), jnp.array([0, 1]))
        >>> float(authenticity(found))
        0.5
    """

    distance: Array
    authentic: Array
    cell: Array


@jax.jit
def copying_distances(
    points: Float[Array, "n d"], train: Float[Array, "m d"], cells: Float[Array, "c d"]
) -> CopyingDistances:
    """Measures points against the training set, in blocks.

    Args:
        points: [n, d] features of samples, or of held-out examples.
        train: [m, d] features of the training set, m at least 2.
        cells: [c, d] centres of cells; see `training_cells`.

    Returns:
        `CopyingDistances`, leaves [n].

    Example:
        The first point is 0.25 from an example whose nearest other example is 1 away: a copy. The second is 2 away.

        >>> train, cells = jnp.array([[0.0], [1.0], [9.0]]), jnp.array([[0.5], [9.0]])
        >>> found = copying_distances(jnp.array([[0.25], [3.0]]), train, cells)
        >>> found.distance.tolist(), found.authentic.tolist(), found.cell.tolist()
        ([0.25, 2.0], [False, True], [0, 0])
    """
    found = nearest_neighbours(points, train)
    own = nearest_neighbours(train[found.which], train, left_out=found.which).distance
    return CopyingDistances(found.distance, found.distance > own, nearest_neighbours(points, cells).which)


def training_cells(train: Float[np.ndarray, "m d"], num_cells: int = 10) -> Float[np.ndarray, "c d"]:
    """Centres of k-means cells of the training set, on the host, with a fixed seed.

    Args:
        train: [m, d].
        num_cells: at most m.

    Returns:
        float32 [num_cells, d].

    Example:
        >>> centres = training_cells(np.array([[0.0], [0.0], [8.0], [8.0]]), num_cells=2)
        >>> sorted(centres.ravel().tolist())
        [0.0, 8.0]
    """
    from sklearn.cluster import MiniBatchKMeans  # type: ignore[import-untyped]

    found = MiniBatchKMeans(num_cells, random_state=_SEED, n_init=3, batch_size=4096).fit(np.asarray(train))
    return np.asarray(found.cluster_centers_, np.float32)


def authenticity(distances: CopyingDistances) -> Float[Array, ""]:
    """The share of points that are not copies.

    A point is a copy if its nearest training example is nearer to it than to any other training example.

    Example:
        >>> train = jnp.array([[0.0], [1.0], [9.0]])
        >>> float(authenticity(copying_distances(jnp.array([[0.25], [3.0]]), train, cells=train)))
        0.5
    """
    return jnp.mean(distances.authentic)


def data_copying(samples: CopyingDistances, held_out: CopyingDistances, num_cells: int) -> Float[Array, ""]:
    r"""C_T: whether samples lie nearer to the training set than held-out examples do.

    In each cell a Mann-Whitney test compares the distances to the training set of samples and of held-out examples.
    C_T is the mean of its z values, weighted by the number of held-out examples in a cell. A cell with fewer than 20
    samples or held-out examples is left out, because the normal approximation is rough there.

    Args:
        samples: distances of n samples.
        held_out: distances of m held-out examples.
        num_cells: number of cells, static.

    Returns:
        A scalar: about N(0, 1) without copying, far below 0 with copies, above 0 for samples far from the data; NaN if
        every cell is left out.

    Example:
        Twenty copies against twenty held-out examples at a distance of 1: z = -200 / sqrt(20 * 20 * 41 / 12).

        >>> where, cell = jnp.ones(20), jnp.zeros(20, int)
        >>> samples = CopyingDistances(0 * where, where < 0, cell)
        >>> round(float(data_copying(samples, CopyingDistances(where, where > 0, cell), num_cells=1)), 2)
        -5.41
    """
    fakes, held = (_by_cell(points.cell, num_cells) for points in (samples, held_out))

    def above(distance: Array, cell: Array) -> Array:
        others = held_out.distance[None]
        larger = (distance[:, None] > others) + 0.5 * (distance[:, None] == others)
        return jnp.sum(larger * (cell[:, None] == held_out.cell[None]), axis=1)

    wins = in_blocks(above, samples.distance, samples.cell, size=_BLOCK)
    total = jnp.zeros(num_cells).at[samples.cell].add(wins)
    deviation = jnp.sqrt(fakes * held * (fakes + held + 1) / 12)
    z = (total - fakes * held / 2) / jnp.maximum(deviation, 1.0)
    counted = (fakes >= _LEAST_IN_CELL) & (held >= _LEAST_IN_CELL)
    weight = jnp.where(counted, held, 0.0)
    return jnp.where(jnp.any(counted), jnp.sum(weight * z) / jnp.maximum(jnp.sum(weight), 1.0), jnp.nan)


def _by_cell(cell: Array, num_cells: int) -> Array:
    return jnp.zeros(num_cells).at[cell].add(1.0)
