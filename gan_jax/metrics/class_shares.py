"""Numbers of class shares: effective and present classes, and the divergence from the real shares."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import xlogy
from jaxtyping import Float

from gan_jax.data.image_arrays import NUM_CLASSES

LEAST_CLASS_SHARE = 0.1
"""A class is present if its share is at least this fraction of its real share."""
_LEAST_PROBABILITY = 1e-6


def kl_floor(n: int, num_classes: int = NUM_CLASSES) -> float:
    r"""Expected KL in nats of n samples of the true distribution: $(K - 1) / 2n$, to first order in 1/n.

    Example:
        >>> round(kl_floor(25_600, 1_000), 4)
        0.0195
    """
    return (num_classes - 1) / (2 * n)


def effective_classes(class_share: Float[Array, "*batch k"]) -> Float[Array, "*batch"]:
    """The exponential of the entropy of class shares `[..., K]`: 1..K; 0 where all shares are 0.

    Example:
        >>> round(float(effective_classes(jnp.array([0.5, 0.5, 0.0]))), 3)
        2.0
    """
    entropy = -jnp.sum(xlogy(class_share, class_share), axis=-1)
    return jnp.where(jnp.sum(class_share, axis=-1) > 0.0, jnp.exp(entropy), 0.0)


def present_modes(class_share: Float[Array, " k"], real_share: Float[Array, " k"]) -> Float[Array, ""]:
    """Number of classes that occur with at least a tenth of their real share; shares are `[K]`.

    Example:
        >>> float(present_modes(jnp.array([0.9, 0.09, 0.01]), jnp.full(3, 1 / 3)))
        2.0
    """
    present = (class_share > 0.0) & (class_share >= LEAST_CLASS_SHARE * real_share)
    return jnp.sum(present.astype(jnp.float32))


def class_divergence(class_share: Float[Array, " k"], real_share: Float[Array, " k"]) -> Float[Array, ""]:
    """KL of class shares `[K]` to the real ones in nats; if all shares are 0, the largest KL of a single class.

    Example:
        Half of the classes are missing, so it is ln 2:

        >>> round(float(class_divergence(jnp.array([0.5, 0.5, 0.0, 0.0]), jnp.full(4, 0.25))), 3)
        0.693
    """
    # A class that real images lack gets a small share, so that its KL is 14 nats instead of infinite.
    log_real = jnp.log(jnp.maximum(real_share, _LEAST_PROBABILITY))
    divergence = jnp.sum(xlogy(class_share, class_share) - class_share * log_real)
    return jnp.where(jnp.sum(class_share) > 0.0, jnp.maximum(divergence, 0.0), jnp.max(-log_real))
