"""Reads samples and data of any supported kind as arrays and a yardstick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data.found_set import DataError
from gan_jax.data.images import ImageDataset, Images
from gan_jax.data.sample_files import ReadSamples, as_images, as_points
from gan_jax.data.stacked import StackedImages
from gan_jax.metrics.inception import inception_space
from gan_jax.metrics.sample_sets import FeatureSpace, pixel_space
from gan_jax.metrics.yardsticks import Yardstick, array_yardstick, image_yardstick, mixture_yardstick

Features = str | FeatureSpace | Callable[[Array], Array]
"""Where distances are taken: a name, a file of Inception's weights, a space or a function of samples."""


class SampleError(ValueError):
    """Samples, data or metrics that do not fit together; the message has the remedy."""


def prepared_samples(
    samples: Any,
    data: Any,
    memorisation: bool,
    reference: Any,
    features: Features,
    dataset: Any,
    location: str | Path | None,
    seed: int,
    source: str,
    signed: bool,
) -> tuple[ReadSamples, Yardstick]:
    """The samples as they were interpreted, and what they are measured against.

    Args:
        samples: as in `evaluate_samples`, like the arguments below.
        data: the data that they imitate.
        memorisation: whether distances to the training set are wanted.
        reference: a split, or an array of real examples.
        features: a name or a function.
        dataset: the loaded data set of `data`, or None.
        location: folder of the data set, or None.
        seed: seed of permutations and draws.
        source: a description of the samples, for messages.
        signed: whether images are known to be in [-1, 1].

    Returns:
        The samples and the yardstick.

    Raises:
        SampleError: if the reference or the features are unknown, or the real examples have another shape.
        DataError: if samples or data cannot be read.
    """
    array = np.asarray(samples)
    if isinstance(reference, str) and reference not in ("train", "test"):
        raise SampleError(f"the reference is {reference!r}, and must be train, test or an array of real examples")
    if isinstance(data, (str, Images, StackedImages)):
        return _image_case(array, data, memorisation, reference, features, dataset, location, seed, source, signed)
    if hasattr(data, "source") and hasattr(data, "shape"):
        made = data.source(data.load() if dataset is None else dataset)
        read = as_points(array, data.shape[0], source)
        given = (
            None
            if isinstance(reference, str)
            else as_points(np.asarray(reference), data.shape[0], "the reference").array
        )
        return read, mixture_yardstick(made, len(read.array), seed, _space(features, read.array.shape[1:]), given)
    real = np.asarray(data, np.float32)
    if real.shape[1:] != array.shape[1:] or len(real) < 4:
        raise SampleError(
            f"{source} has the shape {list(array.shape)}, and the real examples {list(real.shape)}: "
            "give at least 4 real examples, of the samples' shape"
        )
    if not (np.isfinite(array).all() and np.isfinite(real).all()):
        raise SampleError(f"{source} or the real examples contain NaN or infinity: leave these out, and report it")
    read = ReadSamples(np.asarray(array, np.float32), ("values are taken as they are",))
    return read, array_yardstick(jnp.asarray(real), len(array), seed, _space(features, array.shape[1:]))


def _image_case(
    array: np.ndarray,
    data: str | Images | StackedImages,
    memorisation: bool,
    reference: Any,
    features: Features,
    dataset: ImageDataset | None,
    location: str | Path | None,
    seed: int,
    source: str,
    signed: bool,
) -> tuple[ReadSamples, Yardstick]:
    name = data if isinstance(data, str) else data.name
    grey = isinstance(data, str) or data.shape[-1] == 1
    read = as_images(array, source, grey=grey, signed=signed)
    size, channels = read.array.shape[2:]
    if isinstance(data, str):
        data, read = _named_data(name, size, channels, location, read)
    if data.shape != read.array.shape[1:]:
        raise DataError(f"{source} has images of {read.array.shape[1:]}, and those of the data are {data.shape}")
    dataset = data.load(location) if dataset is None else dataset
    if not isinstance(reference, str):
        reference = as_images(np.asarray(reference), "the reference", grey=grey).array
        if reference.shape[1:] != read.array.shape[1:]:
            raise DataError(
                f"the reference has images of {reference.shape[1:]}, and the samples of {read.array.shape[1:]}"
            )
    yardstick = image_yardstick(
        data,
        dataset,
        len(read.array),
        seed,
        reference=reference,
        features=_space(features, read.array.shape[1:]),
        memorisation=memorisation,
    )
    return read, yardstick


def _named_data(
    name: str, size: int, channels: int, location: str | Path | None, read: ReadSamples
) -> tuple[Images | StackedImages, ReadSamples]:
    """The data set of a name at the samples' size; colour samples of a grey data set are stacked images."""
    if channels == 1:
        return Images(name=name, image_size=size), read
    try:
        colour = Images(name=name, image_size=size, channels=3)
        colour.load(location)
        return colour, read
    except DataError as error:
        if "are grey" not in str(error):
            raise
    note = f"three different channels: measured as stacked {name}, 1,000 modes"
    return StackedImages(name=name, image_size=size), read._replace(notes=(*read.notes, note))


def _space(features: Features, shape: tuple[int, ...]) -> FeatureSpace | None:
    if isinstance(features, FeatureSpace):
        return features
    if callable(features):
        return FeatureSpace(f"features by {getattr(features, '__name__', 'a function')}", features)
    if features == "pixels":
        return pixel_space(shape)
    if features == "auto":
        return None
    if features.endswith(".npz"):
        if len(shape) != 3:
            raise SampleError(f"{features}: features of Inception are of images, and these samples are points")
        return inception_space(features)
    raise SampleError(
        f"the features are {features!r}, and must be auto, pixels, an .npz of Inception's weights or a function"
    )
