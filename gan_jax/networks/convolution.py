"""Convolutions and transposed convolutions, in three implementations that share their parameters.

"native" is `lax.conv_general_dilated`. "matmul" uses matrix products, slices and reshapes only, for two reasons. First,
XLA:CPU is some 40 times too slow for the gradients of a native convolution inside `scan`, `while` and `cond`
(jax#12868), and for the weight gradient of a transposed one anywhere (jax#23783). Second, `vmap` over native kernels
gives a grouped convolution, where `vmap` over products gives a batched product.

A stride-s convolution with a kernel of q*s by q*s is a stride-1 convolution with q by q taps on s by s blocks of
pixels (space to depth). So DCGAN's usual convolution (kernel 4, stride 2, padding 1) is four products of [N, 4*in] with
[4*in, out] instead of sixteen strided ones. Its transpose is four products whose blocks are added with offsets and then
unfolded. The products are summed, since a single product with patches as rows would copy the patches.

"winograd" is "matmul" with nine sixteenths of the multiplications where `winograd.py` applies, and "matmul" elsewhere.
The additional sums add rounding errors of the order of those of the products. In the precision `tensorfloat32`, on a
GPU, the sums are factors that are rounded to 11 bits, which "matmul" avoids.
"""

from __future__ import annotations

import functools
import operator
from typing import Any, Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from gan_jax.networks.winograd import suits_winograd, winograd_conv, winograd_conv_transpose

Implementation = Literal["auto", "native", "matmul", "winograd"]
IMPLEMENTATIONS = get_args(Implementation)
IMPLEMENTATION_DOC = (
    "native, matrix products (matmul), the same with fewer multiplications (winograd), or auto: winograd on a CPU, "
    "native elsewhere"
)

# With fewer channels in a block than this, single products are too thin to be efficient: patches are joined, and
# Winograd's method is not used.
_THIN = 64
_LAYOUT = ("NHWC", "HWIO", "NHWC")

Padding = int | tuple[int, int]
"""Number of zeros on all four sides; or (before, after): above and to the left, below and to the right."""


