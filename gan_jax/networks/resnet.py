"""The small residual networks of spectral normalisation, at 16, 28, 32 and 64 pixels.

G starts from a 4x4 (at 28 pixels: 7x7) map, which each block doubles, with batch norm. D halves its input until it has
8 pixels or fewer, has two more blocks, and sums over positions. All maps of a network have the same number of channels.
With 256 in G and 128 in D at 32 pixels these are the published networks for CIFAR-10. D has no normalisation of its
own: wrap it in `SpectralNorm` for the published one.

References:
    T. Miyato, T. Kataoka, M. Koyama, Y. Yoshida, "Spectral Normalization for Generative Adversarial Networks", ICLR
        2018, arXiv 1802.05957, appendix B.4, table 4.
"""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.networks.convolution import IMPLEMENTATION_DOC, Conv, Implementation
from gan_jax.networks.layers import BatchNorm
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
from gan_jax.networks.progressive import average_pool, upsample

SMALLEST = {16: 4, 28: 7, 32: 4, 64: 4}
"""The size of the smallest map by image size, both in pixels along a side."""
_LARGEST_PLAIN = 8
_NUM_PLAIN = 2

# As in the published code: Glorot's initialisation, multiplied by sqrt(2) inside residual branches.
_GLOROT = nn.initializers.glorot_uniform()
_BRANCH = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")


@component
class ResNetGenerator:
    """Residual blocks that double the map: batch norm, ReLU, 3x3 convolution, twice; tanh at the end.

    The published network also has biases in its blocks, which batch norm cancels.

    Example:
        >>> import jax
        >>> variables = jax.eval_shape(lambda: ResNetGenerator().init(jax.random.key(0), 128, (32, 32, 3)))
        >>> variables.params["dense"]["kernel"].shape  # from the latent to a 4x4 map
        (128, 4096)
    """

    width: int = setting(default=256, at_least=1, doc="channels of every map; 256 as published")
    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")

    def check(self, shape: tuple[int, ...]) -> None:
        check_square("ResNetGenerator", shape)

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> ResNetGeneratorModule:
        self.check(shape)
        return ResNetGeneratorModule(
            image_size=shape[0],
            channels=shape[-1],
            width=self.width,
            convolution=self.convolution,
            dtype=compute_dtype(self.compute_dtype),
            axis_name=axis_name,
        )

    init, apply, features = init_generator, apply_images, image_features


@component
class ResNetDiscriminator:
    """Residual blocks (ReLU, 3x3 convolution, twice; mean pooling), a sum over positions, one raw score; no norm.

    `features` has every block's output by the name `block_i`.

    Example:
        >>> import jax
        >>> network, images = ResNetDiscriminator(), jnp.zeros((1, 32, 32, 3))
        >>> run = lambda: network.features(network.init(jax.random.key(0), (32, 32, 3)), images, train=False)
        >>> [value.shape for value in jax.eval_shape(run)[1].values()]
        [(1, 16, 16, 128), (1, 8, 8, 128), (1, 8, 8, 128), (1, 8, 8, 128)]
    """

    width: int = setting(default=128, at_least=1, doc="channels of every map; 128 as published")
    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")

    def check(self, shape: tuple[int, ...]) -> None:
        check_square("ResNetDiscriminator", shape)

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> ResNetDiscriminatorModule:
        self.check(shape)
        return ResNetDiscriminatorModule(self.width, self.convolution, compute_dtype(self.compute_dtype))

    init, apply, features = init_discriminator, apply_scores, score_features


class ResNetGeneratorModule(nn.Module):
    """See `ResNetGenerator`."""

    image_size: int
    channels: int
    width: int
    convolution: str
    dtype: Any
    axis_name: str | None

    @nn.compact
    def __call__(self, latent: Array, *, train: bool) -> Array:
        """[batch, latent_dim] -> [batch, image_size, image_size, channels] in (-1, 1)."""
        size, index = SMALLEST[self.image_size], 0
        h = nn.Dense(size**2 * self.width, kernel_init=_GLOROT, dtype=self.dtype, name="dense")(latent)
        h = h.reshape(-1, size, size, self.width)
        while size < self.image_size:
            h, size = self._block(h, index, train), 2 * size
            if not self.is_initializing():
                self.sow("features", f"block_{index}", h)
            index += 1
        h = self._norm(h, "norm", train)
        return jnp.tanh(_conv(self, "output", self.channels, True, _GLOROT)(h))

    def _block(self, h: Array, index: int, train: bool) -> Array:
        # A 1x1 convolution before the upsampling equals one after it, at a quarter of the cost.
        skip = nn.Dense(self.width, use_bias=False, kernel_init=_GLOROT, dtype=self.dtype, name=f"skip_{index}")(h)
        h = upsample(self._norm(h, f"norm_{index}_0", train))
        h = _conv(self, f"conv_{index}_0", self.width, False, _BRANCH)(h)
        h = self._norm(h, f"norm_{index}_1", train)
        return _conv(self, f"conv_{index}_1", self.width, False, _BRANCH)(h) + upsample(skip)

    def _norm(self, h: Array, name: str, train: bool) -> Array:
        return nn.relu(BatchNorm(self.axis_name, dtype=self.dtype, name=name)(h, train=train))


class ResNetDiscriminatorModule(nn.Module):
    """See `ResNetDiscriminator`."""

    width: int
    convolution: str
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """[batch, image_size, image_size, channels] -> scores [batch], float32 or wider, without a sigmoid."""
        h, index, num_plain = x, 0, 0
        while num_plain < _NUM_PLAIN:
            halve = h.shape[1] > _LARGEST_PLAIN
            h = self._block(h, index, halve)
            if not self.is_initializing():
                self.sow("features", f"block_{index}", h)
            index, num_plain = index + 1, num_plain + (not halve)
        h = jnp.sum(nn.relu(h), axis=(1, 2))
        score = nn.Dense(1, kernel_init=_GLOROT, dtype=output_dtype(self.dtype), name="output")(h)
        return score[:, 0]

    def _block(self, x: Array, index: int, halve: bool) -> Array:
        h = x if index == 0 else nn.relu(x)  # the input of the first block is pixels
        h = nn.relu(_conv(self, f"conv_{index}_0", self.width, True, _BRANCH)(h))
        h = _conv(self, f"conv_{index}_1", self.width, True, _BRANCH)(h)
        if not halve:
            return h + x
        # A 1x1 convolution after the pooling equals one before it, at a quarter of the cost.
        skip = nn.Dense(self.width, kernel_init=_GLOROT, dtype=self.dtype, name=f"skip_{index}")(average_pool(x))
        return average_pool(h) + skip


def _conv(
    module: ResNetGeneratorModule | ResNetDiscriminatorModule, name: str, features: int, use_bias: bool, init: Any
) -> Conv:
    return Conv(features, (3, 3), 1, 1, use_bias, init, module.dtype, module.convolution, name=name)


def check_square(owner: str, shape: tuple[int, ...]) -> None:
    """Checks that data are square images of a known size.

    Raises:
        ValueError: if they are not.
    """
    if len(shape) != 3 or shape[0] not in SMALLEST or shape[1] != shape[0]:
        what = " x ".join(str(n) for n in shape)
        raise ValueError(
            f"{owner} is for square images of {', '.join(map(str, SMALLEST))} pixels and the data are {what}: "
            "set data.image_size to one of these, or use an MLP"
        )
