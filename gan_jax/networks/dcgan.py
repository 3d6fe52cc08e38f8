"""The DCGAN family at 16, 28, 32 and 64 pixels.

The generator goes from the latent to a 4x4 (at 28 pixels: 7x7) map by one transposed convolution and doubles it until
the image is reached; the discriminator mirrors it. No convolution has a bias (a batch norm behind it would cancel it,
and the published ends have none either).

References:
    Radford, Metz and Chintala, Unsupervised Representation Learning with DCGANs, arXiv 1511.06434, section 3.
    The PyTorch DCGAN example, which fixes the initialisers (section 4) and the ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.networks.convolution import Conv, ConvTranspose
from gan_jax.networks.layers import BatchNorm

# image size -> (size of the smallest map, widths from there to the image in multiples of `width`)
_SIZES: dict[int, tuple[int, tuple[int, ...]]] = {
    16: (4, (2, 1)),
    28: (7, (2, 1)),
    32: (4, (4, 2, 1)),
    64: (4, (8, 4, 2, 1)),
}

# "identity" is the published label-noise code: it says LeakyReLU(True), whose slope is 1, so that its generator is
# linear between its batch norms.
_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "identity": lambda x: x,
    "leaky_relu": lambda x: nn.leaky_relu(x, 0.2),
    "tanh": jnp.tanh,
    "elu": nn.elu,
    "softplus": nn.softplus,
}


class DCGANGeneratorModule(nn.Module):
    """Latent vectors to images: ConvT-BN-act blocks, then ConvT-tanh.

    Args:
        image_size: 16, 28, 32 or 64.
        channels: of the image.
        width: w, the channels of the last block; the published net at 64 pixels has 8w, 4w, 2w, w = 512, ..., 64.
        activation: a name; "relu" as in the paper, "identity" as in the published label-noise code.
        convolution: the implementation, as in `convolution.conv`.
        dtype: of the computation; parameters and statistics are float32.
        axis_name: the mapped axis over which batch statistics are shared, or None.

    Raises:
        ValueError: if the image size or the activation is unknown.
    """

    image_size: int
    channels: int
    width: int = 64
    activation: str = "relu"
    convolution: str = "auto"
    dtype: Any = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, latent: jax.Array, *, train: bool) -> jax.Array:
        """[batch, latent_dim] -> [batch, image_size, image_size, channels] in (-1, 1)."""
        smallest, multiples = _family(self.image_size)
        if self.activation not in _ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}; the known ones are {', '.join(_ACTIVATIONS)}")
        h = latent.reshape(latent.shape[0], 1, 1, latent.shape[-1])
        for i, multiple in enumerate(multiples):
            h = self._conv(i, multiple * self.width, smallest if i == 0 else 4, i > 0)(h)
            h = _norm(self, i)(h, train=train)
            h = _ACTIVATIONS[self.activation](h)
            _keep(self, i, h)
        return jnp.tanh(self._conv(len(multiples), self.channels, 4, True)(h))

    def _conv(self, i: int, features: int, size: int, double: bool) -> ConvTranspose:
        return ConvTranspose(features, (size, size), **_settings(double), **_conv_settings(self), name=f"conv_{i}")


class DCGANDiscriminatorModule(nn.Module):
    """Images to raw scores: Conv-LeakyReLU, Conv-BN-LeakyReLU blocks, then Conv to one number.

    Args:
        image_size: 16, 28, 32 or 64.
        width: w, the channels of the first block; they double with every further one.
        negative_slope: of the LeakyReLU.
        convolution, dtype, axis_name: as in `DCGANGeneratorModule`.

    Raises:
        ValueError: if the image size is unknown, or not that of the input.
    """

    image_size: int
    width: int = 64
    negative_slope: float = 0.2
    convolution: str = "auto"
    dtype: Any = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[batch, image_size, image_size, channels] -> scores [batch], float32, without a sigmoid."""
        smallest, multiples = _family(self.image_size)
        if x.shape[1:3] != (self.image_size, self.image_size):
            raise ValueError(f"x {x.shape} is not [batch, {self.image_size}, {self.image_size}, channels]")
        h = x
        for i, multiple in enumerate(reversed(multiples)):
            h = self._conv(i, multiple * self.width, 4, True)(h)
            if i > 0:
                h = _norm(self, i)(h, train=train)
            h = nn.leaky_relu(h, self.negative_slope)
            _keep(self, i, h)
        score = self._conv(len(multiples), 1, smallest, False)(h)
        return score.reshape(-1).astype(jnp.float32)

    def _conv(self, i: int, features: int, size: int, halve: bool) -> Conv:
        return Conv(features, (size, size), **_settings(halve), **_conv_settings(self), name=f"conv_{i}")


_Module = DCGANGeneratorModule | DCGANDiscriminatorModule


def _family(image_size: int) -> tuple[int, tuple[int, ...]]:
    if image_size not in _SIZES:
        raise ValueError(f"image_size is {image_size}; DCGAN is defined for {', '.join(map(str, _SIZES))}")
    return _SIZES[image_size]


def _settings(resample: bool) -> dict[str, int]:
    return {"stride": 2, "padding": 1} if resample else {"stride": 1, "padding": 0}


def _conv_settings(module: _Module) -> dict[str, Any]:
    return {
        "use_bias": False,
        "kernel_init": nn.initializers.normal(0.02),
        "dtype": module.dtype,
        "implementation": module.convolution,
    }


def _norm(module: _Module, i: int) -> BatchNorm:
    return BatchNorm(module.axis_name, scale_init=_scale_init, dtype=module.dtype, name=f"norm_{i}")


def _keep(module: _Module, i: int, h: jax.Array) -> None:
    # At init, sow would put the activations among the variables.
    if not module.is_initializing():
        module.sow("features", f"block_{i}", h)


def _scale_init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)
