"""Diversity and fidelity of generated images, measured by a frozen classifier and by pixels.

Every measurement is a jitted pure function of arrays, which works under `vmap` over sample sets and in `scan`.
`definition` describes the rule of a result. `image_ceilings` gives the metrics of real held-out images by that rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Num

from gan_jax.data.image_arrays import NUM_CLASSES
from gan_jax.metrics.class_shares import (
    LEAST_CLASS_SHARE,
    class_divergence,
    effective_classes,
    kl_floor,
    present_modes,
)
from gan_jax.metrics.classifier import Classifier, as_floats, classifier_hash, classify

LEAST_CLASS_SIZE = 50
"""Least number of samples of a class from which its within-class variance is estimated."""
DEFAULT_CONFIDENCE = 0.9
PIXELS_ONLY = (
    "no classifier is validated on these images, so only pixels are compared: a collapse to one picture is seen, and "
    "one to a few classes is not"
)
"""What metrics without a classifier can show."""
_LEAST_PROBABILITY = 1e-6


class ImageMetrics(NamedTuple):
    r"""The metrics of a set of samples. With a classifier all are finite for any samples.

    A sample is *confident* if its largest class probability is at least `confidence`; its class is the most probable
    one. $\hat p$ are the class shares among confident samples; $\phi$ are the classifier's features.

    Attributes:
        class_share: $\hat p$, `[10]`; zeros if no sample is confident.
        junk: J, the share of samples that are not confident.
        effective_classes: $E = \exp(-\sum_c \hat p_c \ln \hat p_c)$, 1..10; 0 if no sample is confident.
        modes: M, the number of classes with $\hat p_c \ge 0.1 p_c$, where p are the real shares.
        max_share: the largest $\hat p_c$.
        variance_ratio: V = tr Cov(phi) over all samples, divided by that of real images.
        intra_class_ratio: V_c, the same inside a class (confident samples): the median over classes with at least 50
            samples. It is 1 if there is no such class, which is no evidence of collapse inside a class.
        intra_classes: the number of classes in this median.
        pairwise_ratio: P, the mean Euclidean pixel distance of n/2 disjoint pairs, divided by that of real ones.
        pixel_std: standard deviation of each pixel over the samples, mean over pixels, for pixels in [-1, 1].
        kl: $\sum_c \hat p_c \ln(\hat p_c / p_c)$ in nats; if no sample is confident, that of all mass on the class with
            the largest such value.
        finite: whether every pixel of every sample is finite.

    Example:
        >>> images = jnp.array([-1.0, 1.0]).reshape(2, 1, 1, 1)  # two images of one pixel
        >>> found = image_metrics(None, make_reference(None, images), images[:1].repeat(2, axis=0))
        >>> float(found.pairwise_ratio), float(found.pixel_std)
        (0.0, 0.0)
    """

    class_share: Array
    junk: Array
    effective_classes: Array
    modes: Array
    max_share: Array
    variance_ratio: Array
    intra_class_ratio: Array
    intra_classes: Array
    pairwise_ratio: Array
    pixel_std: Array
    kl: Array
    finite: Array


class ImageReference(NamedTuple):
    """The moments of real held-out images: the denominators of `ImageMetrics`.

    Attributes:
        class_share: share of each class among the confident real images, `[10]`.
        feature_variance: trace of the covariance of the features of all images.
        class_variance: the same inside each class, `[10]`.
        pairwise_distance: mean distance of disjoint pairs, root mean square over pixels.
        ceilings: the metrics of all images of the reference.

    Example:
        >>> reference = make_reference(None, jnp.array([-1.0, 1.0]).reshape(2, 1, 1, 1))
        >>> float(reference.ceilings.pixel_std)
        1.0
    """

    class_share: Array
    feature_variance: Array
    class_variance: Array
    pairwise_distance: Array
    ceilings: ImageMetrics


class _Measured(NamedTuple):
    """The moments of a set of images, from which the reference and the metrics are computed."""

    counts: Array
    junk: Array
    feature_variance: Array
    class_variance: Array
    pairwise_distance: Array
    pixel_std: Array
    finite: Array


@jax.jit
def make_reference(
    classifier: Classifier | None,
    test_images: Num[Array, "m size size c"],
    *,
    confidence: float | Float[Array, ""] = DEFAULT_CONFIDENCE,
) -> ImageReference:
    """The reference that samples are measured against.

    Args:
        classifier: a validated classifier, or None for a data set without one.
        test_images: real held-out images `[n, size, size, 1]`, in [-1, 1] or uint8, at the samples' size.
        confidence: least class probability, in [0, 1], of an image that counts for its class; the same as for samples.

    Returns:
        The reference; without a classifier its first three fields are zeros.

    Example:
        >>> float(make_reference(None, jnp.array([-1.0, 1.0]).reshape(2, 1, 1, 1)).pairwise_distance)
        2.0
    """
    measured = _measure(classifier, test_images, confidence)
    class_share = measured.counts / jnp.maximum(jnp.sum(measured.counts), 1.0)
    moments = (class_share, measured.feature_variance, measured.class_variance, measured.pairwise_distance)
    # The ceilings need the moments first: the placeholder is never read.
    reference = ImageReference(*moments, ceilings=None)  # type: ignore[arg-type]
    return ImageReference(*moments, ceilings=_metrics(classifier is not None, reference, measured))


@jax.jit
def image_metrics(
    classifier: Classifier | None,
    reference: ImageReference,
    samples: Num[Array, "n size size c"],
    *,
    confidence: float | Float[Array, ""] = DEFAULT_CONFIDENCE,
) -> ImageMetrics:
    """Measures generated images.

    Without a classifier only `pairwise_ratio`, `pixel_std` and `finite` are measured; the others are NaN. Samples are
    clipped to [-1, 1], as for display. Non-finite pixels count as 0 (mid-grey), so the metrics stay finite; `finite`
    reports them.

    Args:
        classifier: the classifier of the reference, or None.
        reference: made by `make_reference` from real images of the samples' size.
        samples: `[n, size, size, 1]`, floats in [-1, 1] or uint8, n at least 2; the order affects only the pairs, which
            come from a fixed permutation.
        confidence: as in `make_reference`; it may be traced.

    Returns:
        The metrics; all are scalars except `class_share`.

    Example:
        >>> images = jnp.array([-1.0, 1.0]).reshape(2, 1, 1, 1)
        >>> float(image_metrics(None, make_reference(None, images), 0.5 * images).pairwise_ratio)
        0.5
    """
    return _metrics(classifier is not None, reference, _measure(classifier, samples, confidence))


def image_ceilings(
    classifier: Classifier | None,
    reference: ImageReference,
    test_images: Num[Array | np.ndarray, "m size size c"],
    n: int,
    *,
    confidence: float | Float[Array, ""] = DEFAULT_CONFIDENCE,
) -> ImageMetrics:
    """The metrics of n real held-out images: the ceiling of every metric at that sample size.

    Args:
        classifier: the classifier of the reference, or None.
        reference: made by `make_reference`.
        test_images: the images of the reference; n of them are drawn by a fixed permutation.
        n: number of samples, the same as of the generator.
        confidence: as in `make_reference`.

    Returns:
        The metrics.

    Raises:
        ValueError: if there are fewer than n images.

    Example:
        >>> images = jnp.array([-1.0, 1.0]).reshape(2, 1, 1, 1)
        >>> float(image_ceilings(None, make_reference(None, images), images, 2).pairwise_ratio)
        1.0
    """
    if n > test_images.shape[0]:
        raise ValueError(f"a ceiling of {n} samples needs as many real images, and there are {test_images.shape[0]}")
    chosen = jax.random.permutation(jax.random.key(1), test_images.shape[0])[:n]
    return image_metrics(classifier, reference, jnp.asarray(test_images)[chosen], confidence=confidence)


def definition(
    *,
    confidence: float,
    num_samples: int,
    name: str = "",
    classifier: Classifier | None = None,
    accuracy: float | None = None,
) -> dict[str, Any]:
    """The definition of a result's metrics, which is stored with it.

    Args:
        confidence: least class probability of a sample that counts for its class.
        num_samples: number of samples of a measurement.
        name: the classifier's data set.
        classifier: the classifier, or None.
        accuracy: its measured accuracy on the real images, or None.

    Returns:
        A dict for JSON: the rule in one line, the numbers above, and the classifier's name, hash and accuracy.

    Example:
        >>> classifier = Classifier({"output": {"bias": jnp.zeros(10)}})
        >>> definition(confidence=0.9, num_samples=1_000, classifier=classifier)["kl_floor"]
        0.0045
    """
    pixel_rule = (
        "P = mean Euclidean distance of n/2 disjoint pairs / that of real held-out images; pixel_std = mean "
        "over pixels of the standard deviation over samples, pixels in [-1, 1]"
    )
    class_rule = (
        f"class share p over samples with max probability >= {confidence:g}; junk = share below; "
        f"E = exp(H(p)); M = classes with p >= {LEAST_CLASS_SHARE:g} of real; V = tr Cov(features) / real; "
        f"V_c = the same inside classes of >= {LEAST_CLASS_SIZE} samples, median; KL(p || real) in nats"
    )
    stamp: dict[str, Any] = {"num_samples": num_samples, "classifier": None, "rule": f"{PIXELS_ONLY}; {pixel_rule}"}
    if classifier is not None:
        stamp["rule"] = f"{class_rule}; {pixel_rule}"
        stamp["confidence"] = confidence
        stamp["kl_floor"] = kl_floor(num_samples)
        stamp["classifier"] = {"name": name, "hash": classifier_hash(classifier), "accuracy": accuracy}
    return stamp


def is_pixels_only(evaluation: Mapping[str, Any]) -> bool:
    """Whether the stored numbers of an evaluation are of images and were measured without a classifier."""
    return "pairwise_ratio" in evaluation and evaluation.get("modes") is None


def _metrics(classified: bool, reference: ImageReference, measured: _Measured) -> ImageMetrics:
    class_share = measured.counts / jnp.maximum(jnp.sum(measured.counts), 1.0)
    large = (measured.counts >= LEAST_CLASS_SIZE) & (reference.class_variance > 0.0)
    class_ratios = measured.class_variance / jnp.maximum(reference.class_variance, _LEAST_PROBABILITY)
    metrics = ImageMetrics(
        class_share=class_share,
        junk=measured.junk,
        effective_classes=effective_classes(class_share),
        modes=present_modes(class_share, reference.class_share),
        max_share=jnp.max(class_share),
        variance_ratio=_ratio(measured.feature_variance, reference.feature_variance),
        intra_class_ratio=_median(class_ratios, large),
        intra_classes=jnp.sum(large.astype(jnp.float32)),
        pairwise_ratio=_ratio(measured.pairwise_distance, reference.pairwise_distance),
        pixel_std=measured.pixel_std,
        kl=class_divergence(class_share, reference.class_share),
        finite=measured.finite,
    )
    if classified:
        return metrics
    unknown = jax.tree.map(lambda x: jnp.full(x.shape, jnp.nan), metrics)
    return unknown._replace(pairwise_ratio=metrics.pairwise_ratio, pixel_std=metrics.pixel_std, finite=metrics.finite)


def _measure(classifier: Classifier | None, images: Array, confidence: float | Array) -> _Measured:
    if images.ndim != 4 or images.shape[0] < 2:
        raise ValueError(f"images are {images.shape}, and must be [n, size, size, 1] with n at least 2")
    images = as_floats(images)
    finite = jnp.all(jnp.isfinite(images))
    images = jnp.clip(jnp.where(jnp.isfinite(images), images, 0.0), -1.0, 1.0)
    if classifier is None:
        zeros = jnp.zeros(NUM_CLASSES)
        counts, junk, feature_variance, class_variance = zeros, jnp.zeros(()), jnp.zeros(()), zeros
    else:
        probabilities, features = classify(classifier, images)
        confident = jnp.max(probabilities, axis=1) >= confidence
        classes = jax.nn.one_hot(jnp.argmax(probabilities, axis=1), NUM_CLASSES) * confident[:, None]
        counts = jnp.sum(classes, axis=0)
        junk = jnp.mean((~confident).astype(jnp.float32))
        feature_variance, class_variance = _feature_variances(features, classes, counts)
    return _Measured(
        counts, junk, feature_variance, class_variance, _pairwise_distance(images), _pixel_std(images), finite
    )


def _feature_variances(features: Array, classes: Array, counts: Array) -> tuple[Array, Array]:
    """Traces of the unbiased covariance of all features, and of those of each class `[10]`."""
    # The first sample is subtracted, so that copies of one image have a variance of exactly 0, without rounding.
    features = features - features[:1]
    centred = features - jnp.mean(features, axis=0, keepdims=True)
    total = jnp.sum(jnp.square(centred)) / (features.shape[0] - 1)
    means = (classes.T @ features) / jnp.maximum(counts, 1.0)[:, None]
    squares = jnp.sum(jnp.square(features - classes @ means), axis=1)
    return total, (classes.T @ squares) / jnp.maximum(counts - 1.0, 1.0)


def _pairwise_distance(images: Array) -> Array:
    """Mean over floor(n/2) disjoint pairs of the root mean square pixel difference."""
    # A fixed permutation makes the pairs, so that samples sorted by class are not compared within their class.
    half = images.shape[0] // 2
    order = jax.random.permutation(jax.random.key(0), images.shape[0])
    first, second = images[order[:half]], images[order[half : 2 * half]]
    return jnp.mean(jnp.sqrt(jnp.mean(jnp.square(first - second), axis=(1, 2, 3))))


def _pixel_std(images: Array) -> Array:
    return jnp.mean(jnp.std(images - images[:1], axis=0))


def _ratio(value: Array, real: Array) -> Array:
    return value / jnp.maximum(real, _LEAST_PROBABILITY)


def _median(values: Array, chosen: Array) -> Array:
    """Median of the chosen values; 1 if none is chosen."""
    count = jnp.sum(chosen)
    ordered = jnp.sort(jnp.where(chosen, values, jnp.inf))
    middle = 0.5 * (ordered[jnp.maximum(count - 1, 0) // 2] + ordered[count // 2 % ordered.shape[0]])
    return jnp.where(count > 0, middle, 1.0)
