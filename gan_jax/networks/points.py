"""Players of one vector each: the generator is a point, the discriminator a direction.

In one dimension they make a GAN a game of two numbers, whose trajectories are known in closed form. The training step
is the same as for other networks.
"""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.networks.network import Variables


@component
class PointGenerator:
    """Maps every latent to the same learnt point theta: params {"point": [*shape]}.

    Example:
        >>> network = PointGenerator(start=2.0)
        >>> variables = network.init(None, latent_dim=1, shape=(2,))
        >>> network.apply(variables, jnp.zeros((3, 1)), (2,), train=True)[0].tolist()
        [[2.0, 2.0], [2.0, 2.0], [2.0, 2.0]]

    References:
        L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", ICML 2018,
            definition 2.1.
    """

    start: float = setting(default=1.0, doc="every coordinate of the point before training, in data units")

    def check(self, shape: tuple[int, ...]) -> None:
        """Accepts data of any shape."""

    def init(self, key: Array, latent_dim: int, shape: tuple[int, ...]) -> Variables:
        return Variables({"point": jnp.full(shape, self.start, float)}, {})

    def apply(
        self, variables: Variables, latent: Array, shape: tuple[int, ...], *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        point = variables.params["point"]
        return jnp.broadcast_to(point[None], (latent.shape[0], *shape)), variables.statistics


@component
class LinearDiscriminator:
    """Scores <psi, x>, without a bias: params {"direction": [prod(shape)]}. It has no hidden features.

    Example:
        >>> network = LinearDiscriminator(start=2.0)
        >>> scores, _ = network.apply(network.init(None, (2,)), jnp.array([[1.0, 3.0]]), train=True)
        >>> scores.tolist()  # 2 * 1 + 2 * 3
        [8.0]
    """

    start: float = setting(default=1.0, doc="every coordinate of the direction before training, score per data unit")

    def check(self, shape: tuple[int, ...]) -> None:
        """Accepts data of any shape."""

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables:
        return Variables({"direction": jnp.full(math.prod(shape), self.start, float)}, {})

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        return samples.reshape(samples.shape[0], -1) @ variables.params["direction"], variables.statistics

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        scores, _ = self.apply(variables, samples, train=train, axis_name=axis_name)
        return scores, {}
