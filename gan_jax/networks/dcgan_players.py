"""The DCGAN family as networks of an experiment: settings in front of the Flax modules of `dcgan`."""

from __future__ import annotations

from typing import Any, Literal

import jax.numpy as jnp
from jax import Array

from gan_jax.component import component, setting
from gan_jax.networks.dcgan import DCGANDiscriminatorModule, DCGANGeneratorModule
from gan_jax.networks.network import Variables, apply_module, compute_dtype, init_module, module_features

Implementation = Literal["auto", "native", "matmul"]
IMAGE_SIZES = (16, 28, 32, 64)
_WIDTH = "channels of the widest map; 64 as published"
_CONVOLUTION = "native, matrix products, or whichever is fast on the backend"


@component
class DCGANGenerator:
    """The DCGAN generator: transposed convolutions, batch norm, tanh; no biases (Radford et al., ICLR 2016).

    At 64 pixels and width 64 this is the label-noise study's net. `activation="identity"` is its published code, which
    says `LeakyReLU(True)`: slope 1, so that G is linear between its batch norms; its README says ReLU.
    """

    width: int = setting(64, at_least=1, doc=_WIDTH)
    activation: Literal["relu", "identity"] = setting("relu", doc="relu: as documented; identity: as the code runs")
    convolution: Implementation = setting("auto", doc=_CONVOLUTION)
    compute_dtype: Literal["float32", "bfloat16"] = setting("float32", doc="arithmetic of the layers")

    def check(self, shape: tuple[int, ...]) -> None:
        _check_shape("DCGANGenerator", shape)

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> DCGANGeneratorModule:
        return DCGANGeneratorModule(
            image_size=shape[0],
            channels=shape[-1],
            width=self.width,
            activation=self.activation,
            convolution=self.convolution,
            dtype=compute_dtype(self.compute_dtype),
            axis_name=axis_name,
        )

    def init(self, key: Array, latent_dim: int, shape: tuple[int, ...]) -> Variables:
        return init_module(self._module(shape, None), key, jnp.zeros((1, latent_dim)))

    def apply(
        self, variables: Variables, latent: Array, shape: tuple[int, ...], *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        images, statistics = apply_module(self._module(shape, axis_name), variables, latent, train=train)
        return images.astype(jnp.result_type(latent)), statistics


@component
class DCGANDiscriminator:
    """The DCGAN discriminator: strided convolutions, batch norm but in the first block, LeakyReLU; no biases."""

    width: int = setting(64, at_least=1, doc=_WIDTH)
    negative_slope: float = setting(0.2, at_least=0, at_most=1, doc="of the LeakyReLU")
    convolution: Implementation = setting("auto", doc=_CONVOLUTION)
    compute_dtype: Literal["float32", "bfloat16"] = setting("float32", doc="arithmetic of the layers")

    def check(self, shape: tuple[int, ...]) -> None:
        _check_shape("DCGANDiscriminator", shape)

    def _module(self, image_size: int, axis_name: str | None) -> DCGANDiscriminatorModule:
        return DCGANDiscriminatorModule(
            image_size=image_size,
            width=self.width,
            negative_slope=self.negative_slope,
            convolution=self.convolution,
            dtype=compute_dtype(self.compute_dtype),
            axis_name=axis_name,
        )

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables:
        return init_module(self._module(shape[0], None), key, jnp.zeros((1, *shape)))

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        return apply_module(self._module(samples.shape[1], axis_name), variables, samples, train=train)

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        return module_features(self._module(samples.shape[1], axis_name), variables, samples, train=train)


def _check_shape(owner: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[0] not in IMAGE_SIZES:
        what = " x ".join(str(n) for n in shape)
        raise ValueError(
            f"{owner} makes images of {', '.join(map(str, IMAGE_SIZES))} pixels and the data are {what}: "
            "set data.image_size to one of these, or use an MLP"
        )
