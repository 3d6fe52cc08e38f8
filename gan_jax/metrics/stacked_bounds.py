"""The metrics of real stacked images, in closed form from the classifier's outputs for held-out single images.

Channels are independent, so the share of a mode is the product of three class shares, and no image has to be stacked.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import binom

from gan_jax.data.image_arrays import NUM_CLASSES
from gan_jax.data.stacked import NUM_MODES
from gan_jax.metrics.modes import Bound
from gan_jax.metrics.stacked_metrics import StackedReference, StackedRule, triple_share

_LEAST = 1e-6


def stacked_bounds(reference: StackedReference, rule: StackedRule, num_samples: int) -> dict[str, Bound]:
    """Ceilings and floors of `stacked_metrics`, in expectation over n samples.

    The ceiling is the value for stacked held-out images, including the classifier's errors and unconfident outputs. The
    floor of a KL is the value for a perfect sampler of the distribution that the KL is taken to, classified without
    errors: (K - 1) / 2n to first order.

    Args:
        reference: made by `make_stacked_reference` with a classifier.
        rule: the definition of the metrics.
        num_samples: n, samples of an evaluation.

    Returns:
        A bound for each metric's name, in the metric's unit.

    Example:
        >>> from gan_jax.data.stacked import StackedImages
        >>> from gan_jax.metrics.classifier import load_classifier
        >>> from gan_jax.metrics.stacked_metrics import make_stacked_reference
        >>> data = StackedImages("digits").load()
        >>> reference = make_stacked_reference(load_classifier("digits"), data.labels, data.test_images)
        >>> round(stacked_bounds(reference, StackedRule(), 2_500)["modes"].ceiling)
        918
    """
    classes, confidence = np.asarray(reference.test_classes), np.asarray(reference.test_confidence)

    def shares(threshold: float) -> np.ndarray:
        sure = classes[confidence >= threshold]
        single = np.bincount(sure, minlength=NUM_CLASSES) / max(len(classes), 1)
        return np.einsum("a,b,c->abc", single, single, single).reshape(-1)

    counted, sure = shares(float(rule.confidence)), shares(float(rule.quality))
    true = np.asarray(triple_share(reference.class_share), float)
    uniform = np.full(NUM_MODES, 1 / NUM_MODES)
    needed = np.ceil(np.maximum(float(rule.min_share) * num_samples * true, 1.0) - 1e-6)
    num_counted = num_samples * counted.sum()
    read = counted / max(counted.sum(), _LEAST)
    return {
        "modes": Bound(float(binom.sf(np.ceil(float(rule.min_count)) - 1, num_samples, counted).sum()), None),
        "modes_held": Bound(float(binom.sf(needed - 1, num_samples, counted).sum()), None),
        "modes_sure": Bound(float(binom.sf(0, num_samples, sure).sum()), None),
        "high_quality": Bound(float(sure.sum()), None),
        "kl": Bound(
            expected_divergence(read, uniform, num_counted), expected_divergence(uniform, uniform, num_samples)
        ),
        "kl_data": Bound(expected_divergence(read, true, num_counted), expected_divergence(true, true, num_samples)),
        "intra_class_ratio": Bound(1.0, None),
        "pairwise_ratio": Bound(1.0, None),
        "pixel_std": Bound(float(reference.pixel_std), None),
    }


def expected_divergence(share: np.ndarray, weights: np.ndarray, num: float) -> float:
    r"""The exact expected KL, in nats, of the counts of n draws from `share` to `weights`.

    $$ E\left[\sum_k \frac{c_k}{n} \ln \frac{c_k}{n w_k}\right], \qquad c_k \sim \mathrm{Binomial}(n, p_k) $$

    For share = weights it is (K - 1) / 2n to first order (Miller, 1955), and larger where modes get few samples.

    Args:
        share: [K] the sampler's shares p, summing to 1.
        weights: [K] the shares w that it is compared with.
        num: n, rounded.

    Returns:
        The expected KL in nats; infinite if a mode with draws has weight 0, NaN for n below 1.

    Example:
        >>> uniform = np.full(1000, 1e-3)
        >>> round(expected_divergence(uniform, uniform, 25_600), 5), round(999 / 51_200, 5)
        (0.01964, 0.01951)
    """
    num = round(num)
    there = share > 0
    if num < 1 or not there.any():
        return float("nan")
    if np.any(weights[there] <= 0):
        return float("inf")
    pairs, times = np.unique(np.stack([share[there], weights[there]]), axis=1, return_counts=True)
    mean = num * pairs[0]
    # The probability beyond 12 standard deviations and 40 counts is below 1e-12.
    most = int(min(num, np.max(mean + 12 * np.sqrt(mean) + 40)))
    count = np.arange(1, most + 1)
    terms = (count / num) * (np.log(count / num)[None] - np.log(pairs[1])[:, None])
    return float(np.sum(times[:, None] * binom.pmf(count[None], num, pairs[0][:, None]) * terms))
