"""The geometry of the game at a point: eigenvalues of the Jacobian of both players' descent, without the Jacobian.

    v(theta) = (-grad_G L_G, -grad_D L_D),   J = dv / dtheta,   theta both players' parameters as one vector

The flow theta' = v approaches a fixed point where all real parts of J's eigenvalues are negative (attraction), circles
it where they are imaginary (rotation), and leaves it where one is positive. Descent of both players at once with a step
eta multiplies the part along an eigenvalue lambda by |1 + eta lambda| a step: below 1 only for
eta < -2 Re(lambda) / |lambda|^2, so that rotation makes it slow even where the flow converges.

J is square, real and not symmetric, and touched through products J u alone: the derivative of v along u, forward over
reverse, at the cost of a few gradients. Away from a fixed point, the eigenvalues are those of the linear part of v.

References:
    L. Mescheder, S. Nowozin, A. Geiger, "The Numerics of GANs", NeurIPS 2017, sections 3 and 4.
    L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", ICML 2018.
    D. Balduzzi et al., "The Mechanics of n-Player Differentiable Games", ICML 2018, section 2.2: J = S + A.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

Loss = Callable[[Any, Any, Any], Array]
"""(G's parameters, D's parameters, data) -> what a player pays, a scalar."""

Field = Callable[[Array, Any], Array]
"""(both players' parameters as one vector [n], data) -> v [n]."""

Product = Callable[[np.ndarray], np.ndarray]
"""u [n] -> J u [n], on the host."""

DENSE_UP_TO = 1000
"""Parameters up to which the whole Jacobian is made, and all of its eigenvalues are found."""

_REAL = 1e-3
"""|Im| / |lambda| below which an eigenvalue counts as real: two equal ones come out of a computation as a pair."""
_NOTHING = 1e-6
"""|lambda| over the largest below which an eigenvalue counts as 0, and has no direction."""


class Spectrum(NamedTuple):
    """Eigenvalues of J.

    Attributes:
        values: complex [m], by falling magnitude, conjugates both; equal ones once, unless `complete`.
        errors: [m], the norm of the change of J that would make each an exact eigenvalue; 0 if `complete`.
        complete: whether these are all n of them.
        missing: how many of those sought were not found within the products allowed.
        num_products: J u that this took.
    """

    values: np.ndarray
    errors: np.ndarray
    complete: bool
    missing: int
    num_products: int


class Blocks(NamedTuple):
    """What J is made of, estimated. Rows and columns are G, D: how a player's descent changes with whose parameters.

    Attributes:
        norms: [2, 2] Frobenius norms. On the diagonal is each player's own curvature, off it the players' interaction.
        norm_errors: [2, 2] their standard errors over the random directions.
        rotation: |A|^2 / |J|^2 of the antisymmetric part A = (J - J^T) / 2, in [0, 1]: 1 for a bilinear game, 0 where
            both players descend one loss.
        rotation_error: its standard error.
    """

    norms: np.ndarray
    norm_errors: np.ndarray
    rotation: float
    rotation_error: float


def make_field(
    generator_loss: Loss, discriminator_loss: Loss, generator: Any, discriminator: Any
) -> tuple[Field, Array]:
    """(v, the point it is looked at as one vector), of two losses at two players' parameters.

    Example:
        >>> field, at = make_field(lambda g, d, _: g * d, lambda g, d, _: -g * d, 2.0, 3.0)
        >>> field(at, None).tolist()
        [-3.0, 2.0]
    """
    flat, unravel = ravel_pytree((generator, discriminator))

    def field(at: Array, data: Any) -> Array:
        gen, disc = unravel(at)
        gradients = jax.grad(generator_loss, 0)(gen, disc, data), jax.grad(discriminator_loss, 1)(gen, disc, data)
        return -ravel_pytree(gradients)[0]

    return field, flat


def mean_field(field: Field) -> Field:
    """The mean of a field over the leading axis of its data, one at a time: a batch that is too large for memory."""

    def mean(at: Array, data: Any) -> Array:
        total, _ = jax.lax.scan(lambda sum_, part: (sum_ + field(at, part), None), jnp.zeros_like(at), data)
        return total / jax.tree.leaves(data)[0].shape[0]

    return mean


def jacobian_product(field: Field, at: Array, data: Any, compiler_options: dict[str, Any] | None = None) -> Product:
    """J u of a field at a point, compiled once for a field and shapes: neither point nor data are constants in it."""
    program = _program(field, tuple((compiler_options or {}).items()))

    def product(u: np.ndarray) -> np.ndarray:
        result = np.asarray(program(at, data, jnp.asarray(u, at.dtype)), np.float64)
        if not np.all(np.isfinite(result)):
            raise ValueError("the Jacobian of the game is not finite: its losses overflow here, or have no derivative")
        return result

    return product


@functools.cache
def _program(field: Field, compiler_options: tuple[tuple[str, Any], ...]) -> Any:
    return jax.jit(
        lambda at, data, u: jax.jvp(lambda x: field(x, data), (at,), (u,))[1],
        compiler_options=dict(compiler_options) or None,
    )


def spectrum(
    product: Product,
    dim: int,
    *,
    num_values: int = 40,
    seed: int = 0,
    tolerance: float = 1e-5,
    max_products: int = 300,
    dense_up_to: int = DENSE_UP_TO,
) -> Spectrum:
    """Eigenvalues of a real square matrix that is known through its products.

    Of a small one, all. Of a large one those at the rim of the spectrum, by Arnoldi's method: the eigenvalues of J on
    the space of u, J u, J J u, ... for a random u. The space grows until `num_values` of them have an error below
    `tolerance` times the largest magnitude: half are those of the largest magnitude, a quarter of the most positive
    real part, a quarter of the largest imaginary part. One space serves all three, and is never restarted: on a ring
    GAN of 34,000 parameters 100 products find more than 870 of ARPACK's restarted search do.

    Args:
        product: u [n] -> J u.
        dim: n.
        num_values: at least 4.
        seed: of u.
        tolerance: relative to the largest magnitude. An error is that of a change of J; of an eigenvalue itself it may
            be larger, the more so the less normal J is.
        max_products: the space's largest dimension; that many vectors of n numbers are held.
        dense_up_to: n up to which the matrix is made instead.

    Raises:
        ValueError: if fewer than 4 values are sought.

    References:
        Y. Saad, "Numerical Methods for Large Eigenvalue Problems", SIAM 2011, section 6.2.
    """
    if num_values < 4:
        raise ValueError(
            f"{num_values} eigenvalues are sought, and must be at least 4: half by size, a quarter each way"
        )
    if dim <= dense_up_to:
        values = _sorted(np.linalg.eigvals(np.stack([product(column) for column in np.eye(dim)], axis=1)))
        return Spectrum(values, np.zeros(dim), True, 0, dim)
    most = min(max_products, dim)
    basis, small = np.zeros((most, dim)), np.zeros((most + 1, most))
    vector = np.random.default_rng(seed).standard_normal(dim)
    basis[0] = vector / np.linalg.norm(vector)
    for size in range(1, most + 1):
        new = product(basis[size - 1])
        scale = float(np.linalg.norm(new))
        for _ in range(2):  # once more, since rounding leaves a part behind
            along = basis[:size] @ new
            new = new - along @ basis[:size]
            small[:size, size - 1] += along
        rest = float(np.linalg.norm(new))
        ends = rest <= 1e-12 * scale  # the space is J's own: its eigenvalues are exact
        small[size, size - 1] = 0.0 if ends else rest
        if ends or size == most or size % 10 == 0:
            values, vectors = np.linalg.eig(small[:size, :size])
            errors = abs(small[size, size - 1]) * np.abs(vectors[-1])
            converged = errors <= tolerance * np.max(np.abs(values))
            wanted = _extremes(values, num_values)
            if ends or size == most or np.all(converged[wanted]):
                break
        basis[size] = new / rest
    kept = np.intersect1d(wanted, np.flatnonzero(converged))
    order = kept[np.argsort(-np.abs(values[kept]), kind="stable")]
    return Spectrum(values[order], errors[order], False, len(wanted) - len(kept), size)


def blocks(product: Product, num_generator: int, dim: int, *, num_directions: int = 10, seed: int = 0) -> Blocks:
    """What J is made of, estimated over random directions u of signs, three products each.

    E |J u|^2 = |J|^2, of a block too, and E <u, J J u> = tr(J J) = |S|^2 - |A|^2 for the symmetric and antisymmetric
    parts, so that |A|^2 = (|J|^2 - tr(J J)) / 2.

    Args:
        product: u [n] -> J u.
        num_generator: parameters of G, which come first.
        dim: n.
        num_directions: at least 2.
        seed: of the directions.

    References:
        M. Hutchinson, "A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian Smoothing Splines",
            Communications in Statistics 19, 1990.
    """
    generator = np.random.default_rng(seed)
    squares, antisymmetric = np.zeros((num_directions, 2, 2)), np.zeros(num_directions)
    for index in range(num_directions):
        u = generator.choice([-1.0, 1.0], dim)
        of_gen = u * (np.arange(dim) < num_generator)
        columns = product(of_gen), product(u - of_gen)
        for player, column in enumerate(columns):
            halves = np.split(column, [num_generator])
            squares[index, :, player] = [float(half @ half) for half in halves]
        once = columns[0] + columns[1]
        antisymmetric[index] = (once @ once - u @ product(once)) / 2
    mean, root = np.mean(squares, axis=0), np.sqrt(num_directions)
    norms = np.sqrt(mean)
    errors = np.std(squares, axis=0, ddof=1) / root / np.maximum(2 * norms, np.finfo(float).tiny)
    total = np.sum(squares, axis=(1, 2))
    if not np.any(total):
        return Blocks(norms, errors, 0.0, 0.0)
    share = float(np.mean(antisymmetric) / np.mean(total))
    # Of a ratio of means, to first order.
    spread = float(np.std(antisymmetric - share * total, ddof=1) / np.mean(total) / root)
    return Blocks(norms, errors, min(max(share, 0.0), 1.0), spread)


def summary(values: np.ndarray) -> dict[str, Any]:
    """What eigenvalues say, JSON-ready; complex numbers are [real, imaginary].

    Returns:
        `largest`, `rightmost`, `fastest`: those of the largest magnitude, real and imaginary part; `share_complex` of
        all that are not 0; `rotation` and `attraction`: means over these of |Im| / |lambda| and -Re / |lambda|;
        `share_repelling`: with a real part above 0; `largest_step`: below which plain simultaneous descent shrinks
        the part along every one of them, None if no step does.
    """
    largest = float(np.max(np.abs(values)))
    moving = values[np.abs(values) > _NOTHING * largest] if largest > 0 else values[:0]
    turning = np.abs(moving.imag) / np.maximum(np.abs(moving), np.finfo(float).tiny)
    repelling = moving.real > _NOTHING * largest
    limits = -2 * moving.real / np.maximum(np.abs(moving) ** 2, np.finfo(float).tiny)
    upper = values[values.imag >= 0]
    return {
        "num": len(values),
        "largest": _pair(upper[np.argmax(np.abs(upper))]),
        "rightmost": _pair(upper[np.argmax(upper.real)]),
        "fastest": _pair(upper[np.argmax(upper.imag)]),
        "share_complex": float(np.mean(turning > _REAL)) if len(moving) else 0.0,
        "rotation": float(np.mean(turning)) if len(moving) else 0.0,
        "attraction": float(np.mean(-moving.real / np.abs(moving))) if len(moving) else 0.0,
        "share_repelling": float(np.mean(repelling)) if len(moving) else 0.0,
        "largest_step": float(np.min(limits)) if len(moving) and np.min(limits) > _NOTHING / largest else None,
    }


def _extremes(values: np.ndarray, num: int) -> np.ndarray:
    """Indices of the values of the largest magnitude, real part and imaginary part, conjugates both, each once."""
    imaginary = np.abs(values.imag)
    ranks = (num // 2, -np.abs(values)), (num // 4, -values.real), (num // 4, -imaginary)
    chosen = np.concatenate([np.argsort(key, kind="stable")[:count] for count, key in ranks])
    pairs = [np.flatnonzero(values == np.conj(values[index])) for index in chosen]
    return np.unique(np.concatenate([chosen, *pairs]))


def _sorted(values: np.ndarray) -> np.ndarray:
    return values[np.argsort(-np.abs(values), kind="stable")]


def _pair(value: complex) -> list[float]:
    return [float(value.real), float(value.imag)]
