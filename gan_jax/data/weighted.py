"""A finite training set of weighted points from a mixture, for boosting and bagging of generators.

The points and their weights are the data set, an argument of the compiled chunk, so new weights do not recompile it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Num

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
        cumulative: [N] cumulative sums of the weights, for drawing by inversion.
    """

    points: Array
    weights: Array
    cumulative: Array


class WeightedSource(NamedTuple):
    """Draws training points by weight. It has the true mixture's attributes, so detectors work unchanged.

    Attributes:
        dataset: the points and their weights.
        mixture: the true mixture; its `weights` are those of its modes.
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
        """`num` training points [num, d], drawn independently with probability proportional to their weight."""
        cumulative = self.dataset.cumulative
        level = jax.random.uniform(key, (num,), cumulative.dtype) * cumulative[-1]
        # The first sum above the level. A point of weight 0 has the sum of the point before it, and is never drawn.
        return self.dataset.points[jnp.searchsorted(cumulative, level, side="right")]

    def batch(self, key: Array, step: Array, batch_size: int, *, count: int | None = None) -> Array:
        """The training batch of a step: fresh draws, so there are no epochs.

        Args:
            key: typed PRNG key of the run's data, the same at every step.
            step: number of batches before this one.
            batch_size: nominal size, static.
            count: size of a smaller batch, static. None takes `batch_size`.

        Returns:
            [count or batch_size, d].
        """
        return self.sample(jax.random.fold_in(key, step), batch_size if count is None else count)

    def log_prob(self, points: Array) -> Array:
        """Log density of the true mixture in nats, for any weights of the points: [n, d] -> [n]."""
        return self.mixture.log_prob(points)


@component
class Weighted:
    """A fixed set of weighted points drawn once from a mixture; the weights are equal until `reweighted`.

    Example:
        >>> data = Weighted(Ring(), num_points=4)
        >>> dataset = reweighted(data.load(), [0.0, 1.0, 0.0, 3.0])
        >>> dataset.cumulative.tolist()
        [0.0, 0.25, 0.25, 1.0]
    """

    data: Mixture = setting(
        choices=(Ring, RandomRing, Grid, Temperatures, HighDimensional, PointMass),
        doc="mixture from which the points are drawn",
    )
    num_points: int = setting(default=64_000, at_least=2, at_most=10_000_000, doc="number of training points")
    points_seed: int = setting(
        default=0, at_least=0, below=2**32, doc="seed of the points, part of the data and not of the run"
    )

    def validate(self) -> None:
        if (num := self.num_points * math.prod(self.shape)) > 2**31:
            raise ValueError(
                f"Weighted.num_points is {self.num_points:,}, of {math.prod(self.shape):,} dimensions each: {num:,} "
                f"numbers, and must be at most {2**31:,}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return self._mixture.shape

    @property
    def _mixture(self) -> Any:
        return self.data  # `Mixture` declares neither `shape` nor `source`

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


def reweighted(dataset: WeightedDataset, weights: Num[Array | np.ndarray, "..."] | list[float]) -> WeightedDataset:
    """The same points with other weights [N], normalised to sum to 1. It runs on the host.

    Raises:
        ValueError: if there is not one weight for each point, or weights are negative, not finite, or all 0.
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
    # Summed in order and in float64. In float32 the error of a sum of 64,000 weights exceeds single weights, and XLA's
    # parallel sum may decrease, so that points of weight 0 would be drawn.
    share = given / np.sum(given)
    cumulative = np.cumsum(share)
    return dataset._replace(
        weights=jnp.asarray(share, dataset.points.dtype), cumulative=jnp.asarray(cumulative, dataset.points.dtype)
    )
