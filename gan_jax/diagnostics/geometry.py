"""Geometry of the game at a point: eigenvalues of the Jacobian of both players' descent, from its products alone.

    v(theta) = (-grad_G L_G, -grad_D L_D),   J = dv / dtheta,   theta both players' parameters as one vector

The flow theta' = v converges to a fixed point if all eigenvalues of J have negative real parts (attraction), circles
it if they are imaginary (rotation), and leaves it if one real part is positive. Simultaneous descent with a step eta
multiplies the component along an eigenvalue lambda by |1 + eta lambda| per step. This is below 1 only for
eta < -2 Re(lambda) / |lambda|^2, so that rotation slows descent down even where the flow converges.

J is square, real and not symmetric. Only products J u are computed: the derivative of v along u, by forward over
reverse mode, at the cost of a few gradients. Away from a fixed point, the eigenvalues are those of the linearisation
of v.

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
from jaxtyping import Float

PlayerLoss = Callable[[Any, Any, Any], Array]
"""(G's parameters, D's parameters, data) -> a player's loss, a scalar."""

Field = Callable[[Array, Any], Array]
"""(both players' parameters as one vector [n], data) -> v [n]."""

Product = Callable[[np.ndarray], np.ndarray]
"""u [n] -> J u [n], on the host."""

DENSE_UP_TO = 1000
"""Largest number of parameters for which the whole Jacobian is built and all of its eigenvalues are computed."""

_REAL = 1e-3
"""|Im| / |lambda| below which an eigenvalue counts as real: rounding turns a double real eigenvalue into a pair."""
_NOTHING = 1e-6
"""|lambda| / max |lambda| below which an eigenvalue counts as 0."""


class Spectrum(NamedTuple):
    """Eigenvalues of J.

    Attributes:
        values: complex [m], by decreasing magnitude, with both of each conjugate pair. Repeated eigenvalues occur once,
            unless `complete`.
        errors: [m], norm of the change of J that would make each an exact eigenvalue; 0 if `complete`.
        complete: whether these are all n eigenvalues.
        missing: number of requested eigenvalues that did not converge within the allowed products.
        num_products: number of products J u that were computed.

    Example:
        >>> found = spectrum(lambda u: np.array([[-3.0, 0.0], [0.0, -1.0]]) @ u, 2)
        >>> found.values.tolist(), found.complete, found.num_products
        ([-3.0, -1.0], True, 2)
    """

    values: np.ndarray
    errors: np.ndarray
    complete: bool
    missing: int
    num_products: int


class Blocks(NamedTuple):
    """Estimated norms of the four blocks of J. Row: the player that descends; column: whose parameters change; G first.

    Attributes:
        norms: [2, 2], Frobenius norms. The diagonal is each player's own curvature, the rest is the interaction.
        norm_errors: [2, 2], their standard errors over the random directions.
        rotation: |A|^2 / |J|^2 of the antisymmetric part A = (J - J^T) / 2, in [0, 1]: 1 for a bilinear game, 0 if
            both players minimise the same loss.
        rotation_error: its standard error.

    Example:
        >>> shared_loss = np.diag([-1.0, -2.0])  # both players minimise g^2 / 2 + d^2
        >>> found = blocks(lambda u: shared_loss @ u, 1, 2)
        >>> found.norms.tolist(), found.rotation
        ([[1.0, 0.0], [0.0, 2.0]], 0.0)
    """

    norms: np.ndarray
    norm_errors: np.ndarray
    rotation: float
    rotation_error: float


