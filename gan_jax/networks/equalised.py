"""Layers of progressive growing: weights scaled at run time, pixel norm, and the minibatch standard deviation.

References:
    T. Karras, T. Aila, S. Laine, J. Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and
        Variation", ICLR 2018, arXiv 1710.10196, sections 3, 4.1 and 4.2.
"""

from __future__ import annotations

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from gan_jax.networks.convolution import Padding, conv

HE_GAIN = math.sqrt(2)
_EPSILON = 1e-8


def pixel_norm(x: Float[Array, "*n channels"], epsilon: float = _EPSILON) -> Float[Array, "*n channels"]:
    r"""Scales the feature vector at every position to unit root mean square (Karras et al., section 4.2).

    $$ b_c = a_c / \sqrt{\tfrac{1}{C} \sum_{c'} a_{c'}^2 + \epsilon} $$

    Args:
        x: [..., channels].
        epsilon: added to the mean square, so that a vector of zeros stays zero.

    Returns:
        [..., channels], of x's dtype; the mean of squares is taken in float32 or wider.

    Example:
        >>> jnp.mean(pixel_norm(jnp.array([[3.0, 4.0]])) ** 2).round(4).item()
        1.0
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (wide * lax.rsqrt(jnp.mean(wide * wide, -1, keepdims=True) + epsilon)).astype(x.dtype)


class MinibatchStddevChannel(nn.Module):
    r"""Appends one constant channel: the standard deviation over the batch, averaged (Karras et al., section 3).

    $$ \frac{1}{HWC} \sum_{hwc} \sqrt{\mathrm{Var}_b[x_{bhwc}] + \epsilon} $$

    It depends on the whole batch, in training and in evaluation. For a batch of one, or of equal samples, it is
    \(\sqrt\epsilon\). The variance is the biased one.

    Args:
        axis_name: the mapped axis over which the batch is split, or None.
        epsilon: added to the variances; without it the root's derivative at equal samples would be infinite.
    """

    axis_name: str | None = None
    epsilon: float = _EPSILON

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[batch, height, width, channels] -> [batch, height, width, channels + 1]."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        # The variance is taken from deviations, not from E[x^2] - E[x]^2, whose rounding error the root would amplify.
        deviations = wide - self._over_batch(wide)
        stddev = jnp.mean(jnp.sqrt(self._over_batch(deviations * deviations) + self.epsilon))
        return jnp.concatenate([x, jnp.broadcast_to(stddev.astype(x.dtype), (*x.shape[:-1], 1))], axis=-1)

    def _over_batch(self, x: jax.Array) -> jax.Array:
        mean = jnp.mean(x, 0, keepdims=True)
        return mean if self.axis_name is None or self.is_initializing() else lax.pmean(mean, self.axis_name)


class EqualisedDense(nn.Module):
    r"""A dense layer over the last axis: weights are drawn from N(0, 1) and scaled at run time (Karras et al., 4.1).

    $$ y = x \, (c W) + b, \qquad c = g / \sqrt{n_\mathrm{in}} $$

    Adam's steps do not depend on the scale of a gradient, so weights of equal scale learn at equal speed.

    Args:
        features: number of outputs.
        gain: g; sqrt(2) (He et al.) before a (leaky) ReLU, and 1 in an output layer.
        equalised: whether c is applied at run time; if not, W is drawn from N(0, c^2): the same initial function.
        dtype: dtype of the computation; None takes the wider of the input's and float32. Parameters are float32.
    """

    features: int
    gain: float = HE_GAIN
    equalised: bool = True
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., in] -> [..., features]."""
        x, kernel, bias = _parameters(self, x, (x.shape[-1], self.features))
        return x @ kernel + bias.reshape((1,) * (x.ndim - 1) + (-1,))


class EqualisedConv(nn.Module):
    """A convolution of stride 1, scaled as `EqualisedDense`; the fan-in is the kernel area times the input channels.

    Args:
        features: output channels.
        kernel_size: (height, width).
        padding: as in `convolution.conv`.
        gain, equalised, dtype: as in `EqualisedDense`.
        implementation: as in `convolution.conv`.
    """

    features: int
    kernel_size: tuple[int, int] = (3, 3)
    padding: Padding = 1
    gain: float = HE_GAIN
    equalised: bool = True
    dtype: Any = None
    implementation: str = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[batch, height, width, in] -> [batch, height', width', features]."""
        x, kernel, bias = _parameters(self, x, (*self.kernel_size, x.shape[-1], self.features))
        out = conv(x, kernel, padding=self.padding, implementation=self.implementation)
        return out + bias.reshape(1, 1, 1, -1)


def _parameters(
    layer: EqualisedDense | EqualisedConv, x: jax.Array, shape: tuple[int, ...]
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(the input, the kernel as it is used, the bias), of one dtype."""
    scale = layer.gain / math.sqrt(math.prod(shape[:-1]))
    stddev = 1.0 if layer.equalised else scale
    kernel = layer.param("kernel", nn.initializers.normal(stddev), shape, jnp.float32)
    bias = layer.param("bias", nn.initializers.zeros, (layer.features,), jnp.float32)
    x, kernel, bias = nn.dtypes.promote_dtype(x, scale * kernel if layer.equalised else kernel, bias, dtype=layer.dtype)
    return x, kernel, bias
