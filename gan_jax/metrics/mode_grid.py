r"""Modes and divergences of mode shares, over the whole grid of confidence and minimum count at once.

Published counts of modes differ by two thresholds: the class probability from which a sample counts, and the number of
samples from which a mode does. The same hundred runs have 747 or 2.9 of 1,000 modes by (0, 1) or (0.9, 10). A grid
has all of these numbers, so that any published one can be found in it.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, arXiv 1611.02163: (0, 1).
    Z. Lin et al., "PacGAN", NeurIPS 2018, arXiv 1712.04086, section 4, whose reverse KL is `kl` here.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import xlogy

CONFIDENCES = (0.0, 0.5, 0.6, 0.8, 0.9, 0.99)
MIN_COUNTS = (1, 2, 3, 5, 10, 20)


class ModeGrid(NamedTuple):
    r"""Numbers for C confidences and M minimum counts, each [C, M]; p are the shares of modes that are captured.

    Attributes:
        modes: number of captured modes: with at least so many samples of at least such a confidence.
        kl: $\sum_k p_k \ln(p_k / w_k)$ in nats; NaN if no mode is captured.
        reverse_kl: $\sum_k w_k \ln(w_k / q_k)$ in nats, where q has half a sample more in every mode, as it would be
            infinite without a single mode otherwise. With fewer samples than modes these halves decide it. NaN as `kl`.
        total_variation: $\frac12 \sum_k |p_k - w_k|$, in [0, 1].
        jensen_shannon: the mean KL of p and w to their mean, in nats, in [0, ln 2].
    """

    modes: Array
    kl: Array
    reverse_kl: Array
    total_variation: Array
    jensen_shannon: Array


def mode_grid(mode: Array, confidence: Array, weights: Array, confidences: Array, min_counts: Array) -> ModeGrid:
    """Counts modes by every pair of thresholds.

    Args:
        mode: int [n], the mode of each sample, in 0..K-1.
        confidence: [n], how sure that is, in [0, 1].
        weights: [K], the true shares, which sum to 1.
        confidences: [C], from which a sample counts.
        min_counts: [M], samples from which a mode counts.

    Returns:
        The grid.
    """
    counts = jax.vmap(lambda least: mode_counts(mode, confidence, weights.shape[0], least))(confidences)
    counts = jnp.where(counts[:, None] >= min_counts[None, :, None], counts[:, None], 0)
    share = counts / jnp.maximum(jnp.sum(counts, axis=-1, keepdims=True), 1)
    smoothed = (counts + 0.5) / jnp.sum(counts + 0.5, axis=-1, keepdims=True)
    true = jnp.broadcast_to(weights, share.shape)
    known = jnp.any(counts > 0, axis=-1)
    return ModeGrid(
        modes=jnp.sum(counts > 0, axis=-1),
        kl=jnp.where(known, kl_divergence(share, true), jnp.nan),
        reverse_kl=jnp.where(known, kl_divergence(true, smoothed), jnp.nan),
        total_variation=jnp.where(known, 0.5 * jnp.sum(jnp.abs(share - true), axis=-1), 1.0),
        jensen_shannon=jnp.where(known, jensen_shannon(share, true), jnp.log(2.0)),
    )


def mode_counts(mode: Array, confidence: Array, num_modes: int, least: Array | float) -> Array:
    """Samples of at least a confidence, by mode.

    Args:
        mode: int [n].
        confidence: [n].
        num_modes: K, static.
        least: the least confidence.

    Returns:
        int32 [K].
    """
    return jnp.zeros(num_modes, jnp.int32).at[mode].add((confidence >= least).astype(jnp.int32))


def kl_divergence(p: Array, q: Array) -> Array:
    """KL(p || q) in nats of shares [..., K]; infinite where q is 0 and p is not."""
    ratio = jnp.where(p > 0, p, 1.0) / jnp.where((p > 0) | (q > 0), q, 1.0)
    return jnp.sum(jnp.where(p > 0, p * jnp.log(ratio), 0.0), axis=-1)


def jensen_shannon(p: Array, q: Array) -> Array:
    """The Jensen-Shannon divergence of shares [..., K], in nats: 0 if they are equal, ln 2 if they share no mode."""
    middle = 0.5 * (p + q)
    entropies = [jnp.sum(xlogy(x, x), axis=-1) for x in (p, q, middle)]
    return jnp.maximum(0.5 * (entropies[0] + entropies[1]) - entropies[2], 0.0)


def expected_total_variation(weights: Array, num_samples: int) -> Array:
    r"""Expected total variation of a perfect sampler's shares: $\frac12 \sum_k \sqrt{2 w_k (1 - w_k) / (\pi n)}$.

    The normal approximation of a binomial's mean deviation, bounded by its value w for rare modes.

    Args:
        weights: [K], the true shares.
        num_samples: n.

    Returns:
        A scalar.
    """
    normal = jnp.sqrt(2 * weights * (1 - weights) / (jnp.pi * num_samples))
    return 0.5 * jnp.sum(jnp.minimum(normal, 2 * weights))
