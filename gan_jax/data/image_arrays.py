"""The common form of all layouts: square uint8 images, classes numbered from 0, and a held-out part."""

from __future__ import annotations

import collections
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer, Shaped, UInt8

from gan_jax.data.found_set import DataError, FoundSet, Header, StoredArray

NUM_CLASSES = 10
"""Number of classes of MNIST, its drop-in replacements and the digits, for which there are classifiers."""

HELD_OUT_SHARE = 10
"""For data without a test split, one image in this number is held out."""
HELD_OUT_SEED = 0
LEAST_TEST_IMAGES = 2
"""Least number of test images, since real images are compared in pairs."""

_BLOCK = 1024
_QMNIST_COLUMNS = 8
_IMAGES = "images are [n, h, w] or [n, h, w, 3], in 0 to 255 (integers or floats) or 0 to 1 (floats)"
_LABELS = "labels are whole numbers [n]"


class ImageArrays(NamedTuple):
    """An image data set in host memory.

    Attributes:
        train_images: uint8 [n, h, h, c], c = 1 or 3.
        train_labels: int32 [n], in 0..k-1; None if there are no labels.
        test_images: uint8 [m, h, h, c].
        test_labels: int32 [m], or None.
        class_names: of the k classes.
        notes: changes to the data that a user may not expect, in sentences.
    """

    train_images: np.ndarray
    train_labels: np.ndarray | None
    test_images: np.ndarray
    test_labels: np.ndarray | None
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class ImageShapes(NamedTuple):
    """The sizes of a data set: `image_shape` is (h, h, c); `num_test` is 0 without a test split."""

    num_train: int
    num_test: int
    image_shape: tuple[int, int, int]


def check_shapes(found: FoundSet) -> ImageShapes:
    """Checks the headers of the arrays, without reading pixels.

    Raises:
        DataError: if a part is missing or damaged, or its type or shape is not that of images or labels.
    """
    if found.problem:
        raise DataError(found.problem)
    shapes = []
    for split in ("train", "test"):
        images, labels = found.parts.get(f"{split}_images"), found.parts.get(f"{split}_labels")
        if images is None:
            shapes.append((0, 0, 0, 0))
            continue
        shape = _image_shape(images.header(), images.source)
        shapes.append(shape)
        if labels is not None:
            dtype, label_shape = labels.header()
            if len(label_shape) not in (1, 2) or dtype.kind not in "buifUS":
                raise DataError(f"{labels.source} holds {_shown((dtype, label_shape))}, and {_LABELS}.")
            if label_shape[0] != shape[0]:
                raise DataError(
                    f"{images.source} holds {shape[0]:,} images, and {labels.source} {label_shape[0]:,} labels. "
                    "Are both of one data set?"
                )
    (num_train, height, width, channels), test = shapes
    if test[0] and test[1:] != (height, width, channels):
        raise DataError(
            f"{found.path}: training images are {height}x{width}x{channels}, "
            f"test images {'x'.join(map(str, test[1:]))}. Are these files of one data set?"
        )
    if "test_images" in found.parts and test[0] < LEAST_TEST_IMAGES:
        raise DataError(
            f"{found.parts['test_images'].source} holds {test[0]} test image, and {LEAST_TEST_IMAGES} are needed.\n"
            f"Add some, or remove the test files, so that one training image in {HELD_OUT_SHARE} is held out."
        )
    return ImageShapes(num_train, test[0], (height, width, channels))


def assemble(found: FoundSet) -> ImageArrays:
    """Reads a data set that was found, checks it, and converts it to the common form.

    Args:
        found: the data set.

    Returns:
        Its arrays, in the files' order. Without a test split, a fixed tenth is held out, spread over the classes.

    Raises:
        DataError: if it is incomplete or damaged, if its images are not square or mostly identical, or if the meaning
            of their range is not clear.
    """
    check_shapes(found)
    parts, notes = found.parts, []
    images = {name: _channels_last(parts[name].read()) for name in ("train_images", "test_images") if name in parts}
    source = parts["train_images"].source
    scale, note = _pixel_scale(list(images.values()), source)
    notes += [f"{found.path}: {note}"] if note else []
    pixels = {name: _as_pixels(array, scale) for name, array in images.items()}
    del images
    labels = {name: _as_labels(parts[name]) for name in ("train_labels", "test_labels") if name in parts}
    class_names = found.class_names
    if not labels:
        notes.append(f"{found.path}: there are no labels, so there are no measurements by class")
    elif not class_names:
        class_names, labels = _numbered(labels)
    train, train_labels = pixels["train_images"], labels.get("train_labels")
    if "test_images" in pixels:
        arrays = ImageArrays(train, train_labels, pixels["test_images"], labels.get("test_labels"))
    else:
        arrays = hold_out(train, train_labels, source)
        num = len(arrays.test_images)
        notes.append(
            f"{found.path}: there is no test split, so {num:,} of {len(train):,} images are held out "
            f"(1 in {HELD_OUT_SHARE}, spread over the classes, seed {HELD_OUT_SEED})"
        )
    for name, array in (("training", arrays.train_images), ("test", arrays.test_images)):
        if (copies := most_copies(array)) > len(array) / 2:
            share = (
                f"all {copies:,} {name} images"
                if copies == len(array)
                else f"{copies:,} of {len(array):,} {name} images"
            )
            raise DataError(
                f"{found.path}: {share} are identical, so there is nothing to learn or measure. Are these the right "
                "files?"
            )
    return arrays._replace(class_names=class_names, notes=tuple(notes))


