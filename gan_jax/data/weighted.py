"""A mixture as a finite training set whose points have weights: what boosting and bagging of generators train on.

The points and their weights are the data set, an argument of the compiled chunk: other weights recompile nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data.mixtures import (
    Grid,
    HighDimensional,
    Mixture,
    MixtureSource,
    PointMass,
    RandomRing,
    Ring,
    Temperatures,
)
from gan_jax.experiment.component import component, setting


class WeightedDataset(NamedTuple):
    """Training points on the device.

    Attributes:
        points: [N, d].
        weights: [N], summing to 1.
        cumulative: [N] sums of the weights up to each point, which draws are looked up in.
    """

    points: Array
    weights: Array
    cumulative: Array


class WeightedSource(NamedTuple):
    """Draws training points by weight, and knows the true mixture that they came from: detectors work unchanged.

    Attributes:
        dataset: the points and their weights.
        mixture: the truth, whose `weights` are those of its modes.
    """

    dataset: WeightedDataset
    mixture: MixtureSource

    @property
    def modes(self) -> Array:
        return self.mixture.modes

    @property
    def std(self) -> Array:
        return self.mixture.std

    @property
    def weights(self) -> Array:
        return self.mixture.weights

    @property
    def noisy(self) -> Array:
        return self.mixture.noisy

    def sample(self, key: Array, num: int) -> Array:
        """`num` training points, independently and by weight, [num, d]."""
        cumulative = self.dataset.cumulative
        level = jax.random.uniform(key, (num,), cumulative.dtype) * cumulative[-1]
        # From the right, the first sum above the level: a point without weight has the sum of the one before it.
        return self.dataset.points[jnp.searchsorted(cumulative, level, side="right")]

    def batch(self, key: Array, step: Array, batch_size: int, *, count: int | None = None) -> Array:
        """The training batch of a step: fresh draws, so there are no epochs. [count or batch_size, d]."""
        return self.sample(jax.random.fold_in(key, step), batch_size if count is None else count)

    def log_prob(self, points: Array) -> Array:
        """Log density of the true mixture in nats, whatever the weights. [n, d] -> [n]."""
        return self.mixture.log_prob(points)


@component
class Weighted:
    """A fixed set of points drawn once from a mixture, each with a weight; equal ones until `reweighted`.

    Example:
        >>> data = Weighted(Ring(), num_points=4)
        >>> dataset = reweighted(data.load(), [0.0, 1.0, 0.0, 3.0])
        >>> dataset.cumulative.tolist()
        [0.0, 0.25, 0.25, 1.0]
    """

    data: Mixture = setting(
        choices=(Ring, RandomRing, Grid, Temperatures, HighDimensional, PointMass), doc="what the points are drawn from"
    )
    num_points: int = setting(default=64_000, at_least=2, doc="training points")
    points_seed: int = setting(
        default=0, at_least=0, below=2**32, doc="seed of the points, part of the data and not of the run"
    )

    @property
    def shape(self) -> tuple[int, ...]:
        return self._mixture.shape

    @property
    def _mixture(self) -> Any:
        return self.data  # `Mixture` is the part that all of them share, without `shape` and `source`

    def load(self, location: Path | None = None) -> WeightedDataset:
        """Draws the points."""
        points = self._mixture.source(self.data.load(location)).sample(
            jax.random.key(self.points_seed), self.num_points
        )
        weights = np.full(self.num_points, 1 / self.num_points)
        return reweighted(WeightedDataset(points, jnp.zeros(()), jnp.zeros(())), weights)

    def source(self, dataset: WeightedDataset) -> WeightedSource:
        """The sampler of a data set."""
        return WeightedSource(dataset, self._mixture.source(()))


def reweighted(dataset: WeightedDataset, weights: Array | np.ndarray | list[float]) -> WeightedDataset:
    """The same points with other weights [N], which are made to sum to 1. On the host.

    Raises:
        ValueError: if there is not one for each point, or they are negative, not finite, or all 0.
    """
    given = np.asarray(weights, np.float64)
    num = dataset.points.shape[0]
    if given.shape != (num,):
        raise ValueError(f"weights have the shape {given.shape}, and must have ({num},): one for each training point")
    if not np.all(np.isfinite(given)) or np.min(given) < 0 or np.sum(given) == 0:
        raise ValueError(
            f"weights lie in {np.min(given):g}..{np.max(given):g} and sum to {np.sum(given):g}: they must be finite, "
            "not negative and not all 0"
        )
    # Summed in order and in float64: in float32 the sum of 64,000 is off by whole points, and XLA's parallel sum may
    # even descend, where points without weight would be drawn.
    share = given / np.sum(given)
    cumulative = np.cumsum(share)
    return dataset._replace(
        weights=jnp.asarray(share, dataset.points.dtype), cumulative=jnp.asarray(cumulative, dataset.points.dtype)
    )
