"""The networks of the Stacked MNIST experiment of the unrolled-GAN paper, as re-implemented for PacGAN.

G has 64, 32, 16 and 8 channels, and D a quarter or a half of the channels of G's last maps (2, 4, 8 or 4, 8, 16): D is
so small that G collapses without unrolling. Maps have 28, 14, 7 and 4 pixels, by TensorFlow's "SAME" padding.

The published code also has biases before batch norm, which cancels them; they are left out. Their gradient is rounding
noise, so an Adam step on them is noise, which unrolling would amplify.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, arXiv 1611.02163, section 3.3.1, appendix E.
    Z. Lin et al., "PacGAN", NeurIPS 2018, arXiv 1712.04086, and its code, `unrolled_GAN_experiment/*/model.py`.
"""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.experiment.component import component, setting
from gan_jax.networks.convolution import IMPLEMENTATION_DOC, Conv, ConvTranspose, Implementation, same_padding
from gan_jax.networks.layers import BatchNorm
from gan_jax.networks.network import (
    apply_images,
    apply_scores,
    compute_dtype,
    init_discriminator,
    init_generator,
    output_dtype,
    score_features,
)

IMAGE_SIZE = 28
_SMALLEST = 4
_GENERATOR_CHANNELS = (64, 32, 16, 8)
_GENERATOR_MAPS = (4, 7, 14, 28)
_STDDEV = 0.02
_KERNEL = 3


@component
class StackedGenerator:
    """Latent -> 4x4x64 -> 7x7x32 -> 14x14x16 -> 28x28x8 -> 28x28 image: batch norm and ReLU each, tanh at the end.

    Example:
        >>> variables = jax.eval_shape(lambda: StackedGenerator().init(jax.random.key(0), 100, (28, 28, 3)))
        >>> variables.params["dense"]["kernel"].shape, variables.params["output"]["kernel"].shape
        ((100, 1024), (3, 3, 8, 3))
    """

    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")

    def check(self, shape: tuple[int, ...]) -> None:
        _check_shape("StackedGenerator makes", shape)

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> StackedGeneratorModule:
        return StackedGeneratorModule(shape[-1], self.convolution, compute_dtype(self.compute_dtype), axis_name)

    init, apply = init_generator, apply_images


@component
class StackedDiscriminator:
    """28x28 image -> 14x14 -> 7x7 -> 4x4 -> one raw score: batch norm in every layer, LeakyReLU.

    Example:
        >>> variables = jax.eval_shape(lambda: StackedDiscriminator(width=2).init(jax.random.key(0), (28, 28, 3)))
        >>> [variables.params[f"conv_{i}"]["kernel"].shape for i in range(3)]
        [(3, 3, 3, 2), (3, 3, 2, 4), (3, 3, 4, 8)]
    """

    width: int = setting(
        default=2,
        at_least=1,
        doc="channels of the first layer; the next two have twice and four times as many; 2 or 4 as published",
    )
    negative_slope: float = setting(
        default=0.3, at_least=0, at_most=1, doc="slope of the LeakyReLU for negative values"
    )
    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")

    def check(self, shape: tuple[int, ...]) -> None:
        _check_shape("StackedDiscriminator scores", shape)

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> StackedDiscriminatorModule:
        dtype = compute_dtype(self.compute_dtype)
        return StackedDiscriminatorModule(self.width, self.negative_slope, self.convolution, dtype, axis_name)

    init, apply, features = init_discriminator, apply_scores, score_features


def _check_shape(does: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[:2] != (IMAGE_SIZE, IMAGE_SIZE):
        what = " x ".join(str(n) for n in shape)
        raise ValueError(
            f"{does} images of {IMAGE_SIZE} x {IMAGE_SIZE} pixels and the data are {what}: "
            f"set data.image_size to {IMAGE_SIZE}, or use a DCGAN"
        )


class StackedGeneratorModule(nn.Module):
    """See `StackedGenerator`; blocks are sown as features `block_i`."""

    channels: int
    convolution: str
    dtype: Any
    axis_name: str | None

    @nn.compact
    def __call__(self, latent: jax.Array, *, train: bool) -> jax.Array:
        """[batch, latent_dim] -> [batch, 28, 28, channels] in (-1, 1)."""
        widths, normal = _GENERATOR_CHANNELS, nn.initializers.normal(_STDDEV)
        dense = nn.Dense(_SMALLEST**2 * widths[0], use_bias=False, kernel_init=normal, dtype=self.dtype, name="dense")
        h = dense(latent).reshape(latent.shape[0], _SMALLEST, _SMALLEST, widths[0])
        h = self._block(0, h, train)
        for i in range(1, len(widths)):
            # The padding of the convolution that halves the larger map, whose adjoint this is.
            padding = same_padding(_GENERATOR_MAPS[i], _KERNEL, 2)
            upscale = ConvTranspose(
                widths[i], (_KERNEL, _KERNEL), 2, padding, False, normal, self.dtype, self.convolution, name=f"conv_{i}"
            )
            h = self._block(i, upscale(h), train)
        last = nn.initializers.truncated_normal(_STDDEV)
        to_image = Conv(
            self.channels, (_KERNEL, _KERNEL), 1, 1, True, last, self.dtype, self.convolution, name="output"
        )
        return jnp.tanh(to_image(h))

    def _block(self, i: int, h: jax.Array, train: bool) -> jax.Array:
        h = nn.relu(BatchNorm(self.axis_name, dtype=self.dtype, name=f"norm_{i}")(h, train=train))
        if not self.is_initializing():
            self.sow("features", f"block_{i}", h)
        return h


class StackedDiscriminatorModule(nn.Module):
    """See `StackedDiscriminator`; blocks are sown as features `block_i`."""

    width: int
    negative_slope: Any
    convolution: str
    dtype: Any
    axis_name: str | None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[batch, 28, 28, channels] -> scores [batch], float32 or wider, without a sigmoid."""
        init, h = nn.initializers.truncated_normal(_STDDEV), x
        for i in range(3):
            padding = same_padding(h.shape[1], _KERNEL, 2)
            halve = Conv(
                self.width * 2**i,
                (_KERNEL, _KERNEL),
                2,
                padding,
                False,
                init,
                self.dtype,
                self.convolution,
                name=f"conv_{i}",
            )
            h = BatchNorm(self.axis_name, dtype=self.dtype, name=f"norm_{i}")(halve(h), train=train)
            h = nn.leaky_relu(h, self.negative_slope)
            if not self.is_initializing():
                self.sow("features", f"block_{i}", h)
        normal = nn.initializers.normal(_STDDEV)
        score = nn.Dense(1, kernel_init=normal, dtype=output_dtype(self.dtype), name="output")(
            h.reshape(h.shape[0], -1)
        )
        return score[:, 0]
