"""Mixtures of generators: several networks with one latent space, each of which makes a part of a batch."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.networks.network import GeneratorNetwork, Variables


@component
class GeneratorMixture:
    """p = (1 / num) sum_k p_k: `num` independent generators; sample i of a batch comes from generator i mod num.

    Every component makes the same number of samples of every batch. The same holds for a device's shard of a batch if
    its size is a multiple of `num`. A batch of another size is padded with its own first latents, and the extra samples
    are cut off; batch norm then counts those latents twice.

    Every leaf of the parameters and statistics has a leading axis [num]. The paper's generators share all layers but
    the first; here they share none. A classifier of the components keeps them apart (`committee.ClassifierHead`).

    Example:
        >>> from gan_jax.networks.mlp import MLPGenerator
        >>> GeneratorMixture(network=MLPGenerator(), num=3).component_index(5).tolist()
        [0, 1, 2, 0, 1]

    References:
        Q. Hoang, T. D. Nguyen, T. Le, D. Phung, "MGAN: Training Generative Adversarial Nets with Multiple Generators",
            ICLR 2018, section 3.
    """

    network: GeneratorNetwork = setting(doc="network of each component")
    num: int = setting(default=4, at_least=1, doc="number of components")

    def check(self, shape: tuple[int, ...]) -> None:
        self.network.check(shape)

    def check_batch(self, batch_size: int) -> None:
        """Checks the size of a batch on one device.

        Raises:
            ValueError: if the components cannot make equal parts of it.
        """
        if batch_size % self.num:
            fitting = max(batch_size // self.num, 1) * self.num
            raise ValueError(
                f"a batch of {batch_size} does not divide evenly among {self.num} generators: "
                f"set a multiple of {self.num} (like {fitting}) on every device, or another GeneratorMixture.num"
            )

    def component_index(self, n: int) -> Array:
        """The component that makes each of n samples: int [n] in 0..num-1."""
        return jnp.arange(n) % self.num

    def init(self, key: Array, latent_dim: int, shape: tuple[int, ...]) -> Variables:
        return jax.vmap(lambda k: self.network.init(k, latent_dim, shape))(jax.random.split(key, self.num))

    def apply(
        self, variables: Variables, latent: Array, shape: tuple[int, ...], *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        n = latent.shape[0]
        if axis_name is not None:  # padding would shift the components of the next device's shard
            self.check_batch(n)
        rows = -(-n // self.num)
        latent = latent[jnp.arange(rows * self.num) % n].reshape(rows, self.num, -1)

        def one(params: Any, statistics: Any, latent: Array) -> tuple[Array, Any]:
            variables = Variables(params, statistics)
            return self.network.apply(variables, latent, shape, train=train, axis_name=axis_name)

        every = jax.vmap(one, in_axes=(0, 0, 1), out_axes=(1, 0))
        samples, statistics = every(variables.params, variables.statistics, latent)
        return samples.reshape(-1, *shape)[:n], statistics
