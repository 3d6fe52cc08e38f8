"""Networks of strided convolutions with any kernel and widths: those of DCGAN-tensorflow and of small PyTorch programs.

With their defaults they are the networks of DCGAN-tensorflow, in PacGAN's version for Stacked MNIST. With
`rounding="down"`, `kernel=3`, `widths=(32, 16, 8)`, `init_name="torch_default"` and `use_bias=False` they are those of
the alpha-GAN papers.

Biases before batch norm, which it cancels, are left out, as in `stacked_networks`.

References:
    T. Kim's DCGAN-tensorflow, and Z. Lin et al., "PacGAN", NeurIPS 2018, `VEEGAN_experiment/model.py`.
    K. Otstot, A. Kumar, L. Sankar et al., code of "Addressing GAN Training Instabilities via Tunable Classification
        Losses", arXiv 2310.18291, `experiment2.py`.
"""

from __future__ import annotations

from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.experiment.component import component, setting
from gan_jax.networks.convolution import IMPLEMENTATION_DOC, Conv, ConvTranspose, Implementation, same_padding
from gan_jax.networks.layers import BatchNorm, fan_in_uniform
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

Rounding = Literal["up", "down"]
DataRange = Literal["signed", "unit"]
InitName = Literal["normal", "torch_default"]

_STDDEV = 0.02
_KERNEL = "pixels along a side of every kernel; 5 as in DCGAN-tensorflow"
_ROUNDING = "half of an odd size: up, as TensorFlow's SAME padding, or down, as PyTorch's convolutions"
_INIT = "normal with standard deviation 0.02, or uniform as PyTorch's convolutions begin"
_BIAS = "whether layers without batch norm have a bias, which begins at 0"
_RANGE = (
    "range of the pixels between the two networks: signed is [-1, 1]; unit is [0, 1] for real images, while G still "
    "ends in tanh, as PacGAN's published code has it. Set the same for both players"
)


