"""Self-attention over the positions of a feature map."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array


class SelfAttention(nn.Module):
    r"""y = x + gamma o: o is, at each position, a weighted mean over all positions, computed by matrix products.

    $$ \beta_{j,i} = \mathrm{softmax}_i(f(x_i)^\top g(x_j)), \qquad o_j = v(\sum_i \beta_{j,i} h(x_i)) $$

    f, g and h are linear maps (1x1 convolutions without biases) from C to C / `reduction` channels and v is one back to
    C. gamma, one number, starts at 0: the layer starts as the identity. Time and memory grow as (height width)^2.

    Args:
        reduction: ratio of the input's channels C to those of f, g and h; 8 as published.
        pool: whether f and h are max-pooled over 2x2 blocks, at a quarter of the cost.
        dtype: dtype of the computation; None takes the wider of the input's and float32. Parameters are float32.

    Raises:
        ValueError: if `pool` is set and the map has an odd size.

    References:
        H. Zhang, I. Goodfellow, D. Metaxas, A. Odena, "Self-Attention Generative Adversarial Networks", ICML 2019,
            arXiv 1805.08318, section 3, equations 1 to 3.
    """

    reduction: int = 8
    pool: bool = False
    dtype: Any = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, height, width, channels] -> the same shape."""
        batch, height, width, channels = x.shape
        if self.pool and (height % 2 or width % 2):
            raise ValueError(f"maps of {height} x {width} cannot be pooled in 2x2 blocks: set pool=False")
        inner = max(channels // self.reduction, 1)
        f, g, h = (self._linear(inner, name)(x) for name in ("f", "g", "h"))
        if self.pool:
            f, h = (a.reshape(batch, height // 2, 2, width // 2, 2, inner).max((2, 4)) for a in (f, h))
        f, g, h = (a.reshape(batch, -1, inner) for a in (f, g, h))
        weights = jax.nn.softmax(g @ f.swapaxes(1, 2), axis=-1)  # [batch, j, i]
        out = self._linear(channels, "v")(weights @ h).reshape(x.shape)
        gamma = self.param("gamma", nn.initializers.zeros, (), jnp.float32)
        return x + gamma.astype(out.dtype) * out

    def _linear(self, features: int, name: str) -> nn.Dense:
        return nn.Dense(features, use_bias=False, dtype=self.dtype, name=name)
