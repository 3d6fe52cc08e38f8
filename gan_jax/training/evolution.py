"""Gradients of unrolled objectives by evolution strategies: from values at random points around the parameters.

Their memory does not grow with the length of a rollout, and they exist where a derivative explodes. Their noise grows
with the number of parameters.

References:
    T. Salimans et al., "Evolution Strategies as a Scalable Alternative to Reinforcement Learning", arXiv 1703.03864.
    L. Metz et al., "Understanding and Correcting Pathologies in the Training of Learned Optimizers", ICML 2019.
    P. Vicol, L. Metz, J. Sohl-Dickstein, "Unbiased Gradient Estimation in Unrolled Computation Graphs with Persistent
        Evolution Strategies", ICML 2021, algorithm 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, Key, PyTree

from gan_jax.experiment.component import component, setting


@component
class Evolution:
    """The player's gradient by evolution strategies instead of a derivative through the opponent's updates.

    Every update of the player computes 2 `num_pairs` rollouts and no derivative of them. See `evolution_gradient`.

    Example:
        >>> from gan_jax.experiment.players import Unroll
        >>> Unroll(num_steps=10, gradient=Evolution(num_pairs=32)).gradient.std
        0.01
    """

    std: float = setting(default=0.01, above=0, doc="standard deviation of the perturbations of each parameter")
    num_pairs: int = setting(default=16, at_least=1, doc="pairs of opposite perturbations")

    def last_steps(self, num_steps: int) -> int:
        return 0

    def finish(self, loss: Callable[[Any], Array], params: Any, average: Callable[[Any], Any]) -> Any:
        return params


def evolution_gradient(
    objective: Callable[[Any], tuple[Array, Any]],
    params: PyTree[Float[Array, "..."]],
    key: Key[Array, ""],
    *,
    std: float | Float[Array, ""] = 0.01,
    num_pairs: int = 16,
) -> tuple[tuple[Float[Array, ""], Any], PyTree[Float[Array, "..."]]]:
    """An objective's value and an estimate of its gradient, from pairs of opposite perturbations.

    g = 1 / (2 N std) sum_i (L(phi + std e_i) - L(phi - std e_i)) e_i,    e_i ~ N(0, I)

    Its mean is the gradient of L averaged over N(phi, std^2 I), which for a quadratic L is the gradient itself.

    Args:
        objective: parameters -> (scalar, aux); the perturbed values use the same random numbers.
        params: where to estimate the gradient.
        key: of the perturbations.
        std: their standard deviation, in the parameters' unit.
        num_pairs: N, static. The pairs are computed one after another, so that memory does not grow with them.

    Returns:
        ((value, aux) at `params`, the gradient with the shape of `params`).

    Example:
        >>> estimate = evolution_gradient(lambda x: (x**2, None), jnp.float32(3.0), jax.random.key(0), num_pairs=5_000)
        >>> 5.5 < float(estimate[1]) < 6.5
        True
    """
    flat, unravel = ravel_pytree(params)

    def add(total: Array, key: Array) -> tuple[Array, None]:
        direction = jax.random.normal(key, flat.shape, flat.dtype)
        above, below = (objective(unravel(flat + sign * std * direction))[0] for sign in (1, -1))
        return total + (above - below) / (2 * std) * direction, None

    total, _ = jax.lax.scan(add, jnp.zeros_like(flat), jax.random.split(key, num_pairs))
    return objective(params), unravel(total / num_pairs)


class Particles(NamedTuple):
    """The inner problems of persistent evolution strategies, each under perturbed parameters of its own.

    Attributes:
        inner: states of the inner problems; each leaf is [2, num_pairs, ...], opposite perturbations in the first axis.
        shift: [num_pairs, number of parameters], the sum of all perturbations so far of the first of each pair.
    """

    inner: Any
    shift: Array


def init_particles(inner: Any, params: PyTree[Float[Array, "..."]], *, num_pairs: int) -> Particles:
    """Particles before the first window, all in the same inner state.

    Args:
        inner: a pytree of arrays, the state of the inner problem.
        params: the outer parameters.
        num_pairs: pairs of opposite perturbations, static.

    Returns:
        The particles.

    Example:
        >>> init_particles(jnp.zeros(3), jnp.ones(2), num_pairs=4).inner.shape
        (2, 4, 3)
    """
    copies = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (2, num_pairs, *jnp.shape(leaf))), inner)
    flat, _ = ravel_pytree(params)
    return Particles(copies, jnp.zeros((num_pairs, flat.size), flat.dtype))


def persistent_gradient(
    window: Callable[[Any, Any], tuple[Array, Any]],
    params: PyTree[Float[Array, "..."]],
    particles: Particles,
    key: Key[Array, ""],
    *,
    std: float | Float[Array, ""] = 0.01,
) -> tuple[Float[Array, ""], PyTree[Float[Array, "..."]], Particles]:
    """The estimate of persistent evolution strategies from one window of a long inner problem.

    g = 1 / (2 N std^2) sum_i shift_i (L_i+ - L_i-)

    shift_i is the sum of the perturbations of all windows so far. Summed over the windows of a whole inner problem, the
    estimates have the mean of the full problem's gradient, while `evolution_gradient` of single windows ignores how
    earlier windows changed the inner state.

    Args:
        window: (parameters, inner state) -> (loss of the window, inner state after it).
        params: the outer parameters.
        particles: of the windows before, or of `init_particles` at the start of an inner problem.
        key: of this window's perturbations.
        std: their standard deviation, in the parameters' unit.

    Returns:
        (mean loss over the particles, the gradient with the shape of `params`, the particles for the next window).

    Example:
        >>> start = init_particles(jnp.float32(0.0), jnp.float32(1.0), num_pairs=5_000)
        >>> step = lambda rate, x: (x + rate, x + rate)  # the loss and the next state
        >>> loss, slope, after = persistent_gradient(step, jnp.float32(1.0), start, jax.random.key(0))
        >>> 0.9 < float(slope) < 1.1, after.inner.shape
        (True, (2, 5000))
    """
    flat, unravel = ravel_pytree(params)
    fresh = std * jax.random.normal(key, particles.shift.shape, flat.dtype)
    signs = jnp.array([1.0, -1.0], flat.dtype)

    def one(sign: Array, perturbation: Array, inner: Any) -> tuple[Array, Any]:
        return window(unravel(flat + sign * perturbation), inner)

    losses, inner = jax.vmap(jax.vmap(one, in_axes=(None, 0, 0)), in_axes=(0, None, 0))(signs, fresh, particles.inner)
    shift = particles.shift + fresh
    gradient = jnp.mean(shift * (losses[0] - losses[1])[:, None], axis=0) / (2 * std**2)
    return jnp.mean(losses), unravel(gradient), Particles(inner, shift)
