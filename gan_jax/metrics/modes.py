"""Mode coverage of samples from a known mixture: modes captured, high-quality share, KL, within-mode spread.

Published definitions differ (distance, threshold, count, which samples enter the KL), so the definition is a component,
`Rule`, and every result is stored with it.

References:
    A. Srivastava et al., "VEEGAN", NeurIPS 2017, section 5.1: within 3 standard deviations, at least 1 sample.
    Z. Lin et al., "PacGAN", NeurIPS 2018, section 4.1: the same and the reverse KL of the mode counts.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import erf, gammainc
from jaxtyping import Float, Num
from scipy.stats import binom

from gan_jax.data.mixtures import HasModes
from gan_jax.experiment.component import component, setting


@component
class Rule:
    """The definition of a high-quality sample and of a captured mode.

    d is a sample's distance from its nearest mode, in standard deviations of that mode. A sample is of high quality if

    * `l2`: the Euclidean d is at most `radius` (VEEGAN, PacGAN: radius 3; others 4);
    * `linf`: every coordinate of d is at most `radius`;
    * `mass`: the chi-square probability of d^2, with one degree of freedom for each noisy coordinate, is at most that
      of `radius` standard deviations in 2-D. In two dimensions this equals `l2`. In 1,200 dimensions 98.89 % of real
      data pass; by a literal radius none would. Data without noise count as having one noisy coordinate.

    A mode is captured if at least `min_share * n * weight` of n samples, and at least 1, are of high quality and
    nearest to it. `min_share=0` is the published "at least one". The default 0.1 is robust to stray samples, as the
    detection of onsets requires.

    Example:
        >>> Rule(min_share=0.0).describe(2_500)
        'l2<=3std; count>=1; n=2500'
    """

    norm: Literal["l2", "linf", "mass"] = setting(default="l2", doc="measure of the distance from the nearest mode")
    radius: float = setting(
        default=3.0, above=0, doc="greatest distance of a high-quality sample, in standard deviations"
    )
    min_share: float = setting(
        default=0.1, at_least=0, below=1, doc="share of a mode's expected samples at which it is captured"
    )

    def describe(self, num_samples: int) -> str:
        """The definition in one line, as it is stored with every result."""
        least = f"count>={self.min_share:g}*n*weight" if float(self.min_share) > 0 else "count>=1"
        return f"{self.norm}<={self.radius:g}std; {least}; n={num_samples}"


class ModeMetrics(NamedTuple):
    """One evaluation of n samples. Fields are scalars unless a shape is given.

    Attributes:
        modes: number of modes that are captured under the rule.
        modes_any: number of modes with at least one high-quality sample (VEEGAN, PacGAN).
        high_quality: share of all n samples that are of high quality.
        kl: sum_k p_k ln(p_k / w_k) in nats, over high-quality counts; NaN if there are none.
        kl_all: the same over nearest-mode counts of all samples; it may be small even for junk.
        spread: within-mode spread: the median over captured modes of (standard deviation of the mode's high-quality
            samples) / std; 0 if no mode is captured, and 1 for captured modes of data without noise.
        dominant_mode: index of the mode with the most high-quality samples.
        counts: [K] high-quality samples by mode.
        finite: whether all samples are finite.

    Example:
        Samples at the centres of half of the modes:

        >>> import jax
        >>> from gan_jax.data.mixtures import Ring
        >>> source = Ring(num_modes=8).source(())
        >>> found = jax.jit(mode_metrics)(source, source.modes[jnp.arange(2_500) % 4], Rule())
        >>> int(found.modes), float(found.high_quality), round(float(found.kl), 3)
        (4, 1.0, 0.693)
    """

    modes: Array
    modes_any: Array
    high_quality: Array
    kl: Array
    kl_all: Array
    spread: Array
    dominant_mode: Array
    counts: Array
    finite: Array


def mode_metrics(source: HasModes, samples: Float[Array, "n d"], rule: Rule) -> ModeMetrics:
    """Measures samples against a mixture's modes.

    Args:
        source: the mixture, with K modes in d dimensions.
        samples: [n, d], in data units.
        rule: the definition of high quality and of capture; its floats may be traced.

    Returns:
        The metrics; KL in nats, spread relative to the mode's standard deviation.

    Example:
        >>> import jax
        >>> from gan_jax.data.mixtures import Ring
        >>> source = Ring(num_modes=8).source(())
        >>> int(jax.jit(mode_metrics)(source, source.sample(jax.random.key(0), 2500), Rule()).modes)
        8
    """
    num, num_modes = samples.shape[0], source.modes.shape[0]
    finite_rows = jnp.all(jnp.isfinite(samples), axis=-1)
    points = jnp.where(finite_rows[:, None], samples, 0.0)
    scaled = jnp.abs(points[:, None, :] - source.modes[None]) / source.std[None, :, None]
    squared = jnp.sum(scaled**2, axis=-1)
    nearest = jnp.argmin(squared, axis=-1)
    distance = jnp.take_along_axis(squared, nearest[:, None], axis=-1)[:, 0]
    num_noisy = jnp.sum(source.noisy)
    if rule.norm == "linf":
        largest = jnp.max(scaled, axis=-1)
        good = jnp.take_along_axis(largest, nearest[:, None], axis=-1)[:, 0] <= rule.radius
    elif rule.norm == "l2":
        good = distance <= jnp.square(rule.radius)
    else:
        good = gammainc(jnp.maximum(num_noisy, 1) / 2, distance / 2) <= gammainc(1.0, jnp.square(rule.radius) / 2)
    good &= finite_rows
    members = (nearest[:, None] == jnp.arange(num_modes)[None]) & good[:, None]
    counts = jnp.sum(members, axis=0)
    captured = counts >= jnp.maximum(rule.min_share * num * source.weights, 1.0)

    # Spread: the variance of a mode's members about their own mean, averaged over the noisy coordinates.
    share = members / jnp.maximum(counts, 1)[None]
    mean = share.T @ points
    deviation = (points[:, None, :] - mean[None]) * source.noisy[None, None]
    variance = jnp.sum(share * jnp.sum(deviation**2, axis=-1), axis=0) / jnp.maximum(num_noisy, 1)
    spread = jnp.where(num_noisy > 0, jnp.sqrt(variance) / source.std, 1.0)
    median = jnp.nanmedian(jnp.where(captured, spread, jnp.nan))
    nearest_counts = jnp.sum((nearest[:, None] == jnp.arange(num_modes)[None]) & finite_rows[:, None], axis=0)
    return ModeMetrics(
        modes=jnp.sum(captured),
        modes_any=jnp.sum(counts >= 1),
        high_quality=jnp.sum(counts) / num,
        kl=count_divergence(counts, source.weights),
        kl_all=count_divergence(nearest_counts, source.weights),
        spread=jnp.where(jnp.any(captured), median, 0.0),
        dominant_mode=jnp.argmax(counts),
        counts=counts,
        finite=jnp.all(finite_rows),
    )


def count_divergence(counts: Num[Array, " k"], weights: Float[Array, " k"]) -> Float[Array, ""]:
    """KL(p || w) in nats of counts [K] against weights [K]; NaN if there are no counts.

    A perfect sampler of n points scores about (K - 1) / 2n, not 0 (Miller, 1955).

    Example:
        >>> round(float(count_divergence(jnp.array([10, 0]), jnp.array([0.5, 0.5]))), 3)  # ln 2
        0.693
    """
    share = counts / jnp.sum(counts)
    there = counts > 0
    terms = share * (jnp.log(jnp.where(there, share, 1.0)) - jnp.log(weights))
    return jnp.where(jnp.any(there), jnp.sum(jnp.where(there, terms, 0.0)), jnp.nan)


class Bound(NamedTuple):
    """A metric's value on real data (`ceiling`), and for a perfect sampler at this number of samples (`floor`).

    Example:
        >>> from gan_jax.data.mixtures import Ring
        >>> mode_bounds(Ring(num_modes=8).source(()), Rule(), 2_500)["kl"]  # 7 / 5000
        Bound(ceiling=None, floor=0.0014)
    """

    ceiling: float | None
    floor: float | None


def mode_bounds(source: HasModes, rule: Rule, num_samples: int) -> dict[str, Bound]:
    """Ceilings and floors of `mode_metrics` for the true mixture, in closed form.

    The ceiling of `high_quality` is 98.89 % for l2 <= 3 in two dimensions, 99.46 % for linf <= 3, 99.97 % for l2 <= 4.
    Data without noise are all of high quality, and their spread has no ceiling.

    Args:
        source: the mixture.
        rule: the definition of high quality and of capture.
        num_samples: n, samples of an evaluation.

    Returns:
        A bound for each metric's name, in the metric's unit.

    Example:
        >>> from gan_jax.data.mixtures import Ring
        >>> bounds = mode_bounds(Ring(num_modes=8).source(()), Rule(), 2_500)
        >>> round(bounds["modes"].ceiling, 3), round(bounds["high_quality"].ceiling, 4)
        (8.0, 0.9889)
    """
    num_modes = source.modes.shape[0]
    num_noisy = float(jnp.sum(source.noisy))
    radius = jnp.asarray(rule.radius, float)
    if num_noisy == 0:
        inside = jnp.ones(())
    elif rule.norm == "l2":
        inside = gammainc(num_noisy / 2, radius**2 / 2)
    elif rule.norm == "linf":
        inside = erf(radius / jnp.sqrt(2.0)) ** num_noisy
    else:
        inside = gammainc(1.0, radius**2 / 2)
    return {
        "modes": Bound(_expected_captured(source, float(inside), float(rule.min_share), num_samples), None),
        "modes_any": Bound(_expected_captured(source, float(inside), 0.0, num_samples), None),
        "high_quality": Bound(float(inside), None),
        "kl": Bound(None, (num_modes - 1) / (2 * num_samples)),
        "kl_all": Bound(None, (num_modes - 1) / (2 * num_samples)),
        "spread": Bound(_spread_ceiling(rule, num_noisy) if num_noisy else None, None),
    }


def _expected_captured(source: HasModes, inside: float, min_share: float, num_samples: int) -> float:
    """Expected number of modes that true samples capture; below K, because a rare mode may get too few samples."""
    weights = np.asarray(source.weights, float)
    needed = np.ceil(np.maximum(min_share * num_samples * weights, 1.0) - 1e-6)
    return float(np.sum(binom.sf(needed - 1, num_samples, weights * inside)))


def truncated_spread(radius: float, dim: float) -> float:
    """Standard deviation of each coordinate of a unit Gaussian in `dim` dimensions truncated at `radius`.

    E[r^2; r <= R] / d = P(d/2 + 1, R^2/2), with P the regularised incomplete gamma function.

    Example:
        >>> round(truncated_spread(3.0, 2), 3)
        0.974
    """
    half = radius**2 / 2
    inside = float(gammainc(dim / 2, half))
    return float(gammainc(dim / 2 + 1, half) / inside) ** 0.5 if inside > 1e-12 else 1.0


def _spread_ceiling(rule: Rule, num_noisy: float) -> float:
    if rule.norm == "mass" and num_noisy != 2:
        return 1.0
    return truncated_spread(float(rule.radius), 1 if rule.norm == "linf" else num_noisy)
