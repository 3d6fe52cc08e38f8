"""Reads samples that another program made, from files and arrays of several layouts, as the metrics need them.

An array is recognised by its shape, type and range, or refused with a message that says what to do. Notes say how it
was interpreted.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data.found_set import DataError
from gan_jax.data.images import IMAGE_SIZES
from gan_jax.data.numpy_files import npz_headers, read_npy, read_npz
from gan_jax.data.picture_folders import find_pictures

_KEYS = ("samples", "images", "fakes", "fake", "generated", "x", "arr_0")
_SAVE = "numpy.savez('samples.npz', samples=x.cpu().numpy())"
_SLACK = 1e-3
_LEAST_NEGATIVE = -0.5
"""Samples in [-1, 1] reach below it somewhere; lower bounds between it and 0 fit neither [0, 1] nor [-1, 1]."""


class ReadSamples(NamedTuple):
    """Samples as arrays.

    Attributes:
        array: float32, images [n, size, size, channels] in [-1, 1], or points [n, d].
        notes: how they were interpreted, in phrases.
    """

    array: np.ndarray
    notes: tuple[str, ...]


def read_samples(path: Path) -> np.ndarray:
    """The array of samples in a .npz or .npy file, or the pictures of a folder, without conversion.

    Args:
        path: the file or folder. Of several arrays in a .npz the one called samples, images, fakes, generated, x or
            arr_0 is taken. Pictures may be in one folder for each class.

    Returns:
        Any array [n, ...].

    Raises:
        DataError: if the file does not exist, or is of another kind.
    """
    if path.is_dir():
        found = find_pictures(path)
        if found is None:
            raise DataError(f"{path} holds no pictures: give a folder of PNG or JPEG files, a .npz or a .npy file")
        parts = [part.read() for name, part in found.parts.items() if name.endswith("images")]
        return np.concatenate(parts) if len({part.shape[1:] for part in parts}) == 1 else parts[0]
    if not path.exists():
        raise DataError(f"{path} does not exist. Is the path right?")
    if path.suffix == ".npy":
        return read_npy(path)
    if path.suffix != ".npz":
        raise DataError(f"{path} is not a .npz, a .npy or a folder of pictures: save the samples with {_SAVE}")
    headers = npz_headers(path)
    named = [name for name in _KEYS if name in headers]
    if not named and len(headers) != 1:
        names = ", ".join(sorted(headers)) or "no arrays"
        raise DataError(f"{path} holds {names}: call the array of samples `samples`, as in {_SAVE}")
    return read_npz(path, named[0] if named else next(iter(headers)))


def as_images(array: np.ndarray, source: str, *, grey: bool = True, signed: bool = False) -> ReadSamples:
    """Recognises images of any usual layout.

    Args:
        array: [n, h, w], [n, h, w, c], PyTorch's [n, c, h, w], or [n, h * w] of square grey images; uint8 or whole
            numbers in 0..255, or floats in [0, 1], [-1, 1] or 0..255.
        source: the file or array, for messages.
        grey: whether the real images are grey: then three equal channels become one.
        signed: whether floats are known to be in [-1, 1]; they are clipped to it, and their range is not checked.

    Returns:
        Images in [-1, 1].

    Raises:
        DataError: for another shape, type or range, values that are not finite, or fewer than two images.
    """
    array = _checked(array, source)
    shape = list(array.shape)
    notes = []
    if array.ndim == 2 and round(shape[1] ** 0.5) ** 2 == shape[1] and round(shape[1] ** 0.5) in IMAGE_SIZES:
        side = round(shape[1] ** 0.5)
        array = array.reshape(-1, side, side)
        notes.append(f"rows of {shape[1]} numbers taken as {side}x{side} pixels")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim == 4 and array.shape[1] in (1, 3) and array.shape[3] not in (1, 3):
        array = np.moveaxis(array, 1, 3)
        notes.append("channels first (PyTorch's layout), moved last")
    sizes = ", ".join(map(str, IMAGE_SIZES))
    if array.ndim != 4 or array.shape[3] not in (1, 3):
        raise DataError(
            f"{source} has the shape {shape}: images are [n, h, w], [n, h, w, c] or [n, c, h, w], c = 1 or 3"
        )
    if array.shape[1] != array.shape[2] or array.shape[1] not in IMAGE_SIZES:
        raise DataError(
            f"{source} has images of {array.shape[1]}x{array.shape[2]} pixels, and {sizes} along both sides work: "
            "resize or pad them"
        )
    array, note = (np.clip(array, -1, 1), "") if signed and array.dtype.kind == "f" else _as_signed(array, source)
    notes.append(note)
    if grey and array.shape[3] == 3 and np.array_equal(array[..., :1].repeat(3, axis=3), array):
        array = array[..., :1]
        notes.append("three equal channels taken as one")
    return ReadSamples(np.ascontiguousarray(array, np.float32), tuple(note for note in notes if note))


def as_points(array: np.ndarray, dims: int, source: str) -> ReadSamples:
    """Recognises points of a mixture.

    Args:
        array: [n, dims].
        dims: of the data.
        source: the file or array, for messages.

    Returns:
        Points.

    Raises:
        DataError: for another shape or type, values that are not finite, or fewer than two points.
    """
    array = _checked(array, source)
    if array.ndim != 2 or array.shape[1] != dims:
        raise DataError(f"{source} has the shape {list(array.shape)}, and the data are points [n, {dims}]")
    return ReadSamples(np.ascontiguousarray(array, np.float32), ())


def _checked(array: np.ndarray, source: str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "buif":
        raise DataError(f"{source} holds {array.dtype.name} values: samples are numbers, floats or uint8")
    if array.ndim < 2 or array.shape[0] < 2:
        raise DataError(f"{source} has the shape {list(array.shape)}: samples are [n, ...] with n at least 2")
    if array.size == 0:
        raise DataError(f"{source} has the shape {list(array.shape)}, which holds no numbers")
    finite = np.isfinite(array.reshape(len(array), -1)).all(axis=1)
    if not finite.all():
        count, first = int(np.sum(~finite)), int(np.argmin(finite))
        raise DataError(
            f"{source} has {count:,} of {len(array):,} samples with NaN or infinity (the first is sample {first}): "
            "leave them out, and say so"
        )
    return array


def _as_signed(array: np.ndarray, source: str) -> tuple[np.ndarray, str]:
    """(images in [-1, 1], a note on the interpretation of their range)."""
    low, high = float(array.min()), float(array.max())
    shown = f"{source} has {array.dtype.name} values from {low:g} to {high:g}"
    if array.dtype.kind != "f":
        if not 0 <= low <= high <= 255:
            raise DataError(f"{shown}: whole numbers are pixels in 0..255; rescale them")
        if high <= 1 < len(array):
            raise DataError(
                f"{shown}: whole numbers are pixels in 0..255; multiply them by 255, or save floats in [0, 1]"
            )
        return array.astype(np.float32) / 127.5 - 1.0, ""
    array = array.astype(np.float32)
    if low >= -_SLACK and high > 1.0 + _SLACK:
        if high > 255 + _SLACK or high < 2:
            raise DataError(f"{shown}: pixels are in [0, 1], [-1, 1] or 0..255; clip or rescale them")
        return np.clip(array, 0, 255) / 127.5 - 1.0, f"values from {low:.3g} to {high:.3g} taken as pixels in 0..255"
    if low >= -_SLACK:
        return np.clip(array, 0, 1) * 2 - 1, f"values from {low:.3g} to {high:.3g} taken as pixels in [0, 1]"
    if low < -1 - _SLACK or high > 1 + _SLACK:
        raise DataError(f"{shown}: pixels are in [0, 1], [-1, 1] or 0..255; clip or rescale them")
    if low > _LEAST_NEGATIVE:
        raise DataError(f"{shown}: it is not clear whether that is [0, 1] or [-1, 1]; clip or rescale them")
    return np.clip(array, -1, 1), f"values from {low:.3g} to {high:.3g} taken as pixels in [-1, 1]"
