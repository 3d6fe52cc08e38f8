"""Gaussian mixtures with known modes: ring, grid, random-weight ring, two cities, 1,200 dimensions, one point.

A component holds the settings. `.source(())` makes the arrays and the sampler inside the traced step, so a sweep over
`std` or `radius` does not recompile.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.experiment.component import component, setting

_MOST_MODES = 1_000_000
_MOST_DIMS = 1_000_000
"""The arrays of a mixture are made on the host in every trace."""


@runtime_checkable
class HasModes(Protocol):
    """A source whose samples can be assigned to the modes of a mixture; the attributes are those of `MixtureSource`."""

    @property
    def modes(self) -> Array: ...

    @property
    def std(self) -> Array: ...

    @property
    def weights(self) -> Array: ...

    @property
    def noisy(self) -> Array: ...


class MixtureSource(NamedTuple):
    """A mixture of K Gaussians in d dimensions, with isotropic noise on some or all coordinates.

    Attributes:
        modes: [K, d] means.
        std: [K] standard deviation of each mode on every noisy coordinate.
        weights: [K] true weights, summing to 1.
        noisy: [d] 1.0 where a coordinate carries noise, 0.0 where the data are exact.
    """

    modes: Array
    std: Array
    weights: Array
    noisy: Array

    def sample(self, key: Array, num: int) -> Array:
        """`num` independent points, [num, d]."""
        key_mode, key_noise = jax.random.split(key)
        mode = jax.random.choice(key_mode, self.modes.shape[0], (num,), p=self.weights)
        noise = jax.random.normal(key_noise, (num, self.modes.shape[1]), self.modes.dtype)
        return self.modes[mode] + self.std[mode][:, None] * noise * self.noisy[None, :]

    def batch(self, key: Array, step: Array, batch_size: int, *, count: int | None = None) -> Array:
        """The training batch of a step: fresh points, so there are no epochs.

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
        """Log density in nats over the noisy coordinates: [n, d] -> [n]."""
        difference = (points[:, None, :] - self.modes[None]) * self.noisy[None, None]
        exponent = -0.5 * jnp.sum(difference**2, axis=-1) / self.std[None] ** 2
        normaliser = jnp.sum(self.noisy) * (jnp.log(self.std) + 0.5 * math.log(2 * math.pi))
        return jax.nn.logsumexp((jnp.log(self.weights) - normaliser)[None] + exponent, axis=-1)


class Mixture:
    """The base of all mixtures: nothing is loaded, and an example is a vector.

    Attributes:
        unit: of its numbers, for the axes of figures; "" without one.
    """

    unit = ""

    def load(self, location: Path | None = None) -> tuple[()]:
        """The empty data set, since a mixture is sampled from its settings.

        Raises:
            ValueError: if a location is given.
        """
        if location is not None:
            raise ValueError(f"{type(self).__name__} is sampled from its settings and reads no files: leave out --data")
        return ()


@component
class Ring(Mixture):
    """K Gaussians evenly spaced on a circle (Metz et al. 2017; Srivastava et al. 2017).

    `closed=True` replicates the official unrolled-GAN notebook, whose `linspace(0, 2 pi, K)` includes both ends: the
    first and the last component coincide, so there are K - 1 distinct modes, one of which has weight 2/K.

    Example:
        >>> Ring(num_modes=8).source(()).modes.shape, Ring(num_modes=8, closed=True).source(()).modes.shape
        ((8, 2), (7, 2))
        >>> Ring(num_modes=6).shape
        (2,)
    """

    num_modes: int = setting(default=8, at_least=1, at_most=_MOST_MODES, doc="Gaussians placed on the circle")
    radius: float = setting(default=2.0, above=0, doc="radius of the circle, in data units")
    std: float = setting(default=0.02, above=0, doc="standard deviation of each mode, in data units")
    weights: tuple[float, ...] | None = setting(
        default=None, doc="relative weight of each mode, above 0; None makes them equal"
    )
    closed: bool = setting(default=False, doc="include both ends of linspace(0, 2 pi), as in the notebook")

    def validate(self) -> None:
        if self.closed and self.num_modes < 2:
            raise ValueError("Ring.closed merges the first and last mode: num_modes must be at least 2")
        _check_weights("Ring", self.weights, self.num_modes)

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    def source(self, dataset: tuple[()]) -> MixtureSource:
        distinct = self.num_modes - 1 if self.closed else self.num_modes
        angles = 2 * np.pi * np.arange(distinct) / distinct
        modes = self.radius * jnp.asarray(np.stack([np.cos(angles), np.sin(angles)], axis=-1), float)
        weights = _normalised(self.weights, self.num_modes)
        if self.closed:
            weights = weights[:-1].at[0].add(weights[-1])
        return _isotropic(modes, self.std, weights)