def make_field(
    generator_loss: PlayerLoss, discriminator_loss: PlayerLoss, generator: Any, discriminator: Any
) -> tuple[Field, Float[Array, " n"]]:
    """The field v of two losses, as a function of both players' parameters in one vector.

    Args:
        generator_loss: G's loss.
        discriminator_loss: D's loss.
        generator: G's parameters, a pytree.
        discriminator: D's parameters, a pytree.

    Returns:
        (v, the given parameters as one vector [n], G's first).

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
    """Mean of a field over the leading axis of its data, one entry at a time, which bounds the memory.

    Example:
        >>> field = mean_field(lambda at, target: target - at)
        >>> field(jnp.zeros(2), jnp.array([[1.0, 0.0], [3.0, 0.0]])).tolist()
        [2.0, 0.0]
    """

    def mean(at: Array, data: Any) -> Array:
        total, _ = jax.lax.scan(lambda sum_, part: (sum_ + field(at, part), None), jnp.zeros_like(at), data)
        return total / jax.tree.leaves(data)[0].shape[0]

    return mean


def jacobian_product(
    field: Field, at: Float[Array, " n"], data: Any, compiler_options: dict[str, Any] | None = None
) -> Product:
    """Products J u of a field at a point. One program is compiled per field, shapes and options.

    Args:
        field: v.
        at: [n], both players' parameters.
        data: of the field.
        compiler_options: XLA options of the program; None for the defaults.

    Returns:
        u [n] -> J u [n], in float64 on the host. It raises ValueError where J u is not finite.

    Example:
        >>> field, at = make_field(lambda g, d, _: g * d, lambda g, d, _: -g * d, 2.0, 3.0)
        >>> jacobian_product(field, at, None)(np.array([1.0, 2.0])).tolist()  # J = [[0, -1], [1, 0]]
        [-2.0, 1.0]
    """
    program = _program(field, tuple((compiler_options or {}).items()))

    def product(u: np.ndarray) -> np.ndarray:
        result = np.asarray(program(at, data, jnp.asarray(u, at.dtype)), np.float64)
        if not np.all(np.isfinite(result)):
            raise ValueError(
                "the Jacobian of the game is not finite, since the losses overflow here or have no derivative: take "
                "another checkpoint"
            )
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
    """Eigenvalues of a real square matrix that is given by its products.

    A small matrix is built, and all of its eigenvalues are computed. For a large one Arnoldi's method finds those at
    the boundary of the spectrum: eigenvalues of J on the Krylov space of u, J u, J J u, ... for a random u. The space
    grows until `num_values` of them have an error below `tolerance` times the largest magnitude: half of them have the
    largest magnitudes, a quarter the most positive real parts, a quarter the largest imaginary parts. One space serves
    all three, without restarts: on a ring GAN of 34,000 parameters 100 products find more eigenvalues than 870 products
    of ARPACK's restarted search.

    Args:
        product: u [n] -> J u.
        dim: n.
        num_values: number of eigenvalues, at least 4.
        seed: of the random u.
        tolerance: largest error, relative to the largest magnitude. It bounds a change of J; the error of an eigenvalue
            itself may be larger, the more so the less normal J is.
        max_products: largest dimension of the space, and number of vectors [n] that are kept.
        dense_up_to: largest n for which the matrix is built.

    Returns:
        The eigenvalues that converged.

    Raises:
        ValueError: if `num_values` is below 4.

    Example:
        >>> bilinear = np.array([[0.0, -1.0], [1.0, 0.0]])
        >>> spectrum(lambda u: bilinear @ u, 2).values.tolist()  # the flow rotates
        [1j, -1j]

    References:
        Y. Saad, "Numerical Methods for Large Eigenvalue Problems", SIAM 2011, section 6.2.
    """
    if num_values < 4:
        raise ValueError(
            f"num_values is {num_values}, and must be at least 4: half are chosen by magnitude, a quarter each by real "
            "and by imaginary part"
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
        for _ in range(2):  # twice: rounding leaves a component along the basis
            along = basis[:size] @ new
            new = new - along @ basis[:size]
            small[:size, size - 1] += along
        rest = float(np.linalg.norm(new))
        ends = rest <= 1e-12 * scale  # the space is invariant under J: the eigenvalues are exact
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
    """Estimates the norms of the blocks of the game's Jacobian J, and the share of its antisymmetric part.

    Random vectors u of signs are used, each with three products of J. E |J u|^2 = |J|^2, also for a block, and
    E <u, J J u> = tr(J J) = |S|^2 - |A|^2 for the symmetric and antisymmetric parts, so that
    |A|^2 = (|J|^2 - tr(J J)) / 2.

    Args:
        product: u [n] -> J u.
        num_generator: number of G's parameters, which come first.
        dim: n.
        num_directions: number of vectors u, at least 2.
        seed: of the vectors.

    Returns:
        The estimates with their standard errors.

    Example:
        >>> bilinear = np.array([[0.0, -1.0], [1.0, 0.0]])
        >>> blocks(lambda u: bilinear @ u, 1, 2).rotation
        1.0

    References:
        M. Hutchinson, "A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian Smoothing Splines",
            Communications in Statistics 19, 1990.
    """
    generator = np.random.default_rng(seed)
    squares, antisymmetric = np.zeros((num_directions, 2, 2)), np.zeros(num_directions)
    for index in range(num_directions):
        u = generator.choice([-1.0, 1.0], dim)
        gen_part = u * (np.arange(dim) < num_generator)
        columns = product(gen_part), product(u - gen_part)
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
    # Standard error of a ratio of means, to first order.
    spread = float(np.std(antisymmetric - share * total, ddof=1) / np.mean(total) / root)
    return Blocks(norms, errors, min(max(share, 0.0), 1.0), spread)


def spectrum_summary(values: np.ndarray) -> dict[str, Any]:
    """Statistics of eigenvalues, JSON-ready; a complex number is [real, imaginary].

    Returns:
        `largest`, `rightmost`, `fastest`: eigenvalues of the largest magnitude, real and imaginary part. Over the
        eigenvalues that are not 0: `share_complex`; `rotation` and `attraction`, the means of |Im| / |lambda| and of
        -Re / |lambda|; `share_repelling`, the share with a positive real part; `largest_step`, the step below which
        plain simultaneous descent contracts along every one of them, None if there is no such step.

    Example:
        >>> summary = spectrum_summary(np.array([-3 + 4j, -3 - 4j]))
        >>> summary["rotation"], summary["attraction"], summary["largest_step"]  # 4 / 5, 3 / 5, 2 * 3 / 5^2
        (0.8, 0.6, 0.24)
    """
    largest = float(np.max(np.abs(values)))
    moving = values[np.abs(values) > _NOTHING * largest] if largest > 0 else values[:0]
    imaginary = np.abs(moving.imag) / np.maximum(np.abs(moving), np.finfo(float).tiny)
    repelling = moving.real > _NOTHING * largest
    limits = -2 * moving.real / np.maximum(np.abs(moving) ** 2, np.finfo(float).tiny)
    upper = values[values.imag >= 0]
    return {
        "num": len(values),
        "largest": _pair(upper[np.argmax(np.abs(upper))]),
        "rightmost": _pair(upper[np.argmax(upper.real)]),
        "fastest": _pair(upper[np.argmax(upper.imag)]),
        "share_complex": float(np.mean(imaginary > _REAL)) if len(moving) else 0.0,
        "rotation": float(np.mean(imaginary)) if len(moving) else 0.0,
        "attraction": float(np.mean(-moving.real / np.abs(moving))) if len(moving) else 0.0,
        "share_repelling": float(np.mean(repelling)) if len(moving) else 0.0,
        "largest_step": float(np.min(limits)) if len(moving) and np.min(limits) > _NOTHING / largest else None,
    }


def _extremes(values: np.ndarray, num: int) -> np.ndarray:
    """Indices of the values of the largest magnitude, real part and imaginary part; conjugates included, each once."""
    ranks = (num // 2, -np.abs(values)), (num // 4, -values.real), (num // 4, -np.abs(values.imag))
    chosen = np.concatenate([np.argsort(key, kind="stable")[:count] for count, key in ranks])
    pairs = [np.flatnonzero(values == np.conj(values[index])) for index in chosen]
    return np.unique(np.concatenate([chosen, *pairs]))


def _sorted(values: np.ndarray) -> np.ndarray:
    return values[np.argsort(-np.abs(values), kind="stable")]


def _pair(value: complex) -> list[float]:
    return [float(value.real), float(value.imag)]
