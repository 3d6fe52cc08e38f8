"""What samples are measured against: reference examples, other real examples, classes or modes, a feature space."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data.found_set import DataError
from gan_jax.data.image_arrays import NUM_CLASSES
from gan_jax.data.images import ImageDataset, Images, normalise
from gan_jax.data.stacked import StackedImages, StackedSource
from gan_jax.metrics.classifier import Classifier, UnvalidatedClassifier, validated_classifier
from gan_jax.metrics.copying import CopyingDistances, copying_distances, training_cells
from gan_jax.metrics.diversity import SSIM_WINDOW
from gan_jax.metrics.metric_kind import NUM_CELLS, Known
from gan_jax.metrics.sample_sets import (
    FeatureSpace,
    SampleSet,
    class_modes,
    classifier_space,
    joint_probability,
    nearest_modes,
    pixel_space,
    read_classes,
)
from gan_jax.metrics.stacked_metrics import triple_share

_ORDER, _REFERENCE, _OTHER, _METRICS = range(4)
"""Numbers folded into the seed's key."""


@dataclasses.dataclass(frozen=True)
class Yardstick:
    """What samples are measured against.

    Attributes:
        reference: real examples [m, ...] that the samples are compared with, at most as many as there are samples.
        other: real examples [m', ...] that are not in the reference; their values are listed beside the samples'.
        described: descriptions of "reference" and "real" for readers.
        space: the features.
        known: what metrics are given besides the sets.
        classifier: the validated classifier, or None.
        accuracy: the classifier's on held-out real images, or None.
        train: features of the training set and the centres of its cells, or None.
        fresh: `CopyingDistances` of other held-out examples than those in `known`, as real data of the copying metrics.
        notes: remarks on what cannot be measured.
    """

    reference: Array
    other: Array
    described: dict[str, str]
    space: FeatureSpace
    known: Known
    classifier: Classifier | None = None
    accuracy: float | None = None
    train: tuple[Array, Array] | None = None
    fresh: CopyingDistances | None = None
    notes: tuple[str, ...] = ()

    def measured(self, data: Array, needed: set[str]) -> SampleSet:
        """The set that metrics are given: the fields that are needed and available."""
        probabilities = mode = confidence = copying = joint = None
        features = self.space.extract(data) if {"features", "copying"} & needed else None
        if self.known.mixture is not None:
            source = self.known.mixture
            mode, confidence = nearest_modes(data, source.modes, source.std, source.noisy)
        elif self.classifier is not None:
            by_class = read_classes(self.classifier, data)[0]
            mode, confidence = class_modes(by_class)
            if data.shape[-1] == 1:
                probabilities = by_class
            else:
                joint = joint_probability(by_class)
        if self.train is not None and "copying" in needed:
            copying = copying_distances(features, *self.train)
        return SampleSet(data, features, probabilities, mode, confidence, copying, joint)

    def has(self, field: str) -> bool:
        """Whether a field that a metric needs is available."""
        if field in ("mode", "confidence", "weights"):
            return self.known.weights is not None
        if field == "similarity":
            return self.reference.ndim == 4 and self.reference.shape[1] >= SSIM_WINDOW
        found = {
            "features": True,
            "data": True,
            "probabilities": self.classifier is not None and self.reference.shape[-1] == 1,
            "mixture": self.known.mixture is not None,
            "copying": self.train is not None,
            "held_out": self.train is not None,
        }
        return found[field]


def mixture_yardstick(
    source: Any, num: int, seed: int, features: FeatureSpace | None = None, reference: np.ndarray | None = None
) -> Yardstick:
    """The yardstick of a known mixture: two sets of draws, each as large as the set of samples.

    Args:
        source: a mixture with `modes`, `std`, `weights`, `noisy`, `sample` and `log_prob`.
        num: number of samples.
        seed: seed of the draws.
        features: the feature space; None takes the coordinates.
        reference: points [m, d] in place of the first set of draws, or None.

    Returns:
        The yardstick.
    """
    key = jax.random.key(seed)
    mixture = getattr(source, "mixture", source)
    drawn = mixture.sample(jax.random.fold_in(key, _REFERENCE), num) if reference is None else jnp.asarray(reference)
    other = mixture.sample(jax.random.fold_in(key, _OTHER), num)
    named = "draws of the mixture" if reference is None else "points of the given file"
    return Yardstick(
        reference=drawn,
        other=other,
        described={"reference": f"{len(drawn):,} {named}", "real": f"{len(other):,} other draws"},
        space=features or pixel_space(drawn.shape[1:]),
        known=Known(jax.random.fold_in(key, _METRICS), mixture.weights, mixture),
    )