@component
class RandomRing(Mixture):
    """A ring whose mode weights are drawn from a symmetric Dirichlet; a GAN drops rare modes first.

    Example:
        >>> RandomRing(num_modes=6, weights_seed=1).source(()).weights.shape
        (6,)
    """

    num_modes: int = setting(default=8, at_least=1, at_most=_MOST_MODES, doc="Gaussians placed on the circle")
    radius: float = setting(default=2.0, above=0, doc="radius of the circle, in data units")
    std: float = setting(default=0.02, above=0, doc="standard deviation of each mode, in data units")
    concentration: float = setting(
        default=1.0,
        above=0,
        doc="concentration of the Dirichlet: small for few heavy modes, large for nearly equal ones",
    )
    weights_seed: int = setting(
        default=0, at_least=0, below=2**32, doc="seed of the weights, part of the data and not of the run"
    )

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    def source(self, dataset: tuple[()]) -> MixtureSource:
        ring = Ring(num_modes=self.num_modes, radius=self.radius, std=self.std).source(())
        alpha = jnp.full(self.num_modes, self.concentration, float)
        return ring._replace(weights=jax.random.dirichlet(jax.random.key(self.weights_seed), alpha))


@component
class Grid(Mixture):
    """side x side Gaussians on a square grid centred at 0 (Srivastava et al. 2017; Lin et al. 2018).

    Example:
        >>> Grid(side=5).source(()).modes.shape
        (25, 2)
    """

    side: int = setting(default=5, at_least=1, at_most=1_000, doc="modes along each side; 5 is the grid of 25")
    spacing: float = setting(default=2.0, above=0, doc="distance between neighbours, in data units")
    std: float = setting(default=0.05, above=0, doc="standard deviation of each mode, in data units")

    @property
    def num_modes(self) -> int:
        """Number of modes."""
        return self.side**2

    @property
    def shape(self) -> tuple[int, ...]:
        return (2,)

    def source(self, dataset: tuple[()]) -> MixtureSource:
        axis = np.arange(self.side) - (self.side - 1) / 2
        modes = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
        return _isotropic(self.spacing * jnp.asarray(modes, float), self.std, _normalised(None, self.side**2))


@component
class Temperatures(Mixture):
    """Summer-day temperatures in Alice Springs and at the South Pole, in degrees Celsius: the bimodal toy.

    Example:
        >>> Temperatures().source(()).modes.tolist()
        [[-28.0], [36.0]]
        >>> Temperatures(cold=40.0)
        Traceback (most recent call last):
        ...
        ValueError: Temperatures.cold is 40.0, and must be below hot (36.0)

    References:
        A. Nibali, "Mode collapse in GANs", 2017 (blog), which describes a generator that hops between the two modes.
    """

    unit = "degrees Celsius"

    cold: float = setting(default=-28.0, doc="mean at the South Pole, degrees Celsius")
    hot: float = setting(default=36.0, doc="mean in Alice Springs, degrees Celsius")
    std: float = setting(default=4.0, above=0, doc="standard deviation in either place, degrees Celsius")
    share_hot: float = setting(default=0.5, above=0, below=1, doc="share of readings from Alice Springs")

    def validate(self) -> None:
        if not self.cold < self.hot:
            raise ValueError(f"Temperatures.cold is {self.cold}, and must be below hot ({self.hot})")

    @property
    def num_modes(self) -> int:
        """Number of modes."""
        return 2

    @property
    def shape(self) -> tuple[int, ...]:
        return (1,)

    def source(self, dataset: tuple[()]) -> MixtureSource:
        modes = jnp.stack([jnp.asarray(self.cold, float), jnp.asarray(self.hot, float)])[:, None]
        weights = jnp.stack([1.0 - jnp.asarray(self.share_hot, float), jnp.asarray(self.share_hot, float)])
        return _isotropic(modes, self.std, weights)


