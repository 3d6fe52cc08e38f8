r"""Modes and divergences of mode shares, over a whole grid of confidences and minimum counts.

Published counts of modes differ by two thresholds: the class probability from which a sample counts, and the number of
samples from which a mode counts. The same hundred runs have 747 of 1,000 modes by (0, 1), and 2.9 by (0.9, 10). The
grid holds the values for all thresholds, so that it can be compared with any published count.

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
from jaxtyping import Float, Int, Num

CONFIDENCES = (0.0, 0.5, 0.6, 0.8, 0.9, 0.99)
MIN_COUNTS = (1, 2, 3, 5, 10, 20)


class ModeGrid(NamedTuple):
    r"""Values for C confidences and M minimum counts, each [C, M]; p are the shares of the captured modes.

    Attributes:
        modes: number of captured modes, those with at least the minimum count of samples of at least the confidence.
        kl: $\sum_k p_k \ln(p_k / w_k)$ in nats; NaN if no mode is captured.
        reverse_kl: $\sum_k w_k \ln(w_k / q_k)$ in nats, where q has half a sample added to every mode, since one
            missing mode would make it infinite. With fewer samples than modes these halves dominate it. NaN if `kl` is.
        total_variation: $\frac12 \sum_k |p_k - w_k|$, in [0, 1].
        jensen_shannon: the mean KL of p and w to their mean, in nats, in [0, ln 2].

    Example:
        All samples are in one of two equal modes:

        >>> thresholds = jnp.array([0.0, 0.5]), jnp.array([1, 2])
        >>> grid = jax.jit(mode_grid)(jnp.zeros(4, int), jnp.ones(4), jnp.full(2, 0.5), *thresholds)
        >>> round(float(grid.kl[0, 0]), 3), float(grid.total_variation[0, 0])
        (0.693, 0.5)
    """

    modes: Array
    kl: Array
    reverse_kl: Array
    total_variation: Array
    jensen_shannon: Array


def mode_grid(
    mode: Int[Array, " n"],
    confidence: Float[Array, " n"],
    weights: Float[Array, " k"],
    confidences: Float[Array, " c"],
    min_counts: Num[Array, " m"],
) -> ModeGrid:
    """Counts modes by every pair of thresholds.

    Args:
        mode: int [n], the mode of each sample, in 0..K-1.
        confidence: [n], the probability of that mode, in [0, 1].
        weights: [K], the true shares, which sum to 1.
        confidences: [C], least confidences of a sample that counts.
        min_counts: [M], least numbers of samples of a captured mode.

    Returns:
        The grid.

    Example:
        Three samples of mode 0, one of mode 1 with a confidence of 0.4:

        >>> mode, confidence = jnp.array([0, 0, 0, 1]), jnp.array([0.9, 0.9, 0.9, 0.4])
        >>> thresholds = jnp.array([0.0, 0.5]), jnp.array([1, 2])
        >>> jax.jit(mode_grid)(mode, confidence, jnp.full(2, 0.5), *thresholds).modes.tolist()
        [[2, 1], [1, 1]]
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


def mode_counts(
    mode: Int[Array, " n"], confidence: Float[Array, " n"], num_modes: int, least: float | Float[Array, ""]
) -> Int[Array, " k"]:
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


def kl_divergence(p: Float[Array, "*batch k"], q: Float[Array, "*batch k"]) -> Float[Array, "*batch"]:
    """KL(p || q) in nats of shares [..., K]; infinite where q is 0 and p is not.

    Example:
        >>> round(float(kl_divergence(jnp.array([1.0, 0.0]), jnp.array([0.5, 0.5]))), 3)  # ln 2
        0.693
    """
    ratio = jnp.where(p > 0, p, 1.0) / jnp.where((p > 0) | (q > 0), q, 1.0)
    return jnp.sum(jnp.where(p > 0, p * jnp.log(ratio), 0.0), axis=-1)


def jensen_shannon(p: Float[Array, "*batch k"], q: Float[Array, "*batch k"]) -> Float[Array, "*batch"]:
    """The Jensen-Shannon divergence of shares [..., K], in nats: 0 if they are equal, ln 2 if they share no mode.

    Example:
        >>> round(float(jensen_shannon(jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0]))), 3)
        0.693
    """
    middle = 0.5 * (p + q)
    entropies = [jnp.sum(xlogy(x, x), axis=-1) for x in (p, q, middle)]
    return jnp.maximum(0.5 * (entropies[0] + entropies[1]) - entropies[2], 0.0)


def expected_total_variation(weights: Float[Array, " k"], num_samples: int) -> Float[Array, ""]:
    r"""Expected total variation of a perfect sampler's shares: $\frac12 \sum_k \sqrt{2 w_k (1 - w_k) / (\pi n)}$.

    That is the normal approximation of a binomial's mean deviation; a term is at most w, its value for rare modes.

    Args:
        weights: [K], the true shares.
        num_samples: n.

    Returns:
        A scalar.

    Example:
        >>> round(float(expected_total_variation(jnp.array([0.5, 0.5]), 100)), 4)  # 1 / sqrt(200 pi)
        0.0399
    """
    normal = jnp.sqrt(2 * weights * (1 - weights) / (jnp.pi * num_samples))
    return 0.5 * jnp.sum(jnp.minimum(normal, 2 * weights))
