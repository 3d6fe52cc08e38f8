"""Data sets in one .npz file, as Keras' mnist.npz."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gan_jax.data.found_set import PARTS, DataError, FoundSet, Header, StoredArray, set_name
from gan_jax.data.numpy_files import npz_headers, read_npz

_KEYS = (
    ("x_train", "y_train", "x_test", "y_test"),
    PARTS,
    ("images", "labels", "", ""),
    ("x", "y", "", ""),
)
"""Names of the arrays, in the order of `PARTS`; only the first of each row is required."""


def find_npz(path: Path) -> FoundSet:
    """The data set in a .npz file; if its arrays have other names, its `problem` says so.

    Args:
        path: the file.

    Returns:
        The data set.
    """
    name = set_name(path.stem)
    try:
        headers = npz_headers(path)
    except DataError as error:
        return FoundSet(name, "npz", path, problem=str(error))
    by_name = {key.lower(): key for key in headers}
    keys = next((row for row in _KEYS if row[0] in by_name), None)
    if keys is None:
        problem = (
            f"{path} holds {', '.join(sorted(headers)) or 'no arrays'}: name its arrays x_train, y_train, x_test, "
            "y_test (labels and test split may be absent), or images and labels."
        )
        return FoundSet(name, "npz", path, problem=problem)
    parts = {
        part: _stored(path, by_name[key], headers[by_name[key]])
        for part, key in zip(PARTS, keys, strict=True)
        if key in by_name
    }
    lonely = "test_labels" in parts and "test_images" not in parts
    if lonely or ("test_images" in parts and ("train_labels" in parts) != ("test_labels" in parts)):
        problem = f"{path} holds only {', '.join(sorted(headers))}: add the missing images or labels."
        return FoundSet(name, "npz", path, problem=problem)
    return FoundSet(name, "npz", path, parts)


def _stored(path: Path, key: str, header: Header) -> StoredArray:
    def read() -> np.ndarray:
        return read_npz(path, key)

    return StoredArray(f"{path}: {key}", lambda: header, read)
