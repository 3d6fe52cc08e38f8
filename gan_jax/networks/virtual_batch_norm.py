"""Virtual batch normalisation: a sample is normalised by a fixed reference batch and itself, and by no other sample."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float


class VirtualBatchNorm(nn.Module):
    r"""Normalises each sample by the statistics of the reference batch with that sample added.

    With n reference samples of mean m and variance v, and a sample of mean m_x and variance v_x over its positions (for
    a vector, x itself and 0), w = 1 / (n + 1) and

        mean = (1 - w) m + w m_x,   var = (1 - w) v + w v_x + w (1 - w) (m - m_x)^2

    are the mean and the variance of the n + 1 samples together. The reference samples are normalised by m and v. The
    reference batch is computed once for each batch, and the result is the same on every device.

    Args:
        num_reference: n, number of leading rows of the input that are the reference batch.
        epsilon: added to the variance.
        scale_init: the initialiser of `scale`; `bias` starts at 0.
        dtype: dtype of the result; statistics are taken in float32 or wider. None keeps the input's.

    References:
        T. Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, arXiv 1606.03498, section 3.5.
    """

    num_reference: int
    epsilon: float = 1e-5
    scale_init: Any = nn.initializers.ones
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[num_reference + batch, ..., features] -> the same shape."""
        features, out_dtype = x.shape[-1], self.dtype or x.dtype
        x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        scale = self.param("scale", self.scale_init, (features,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (features,), jnp.float32)
        reference, samples = x[: self.num_reference], x[self.num_reference :]
        axes = tuple(range(x.ndim - 1))
        mean, var = (f(reference, axes, keepdims=True) for f in (jnp.mean, jnp.var))
        own_mean, own_var = (f(samples, axes[1:], keepdims=True) for f in (jnp.mean, jnp.var))
        share = 1.0 / (self.num_reference + 1)
        mixed_var = (1 - share) * var + share * own_var + share * (1 - share) * (mean - own_mean) ** 2
        mixed_mean = (1 - share) * mean + share * own_mean
        parts = (reference, mean, var), (samples, mixed_mean, mixed_var)
        out = jnp.concatenate([(part - m) * lax.rsqrt(v + self.epsilon) for part, m, v in parts])
        shape = (1,) * (x.ndim - 1) + (features,)
        return (out * scale.reshape(shape) + bias.reshape(shape)).astype(out_dtype)


def with_reference(
    module: nn.Module, latent: Float[Array, "n latent_dim"], num_reference: int
) -> Float[Array, "{num_reference}+n latent_dim"]:
    """Puts a module's reference latents in front of others.

    The reference latents are drawn from N(0, 1) at init, for any prior, stored in the collection `reference`, and not
    trained.

    Args:
        module: the Flax module that owns the collection.
        latent: [batch, latent_dim].
        num_reference: number of reference latents.

    Returns:
        [num_reference + batch, latent_dim].
    """

    def draw() -> Array:
        return jax.random.normal(module.make_rng("params"), (num_reference, latent.shape[-1]), jnp.float32)

    reference = module.variable("reference", "latent", draw).value
    return jnp.concatenate([reference.astype(latent.dtype), latent])
