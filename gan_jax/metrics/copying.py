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
    """

    distance: Array
    authentic: Array
    cell: Array


@jax.jit
def copying_distances(points: Array, train: Array, cells: Array) -> CopyingDistances:
    """Measures points against the training set, in blocks.

    Args:
        points: [n, d] features of samples, or of held-out examples.
        train: [m, d] features of the training set, m at least 2.
        cells: [c, d] centres of cells; see `training_cells`.

    Returns:
        `CopyingDistances`, leaves [n].
    """
    found = nearest_neighbours(points, train)
    own = nearest_neighbours(train[found.which], train, left_out=found.which).distance
    return CopyingDistances(found.distance, found.distance > own, nearest_neighbours(points, cells).which)


def training_cells(train: np.ndarray, num_cells: int = 10) -> np.ndarray:
    """Centres of k-means cells of the training set, on the host, with a fixed seed.

    Args:
        train: [m, d].
        num_cells: at most m.

    Returns:
        float32 [num_cells, d].
    """
    from sklearn.cluster import MiniBatchKMeans  # type: ignore[import-untyped]

    found = MiniBatchKMeans(num_cells, random_state=_SEED, n_init=3, batch_size=4096).fit(np.asarray(train))
    return np.asarray(found.cluster_centers_, np.float32)


def authenticity(distances: CopyingDistances) -> Array:
    """The share of points that are no copies: farther from the nearest training example than that from its own."""
    return jnp.mean(distances.authentic)


def data_copying(samples: CopyingDistances, held_out: CopyingDistances, num_cells: int) -> Array:
    r"""C_T: whether samples lie nearer to the training set than held-out examples do.

    In each cell it is the z value of a Mann-Whitney test of the distances to the training set, samples against held-out
    examples. Cells are weighted by their held-out examples. A cell with fewer than 20 samples or held-out examples, for
    which the normal approximation is rough, does not count.

    Args:
        samples: of n samples.
        held_out: of m held-out examples.
        num_cells: static.

    Returns:
        A scalar: about N(0, 1) without copying, far below 0 with copies, above 0 for samples far from the data; NaN if
        no cell counts.
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
