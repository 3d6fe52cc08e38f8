r"""Fidelity and coverage by nearest neighbours: precision and recall, density and coverage.

The ball of a point reaches to its k-th nearest neighbour in its own set. Precision is the share of samples inside the
ball of any real point, recall the share of real points inside the ball of any sample. Density counts the real balls
that a sample is in, divided by k; coverage is the share of real balls that hold a sample.

Published definitions differ by k and by the points at a ball's border. `precision_recall` is that of Kynkaanniemi et
al. (k = 3, inclusive), `prdc` that of Naeem et al. (k = 5, strict). For two equal sets of distinct points all values
are 1. If all points coincide, the radius is 0, and the values are 1 by the inclusive rule and 0 by the strict one.

References:
    T. Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", NeurIPS 2019, arXiv
        1904.06991, equation 2.
    M. Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", ICML 2020, arXiv 2002.09797,
        equations 3, 4 and section 3.3.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from gan_jax.metrics.distances import neighbour_radii, squared_distances

_BLOCK = 256


class PRDC(NamedTuple):
    """Scalars: shares in [0, 1], except the density, which is 1 for a perfect sampler and may be larger.

    Example:
        >>> points = jnp.arange(8.0)[:, None]
        >>> found = jax.jit(prdc, static_argnames="k")(points[:4], points, k=1)
        >>> float(found.coverage), float(found.density)
        (0.5, 1.0)
    """

    precision: Array
    recall: Array
    density: Array
    coverage: Array


class PrecisionRecall(NamedTuple):
    """Shares in [0, 1].

    Example:
        >>> points = jnp.arange(8.0)[:, None]
        >>> found = jax.jit(precision_recall, static_argnames="k")(points[:4] + 100.0, points, k=1)
        >>> float(found.recall)
        0.0
    """

    precision: Array
    recall: Array


def precision_recall(samples: Float[Array, "n d"], real: Float[Array, "m d"], *, k: int = 3) -> PrecisionRecall:
    """Precision and recall with balls that include their border.

    Args:
        samples: [n, d] features, n above k.
        real: [m, d], m above k.
        k: which neighbour a ball reaches to, static; 3 as published.

    Returns:
        Scalars.

    Example:
        Samples of one of two modes are precise, and recall half of the data:

        >>> real = jnp.array([0.0, 1.0, 2.0, 3.0, 50.0, 51.0, 52.0, 53.0])[:, None]
        >>> [float(value) for value in precision_recall(real[:4], real, k=1)]
        [1.0, 0.5]
    """
    found = prdc(samples, real, k=k, inclusive=True)
    return PrecisionRecall(found.precision, found.recall)


def prdc(samples: Float[Array, "n d"], real: Float[Array, "m d"], *, k: int = 5, inclusive: bool = False) -> PRDC:
    """Precision, recall, density and coverage, in blocks of samples.

    Args:
        samples: [n, d] features, n above k.
        real: [m, d], m above k.
        k: which neighbour a ball reaches to, static; 5 as published.
        inclusive: whether the border of a ball belongs to it, static.

    Returns:
        Scalars.

    Example:
        >>> points = 2.0 ** jnp.arange(8)[:, None]
        >>> [float(value) for value in prdc(points, points)]
        [1.0, 1.0, 1.0, 1.0]
    """
    centre = jnp.mean(real, axis=0, keepdims=True)
    samples, real = samples - centre, real - centre
    real_radii, sample_radii = neighbour_radii(real, k), neighbour_radii(samples, k)
    num = samples.shape[0]
    count = -(-num // _BLOCK)
    # The last block starts early enough to be whole; rows that it shares with the block before are not counted again.
    size = min(_BLOCK, num)
    starts = jnp.minimum(jnp.arange(count) * size, num - size)

    def block(carry: tuple, at: tuple[Array, Array]) -> tuple[tuple, None]:
        precise, dense, recalled, covered = carry
        start, fresh_from = at
        rows = jax.lax.dynamic_slice_in_dim(samples, start, size)
        radii = jax.lax.dynamic_slice_in_dim(sample_radii, start, size)
        fresh = start + jnp.arange(size) >= fresh_from
        squares = squared_distances(rows, real)
        if inclusive:
            in_real, in_sample = squares <= real_radii[None], squares <= radii[:, None]
        else:
            in_real, in_sample = squares < real_radii[None], squares < radii[:, None]
        balls = jnp.sum(in_real, axis=1)
        carry = (
            precise + jnp.sum(fresh & (balls > 0)),
            dense + jnp.sum(jnp.where(fresh, balls, 0).astype(jnp.float32)),
            recalled | jnp.any(in_sample, axis=0),
            covered | jnp.any(in_real, axis=0),
        )
        return carry, None

    nothing = jnp.zeros(real.shape[0], bool)
    first = (jnp.zeros((), jnp.int32), jnp.zeros(()), nothing, nothing)
    (precise, dense, recalled, covered), _ = jax.lax.scan(block, first, (starts, jnp.arange(count) * size))
    return PRDC(precise / num, jnp.mean(recalled), dense / (k * num), jnp.mean(covered))


def expected_coverage(num_samples: int, num_real: int, k: int = 5) -> float:
    r"""Coverage of a perfect sampler, whatever the distribution: $1 - \prod_{i=1}^{k} (m - i) / (n + m - i)$.

    A ball holds no sample if the k nearest of the other m - 1 real points and the n samples are all real.

    Args:
        num_samples: n.
        num_real: m.
        k: which neighbour a ball reaches to.

    Returns:
        A share.

    Example:
        >>> round(expected_coverage(10_000, 10_000), 4)
        0.9688
    """
    i = np.arange(1, k + 1)
    return float(1.0 - np.prod((num_real - i) / (num_samples + num_real - i)))