@component
class HighDimensional(Mixture):
    """Ten Gaussians in 1,200 dimensions with noise on 700 of them (Srivastava et al. 2017; code of Lin et al. 2018).

    All coordinates of a mode's mean are equal. Samples lie about sqrt(700) = 26.5 standard deviations from their mode,
    so the published rule "within 10 standard deviations", taken literally, rejects all real data; see
    `gan_jax.metrics.modes.Rule`.

    Example:
        >>> HighDimensional().shape
        (1200,)
        >>> HighDimensional(num_dims=4, num_noisy_dims=2).source(()).noisy.tolist()
        [1.0, 1.0, 0.0, 0.0]
    """

    num_dims: int = setting(default=1200, at_least=2, at_most=_MOST_DIMS, doc="dimensions of the data")
    num_noisy_dims: int = setting(
        default=700, at_least=1, doc="dimensions with noise; the others equal the mode's mean"
    )
    std: float = setting(default=1.0, above=0, doc="standard deviation on the noisy dimensions")

    def validate(self) -> None:
        if self.num_noisy_dims > self.num_dims:
            raise ValueError(
                f"HighDimensional.num_noisy_dims is {self.num_noisy_dims}, more than num_dims ({self.num_dims})"
            )

    @property
    def num_modes(self) -> int:
        """Number of modes."""
        return 10

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.num_dims,)

    def source(self, dataset: tuple[()]) -> MixtureSource:
        means = np.array([-1.0, -0.5, 0.0, 0.5, -2.0, -2.5, 10.0, 0.25, -13.0, -5.5])
        modes = jnp.asarray(np.repeat(means[:, None], self.num_dims, axis=1), float)
        noisy = jnp.asarray(np.arange(self.num_dims) < self.num_noisy_dims, float)
        return _isotropic(modes, self.std, _normalised(None, len(means)))._replace(noisy=noisy)


@component
class PointMass(Mixture):
    """All data are one point: the data of the Dirac-GAN.

    No coordinate is noisy. `std` is only the unit of distance for the quality of samples.

    Example:
        >>> import jax
        >>> PointMass(position=3.0).source(()).sample(jax.random.key(0), 2).tolist()
        [[3.0], [3.0]]

    References:
        L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", ICML 2018,
            definition 2.1.
    """

    num_dims: int = setting(default=1, at_least=1, at_most=_MOST_DIMS, doc="dimensions of the data")
    position: float = setting(default=0.0, doc="every coordinate of the point, in data units")
    std: float = setting(
        default=0.1, above=0, doc="unit of distance for the quality of samples, in data units; it adds no noise"
    )

    @property
    def num_modes(self) -> int:
        """Number of modes."""
        return 1

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.num_dims,)

    def source(self, dataset: tuple[()]) -> MixtureSource:
        modes = jnp.full((1, self.num_dims), self.position, float)
        source = _isotropic(modes, self.std, _normalised(None, 1))
        return source._replace(noisy=jnp.zeros_like(source.noisy))


def _isotropic(modes: Array, std: float | Array, weights: Array) -> MixtureSource:
    num_modes, dim = modes.shape
    std = jnp.broadcast_to(jnp.asarray(std, modes.dtype), (num_modes,))
    return MixtureSource(modes, std, weights, jnp.ones(dim, modes.dtype))


def _normalised(weights: tuple[float, ...] | None, num_modes: int) -> Array:
    relative = jnp.ones(num_modes) if weights is None else jnp.stack([jnp.asarray(w, float) for w in weights])
    return relative / jnp.sum(relative)


def _check_weights(owner: str, weights: tuple[float, ...] | None, num_modes: int) -> None:
    if weights is None:
        return
    if len(weights) != num_modes:
        raise ValueError(
            f"{owner}.weights has {len(weights)} entries for num_modes={num_modes}: give one for each mode"
        )
    if min(weights) <= 0:
        raise ValueError(f"{owner}.weights is {weights}, and all must be positive: leave out modes without weight")
