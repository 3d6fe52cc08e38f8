"""Reads the pixels of an image data set: from files of a known layout, a prepared tfds folder, or scikit-learn."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from gan_jax.data import prepared
from gan_jax.data.found_set import DataError
from gan_jax.data.image_arrays import ImageArrays
from gan_jax.data.layouts import read_located
from gan_jax.data.places import expanded
from gan_jax.data.standard_sets import STANDARD, check_standard

LOCATION_VARIABLE = "GAN_JAX_DATA"
KNOWN_LAYOUTS = "IDX files, .npz, folders of pictures, Parquet, or prepared data sets"


def load_arrays(name: str, location: Path | str | None = None) -> ImageArrays:
    """Reads a data set at its original image size into host memory; `Images.load` has the rules for locations.

    Raises:
        DataError: as `Images.load`.
    """
    if name == "digits":
        return load_digits()
    if location is not None:
        arrays = _load_at(name, Path(expanded(location)))
        if arrays is None:
            raise DataError(
                f"there is no {name} at {location}: no {KNOWN_LAYOUTS}.\n"
                "Give the directory of the data set, or one above it; gan-jax data list --data DIR lists what is there."
            )
        return arrays
    variable = os.environ.get(LOCATION_VARIABLE)
    arrays = _load_at(name, Path(expanded(variable))) if variable else None
    arrays = prepared.load_prepared(name) if arrays is None else arrays
    if arrays is None:
        where = f"{LOCATION_VARIABLE} ({variable}) or " if variable else ""
        known = "" if name in STANDARD else f" (known: digits, {', '.join(STANDARD)})"
        raise DataError(
            f"no data set {name!r}{known} in {where}{prepared.default_data_dir()}.\nGet it: " + how_to_get(name)
        )
    return arrays


def how_to_get(name: str) -> str:
    """The commands that make a data set available, in one line."""
    commands = f"gan-jax data prepare {name} --from DIR, or --data DIR (a directory of its files)"
    return f"gan-jax data prepare {name} (downloads it), {commands}" if name in STANDARD else commands


def _load_at(name: str, location: Path) -> ImageArrays | None:
    ready = prepared.load_prepared(name, location)
    found = read_located(name, location) if ready is None else None
    if found is None:
        return ready
    arrays, path = found
    # A run's record says "mnist", so files of another data set must not be loaded under that name.
    check_standard(name, arrays, path)
    return arrays


def load_digits() -> ImageArrays:
    """scikit-learn's digits, with values 0..16 scaled to 0..255, and a fixed stratified split.

    The examples are sorted by class, in their order within each class. Every fifth of them, from the first on, is a
    test example: 360 in all, a fifth of each class up to rounding, without any random number.
    """
    from sklearn.datasets import load_digits as load  # type: ignore[import-untyped]

    data = load()
    images = np.round(data.images * (255 / 16)).astype(np.uint8)[..., None]
    labels = data.target.astype(np.int32)
    is_test = np.zeros(len(labels), bool)
    is_test[np.argsort(labels, kind="stable")[::5]] = True
    names = tuple(map(str, data.target_names))
    return ImageArrays(images[~is_test], labels[~is_test], images[is_test], labels[is_test], names)


def resize(images: UInt8[np.ndarray, "n h h c"], size: int) -> UInt8[np.ndarray, "n {size} {size} c"]:
    """Resizes images by Pillow's bilinear filter, one by one, as torchvision's `Resize`.

    Args:
        images: uint8 [n, h, h, c], c = 1 or 3.
        size: pixels along a side. If it is h, the images are returned unchanged.

    Returns:
        uint8 [n, size, size, c].
    """
    if images.shape[1] == size:
        return images
    from PIL import Image

    channels = images.shape[-1]
    resized = np.empty((len(images), size, size, channels), np.uint8)
    for index, image in enumerate(images):
        bilinear = Image.fromarray(image[:, :, 0] if channels == 1 else image).resize(
            (size, size), Image.Resampling.BILINEAR
        )
        resized[index] = np.asarray(bilinear).reshape(size, size, channels)
    return resized
