r"""Coverage of the 1,000 modes of stacked images: a mode is the triple of the classes of the three channels.

A frozen classifier classifies each channel. Published counts depend on the rule more than on the generator (the same
runs have 747 modes with at least 1 sample of any confidence, and 3 with at least 10 samples above 0.9), so the rule is
a component and is stored with every result. `stacked_bounds` has the metrics of real images under a rule.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, arXiv 1611.02163, section 3.3.1.
    Z. Lin et al., "PacGAN", NeurIPS 2018, arXiv 1712.04086, section 4.2: every sample counts, one captures a mode, KL
        in nats to the uniform distribution; 25,600 or 26,000 samples.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, Num

from gan_jax.data.image_arrays import NUM_CLASSES
from gan_jax.data.stacked import NUM_CHANNELS, NUM_MODES
from gan_jax.experiment.component import component, setting
from gan_jax.metrics.class_shares import effective_classes
from gan_jax.metrics.classifier import Classifier, as_floats, classify
from gan_jax.metrics.image_metrics import LEAST_CLASS_SIZE
from gan_jax.metrics.modes import count_divergence

_BLOCK = 80  # three channels of 80 images fit into one block of the classifier
_NUM_PAIRS = 2_000
_LEAST = 1e-6


@component
class StackedRule:
    """The definition of a sample's mode, and of captured and held modes.

    A sample's mode is 100 a + 10 b + c, where a, b, c are the most probable classes of the channels. Its confidence is
    the least of their three probabilities. A sample counts if its confidence is at least `confidence`. A mode is
    captured by at least `min_count` samples that count. The defaults are the published rule, under which junk and
    misclassified samples capture modes too: of 25,600 real samples of MNIST, 400 are misclassified.

    A mode is held if it gets at least `min_share` of its expected samples. The detector uses held modes.

    Example:
        >>> StackedRule().describe(25_600)
        'class triple, each p>=0; count>=1; held: count>=0.1*n*weight; high quality: each p>=0.6; n=25600'
    """

    confidence: float = setting(
        default=0.0, at_least=0, at_most=1, doc="least class probability of every channel of a sample that counts"
    )
    min_count: float = setting(default=1.0, at_least=1, doc="number of samples that capture a mode")
    min_share: float = setting(
        default=0.1, at_least=0, below=1, doc="share of a mode's expected samples at which it is held"
    )
    quality: float = setting(
        default=0.6, at_least=0, at_most=1, doc="least confidence of a high-quality sample; below it a sample is junk"
    )

    def describe(self, num_samples: int) -> str:
        """The definition in one line, as it is stored with every result."""
        return (
            f"class triple, each p>={self.confidence:g}; count>={self.min_count:g}; held: "
            f"count>={self.min_share:g}*n*weight; high quality: each p>={self.quality:g}; n={num_samples}"
        )


class StackedMetrics(NamedTuple):
    r"""One evaluation of n samples. Fields are scalars unless a shape is given.

    Without a classifier only the last three are measured; the others are NaN.

    Attributes:
        modes: number of modes that are captured under the rule.
        modes_held: number of modes that are held under the rule.
        modes_sure: number of modes with at least one high-quality sample.
        high_quality: share of all n samples whose channels all have a class of probability at least `quality`.
        kl: KL of the mode shares to the uniform distribution in nats, as published; NaN if no sample counts.
        kl_data: KL of the mode shares to the product of the data's class shares, in nats.
        channel_classes: [3] exponential of the entropy of each channel's class shares, 1..10; 0 if no sample counts.
        max_share: the largest mode share.
        intra_class_ratio: trace of the classifier's feature covariance inside a class (high-quality channels, the three
            pooled) over that of real images, median over the classes with at least 50; 1 if there is none.
        dominant_mode: the mode with the most samples; -1 if no sample counts.
        counts: [1000] samples that count, by mode.
        pairwise_ratio: mean Euclidean pixel distance of samples i and i + n/2 over that of real stacked images.
        pixel_std: standard deviation of each pixel over the samples, mean over pixels and channels.
        finite: whether every pixel of every sample is finite.

    Example:
        >>> reference = make_stacked_reference(None, jnp.array([0, 1]), jnp.array([-1.0, 1.0]).reshape(2, 1, 1, 1))
        >>> found = stacked_metrics(None, reference, jnp.ones((2, 1, 1, 3)), StackedRule())
        >>> float(found.pairwise_ratio), float(found.pixel_std), float(found.modes)
        (0.0, 0.0, nan)
    """

    modes: Array
    modes_held: Array
    modes_sure: Array
    high_quality: Array
    kl: Array
    kl_data: Array
    channel_classes: Array
    max_share: Array
    intra_class_ratio: Array
    dominant_mode: Array
    counts: Array
    pairwise_ratio: Array
    pixel_std: Array
    finite: Array


class StackedReference(NamedTuple):
    """The moments of real images. Without a classifier the second to the fifth field are zeros and not used.

    Attributes:
        class_share: [10] class shares of the images from which channels are drawn.
        test_classes: int32 [m] most probable class of each held-out image.
        test_confidence: [m] the probability of that class.
        class_mean: [10, features] mean features of the confident held-out images of each class.
        class_variance: [10] trace of the feature covariance inside each class.
        pairwise_distance: mean root-mean-square pixel difference of two stacked images.
        pixel_std: mean over pixels of the standard deviation over images.

    Example:
        >>> images = jnp.array([-1.0, 1.0]).reshape(2, 1, 1, 1)
        >>> float(make_stacked_reference(None, jnp.array([0, 1]), images).pixel_std)
        1.0
    """

    class_share: Array
    test_classes: Array
    test_confidence: Array
    class_mean: Array
    class_variance: Array
    pairwise_distance: Array
    pixel_std: Array


@jax.jit
def make_stacked_reference(
    classifier: Classifier | None,
    labels: Int[Array, " n"],
    test_images: Num[Array, "m size size 1"],
    *,
    quality: float | Float[Array, ""] = 0.6,
) -> StackedReference:
    """The reference that samples are measured against.

    Args:
        classifier: a validated classifier, or None.
        labels: int [n], classes of the images from which channels are drawn.
        test_images: real held-out single images [m, size, size, 1], in [-1, 1] or uint8.
        quality: least confidence of an image that counts for its class; as in the rule.

    Returns:
        The reference.

    Example:
        >>> images = jnp.array([-1.0, 1.0]).reshape(2, 1, 1, 1)
        >>> make_stacked_reference(None, jnp.array([0, 1]), images).class_share[:3].tolist()
        [0.5, 0.5, 0.0]
    """
    images = as_floats(test_images)
    num = images.shape[0]
    pairs = jax.random.randint(jax.random.key(0), (2, _NUM_PAIRS * NUM_CHANNELS), 0, num)
    squared = jnp.mean(jnp.square(images[pairs[0]] - images[pairs[1]]), axis=(1, 2, 3))
    distance = jnp.mean(jnp.sqrt(jnp.mean(squared.reshape(_NUM_PAIRS, NUM_CHANNELS), axis=1)))
    pixel_std = jnp.mean(jnp.std(images, axis=0))
    share = jnp.mean(jax.nn.one_hot(labels, NUM_CLASSES), axis=0)
    if classifier is None:
        zeros = jnp.zeros(NUM_CLASSES)
        nothing = (jnp.zeros(num, jnp.int32), jnp.zeros(num), zeros[:, None], zeros)
        return StackedReference(share, *nothing, distance, pixel_std)
    probabilities, features = classify(classifier, images)
    classes, confidence = jnp.argmax(probabilities, axis=1), jnp.max(probabilities, axis=1)
    members = jax.nn.one_hot(classes, NUM_CLASSES) * (confidence >= quality)[:, None]
    counts = jnp.sum(members, axis=0)
    mean = (members.T @ features) / jnp.maximum(counts, 1.0)[:, None]
    squares = members.T @ jnp.sum(jnp.square(features - mean[classes]), axis=1)
    variance = squares / jnp.maximum(counts - 1.0, 1.0)
    return StackedReference(share, classes.astype(jnp.int32), confidence, mean, variance, distance, pixel_std)


@jax.jit
def stacked_metrics(
    classifier: Classifier | None, reference: StackedReference, samples: Num[Array, "n size size 3"], rule: StackedRule
) -> StackedMetrics:
    """Measures stacked samples in blocks, which take no more memory than the samples themselves.

    Samples are clipped to [-1, 1], as for display. Non-finite pixels count as 0, so the metrics stay finite; `finite`
    reports them.

    Args:
        classifier: the classifier of the reference, or None.
        reference: made by `make_stacked_reference`.
        samples: [n, size, size, 3], floats in [-1, 1] or uint8, n at least 2, in random order.
        rule: the definition of the metrics; its floats may be traced.

    Returns:
        The metrics; KL in nats.

    Raises:
        ValueError: if the samples have another shape.

    Example:
        >>> images = jnp.array([-1.0, 1.0]).reshape(2, 1, 1, 1)
        >>> reference = make_stacked_reference(None, jnp.array([0, 1]), images)
        >>> float(stacked_metrics(None, reference, 0.5 * images.repeat(3, axis=-1), StackedRule()).pixel_std)
        0.5
    """
    if samples.ndim != 4 or samples.shape[-1] != NUM_CHANNELS or samples.shape[0] < 2:
        raise ValueError(f"samples are {samples.shape}, and must be [n, size, size, 3] with n at least 2")
    num, half = samples.shape[0], samples.shape[0] // 2
    clean = _clean(samples)
    apart = jnp.sqrt(jnp.mean(jnp.square(clean[:half] - clean[half : 2 * half]), axis=(1, 2, 3)))
    pixels = {
        "pairwise_ratio": jnp.mean(apart) / jnp.maximum(reference.pairwise_distance, _LEAST),
        # The first sample is subtracted, so that copies of one image have a variance of exactly 0, without rounding.
        "pixel_std": jnp.mean(jnp.std(clean - clean[:1], axis=0)),
        "finite": jnp.all(jnp.isfinite(samples)),
    }
    if classifier is None:
        sizes = {"channel_classes": (NUM_CHANNELS,), "counts": (NUM_MODES,)}
        unknown = [name for name in StackedMetrics._fields if name not in pixels]
        return StackedMetrics(**{name: jnp.full(sizes.get(name, ()), jnp.nan) for name in unknown}, **pixels)
    classes, confidence, intra = _read(classifier, reference, samples, rule.quality)
    mode = classes @ (NUM_CLASSES ** jnp.arange(NUM_CHANNELS)[::-1])
    least = jnp.min(confidence, axis=1)
    counted = least >= rule.confidence
    counts = jnp.zeros(NUM_MODES, jnp.int32).at[mode].add(counted.astype(jnp.int32))
    sure = jnp.zeros(NUM_MODES, jnp.int32).at[mode].add((least >= rule.quality).astype(jnp.int32))
    share, real_share = counts / jnp.maximum(jnp.sum(counts), 1), triple_share(reference.class_share)
    cube = share.reshape((NUM_CLASSES,) * NUM_CHANNELS)
    channels = [jnp.sum(cube, axis=tuple(a for a in range(NUM_CHANNELS) if a != c)) for c in range(NUM_CHANNELS)]
    return StackedMetrics(
        modes=jnp.sum(counts >= rule.min_count),
        modes_held=jnp.sum(counts >= jnp.maximum(rule.min_share * num * real_share, 1.0)),
        modes_sure=jnp.sum(sure >= 1),
        high_quality=jnp.sum(sure) / num,
        kl=count_divergence(counts, jnp.full(NUM_MODES, 1 / NUM_MODES)),
        kl_data=count_divergence(counts, jnp.maximum(real_share, _LEAST**2)),
        channel_classes=effective_classes(jnp.stack(channels)),
        max_share=jnp.max(share),
        intra_class_ratio=intra,
        dominant_mode=jnp.where(jnp.any(counts > 0), jnp.argmax(counts), -1),
        counts=counts,
        **pixels,
    )


def triple_share(class_share: Float[Array, " 10"]) -> Float[Array, " 1000"]:
    """Shares of the modes of three independent channels: [10] -> [1000], mode 100 a + 10 b + c.

    Example:
        >>> int(jnp.argmax(triple_share(jnp.eye(10)[7])))
        777
    """
    pair = (class_share[:, None] * class_share[None, :]).reshape(-1)
    return (pair[:, None] * class_share[None, :]).reshape(-1)


def _clean(samples: Array) -> Array:
    images = as_floats(samples)
    return jnp.clip(jnp.where(jnp.isfinite(images), images, 0.0), -1.0, 1.0)


def _read(
    classifier: Classifier, reference: StackedReference, samples: Array, quality: float | Array
) -> tuple[Array, Array, Array]:
    """Classes int32 [n, 3], their probabilities [n, 3], and the median ratio of the within-class variances."""
    num = samples.shape[0]
    num_blocks = -(-num // _BLOCK)
    padded = jnp.pad(samples, [(0, num_blocks * _BLOCK - num)] + [(0, 0)] * 3)
    there = jnp.arange(num_blocks * _BLOCK) < num

    def block(part: tuple[Array, Array]) -> tuple[Array, Array, Array, Array, Array]:
        images, real = part
        singles = jnp.moveaxis(_clean(images), -1, 1).reshape(_BLOCK * NUM_CHANNELS, *samples.shape[1:3], 1)
        probabilities, features = classify(classifier, singles)
        classes, confidence = jnp.argmax(probabilities, axis=1), jnp.max(probabilities, axis=1)
        sure = (confidence >= quality) & jnp.repeat(real, NUM_CHANNELS)
        members = jax.nn.one_hot(classes, NUM_CLASSES) * sure[:, None]
        # The real mean of the class is subtracted, so that the difference of the two moments below does not cancel.
        centred = features - reference.class_mean[classes]
        moments = jnp.sum(members, axis=0), members.T @ centred, members.T @ jnp.sum(centred**2, axis=1)
        return classes.reshape(_BLOCK, -1), confidence.reshape(_BLOCK, -1), *moments

    parts = (padded.reshape(num_blocks, _BLOCK, *samples.shape[1:]), there.reshape(num_blocks, _BLOCK))
    classes, confidence, *sums = jax.lax.map(block, parts)
    counts, first, second = (jnp.sum(part, axis=0) for part in sums)
    mean = first / jnp.maximum(counts, 1.0)[:, None]
    variance = (second - counts * jnp.sum(mean**2, axis=1)) / jnp.maximum(counts - 1.0, 1.0)
    ratio = jnp.maximum(variance, 0.0) / jnp.maximum(reference.class_variance, _LEAST)
    large = (counts >= LEAST_CLASS_SIZE) & (reference.class_variance > 0.0)
    median = jnp.nanmedian(jnp.where(large, ratio, jnp.nan))
    flat = num_blocks * _BLOCK, NUM_CHANNELS
    intra = jnp.where(jnp.any(large), median, 1.0)
    return classes.reshape(flat)[:num], confidence.reshape(flat)[:num], intra
