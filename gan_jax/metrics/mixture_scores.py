r"""Samples of a known mixture: the log likelihood, and divergences over cells whose true probability is exact.

The cells are the modes (each within a radius of its mean) and everything else. Their true probabilities are known in
closed form, so these are divergences of two discrete distributions, and no density has to be estimated.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from gan_jax.data.mixtures import MixtureSource
from gan_jax.metrics.mode_grid import jensen_shannon, kl_divergence
from gan_jax.metrics.modes import ModeMetrics

_DRAWS = 50_000


class CellDivergences(NamedTuple):
    """Divergences of the samples' cells from the true ones; scalars, KL and Jensen-Shannon in nats.

    Example:
        >>> found = CellDivergences(jnp.log(2.0), jnp.array(0.5), jnp.array(0.216))
        >>> round(float(found.kl), 3)
        0.693
    """

    kl: Array
    total_variation: Array
    jensen_shannon: Array


def mean_log_likelihood(source: MixtureSource, samples: Float[Array, "n d"]) -> Float[Array, ""]:
    """Mean log density of samples [n, d] under the mixture, in nats.

    It is not a distance: a generator that makes only the centre of a mode scores higher than real data, which score
    minus `entropy_of`.

    Example:
        >>> source = MixtureSource(jnp.zeros((1, 1)), jnp.ones(1), jnp.ones(1), jnp.ones(1))  # N(0, 1)
        >>> round(float(mean_log_likelihood(source, jnp.zeros((5, 1)))), 3)  # -ln(2 pi) / 2
        -0.919
    """
    return jnp.mean(source.log_prob(samples))


def entropy_of(source: MixtureSource, key: Key[Array, ""]) -> Float[Array, ""]:
    """The mixture's entropy in nats, from 50,000 draws; its negative is a perfect sampler's mean log likelihood.

    Example:
        For N(0, 1) it is (1 + ln(2 pi)) / 2 = 1.419, up to the noise of the draws::

            source = MixtureSource(jnp.zeros((1, 1)), jnp.ones(1), jnp.ones(1), jnp.ones(1))
            entropy_of(source, jax.random.key(0))  # 1.42
    """
    return -jnp.mean(source.log_prob(source.sample(key, _DRAWS)))


def separated_entropy(source: MixtureSource) -> Float[Array, ""]:
    r"""The entropy of a mixture of modes that do not overlap: $H(w) + \sum_k w_k \frac d2 \ln(2 \pi e s_k^2)$, nats.

    Example:
        >>> source = MixtureSource(jnp.array([[0.0], [9.0]]), jnp.ones(2), jnp.full(2, 0.5), jnp.ones(1))
        >>> round(float(separated_entropy(source)), 3)  # ln 2 + (1 + ln(2 pi)) / 2
        2.112
    """
    dims = jnp.sum(source.noisy)
    each = 0.5 * dims * jnp.log(2 * jnp.pi * jnp.e * source.std**2)
    return jnp.sum(source.weights * (each - jnp.log(source.weights)))


def cell_divergences(
    source: MixtureSource, metrics: ModeMetrics, num_samples: int, inside: float | Float[Array, ""]
) -> CellDivergences:
    """Divergences of the shares of the samples in the cells from the true probabilities.

    Args:
        source: the mixture.
        metrics: the samples' metrics, with their high-quality counts by mode.
        num_samples: n.
        inside: the share of a mode's own samples that is of high quality; the ceiling of `high_quality`.

    Returns:
        The divergences.

    Example:
        All samples in one of two modes:

        >>> source = MixtureSource(jnp.array([[0.0], [9.0]]), jnp.ones(2), jnp.full(2, 0.5), jnp.ones(1))
        >>> metrics = ModeMetrics(*[0.0] * 7, counts=jnp.array([10, 0]), finite=True)  # only the counts are used
        >>> found = cell_divergences(source, metrics, 10, inside=1.0)
        >>> round(float(found.kl), 3), float(found.total_variation)
        (0.693, 0.5)
    """
    found = jnp.append(metrics.counts, num_samples - jnp.sum(metrics.counts)) / num_samples
    true = jnp.append(source.weights * inside, 1.0 - inside)
    return CellDivergences(
        kl=kl_divergence(found, true),
        total_variation=0.5 * jnp.sum(jnp.abs(found - true)),
        jensen_shannon=jensen_shannon(found, true),
    )
