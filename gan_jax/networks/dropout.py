"""Dropout for networks that are given no key: the stream of masks is a statistic of the layer."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

_DIGIT = 2**16


class Dropout(nn.Module):
    """Inverted dropout: in training each activation is 0 with probability `rate`, and the others are / (1 - rate).

    The collection `dropout` holds a seed, drawn at init, and the number of training passes so far, from which the mask
    of a pass follows. Both go in and out with the other statistics, so that a resumed run draws what an uninterrupted
    one draws. A pass whose statistics are thrown away (G's, and those of penalties) has the mask of the next one kept.

    Seed and number are two digits each, whole numbers below 2^16 as floats: the mean over up to 256 devices of equal
    ones is exact, and no number of passes is too large for float32.

    With an axis, the mask is drawn for the whole batch, of which each device takes its share: n devices drop what one
    does. Without one, every device drops the same of its own batch.

    Args:
        rate: probability in [0, 1); may be traced.
        axis_name: the mapped axis over which the batch is split, or None.

    References:
        N. Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 15, 2014,
            section 4.
    """

    rate: Any
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """[batch, ...] -> the same; the input itself with train=False."""
        seed = self.variable("dropout", "seed", self._draw_seed).value
        passes = self.variable("dropout", "passes", jnp.zeros, (2,), jnp.float32)
        if not train:
            return x
        # The generator is named, so that a session with another default one has the same masks.
        key = jax.random.fold_in(jax.random.key(_number(seed), impl="threefry2x32"), _number(passes.value))
        shared = self.axis_name is not None and not self.is_initializing()
        num = lax.axis_size(self.axis_name) if shared else 1
        kept = jax.random.uniform(key, (x.shape[0] * num, *x.shape[1:])) >= self.rate
        if shared:
            kept = lax.dynamic_slice_in_dim(kept, lax.axis_index(self.axis_name) * x.shape[0], x.shape[0])
        if not self.is_initializing():
            passes.value = _after(passes.value)
        return jnp.where(kept, x / jnp.asarray(1 - self.rate, x.dtype), jnp.zeros((), x.dtype))

    def _draw_seed(self) -> Array:
        return jax.random.randint(self.make_rng("params"), (2,), 0, _DIGIT).astype(jnp.float32)


def _number(digits: Array) -> Array:
    """The whole number of two digits, uint32."""
    high, low = digits.astype(jnp.uint32)
    return high * jnp.uint32(_DIGIT) + low


def _after(digits: Array) -> Array:
    """The digits of the next number."""
    low = digits[1] + 1
    carries = low >= _DIGIT
    return jnp.stack([digits[0] + carries.astype(digits.dtype), jnp.where(carries, 0, low).astype(digits.dtype)])
