"""How well a generator can make given images: reconstruction by optimising the latents (IvOM).

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, arXiv 1611.02163, section 3.4.1: inference
        via optimisation, with several starts. A. Srivastava et al., "VEEGAN", NeurIPS 2017, arXiv 1705.07761, table 3.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array


def inversion_errors(
    generate: Callable[[Array], Array],
    images: Array,
    starts: Array,
    *,
    num_steps: int = 300,
    learning_rate: float | Array = 0.05,
) -> Array:
    """The least mean squared error of each image over latents that Adam finds from several starts.

    A generator that lacks a mode cannot make its images. The published numbers are of L-BFGS; Adam from the same starts
    bounds the same minimum from above, and stays one program for all images.

    Args:
        generate: latents [n, d] -> images [n, ...], each from its own latent alone (batch norm by running statistics).
        images: [n, ...], real images, held out.
        starts: [s, n, d], first latents; three starts as published.
        num_steps: of Adam, static.
        learning_rate: of Adam.

    Returns:
        [n], the mean over an image's values of the squared difference, the least of all starts and steps.
    """
    optimiser = optax.adam(learning_rate)

    def errors(latent: Array) -> Array:
        return jnp.mean(jnp.square(generate(latent) - images), axis=tuple(range(1, images.ndim)))

    def from_one(start: Array) -> Array:
        def step(carry: tuple[Array, optax.OptState, Array], _: None) -> tuple:
            latent, state, least = carry

            def total(latent: Array) -> tuple[Array, Array]:
                each = errors(latent)
                return jnp.sum(each), each

            grads, each = jax.grad(total, has_aux=True)(latent)
            updates, state = optimiser.update(grads, state)
            return (optax.apply_updates(latent, updates), state, jnp.minimum(least, each)), None

        first = (start, optimiser.init(start), jnp.full(images.shape[0], jnp.inf))
        (latent, _, least), _ = jax.lax.scan(step, first, length=num_steps)
        return jnp.minimum(least, errors(latent))

    return jnp.min(jax.lax.map(from_one, starts), axis=0)
