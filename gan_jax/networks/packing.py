"""Packed discriminators: D scores several samples of one side together, and so sees how much they vary."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.networks.network import DiscriminatorNetwork, Variables


@component
class Packed:
    """D(x_1, ..., x_m): one score for every `num` consecutive samples of a batch.

    Vectors are joined ([batch / num, num * dim]), and images are stacked along their channels, sample by sample, so
    only the network's first layer grows. A batch [batch, *shape] gets scores [batch / num]. Real and fake batches are
    packed separately, and the size of each must be a multiple of `num`.

    Example:
        >>> import jax
        >>> from gan_jax.networks.mlp import MLPDiscriminator
        >>> network = Packed(network=MLPDiscriminator(widths=(8,)), num=2)
        >>> variables = jax.eval_shape(lambda: network.init(jax.random.key(0), (3,)))
        >>> variables.params["dense_0"]["kernel"].shape  # two samples of three numbers
        (6, 8)

    References:
        Z. Lin, A. Khetan, G. Fanti, S. Oh, "PacGAN: The power of two samples in generative adversarial networks",
            NeurIPS 2018, arXiv 1712.04086, section 2.
    """

    network: DiscriminatorNetwork = setting(doc="network that scores the packs")
    num: int = setting(default=2, at_least=1, doc="samples in a pack; 2, 3 and 4 as published; 1 disables packing")

    def check(self, shape: tuple[int, ...]) -> None:
        self.network.check(self._shape(shape))

    def check_batch(self, batch_size: int) -> None:
        """Checks the size of a batch of one side on one device.

        Raises:
            ValueError: if it does not divide into packs.
        """
        size = pack_size(self)
        if batch_size % size:
            fitting = max(batch_size // size, 1) * size
            raise ValueError(
                f"a batch of {batch_size} does not divide into packs of {size}: "
                f"set a multiple of {size} (like {fitting}) on every device, or another Packed.num"
            )

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables:
        return self.network.init(key, self._shape(shape))

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        return self.network.apply(variables, self._pack(samples), train=train, axis_name=axis_name)

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        return self.network.features(variables, self._pack(samples), train=train, axis_name=axis_name)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-1], self.num * shape[-1])

    def _pack(self, samples: Array) -> Array:
        if self.num == 1:
            return samples
        self.check_batch(samples.shape[0])
        shape = samples.shape[1:]
        packs = samples.reshape(samples.shape[0] // self.num, self.num, *shape)
        return jnp.moveaxis(packs, 1, -2).reshape(packs.shape[0], *self._shape(shape))


def pack_size(network: Any) -> int:
    """Number of samples that a discriminator, inside any wrappers, scores together; 1 if it is not packed.

    Example:
        >>> from gan_jax.networks.mlp import MLPDiscriminator
        >>> from gan_jax.networks.spectral import SpectralNorm
        >>> pack_size(SpectralNorm(network=Packed(network=MLPDiscriminator(), num=3)))
        3
    """
    size = network.num if isinstance(network, Packed) else 1
    inner = getattr(network, "network", None)
    return size if inner is None else size * pack_size(inner)