def same_padding(size: int, kernel_size: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME" padding, by which `size` pixels become ceil(size / stride).

    Args:
        size: pixels along the axis.
        kernel_size: pixels of the kernel along the axis.
        stride: step of the kernel, at least 1.

    Returns:
        (before, after), numbers of zeros; an odd total has one more after.

    Example:
        >>> same_padding(28, 3, 2), same_padding(7, 3, 2)
        ((0, 1), (1, 1))
    """
    total = max((-(-size // stride) - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2


def default_implementation() -> str:
    """The implementation that "auto" selects on the default backend: "winograd" on the CPU, "native" elsewhere."""
    return "winograd" if jax.default_backend() == "cpu" else "native"


def conv(
    x: Float[Array, "n height width channels"],
    kernel: Float[Array, "kernel_height kernel_width in out"],
    *,
    stride: int = 1,
    padding: Padding = 0,
    implementation: str = "auto",
) -> Float[Array, "n out_height out_width out"]:
    """Convolution (cross-correlation), as PyTorch's `Conv2d` and flax's `Conv`.

    out[b, i, j, o] = sum_{u, v, c} x[b, s*i + u - p, s*j + v - p, c] kernel[u, v, c, o]

    Args:
        x: [batch, height, width, in].
        kernel: [kernel_height, kernel_width, in, out], of x's dtype.
        stride: s, the same for both axes.
        padding: p, zeros on all four sides; or (p, q), zeros before and after on both axes.
        implementation: "native", "matmul", "winograd", or "auto" (see `default_implementation`). "winograd" differs
            from "matmul" where kernel_height / s and kernel_width / s, rounded up, are 2, the output's height and width
            are even, s * s * in is at least 64, and the dtype has at least 32 bits.

    Returns:
        [batch, (height + p + q - kernel_height) // s + 1, (width + p + q - kernel_width) // s + 1, out], of x's dtype;
        q is p unless given.

    Raises:
        ValueError: if the implementation is unknown, or the shapes, the stride or the padding do not fit.
    """
    implementation, before, after = _check(x, kernel, stride, padding, implementation)
    (batch, height, width, channels), (kh, kw, _, features) = x.shape, kernel.shape
    out_h, out_w = (height + before + after - kh) // stride + 1, (width + before + after - kw) // stride + 1
    _check_output(out_h, out_w, x, kernel, stride, padding)
    if implementation == "native":
        pads = [(before, after)] * 2
        return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=_LAYOUT)
    if (kh, kw) == (height, width) and before == after == 0:
        return (x.reshape(batch, -1) @ kernel.reshape(-1, features)).reshape(batch, 1, 1, features)

    taps = _tap_blocks(kernel, stride)
    rows, columns = out_h - 1 + taps.shape[0], out_w - 1 + taps.shape[1]
    x = _pad(x, 1, before, rows * stride - height - before)
    x = _pad(x, 2, before, columns * stride - width - before)
    x = x.reshape(batch, rows, stride, columns, stride, channels).transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(batch, rows, columns, stride * stride * channels)
    taps = taps.reshape(*taps.shape[:2], stride * stride * channels, features)
    if implementation == "winograd" and taps.shape[2] >= _THIN and suits_winograd(taps, out_h, out_w):
        return winograd_conv(x, taps)
    windows = [
        (x[:, u : u + out_h, v : v + out_w].reshape(batch * out_h * out_w, taps.shape[2]), taps[u, v])
        for u in range(taps.shape[0])
        for v in range(taps.shape[1])
    ]
    if taps.shape[2] < _THIN:
        patches, weights = zip(*windows, strict=True)
        windows = [(jnp.concatenate(patches, axis=1), jnp.concatenate(weights, axis=0))]
    total = functools.reduce(operator.add, [window @ weight for window, weight in windows])
    return total.reshape(batch, out_h, out_w, features)


def conv_transpose(
    x: Float[Array, "n height width channels"],
    kernel: Float[Array, "kernel_height kernel_width in out"],
    *,
    stride: int = 1,
    padding: Padding = 0,
    implementation: str = "auto",
) -> Float[Array, "n out_height out_width out"]:
    """Transposed convolution, as PyTorch's `ConvTranspose2d`: the adjoint of `conv` in its input.

    out[b, s*i + u - p, s*j + v - p, o] += sum_c x[b, i, j, c] kernel[u, v, c, o]

    (flax's `ConvTranspose` is this with the kernel flipped in both axes.)

    Args:
        x: [batch, height, width, in].
        kernel: [kernel_height, kernel_width, in, out], of x's dtype.
        stride: s, the same for both axes.
        padding: p, pixels cropped from all four sides; or (p, q), pixels cropped before and after on both axes.
        implementation: "native", "matmul", "winograd", or "auto" (see `default_implementation`). "winograd" differs
            from "matmul" where kernel_height / s and kernel_width / s, rounded up, are 2, x's height and width are
            even, s * s * out is at least 64, and the dtype has at least 32 bits.

    Returns:
        [batch, (height - 1) * s - p - q + kernel_height, (width - 1) * s - p - q + kernel_width, out], of x's dtype; q
        is p unless given.

    Raises:
        ValueError: if the implementation is unknown, or the shapes, the stride or the padding do not fit.
    """
    implementation, before, after = _check(x, kernel, stride, padding, implementation)
    (batch, height, width, channels), (kh, kw, _, features) = x.shape, kernel.shape
    out_h, out_w = (height - 1) * stride - before - after + kh, (width - 1) * stride - before - after + kw
    _check_output(out_h, out_w, x, kernel, stride, padding)
    if implementation == "native":
        # The adjoint of a convolution: x dilated by the stride, correlated with the flipped kernel.
        pads = [(kh - 1 - before, kh - 1 - after), (kw - 1 - before, kw - 1 - after)]
        return lax.conv_general_dilated(
            x, kernel[::-1, ::-1], (1, 1), pads, lhs_dilation=(stride, stride), dimension_numbers=_LAYOUT
        )
    if (height, width) == (1, 1):
        out = x.reshape(batch, channels) @ kernel.transpose(2, 0, 1, 3).reshape(channels, -1)
        out = out.reshape(batch, kh, kw, features)
        return out[:, before : before + out_h, before : before + out_w]

    taps = _tap_blocks(kernel, stride).transpose(0, 1, 4, 2, 3, 5)
    across, along, block = taps.shape[0], taps.shape[1], stride * stride * features
    taps = taps.reshape(across, along, channels, block)
    if implementation == "winograd" and block >= _THIN and suits_winograd(taps, height, width):
        total = winograd_conv_transpose(x, taps)
    else:
        total = _shifted_sum(x, taps)
    rows, columns = height - 1 + across, width - 1 + along
    out = total.reshape(batch, rows, columns, stride, stride, features).transpose(0, 1, 3, 2, 4, 5)
    out = out.reshape(batch, rows * stride, columns * stride, features)
    return out[:, before : before + out_h, before : before + out_w]


def _shifted_sum(x: jax.Array, taps: jax.Array) -> jax.Array:
    """The sum of x taps[u, v], shifted by (u, v): [n, h, w, in], [p, q, in, out] -> [n, h + p - 1, w + q - 1, out]."""
    (batch, height, width, channels), (across, along, _, features) = x.shape, taps.shape
    flat = x.reshape(batch * height * width, channels)
    if features < _THIN:
        joined = flat @ taps.reshape(across * along, channels, features).transpose(1, 0, 2).reshape(channels, -1)
        products = jnp.split(joined, across * along, axis=1)
    else:
        products = [flat @ taps[u, v] for u in range(across) for v in range(along)]
    shifted = []
    for index, product in enumerate(products):
        u, v = divmod(index, along)
        image = _pad(product.reshape(batch, height, width, features), 1, u, across - 1 - u)
        shifted.append(_pad(image, 2, v, along - 1 - v))
    return functools.reduce(operator.add, shifted)


class Conv(nn.Module):
    """`conv` as a layer.

    Args:
        features: output channels.
        kernel_size: (height, width).
        stride, padding: as in `conv`.
        use_bias: whether a bias [features] is added; a batch norm after the layer makes it redundant.
        kernel_init: the kernel's initialiser.
        dtype: dtype of the computation; None takes the wider of the input's and float32. Parameters are float32.
        implementation: as in `conv`; all implementations have the same parameters.
    """

    features: int
    kernel_size: tuple[int, int]
    stride: int = 1
    padding: Padding = 0
    use_bias: bool = True
    kernel_init: Any = nn.initializers.lecun_normal()
    dtype: Any = None
    implementation: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[batch, height, width, in] -> [batch, height', width', features]."""
        return _layer(self, conv, x)


class ConvTranspose(nn.Module):
    """`conv_transpose` as a layer; the fields are those of `Conv`."""

    features: int
    kernel_size: tuple[int, int]
    stride: int = 1
    padding: Padding = 0
    use_bias: bool = True
    kernel_init: Any = nn.initializers.lecun_normal()
    dtype: Any = None
    implementation: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[batch, height, width, in] -> [batch, height', width', features]."""
        return _layer(self, conv_transpose, x)


def _layer(layer: Conv | ConvTranspose, function: Any, x: jax.Array) -> jax.Array:
    shape = (*layer.kernel_size, x.shape[-1], layer.features)
    kernel = layer.param("kernel", layer.kernel_init, shape, jnp.float32)
    bias = layer.param("bias", nn.initializers.zeros, (layer.features,), jnp.float32) if layer.use_bias else None
    x, kernel, bias = nn.dtypes.promote_dtype(x, kernel, bias, dtype=layer.dtype)
    out = function(x, kernel, stride=layer.stride, padding=layer.padding, implementation=layer.implementation)
    return out if bias is None else out + bias.reshape(1, 1, 1, -1)


def _tap_blocks(kernel: jax.Array, stride: int) -> jax.Array:
    """[kh, kw, in, out] -> [ceil(kh / s), ceil(kw / s), s, s, in, out], padded with zeros."""
    kh, kw, channels, features = kernel.shape
    across, along = -(-kh // stride), -(-kw // stride)
    kernel = _pad(_pad(kernel, 0, 0, across * stride - kh), 1, 0, along * stride - kw)
    blocks = kernel.reshape(across, stride, along, stride, channels, features)
    return blocks.transpose(0, 2, 1, 3, 4, 5)


def _pad(x: jax.Array, axis: int, low: int, high: int) -> jax.Array:
    # lax.pad, unlike jnp.pad, takes negative amounts: rows that no stride reaches are cropped.
    if low == high == 0:
        return x
    config = [(low, high, 0) if axis == i else (0, 0, 0) for i in range(x.ndim)]
    return lax.pad(x, jnp.zeros((), x.dtype), config)


def _check(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding, implementation: str) -> tuple[str, int, int]:
    """(the implementation, the padding before, the padding after)."""
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation is {implementation!r}; the known ones are {', '.join(IMPLEMENTATIONS)}")
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != kernel.shape[2]:
        raise ValueError(
            f"x {x.shape} and kernel {kernel.shape} do not fit: they must be [batch, height, width, in] and "
            "[kernel_height, kernel_width, in, out]"
        )
    before, after = (padding, padding) if isinstance(padding, int) else padding
    if stride < 1 or before < 0 or after < 0:
        raise ValueError(f"stride is {stride} and padding {padding}: they must be at least 1 and 0")
    return (default_implementation() if implementation == "auto" else implementation), before, after


def _check_output(height: int, width: int, x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> None:
    if height < 1 or width < 1:
        raise ValueError(
            f"the output would be {height} by {width}: x {x.shape} is too small for kernel {kernel.shape} with "
            f"stride {stride} and padding {padding}"
        )
