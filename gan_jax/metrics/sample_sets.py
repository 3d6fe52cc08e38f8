"""A set of samples as the metrics see it: features, classes or modes, and distances to the training set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammainc

from gan_jax.data.image_arrays import NUM_CLASSES
from gan_jax.metrics.classifier import Classifier, classifier_hash, classify
from gan_jax.metrics.distances import in_blocks

SURE = 0.6
"""Class probability from which a sample counts as one of its class, as in the image detector."""
STDS = 3.0
"""Standard deviations within which a point counts as one of its mode, in 2-D; elsewhere the radius of equal mass."""
_BLOCK = 256


class SampleSet(NamedTuple):
    """n samples, or n real examples. A field that is not known or not needed is None.

    Attributes:
        data: [n, size, size, c] images in [-1, 1], or [n, d] points.
        features: [n, d].
        probabilities: [n, K] of classes; None for stacked images.
        mode: int32 [n], the class, the triple of classes, or the nearest mode.
        confidence: [n], the (least) class probability; for points 1 within `STDS` of the mode and 0 beyond.
        copying: `CopyingDistances` to the training set.
        joint: [n], for stacked images the product of the three class probabilities.

    Example:
        >>> from gan_jax.metrics import SAMPLE_METRICS
        >>> vendi = next(metric for metric in SAMPLE_METRICS if metric.name == "vendi")
        >>> round(float(vendi.compute(SampleSet(features=jnp.eye(4)), SampleSet(), None)["vendi"]), 3)
        4.0
    """

    data: Any = None
    features: Any = None
    probabilities: Any = None
    mode: Any = None
    confidence: Any = None
    copying: Any = None
    joint: Any = None


class FeatureSpace(NamedTuple):
    """The features in which distances are measured.

    Attributes:
        name: a description for readers, with the source of the features.
        extract: samples [n, ...] -> features [n, d], float32.

    Example:
        >>> brightness = FeatureSpace("mean of the pixels", lambda images: jnp.mean(images, axis=(1, 2)))
        >>> brightness.extract(jnp.zeros((2, 8, 8, 1))).tolist()
        [[0.0], [0.0]]
    """

    name: str
    extract: Callable[[Array], Array]


def pixel_space(shape: tuple[int, ...]) -> FeatureSpace:
    """Samples [n, *shape] as rows of pixels in [-1, 1], or of coordinates."""
    what = "coordinates" if len(shape) == 1 else "pixels in [-1, 1]"
    return FeatureSpace(what, lambda samples: samples.reshape(samples.shape[0], -1))


def classifier_space(classifier: Classifier, name: str) -> FeatureSpace:
    """The penultimate features of the project's own classifier; those of stacked images are joined by channel."""
    named = f"this project's {name} classifier {classifier_hash(classifier)[:8]} (not Inception)"
    return FeatureSpace(named, lambda samples: read_classes(classifier, samples)[1])


@jax.jit
def read_classes(classifier: Classifier, images: Array) -> tuple[Array, Array]:
    """Class probabilities and features of grey or stacked images, channel by channel.

    Args:
        classifier: the weights.
        images: [n, size, size, c], in [-1, 1].

    Returns:
        [n, c * 10] and [n, c * 96].
    """

    def block(rows: Array) -> tuple[Array, Array]:
        singles = jnp.moveaxis(rows, -1, 1).reshape(-1, *rows.shape[1:3], 1)
        probabilities, features = classify(classifier, singles)
        return probabilities.reshape(rows.shape[0], -1), features.reshape(rows.shape[0], -1)

    return in_blocks(block, images, size=max(1, _BLOCK // images.shape[-1]))


def class_modes(probabilities: Array) -> tuple[Array, Array]:
    """The mode of each sample and its confidence, from class probabilities [n, c * 10] of c channels."""
    by_channel = probabilities.reshape(probabilities.shape[0], -1, NUM_CLASSES)
    digits = NUM_CLASSES ** jnp.arange(by_channel.shape[1])[::-1]
    return jnp.argmax(by_channel, axis=-1) @ digits, jnp.min(jnp.max(by_channel, axis=-1), axis=1)


def joint_probability(probabilities: Array) -> Array:
    """The product over the channels of the largest class probabilities, [n], of [n, c * 10]."""
    by_channel = probabilities.reshape(probabilities.shape[0], -1, NUM_CLASSES)
    return jnp.prod(jnp.max(by_channel, axis=-1), axis=1)


def nearest_modes(points: Array, modes: Array, std: Array, noisy: Array) -> tuple[Array, Array]:
    """The nearest mode of each point in standard deviations, and 1 where it is within the radius, else 0.

    The radius holds the share of a mode's own points that 3 standard deviations hold in two dimensions: 98.89 %.

    Args:
        points: [n, d].
        modes: [K, d] means.
        std: [K].
        noisy: [d] 1.0 where a coordinate carries noise.

    Returns:
        int32 [n] and float32 [n].
    """
    squares = jnp.sum(jnp.square((points[:, None] - modes[None]) / std[None, :, None]), axis=-1)
    distance = jnp.min(squares, axis=1)
    dims = jnp.maximum(jnp.sum(noisy), 1.0)
    inside = gammainc(dims / 2, distance / 2) <= gammainc(1.0, STDS**2 / 2)
    return jnp.argmin(squares, axis=1).astype(jnp.int32), inside.astype(jnp.float32)