def image_yardstick(
    data: Images | StackedImages,
    dataset: ImageDataset,
    num: int,
    seed: int,
    *,
    reference: str | np.ndarray = "train",
    features: FeatureSpace | None = None,
    memorisation: bool = True,
) -> Yardstick:
    """The yardstick of a data set of images.

    The reference has as many images of a split as there are samples, chosen by a permutation that the seed fixes. Real
    images of the other split are measured beside the samples; if they are too few, unused images of the same split are
    added.

    Args:
        data: the settings of the data set.
        dataset: its images.
        num: number of samples.
        seed: seed of the permutation.
        reference: "train", "test", or images [m, size, size, c] in [-1, 1].
        features: the feature space; None takes the classifier's if one is validated, else pixels.
        memorisation: whether distances to the training set are wanted.

    Returns:
        The yardstick.
    """
    classifier, accuracy, notes = None, None, []
    try:
        if dataset.test_images.shape[-1] == 1:
            classifier, accuracy = validated_classifier(data.name, dataset.test_images, dataset.test_labels)
    except UnvalidatedClassifier as error:
        notes.append(str(error).split(":")[0])
    key = jax.random.fold_in(jax.random.key(seed), _ORDER)
    stacked = isinstance(data, StackedImages)
    pools = {"train": dataset.images, "test": dataset.test_images}
    if stacked:
        chosen, other, described = _stacked_sets(dataset, num, key, reference)
    else:
        chosen, other, described = _image_sets(data.name, pools, num, key, reference)
    space = features or (
        pixel_space(chosen.shape[1:]) if classifier is None else classifier_space(classifier, data.name)
    )
    known, train, fresh = Known(jax.random.fold_in(jax.random.key(seed), _METRICS)), None, None
    if classifier is not None:
        share = class_share(classifier, dataset)
        known = known._replace(weights=triple_share(share) if stacked else share)
    if memorisation and not stacked:
        rows = space.extract(normalise(dataset.images))
        train = rows, jnp.asarray(training_cells(np.asarray(rows), min(NUM_CELLS, len(rows))))
        held = dataset.test_images[jax.random.permutation(key, len(dataset.test_images))]
        halves = (held[::2], held[1::2])
        held_out, fresh = (copying_distances(space.extract(normalise(half)), *train) for half in halves)
        known = known._replace(held_out=held_out)
    return Yardstick(chosen, other, described, space, known, classifier, accuracy, train, fresh, tuple(notes))


def array_yardstick(real: Array, num: int, seed: int, features: FeatureSpace | None = None) -> Yardstick:
    """The yardstick of an array of real examples: the reference is as many as there are samples, at most half of them.

    Args:
        real: [m, ...].
        num: number of samples.
        seed: seed of the permutation.
        features: the feature space; None takes the values themselves.

    Returns:
        The yardstick.
    """
    order = np.random.default_rng(seed).permutation(len(real))
    count = min(num, max(len(real) // 2, 2))
    chosen, other = real[order[:count]], real[order[count : 2 * count]]
    described = {"reference": f"{count:,} of {len(real):,} real examples", "real": f"{len(other):,} others of these"}
    known = Known(jax.random.fold_in(jax.random.key(seed), _METRICS))
    return Yardstick(chosen, other, described, features or pixel_space(real.shape[1:]), known)


def class_share(classifier: Classifier, dataset: ImageDataset) -> Array:
    """Shares of the ten classes in the training set, by its labels or else by the classifier."""
    labels = dataset.labels
    if labels is None:
        labels = class_modes(read_classes(classifier, normalise(dataset.images))[0])[0]
    return jnp.mean(jax.nn.one_hot(labels, NUM_CLASSES), axis=0)


def _image_sets(
    name: str, pools: dict[str, Array], num: int, key: Array, reference: str | np.ndarray
) -> tuple[Array, Array, dict[str, str]]:
    if not isinstance(reference, str):
        chosen, other = jnp.asarray(reference)[:num], normalise(pools["test"])[:num]
        words = {
            "reference": f"{len(chosen):,} images of the given file",
            "real": f"{len(other):,} test images of {name}",
        }
        return chosen, other, words
    rest = "test" if reference == "train" else "train"
    own, others = (pools[split][jax.random.permutation(key, len(pools[split]))] for split in (reference, rest))
    chosen, spare = own[:num], own[num : num + max(num - len(others), 0)]
    other = jnp.concatenate([others[:num], spare])
    kinds = {"train": "training", "test": "test"}
    real = f"{len(others[:num]):,} {kinds[rest]} images"
    if len(spare):
        real += f" and {len(spare):,} other {kinds[reference]} images"
    described = {"reference": f"{len(chosen):,} {kinds[reference]} images of {name}", "real": real}
    return normalise(chosen), normalise(other), described


def _stacked_sets(
    dataset: ImageDataset, num: int, key: Array, reference: str | np.ndarray
) -> tuple[Array, Array, dict[str, str]]:
    if not isinstance(reference, str):
        raise DataError("stacked images have no file as the reference: set the reference to train or test")
    pools = {"train": dataset.images, "test": dataset.test_images}
    rest = "test" if reference == "train" else "train"
    first, second = jax.random.split(key)
    draw = {s: StackedSource(dataset._replace(images=pools[s])) for s in pools}
    chosen, other = draw[reference].sample(first, num), draw[rest].sample(second, num)
    return chosen, other, {"reference": f"{num:,} stacked {reference} images", "real": f"{num:,} stacked {rest} images"}
