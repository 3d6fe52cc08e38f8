"""Aggregation: how G's losses against several discriminators (a `Committee`) become one number."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting


@runtime_checkable
class Aggregation(Protocol):
    """G's losses against each discriminator [heads] -> G's loss, a scalar."""

    def __call__(self, losses: Array) -> Array: ...


@component
class SoftMixing:
    """GMAN's soft means, with weights w = softmax(sharpness * losses): the largest losses weigh most.

        arithmetic   sum_i w_i l_i
        geometric    exp(sum_i w_i log l_i)
        harmonic     1 / sum_i w_i / l_i

    `sharpness=0` gives equal weights; a large sharpness approaches `Hardest`. The geometric and the harmonic mean need
    losses of one sign. For negative losses, as published (minimax), they are -exp(sum_i w_i log(-l_i)) and
    -1 / sum_i w_i / (-l_i). (GMAN* learns the sharpness; here it is a setting.)

    Example:
        >>> losses = jnp.array([1.0, 3.0])
        >>> float(SoftMixing(sharpness=0.0)(losses))  # the mean
        2.0
        >>> round(float(SoftMixing(sharpness=1.0)(losses)), 3)  # (1 e + 3 e^3) / (e + e^3)
        2.762

    References:
        I. Durugkar, I. Gemp, S. Mahadevan, "Generative Multi-Adversarial Networks", ICLR 2017, section 3.2.
    """

    mean: Literal["arithmetic", "geometric", "harmonic"] = setting(
        default="arithmetic", doc="kind of mean of the losses"
    )
    sharpness: float = setting(default=1.0, at_least=0, doc="factor of the losses in the softmax; lambda")

    def __call__(self, losses: Array) -> Array:
        weights = jax.nn.softmax(self.sharpness * losses)
        if self.mean == "arithmetic":
            return jnp.sum(weights * losses)
        sign = jnp.where(jnp.sum(losses) < 0, -1.0, 1.0)
        positive = jnp.maximum(sign * losses, 1e-12)
        if self.mean == "geometric":
            return sign * jnp.exp(jnp.sum(weights * jnp.log(positive)))
        return sign / jnp.sum(weights / positive)


@component
class Hardest:
    """G's largest loss over the discriminators: GMAN-max.

    Example:
        >>> float(Hardest()(jnp.array([1.0, 3.0])))
        3.0

    References:
        I. Durugkar, I. Gemp, S. Mahadevan, "Generative Multi-Adversarial Networks", ICLR 2017, section 3.1.
    """

    def __call__(self, losses: Array) -> Array:
        return jnp.max(losses)


AGGREGATIONS = (SoftMixing, Hardest)