def halved(size: int, kernel: int, rounding: Rounding) -> tuple[int, tuple[int, int]]:
    """The size of a map after a convolution of stride 2, and the zeros at its borders.

    Args:
        size: pixels along the axis.
        kernel: pixels of the kernel along the axis.
        rounding: of an odd size's half; with "up" an odd number of zeros has one more after, with "down" before.

    Returns:
        (pixels after, (zeros before, zeros after)).

    Example:
        >>> halved(7, 5, "up"), halved(7, 3, "down"), halved(28, 3, "down")
        ((4, (2, 2)), (3, (0, 0)), (14, (1, 0)))
    """
    if rounding == "up":
        return -(-size // 2), same_padding(size, kernel, 2)
    half = size // 2
    total = max(2 * (half - 1) + kernel - size, 0)
    return half, (total - total // 2, total // 2)


@component
class StridedGenerator:
    """Latent -> smallest map -> larger maps by transposed convolutions -> image: batch norm and ReLU each, then tanh.

    Example:
        >>> variables = jax.eval_shape(lambda: StridedGenerator().init(jax.random.key(0), 100, (28, 28, 3)))
        >>> [variables.params[name]["kernel"].shape for name in ("dense", "conv_1", "output")]  # 2, 4, 7, 14, 28 pixels
        [(100, 2048), (5, 5, 512, 256), (5, 5, 64, 3)]
    """

    widths: tuple[int, ...] = setting(
        default=(512, 256, 128, 64), at_least=1, doc="channels of each hidden map, the smallest map first"
    )
    kernel: int = setting(default=5, at_least=3, doc=_KERNEL)
    rounding: Rounding = setting(default="up", doc=_ROUNDING)
    init_name: InitName = setting(default="normal", doc=_INIT)
    use_bias: bool = setting(default=True, doc=_BIAS)
    data_range: DataRange = setting(default="signed", doc=_RANGE)
    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")

    def validate(self) -> None:
        _check_widths("StridedGenerator", self.widths)

    def check(self, shape: tuple[int, ...]) -> None:
        _check_shape("StridedGenerator makes", shape, len(self.widths))

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> StridedGeneratorModule:
        return StridedGeneratorModule(
            shape,
            self.widths,
            self.kernel,
            self.rounding,
            self.init_name,
            self.use_bias,
            self.data_range,
            self.convolution,
            compute_dtype(self.compute_dtype),
            axis_name,
        )

    init, apply, features = init_generator, apply_images, image_features


@component
class StridedDiscriminator:
    """Image -> convolutions of stride 2 -> one raw score: LeakyReLU, batch norm in all layers but the first.

    Example:
        >>> network = StridedDiscriminator(widths=(8, 16, 32), kernel=3, rounding="down")
        >>> variables = jax.eval_shape(lambda: network.init(jax.random.key(0), (28, 28, 3)))
        >>> variables.params["output"]["kernel"].shape  # maps of 14, 7 and 3 pixels
        (288, 1)
    """

    widths: tuple[int, ...] = setting(default=(64, 128, 256, 512), at_least=1, doc="channels of each hidden map")
    kernel: int = setting(default=5, at_least=3, doc=_KERNEL)
    rounding: Rounding = setting(default="up", doc=_ROUNDING)
    negative_slope: float = setting(
        default=0.2, at_least=0, at_most=1, doc="slope of the LeakyReLU for negative values"
    )
    init_name: InitName = setting(default="normal", doc=_INIT)
    use_bias: bool = setting(default=True, doc=_BIAS)
    data_range: DataRange = setting(default="signed", doc=_RANGE)
    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")

    def validate(self) -> None:
        _check_widths("StridedDiscriminator", self.widths)

    def check(self, shape: tuple[int, ...]) -> None:
        _check_shape("StridedDiscriminator scores", shape, len(self.widths))

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> StridedDiscriminatorModule:
        return StridedDiscriminatorModule(
            self.widths,
            self.kernel,
            self.rounding,
            self.negative_slope,
            self.init_name,
            self.use_bias,
            self.data_range,
            self.convolution,
            compute_dtype(self.compute_dtype),
            axis_name,
        )

    init, apply, features = init_discriminator, apply_scores, score_features


def _check_widths(owner: str, widths: tuple[int, ...]) -> None:
    if not widths:
        raise ValueError(f"{owner}.widths is empty, and must have at least one number of channels")


def _check_shape(does: str, shape: tuple[int, ...], num_maps: int) -> None:
    if len(shape) != 3 or shape[0] != shape[1] or shape[0] < 2**num_maps:
        what = " x ".join(str(n) for n in shape)
        raise ValueError(
            f"{does} square images, and {num_maps} hidden maps need at least {2**num_maps} pixels along a side; "
            f"the data are {what}: set fewer widths, or use an MLP"
        )


class StridedGeneratorModule(nn.Module):
    """See `StridedGenerator`; blocks are sown as features `block_i`."""

    shape: tuple[int, ...]
    widths: tuple[int, ...]
    kernel: int
    rounding: Rounding
    init_name: InitName
    use_bias: bool
    data_range: DataRange
    convolution: str
    dtype: Any
    axis_name: str | None

    @nn.compact
    def __call__(self, latent: jax.Array, *, train: bool) -> jax.Array:
        """[batch, latent_dim] -> [batch, *shape] in (-1, 1); in (-3, 1) for data in [0, 1]."""
        size, paddings = self.shape[0], []
        for _ in self.widths:
            size, padding = halved(size, self.kernel, self.rounding)
            paddings.append(padding)
        # A transposed convolution of a single pixel is a dense layer, with the fan-in that PyTorch gives the former.
        dense = nn.Dense(
            size**2 * self.widths[0],
            use_bias=False,
            kernel_init=self._init(size**2 * self.widths[0]),
            dtype=self.dtype,
            name="dense",
        )
        h = self._block(0, dense(latent).reshape(latent.shape[0], size, size, self.widths[0]), train)
        for i, width in enumerate(self.widths[1:], start=1):
            h = self._block(i, self._larger(width, paddings[-i], False, f"conv_{i}")(h), train)
        image = jnp.tanh(self._larger(self.shape[-1], paddings[0], self.use_bias, "output")(h))
        # Between the players, pixels of real images are in [0, 1]; outside they are in [-1, 1].
        return 2 * image - 1 if self.data_range == "unit" else image

    def _init(self, fan_in: int) -> nn.initializers.Initializer:
        return nn.initializers.normal(_STDDEV) if self.init_name == "normal" else fan_in_uniform(fan_in)

    def _larger(self, width: int, padding: tuple[int, int], use_bias: bool, name: str) -> ConvTranspose:
        size, init = (self.kernel, self.kernel), self._init(self.kernel**2 * width)
        return ConvTranspose(width, size, 2, padding, use_bias, init, self.dtype, self.convolution, name=name)

    def _block(self, i: int, h: jax.Array, train: bool) -> jax.Array:
        h = nn.relu(BatchNorm(self.axis_name, dtype=self.dtype, name=f"norm_{i}")(h, train=train))
        if not self.is_initializing():
            self.sow("features", f"block_{i}", h)
        return h


class StridedDiscriminatorModule(nn.Module):
    """See `StridedDiscriminator`; blocks are sown as features `block_i`."""

    widths: tuple[int, ...]
    kernel: int
    rounding: Rounding
    negative_slope: Any
    init_name: InitName
    use_bias: bool
    data_range: DataRange
    convolution: str
    dtype: Any
    axis_name: str | None

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[batch, height, width, channels] -> scores [batch], float32 or wider, without a sigmoid."""
        h = (x + 1) / 2 if self.data_range == "unit" else x
        for i, width in enumerate(self.widths):
            _, padding = halved(h.shape[1], self.kernel, self.rounding)
            size, fan_in = (self.kernel, self.kernel), self.kernel**2 * h.shape[-1]
            init = nn.initializers.truncated_normal(_STDDEV) if self.init_name == "normal" else fan_in_uniform(fan_in)
            use_bias = self.use_bias and i == 0
            h = Conv(width, size, 2, padding, use_bias, init, self.dtype, self.convolution, name=f"conv_{i}")(h)
            if i > 0:
                h = BatchNorm(self.axis_name, dtype=self.dtype, name=f"norm_{i}")(h, train=train)
            h = nn.leaky_relu(h, self.negative_slope)
            if not self.is_initializing():
                self.sow("features", f"block_{i}", h)
        h = h.reshape(h.shape[0], -1)
        last = nn.initializers.normal(_STDDEV) if self.init_name == "normal" else fan_in_uniform(h.shape[-1])
        dtype = output_dtype(self.dtype)
        score = nn.Dense(1, use_bias=self.use_bias, kernel_init=last, dtype=dtype, name="output")(h)
        return score[:, 0]
