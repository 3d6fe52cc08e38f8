"""How G weighs what it pays to several discriminators (a `Committee`): one number of the losses to each."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting


@runtime_checkable
class Aggregation(Protocol):
    """G's losses to each discriminator [heads] -> what it pays, a scalar."""

    def __call__(self, losses: Array) -> Array: ...


@component
class SoftMixing:
    """GMAN's soft means: weights w = softmax(sharpness * losses) on the discriminators that G does worst against.

        arithmetic   sum_i w_i l_i
        geometric    exp(sum_i w_i log l_i)
        harmonic     1 / sum_i w_i / l_i

    `sharpness=0` weighs all alike, a large one is `Hardest`. The last two take losses of one sign: for negative ones,
    as published (minimax), they are -exp(sum_i w_i log(-l_i)) and -1 / sum_i w_i / (-l_i). (GMAN* learns the sharpness;
    here it is a setting.)

    References:
        I. Durugkar, I. Gemp, S. Mahadevan, "Generative Multi-Adversarial Networks", ICLR 2017, section 3.2.
    """

    mean: Literal["arithmetic", "geometric", "harmonic"] = setting(default="arithmetic", doc="which mean of the losses")
    sharpness: float = setting(default=1.0, at_least=0, doc="of the weights; lambda")

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
    """The loss to the discriminator that G does worst against: GMAN-max.

    References:
        I. Durugkar, I. Gemp, S. Mahadevan, "Generative Multi-Adversarial Networks", ICLR 2017, section 3.1.
    """

    def __call__(self, losses: Array) -> Array:
        return jnp.max(losses)


AGGREGATIONS = (SoftMixing, Hardest)
