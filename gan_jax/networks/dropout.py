"""Dropout without a key argument: the state of the stream of masks is a statistic of the layer."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array, lax

_DIGIT = 2**16


class Dropout(nn.Module):
    """Inverted dropout: in training each activation is 0 with probability `rate`; the others are divided by 1 - rate.

    The collection `dropout` holds a seed, drawn at init, and the number of training passes so far. Both determine the
    mask of a pass. They go in and out with the other statistics, so a resumed run draws the same masks as an
    uninterrupted one. A pass whose statistics are discarded (G's passes, and those of penalties) has the same mask as
    the next pass whose statistics are kept.

    The seed and the number are stored as two digits each, whole numbers below 2^16 as floats: the mean of equal digits
    over up to 256 devices is exact, and no number of passes is too large for float32.

    With an axis, the mask is drawn for the whole batch, and each device takes its shard: n devices drop the same
    activations as one. Without an axis, every device applies the same mask to its own batch.

    Args:
        rate: probability of dropping, in [0, 1); may be traced.
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
        # The generator is named, so that another default generator gives the same masks.
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
    """The whole number that two digits represent, uint32."""
    high, low = digits.astype(jnp.uint32)
    return high * jnp.uint32(_DIGIT) + low


def _after(digits: Array) -> Array:
    """The digits of the next number."""
    low = digits[1] + 1
    carries = low >= _DIGIT
    return jnp.stack([digits[0] + carries.astype(digits.dtype), jnp.where(carries, 0, low).astype(digits.dtype)])