def count_classes(found: FoundSet) -> int | None:
    """The number of classes of a data set, from its labels; None without labels.

    Raises:
        DataError: if the labels are damaged, or not whole numbers.
    """
    labels = {name: _as_labels(found.parts[name]) for name in ("train_labels", "test_labels") if name in found.parts}
    return len(found.class_names or _numbered(labels)[0]) if labels else None


def hold_out(images: UInt8[np.ndarray, "n h w c"], labels: Integer[np.ndarray, "n"] | None, source: str) -> ImageArrays:
    """Splits images without a test split: a fixed tenth is held out, spread over the classes.

    Args:
        images: [n, h, w, c].
        labels: [n], or None.
        source: of the images, for the message.

    Returns:
        Both parts, each in the order of the images.

    Raises:
        DataError: if too few images would be held out.
    """
    num = len(images)
    draws = np.random.Generator(np.random.PCG64(HELD_OUT_SEED)).random(num)
    order = np.lexsort((draws, np.zeros(num) if labels is None else labels))
    is_test = np.zeros(num, bool)
    is_test[order[::HELD_OUT_SHARE]] = True
    if np.sum(is_test) < LEAST_TEST_IMAGES:
        raise DataError(
            f"{source} holds {num} images and there is no test split: {HELD_OUT_SHARE + 1} images are needed, of which "
            f"{LEAST_TEST_IMAGES} are held out."
        )
    train, test = (None, None) if labels is None else (labels[~is_test], labels[is_test])
    return ImageArrays(images[~is_test], train, images[is_test], test)


def most_copies(images: Shaped[np.ndarray, "n ..."]) -> int:
    """The number of copies of the most frequent image among images [n, ...]."""
    return collections.Counter(image.tobytes() for image in images).most_common(1)[0][1]


def _shown(header: Header) -> str:
    dtype, shape = header
    return f"{dtype.name}{list(shape)}"


def _image_shape(header: Header, source: str) -> tuple[int, int, int, int]:
    """[n, h, w, c] of an array of images: grey without a channel axis, or colour with the channels last or first."""
    dtype, shape = header
    full = (*shape, 1) if len(shape) == 3 else shape
    if len(full) == 4 and full[3] not in (1, 3) and full[1] in (1, 3):
        full = (full[0], full[2], full[3], full[1])
    if len(full) != 4 or full[3] not in (1, 3) or dtype.kind not in "buif":
        raise DataError(f"{source} holds {_shown(header)}, and {_IMAGES}.")
    num, height, width, channels = full
    if num == 0 or height == 0:
        raise DataError(f"{source} holds no images: its shape is {list(shape)}. Fetch or copy it again.")
    if height != width:
        raise DataError(f"{source} holds images of {height}x{width}, and only square ones work. Pad or crop them.")
    return num, height, width, channels


def _channels_last(images: np.ndarray) -> np.ndarray:
    if images.ndim == 3:
        return images[..., None]
    first = images.shape[3] not in (1, 3)
    return np.moveaxis(images, 1, 3) if first else images


def _pixel_scale(splits: list[np.ndarray], source: str) -> tuple[int, str]:
    """(the factor to 0..255, a note if it is not 1), by the range of all splits together."""
    low = min(float(images.min()) for images in splits)
    high = max(float(images.max()) for images in splits)
    kind = splits[0].dtype
    if not 0 <= low <= high <= 255:  # NaN fails too
        raise DataError(
            f"{source} holds {kind.name} images with values from {low:g} to {high:g}, and {_IMAGES}. Rescale them."
        )
    if high > 1:
        return 1, f"pixels are {kind.name} in 0..255, and were rounded to 8 bits" if kind.kind == "f" else ""
    return 255, f"pixels are {kind.name} in 0..1, and were multiplied by 255" if high > 0 else ""


def _as_pixels(images: np.ndarray, scale: int) -> np.ndarray:
    if images.dtype == np.uint8 and scale == 1:
        return images
    pixels = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), _BLOCK):
        block = slice(start, start + _BLOCK)
        pixels[block] = np.rint(images[block].astype(np.float64) * scale)
    return pixels


def _as_labels(part: StoredArray) -> np.ndarray:
    """Labels [n]: as they are, the class of one-hot rows, or the first of QMNIST's rows of 8 numbers."""
    labels = part.read()
    shown = _shown((labels.dtype, labels.shape))
    if labels.ndim == 2:
        columns = labels.shape[1]
        if columns == 1:
            labels = labels[:, 0]
        elif labels.dtype.kind in "buif" and np.all((labels == 0) | (labels == 1)) and np.all(labels.sum(axis=1) == 1):
            labels = np.argmax(labels, axis=1)
        elif columns == _QMNIST_COLUMNS and labels.dtype.kind == "i":
            labels = labels[:, 0]
    whole = labels.dtype.kind != "f" or np.all(np.isfinite(labels) & (labels == np.rint(labels)))
    if labels.ndim != 1 or not whole:
        raise DataError(f"{part.source} holds {shown}, and {_LABELS}, one-hot rows, or QMNIST's rows of 8 numbers.")
    return labels.astype(np.int64) if labels.dtype.kind in "buif" else labels


def _numbered(labels: dict[str, np.ndarray]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """(the classes that occur, labels as their numbers from 0)."""
    classes, index = np.unique(np.concatenate(list(labels.values())), return_inverse=True)
    ends = np.cumsum([len(part) for part in labels.values()])
    parts = np.split(index.reshape(-1).astype(np.int32), ends[:-1])
    return tuple(str(name) for name in classes), dict(zip(labels, parts, strict=True))
