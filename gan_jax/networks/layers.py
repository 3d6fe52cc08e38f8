"""Layers of several networks that flax lacks in this form."""

from __future__ import annotations

import math
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Key

Norm = Literal["none", "batch", "pixel", "virtual", "self_modulated"]
"""Normalisation between layers: none, batch norm, unit mean square per position, or virtual batch norm."""


class BatchNorm(nn.Module):
    r"""Batch normalisation over all axes but the last, with PyTorch's running statistics.

    out = scale (x - mean) / sqrt(var + eps) + bias

    With train=True, mean and var = E[x^2] - E[x]^2 (biased) are those of the batch. The running statistics, in the
    collection `batch_stats`, are updated by r <- momentum r + (1 - momentum) s, where s is the batch's mean and, as in
    PyTorch and unlike in flax, its unbiased variance n / (n - 1) var. With train=False the running statistics are used.

    Args:
        axis_name: the mapped axis over which the batch is split (synchronised batch norm), or None.
        momentum: factor of the old running statistics; 0.9 is PyTorch's 0.1.
        epsilon: added to the variance.
        scale_init: the initialiser of `scale`; `bias` starts at 0.
        affine: whether there are a scale and a bias; without them they are 1 and 0.
        dtype: dtype of the result; statistics are taken in float32 or wider. None keeps the input's.

    References:
        Ioffe and Szegedy, Batch Normalization, arXiv 1502.03167, algorithm 1.
    """

    axis_name: str | None = None
    momentum: float = 0.9
    epsilon: float = 1e-5
    scale_init: Any = nn.initializers.ones
    dtype: Any = None
    affine: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[..., features] -> [..., features]."""
        features, out_dtype = x.shape[-1], self.dtype or x.dtype
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        scale, bias = jnp.ones(features), jnp.zeros(features)
        if self.affine:
            scale = self.param("scale", self.scale_init, (features,), jnp.float32)
            bias = self.param("bias", nn.initializers.zeros, (features,), jnp.float32)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, (features,), jnp.float32)
        running_var = self.variable("batch_stats", "var", jnp.ones, (features,), jnp.float32)
        if train:
            axes = tuple(range(x.ndim - 1))
            mean, square, count = jnp.mean(x, axes), jnp.mean(x * x, axes), math.prod(x.shape[:-1])
            if self.axis_name is not None and not self.is_initializing():
                mean, square = lax.pmean((mean, square), self.axis_name)
                count *= lax.axis_size(self.axis_name)
            # Rounding can make the difference negative.
            var = jnp.maximum(square - mean * mean, 0.0)
            if not self.is_initializing():
                unbiased = var * (count / max(count - 1, 1))
                for running, new in ((running_mean, mean), (running_var, unbiased)):
                    kept = self.momentum * running.value
                    running.value = kept + (1 - self.momentum) * new.astype(kept.dtype)
        else:
            mean, var = running_mean.value, running_var.value
        # One multiplication and one addition for each element; the rest is computed on [features].
        factor = scale * lax.rsqrt(var + self.epsilon)
        shape = (1,) * (x.ndim - 1) + (features,)
        out = x * factor.reshape(shape) + (bias - mean * factor).reshape(shape)
        return out.astype(out_dtype)


class SelfModulation(nn.Module):
    """Batch norm whose scale and bias are functions of the latent: gamma(z) normalised(x) + beta(z).

    gamma and beta are networks of their own with a hidden layer of 32 ReLUs. Their last biases start at 1 and 0, so
    that the layer starts near batch norm.

    Args:
        axis_name: as in `BatchNorm`.
        dtype: as in `BatchNorm`; gamma and beta, too, are computed in float32 or wider.
        num_hidden: units of the hidden layers.

    References:
        T. Chen, M. Lucic, N. Houlsby, S. Gelly, "On Self Modulation for Generative Adversarial Networks", ICLR 2019,
            equation 3 and appendix B.
    """

    axis_name: str | None = None
    dtype: Any = None
    num_hidden: int = 32

    @nn.compact
    def __call__(self, x: jax.Array, latent: jax.Array, *, train: bool) -> jax.Array:
        """X [batch, ..., features], latent [batch, latent_dim] -> [batch, ..., features]."""
        wide = jnp.promote_types(x.dtype, jnp.float32)
        normal = BatchNorm(self.axis_name, affine=False, dtype=wide, name="norm")(x, train=train)
        shape = (x.shape[0], *(1,) * (x.ndim - 2), x.shape[-1])
        parts = []
        for name, start in (("scale", nn.initializers.ones), ("bias", nn.initializers.zeros)):
            hidden = nn.relu(nn.Dense(self.num_hidden, dtype=wide, name=f"{name}_hidden")(latent))
            last = nn.Dense(x.shape[-1], bias_init=start, dtype=wide, name=f"{name}_output")
            parts.append(last(hidden).reshape(shape))
        return (parts[0] * normal + parts[1]).astype(self.dtype or x.dtype)


def init_linear(key: Key[Array, ""], num_inputs: int, num_outputs: int) -> dict[str, Float[Array, "..."]]:
    """Initial parameters of a linear map: LeCun normal weights and a bias of 0.

    Args:
        key: typed PRNG key.
        num_inputs: number of inputs.
        num_outputs: number of outputs.

    Returns:
        {"kernel": [num_inputs, num_outputs], "bias": [num_outputs]}, float32.
    """
    kernel = nn.initializers.lecun_normal()(key, (num_inputs, num_outputs), jnp.float32)
    return {"kernel": kernel, "bias": jnp.zeros(num_outputs, jnp.float32)}


def linear(params: dict[str, Float[Array, "..."]], x: Float[Array, "n inputs"]) -> Float[Array, "n outputs"]:
    """The map x W + b: [batch, inputs] -> [batch, outputs]."""
    return x @ params["kernel"] + params["bias"][None]


def fan_in_uniform(num_inputs: int, gain: Any = 1.0) -> nn.initializers.Initializer:
    """Uniform on +-gain / sqrt(num_inputs), as PyTorch's layers begin: variance gain^2 / (3 num_inputs)."""

    def uniform(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return gain / math.sqrt(num_inputs) * jax.random.uniform(key, shape, dtype, -1.0)

    return uniform
