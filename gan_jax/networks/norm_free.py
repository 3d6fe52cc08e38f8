"""R3GAN's residual networks without normalisation, at 16, 28, 32 and 64 pixels.

A block is a 1x1, a 3x3 and a 1x1 convolution with LeakyReLU between them; the middle two have `expansion` times as many
channels. Initial weights shrink with the number of blocks, and the last convolution of a block begins at 0, so that the
network begins as its skip connections. G multiplies a learned 4x4 (at 28 pixels: 7x7) map by a linear function of the
latent; D ends in one weight for each channel and position of such a map. Maps are resized bilinearly.

Left out of the published network: its 3x3 convolutions are grouped, and its resizing filter is a little wider.

References:
    Y. Huang, A. Gokaslan, V. Kuleshov, J. Tompkin, "The GAN is dead; long live the GAN! A Modern Baseline GAN",
        NeurIPS 2024, arXiv 2501.05441, section 4; H. Zhang, Y. Dauphin, T. Ma, "Fixup Initialization", ICLR 2019.
"""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.networks.convolution import IMPLEMENTATION_DOC, Conv, Implementation
from gan_jax.networks.network import (
    apply_images,
    apply_scores,
    compute_dtype,
    image_features,
    init_discriminator,
    init_generator,
    output_dtype,
    score_features,
)
from gan_jax.networks.resnet import SMALLEST, check_square

_SLOPE = 0.2
# Keeps the mean square of a LeakyReLU's output that of its input.
_GAIN = (2 / (1 + _SLOPE**2)) ** 0.5
_BLOCKS = "residual blocks at each size of the map; 2 as published"
_EXPANSION = "channels inside a block, relative to those of the map; 2 as published"
_WIDTH = "channels of every map; 768 as published for images of 32 pixels"


@component
class NormFreeGenerator:
    """Latent to image through residual blocks without normalisation; the output is linear, as published.

    Example:
        >>> network = NormFreeGenerator(width=8, blocks=1)
        >>> variables = jax.eval_shape(lambda: network.init(jax.random.key(0), 16, (32, 32, 3)))
        >>> sorted(name for name in variables.params if name.startswith("conv"))  # at 4, 8, 16 and 32 pixels
        ['conv_0', 'conv_1', 'conv_2', 'conv_3']
    """

    width: int = setting(default=64, at_least=1, doc=_WIDTH)
    blocks: int = setting(default=2, at_least=1, doc=_BLOCKS)
    expansion: int = setting(default=2, at_least=1, doc=_EXPANSION)
    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")

    def check(self, shape: tuple[int, ...]) -> None:
        check_square("NormFreeGenerator", shape)

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> NormFreeGeneratorModule:
        self.check(shape)
        return NormFreeGeneratorModule(
            self.width, self.blocks, self.expansion, self.convolution, compute_dtype(self.compute_dtype), shape
        )

    init, apply, features = init_generator, apply_images, image_features


@component
class NormFreeDiscriminator:
    """Image to one raw score through residual blocks without normalisation.

    `features` has every block's output by the name `block_i`.

    Example:
        >>> network = NormFreeDiscriminator(width=8, blocks=1)
        >>> variables = jax.eval_shape(lambda: network.init(jax.random.key(0), (32, 32, 3)))
        >>> variables.params["basis"].shape, variables.statistics  # a weight for each channel and position
        ((4, 4, 8), {})
    """

    width: int = setting(default=64, at_least=1, doc=_WIDTH)
    blocks: int = setting(default=2, at_least=1, doc=_BLOCKS)
    expansion: int = setting(default=2, at_least=1, doc=_EXPANSION)
    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")

    def check(self, shape: tuple[int, ...]) -> None:
        check_square("NormFreeDiscriminator", shape)

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> NormFreeDiscriminatorModule:
        self.check(shape)
        return NormFreeDiscriminatorModule(
            self.width, self.blocks, self.expansion, self.convolution, compute_dtype(self.compute_dtype)
        )

    init, apply, features = init_discriminator, apply_scores, score_features


class _ResidualModule(nn.Module):
    width: int
    blocks: int
    expansion: int
    convolution: str
    dtype: Any

    def _stage(self, h: Array, first: int, num_sizes: int) -> Array:
        for index in range(first, first + self.blocks):
            h = h + self._branch(h, index, num_sizes * self.blocks)
            if not self.is_initializing():
                self.sow("features", f"block_{index}", h)
        return h

    def _branch(self, h: Array, index: int, num_blocks: int) -> Array:
        scale = (_GAIN / num_blocks**0.25) ** 2  # two convolutions, so that the branch is 1 / sqrt(blocks)
        init = nn.initializers.variance_scaling(scale, "fan_in", "normal")
        inner = self.expansion * self.width
        h = nn.Dense(inner, kernel_init=init, dtype=self.dtype, name=f"expand_{index}")(h)
        h = nn.leaky_relu(h, _SLOPE)
        conv = Conv(inner, (3, 3), 1, 1, True, init, self.dtype, self.convolution, name=f"conv_{index}")
        h = nn.leaky_relu(conv(h), _SLOPE)
        zeros = nn.initializers.zeros_init()
        return nn.Dense(self.width, use_bias=False, kernel_init=zeros, dtype=self.dtype, name=f"join_{index}")(h)


class NormFreeGeneratorModule(_ResidualModule):
    """See `NormFreeGenerator`."""

    shape: tuple[int, ...]

    @nn.compact
    def __call__(self, latent: Array, *, train: bool) -> Array:
        """[batch, latent_dim] -> [batch, *shape]."""
        size = SMALLEST[self.shape[0]]
        num_sizes = (self.shape[0] // size).bit_length()
        basis = self.param("basis", nn.initializers.normal(1.0), (size, size, self.width))
        factors = nn.Dense(self.width, use_bias=False, dtype=self.dtype, name="dense")(latent)
        h = jnp.asarray(basis, factors.dtype)[None] * factors[:, None, None]
        for stage in range(num_sizes):
            if stage:
                size *= 2
                h = _resized(h, size)
            h = self._stage(h, stage * self.blocks, num_sizes)
        return nn.Dense(self.shape[-1], use_bias=False, dtype=output_dtype(self.dtype), name="output")(h)


class NormFreeDiscriminatorModule(_ResidualModule):
    """See `NormFreeDiscriminator`."""

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """[batch, size, size, channels] -> scores [batch], float32 or wider, without a sigmoid."""
        size = x.shape[1]
        num_sizes = (size // SMALLEST[size]).bit_length()
        h = nn.Dense(self.width, use_bias=False, dtype=self.dtype, name="input")(x)
        for stage in range(num_sizes):
            h = self._stage(h, stage * self.blocks, num_sizes)
            if stage < num_sizes - 1:
                size //= 2
                h = _resized(h, size)
        basis = self.param("basis", nn.initializers.normal(1.0 / size), (size, size, self.width))
        pooled = jnp.einsum("bhwc,hwc->bc", h, jnp.asarray(basis, h.dtype))
        return nn.Dense(1, dtype=output_dtype(self.dtype), name="output")(pooled)[:, 0]


def _resized(h: Array, size: int) -> Array:
    """A map [batch, s, s, channels] at another size: bilinear, as two small matrix products."""
    return jax.image.resize(h, (h.shape[0], size, size, h.shape[3]), "linear", antialias=True)
