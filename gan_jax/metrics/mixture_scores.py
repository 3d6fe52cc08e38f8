r"""Samples of a known mixture: the log likelihood, and divergences over cells whose true probability is exact.

The cells are the modes (each within a radius of its mean) and everything else. Their true probabilities are known in
closed form, so these are divergences of two discrete distributions without an estimate of a density.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from gan_jax.data.mixtures import MixtureSource
from gan_jax.metrics.mode_grid import jensen_shannon, kl_divergence
from gan_jax.metrics.modes import ModeMetrics

_DRAWS = 50_000


class CellDivergences(NamedTuple):
    """Divergences of the samples' cells from the true ones; scalars, KL and Jensen-Shannon in nats."""

    kl: Array
    total_variation: Array
    jensen_shannon: Array


def mean_log_likelihood(source: MixtureSource, samples: Array) -> Array:
    """Mean log density of samples [n, d] under the mixture, in nats: at most its greatest value, and not a distance.

    A generator of one point at a mode's centre scores higher than the data do: see `entropy_of`.
    """
    return jnp.mean(source.log_prob(samples))


def entropy_of(source: MixtureSource, key: Array) -> Array:
    """The mixture's entropy in nats, from 50,000 draws; minus it is the mean log likelihood of a perfect sampler."""
    return -jnp.mean(source.log_prob(source.sample(key, _DRAWS)))


def separated_entropy(source: MixtureSource) -> Array:
    r"""The entropy of a mixture of modes that do not overlap: $H(w) + \sum_k w_k \frac d2 \ln(2 \pi e s_k^2)$, nats."""
    dims = jnp.sum(source.noisy)
    each = 0.5 * dims * jnp.log(2 * jnp.pi * jnp.e * source.std**2)
    return jnp.sum(source.weights * (each - jnp.log(source.weights)))


def cell_divergences(
    source: MixtureSource, metrics: ModeMetrics, num_samples: int, inside: Array | float
) -> CellDivergences:
    """Divergences of the samples' cells to their true probabilities.

    Args:
        source: the mixture.
        metrics: of the samples, with their high-quality counts by mode.
        num_samples: n.
        inside: the share of a mode's own samples that is of high quality; the ceiling of `high_quality`.

    Returns:
        The divergences.
    """
    found = jnp.append(metrics.counts, num_samples - jnp.sum(metrics.counts)) / num_samples
    true = jnp.append(source.weights * inside, 1.0 - inside)
    return CellDivergences(
        kl=kl_divergence(found, true),
        total_variation=0.5 * jnp.sum(jnp.abs(found - true)),
        jensen_shannon=jensen_shannon(found, true),
    )
