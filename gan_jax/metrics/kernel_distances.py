r"""Maximum mean discrepancies: the kernel distance (KID) with a cubic kernel, and one with a Gaussian kernel.

Both are unbiased estimates of $E k(x, x') + E k(y, y') - 2 E k(x, y)$, without the pairs of a point with itself. They
are 0 in expectation for a perfect sampler at any number of samples, and negative by chance as often as positive.

References:
    A. Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 2012, lemma 6.
    M. Binkowski et al., "Demystifying MMD GANs", ICLR 2018, arXiv 1801.01401, section 3.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from gan_jax.metrics.distances import in_blocks, squared_distances

Kernel = Callable[[Array, Array], Array]
"""[n, d] and [m, d] -> [n, m]."""

_BLOCK = 256
_HEURISTIC_POINTS = 1_000


def cubic_kernel(x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """(<x, y> / d + 1)^3, the kernel of the KID: [n, d] and [m, d] -> [n, m].

    Example:
        >>> cubic_kernel(jnp.array([[2.0, 0.0]]), jnp.array([[1.0, 5.0], [0.0, 1.0]])).tolist()
        [[8.0, 1.0]]
    """
    return (jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST) / x.shape[1] + 1.0) ** 3


def unbiased_mmd(samples: Float[Array, "n d"], real: Float[Array, "m d"], kernel: Kernel) -> Float[Array, ""]:
    """The unbiased squared maximum mean discrepancy over all pairs, in blocks of rows.

    Args:
        samples: [n, d], n at least 2.
        real: [m, d], m at least 2.
        kernel: positive definite.

    Returns:
        A scalar; it may be negative.

    Example:
        With the linear kernel it is the squared distance of the means:

        >>> points = jnp.array([[0.0], [0.0], [0.0]])
        >>> float(unbiased_mmd(points + 2.0, points, lambda x, y: x @ y.T))
        4.0
    """

    def within(points: Array) -> Array:
        num, columns = points.shape[0], jnp.arange(points.shape[0])

        def others(rows: Array, positions: Array) -> Array:
            return jnp.sum(jnp.where(positions[:, None] == columns[None], 0.0, kernel(rows, points)), axis=1)

        return jnp.mean(in_blocks(others, points, columns, size=_BLOCK)) / (num - 1)

    between = jnp.mean(in_blocks(lambda rows: jnp.mean(kernel(rows, real), axis=1), samples, size=_BLOCK))
    return within(samples) + within(real) - 2 * between


def kernel_distance(
    samples: Float[Array, "n d"],
    real: Float[Array, "m d"],
    key: Key[Array, ""],
    *,
    num_subsets: int = 100,
    subset_size: int = 1_000,
) -> Float[Array, ""]:
    """KID: the mean of `unbiased_mmd` with the cubic kernel over subsets drawn without replacement.

    On the features of Inception this is the published KID. Its numbers on other features cannot be compared with those.

    Args:
        samples: [n, d] features.
        real: [m, d].
        key: PRNG key of the subsets.
        num_subsets: number of subsets, static; 100 as published.
        subset_size: number of points in a subset, static; reduced to n or m if there are fewer points.

    Returns:
        A scalar; it may be negative.

    Example:
        >>> points = jax.random.normal(jax.random.key(0), (400, 2))
        >>> same = kernel_distance(points[:200], points[200:], jax.random.key(1), subset_size=100)
        >>> moved = kernel_distance(points[:200] + 1.0, points[200:], jax.random.key(1), subset_size=100)
        >>> abs(float(same)) < 0.1, float(moved) > 1.0
        (True, True)
    """
    samples, real = jnp.asarray(samples), jnp.asarray(real)
    size = min(subset_size, samples.shape[0], real.shape[0])

    def one(key: Array) -> Array:
        first, second = jax.random.split(key)
        chosen = jax.random.choice(first, samples.shape[0], (size,), replace=False)
        others = jax.random.choice(second, real.shape[0], (size,), replace=False)
        return unbiased_mmd(samples[chosen], real[others], cubic_kernel)

    return jnp.mean(jax.lax.map(one, jax.random.split(key, num_subsets)))


def gaussian_mmd(
    samples: Float[Array, "n d"], real: Float[Array, "m d"], bandwidth: float | Float[Array, ""] | None = None
) -> Float[Array, ""]:
    """`unbiased_mmd` with the kernel exp(-|x - y|^2 / (2 h^2)); between 0 and 2 in expectation.

    Args:
        samples: [n, d].
        real: [m, d].
        bandwidth: h, in units of the points; None takes the `median_distance` of the real points.

    Returns:
        A scalar; it may be negative.

    Example:
        Two sets of equal points at a distance of h: 1 + 1 - 2 exp(-1/2).

        >>> points = jnp.zeros((3, 1))
        >>> round(float(gaussian_mmd(points + 2.0, points, bandwidth=2.0)), 3)
        0.787
    """
    centre = jnp.mean(real, axis=0, keepdims=True)
    width = median_distance(real) if bandwidth is None else bandwidth

    def kernel(x: Array, y: Array) -> Array:
        return jnp.exp(-squared_distances(x, y) / (2 * jnp.square(width)))

    return unbiased_mmd(samples - centre, real - centre, kernel)


def median_distance(points: Float[Array, "n d"]) -> Float[Array, ""]:
    """Median Euclidean distance of all pairs of the first 1,000 points [n, d], the usual bandwidth.

    Example:
        >>> float(median_distance(jnp.array([[0.0], [3.0], [4.0]])))
        3.0
    """
    some = points[:_HEURISTIC_POINTS] - jnp.mean(points, axis=0, keepdims=True)
    first, second = jnp.triu_indices(some.shape[0], 1)
    return jnp.median(jnp.sqrt(squared_distances(some, some)[first, second]))
