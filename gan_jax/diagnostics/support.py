r"""Support size of a generator, estimated from coincidences among its samples; nearest neighbours in the real data.

Let p be the probability that two independent samples coincide. A uniform choice among N samples has p = 1 / N; in
general 1 / p is the *support size*, the number of equally likely samples that would coincide as often. Among n samples
there are n (n - 1) / 2 pairs, and the share of coinciding pairs is an unbiased estimate of p. A batch of s samples
holds a coincidence with a probability of about 1 - exp(-s (s - 1) p / 2), which is 1/2 near s = sqrt(2 ln 2 N): the
birthday paradox.

Two samples coincide if their distance is below a threshold, which the caller derives from real data.

References:
    S. Arora, A. Risteski, Y. Zhang, "Do GANs learn the distribution? Some Theory and Empirics", ICLR 2018, section 2.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float
from scipy.stats import chi2  # type: ignore[import-untyped]

from gan_jax.metrics.distances import Neighbours, in_blocks, squared_distances
from gan_jax.metrics.distances import nearest_neighbours as nearest_neighbours

_BLOCK = 256


class Coincidences(NamedTuple):
    """Coincidences among n samples. Both int32 [n].

    Attributes:
        degree: number of other samples within the threshold.
        next: index of the first later sample within the threshold; n if there is none.

    Example:
        >>> coincidences(jnp.array([[0.0], [5.0], [0.1]]), 0.2).next.tolist()
        [2, 3, 3]
    """

    degree: Array
    next: Array


class SupportSize(NamedTuple):
    """Estimate of the number of different samples.

    Attributes:
        size: estimate of 1 / p; None if no two samples coincide.
        low, high: its confidence interval; high is None where the interval is unbounded.
        pairs: number of coinciding pairs.
        num_samples: n.
        batch_half: batch size at which a coincidence has probability 1/2; None where `size` is None.

    Example:
        >>> days = np.random.default_rng(0).integers(365, size=2000)  # birthdays of 2,000 people
        >>> found = support_size(np.bincount(days)[days] - 1)
        >>> found.low < 365 < found.high, round(found.batch_half)
        (True, 23)
    """

    size: float | None
    low: float
    high: float | None
    pairs: int
    num_samples: int
    batch_half: float | None


@jax.jit
def coincidences(samples: Float[Array, "n d"], threshold: float | Float[Array, ""]) -> Coincidences:
    """Which samples [n, d] are at most a threshold apart.

    In more than 16 dimensions, distances below a thousandth of the samples' spread are lost to rounding: take a larger
    threshold.

    Example:
        >>> coincidences(jnp.array([[0.0], [5.0], [0.1]]), 0.2).degree.tolist()
        [1, 0, 1]
    """
    num = samples.shape[0]
    centred = samples - jnp.mean(samples, axis=0, keepdims=True)
    columns = jnp.arange(num)[None]

    def block(rows: Array, positions: Array) -> tuple[Array, Array]:
        near = squared_distances(rows, centred) <= jnp.square(threshold)
        own = positions[:, None]
        degree = jnp.sum(near & (own != columns), axis=1)
        later = jnp.min(jnp.where(near & (columns > own), columns, num), axis=1)
        return degree.astype(jnp.int32), later.astype(jnp.int32)

    return Coincidences(*in_blocks(block, centred, jnp.arange(num), size=_BLOCK))


def support_size(degree: np.ndarray, *, confidence: float = 0.95) -> SupportSize:
    """Support size from the number of other samples that each of n samples coincides with.

    The number of coinciding pairs C has the variance of a Poisson variable if all samples are equally likely, and a
    larger variance otherwise. With w = P(a sample coincides with two others),
    Var C = binom(n, 2) p (1 - p) + 6 binom(n, 3) (w - p^2), estimated from the degrees. The interval is Garwood's for
    a Poisson count, applied to C / (Var C / C) where Var C / C is above 1.

    Args:
        degree: whole numbers [n], n at least 3; their sum is twice the number of pairs.
        confidence: level of the interval, in (0, 1).

    Returns:
        The estimate with its interval.

    Raises:
        ValueError: if there are fewer than 3 samples.

    Example:
        >>> float(support_size(np.array([1, 1, 0, 0])).size)  # one of six pairs coincides
        6.0

    References:
        F. Garwood, "Fiducial limits for the Poisson distribution", Biometrika 28, 1936.
    """
    degree = np.asarray(degree, np.float64)
    num = len(degree)
    if num < 3:
        raise ValueError(f"there are {num} samples, and an estimate of the support size needs at least 3: draw more")
    all_pairs, triples = num * (num - 1) / 2, num * (num - 1) * (num - 2) / 6
    pairs, wedges = degree.sum() / 2, float(np.sum(degree * (degree - 1) / 2))
    p, twice = pairs / all_pairs, wedges / (3 * triples)
    variance = all_pairs * p * (1 - p) + 6 * triples * (twice - p * p)
    excess = max(1.0, variance / pairs) if pairs else 1.0
    tail, count = (1 - confidence) / 2, pairs / excess
    low = excess * chi2.ppf(tail, 2 * count) / 2 if pairs else 0.0
    high = excess * chi2.ppf(1 - tail, 2 * count + 2) / 2
    size = all_pairs / pairs if pairs else None
    return SupportSize(
        size=size,
        low=float(all_pairs / min(high, all_pairs)),
        high=float(all_pairs / low) if low > 0 else None,
        pairs=round(pairs),
        num_samples=num,
        batch_half=None if size is None else batch_with_chance(size),
    )


def batch_with_chance(size: float, chance: float = 0.5) -> float:
    """Number s of draws from `size` values among which two coincide with probability `chance`.

    It solves s (s - 1) / 2 = -size ln(1 - chance).

    Example:
        >>> round(batch_with_chance(365))  # the birthday paradox
        23
    """
    return 0.5 + math.sqrt(0.25 - 2 * size * math.log1p(-chance))


def chance_in_batch(size: float, batch: float) -> float:
    """Probability that two samples of a batch of s coincide: 1 - exp(-s (s - 1) / (2 size)).

    Example:
        >>> round(chance_in_batch(365, 23), 2)  # the birthday paradox
        0.5
    """
    return -math.expm1(-batch * (batch - 1) / (2 * size))


def observed_chances(later: np.ndarray, batch_sizes: list[int]) -> list[tuple[int, int, int]]:
    """Numbers of batches that hold a coincidence, where batches are consecutive samples.

    Args:
        later: `Coincidences.next`, [n].
        batch_sizes: batch sizes s, each at most n.

    Returns:
        (s, number of batches, number of batches with a coincidence) for each s.

    Example:
        >>> observed_chances(np.array([1, 4, 4, 4]), [2, 4])  # samples 0 and 1 coincide
        [(2, 2, 1), (4, 1, 1)]
    """
    later = np.asarray(later)
    rows = []
    for size in batch_sizes:
        num = len(later) // size
        position = np.arange(num * size)
        hit = later[: num * size] < (position // size + 1) * size
        rows.append((size, num, int(np.sum(np.any(hit.reshape(num, size), axis=1)))))
    return rows


def closest_pairs(neighbours: Neighbours, num: int) -> np.ndarray:
    """Indices of the `num` closest pairs of samples, [num, 2], the closest first, each pair once.

    Example:
        >>> neighbours = Neighbours(distance=jnp.array([0.1, 0.1, 2.0]), which=jnp.array([1, 0, 1]))
        >>> closest_pairs(neighbours, 2).tolist()
        [[0, 1], [1, 2]]
    """
    distance, index = np.asarray(neighbours.distance), np.asarray(neighbours.which)
    order = np.argsort(distance, kind="stable")
    pairs = dict.fromkeys((min(i, index[i]), max(i, index[i])) for i in order)
    return np.array(list(pairs)[:num], np.int64).reshape(-1, 2)
