"""A data set as it was found, before its pixels are read: its name, its layout, and its arrays with their headers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

Header = tuple[np.dtype, tuple[int, ...]]
"""The element type and the dimensions of an array."""

PARTS = ("train_images", "train_labels", "test_images", "test_labels")

_PASSED_OVER = ("raw", "gzip", "data", "default", "processed")
"""Folder names without information: a data set in such a folder gets the name of the folder above."""


class DataError(ValueError):
    """The data are missing or damaged, or are not those of their name; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class StoredArray:
    """An array in a file or a folder.

    Attributes:
        source: the file or folder, for messages.
        header: reads the element type and the dimensions only.
        read: reads the array. Both raise `DataError`.
    """

    source: str
    header: Callable[[], Header]
    read: Callable[[], np.ndarray]


@dataclasses.dataclass(frozen=True)
class FoundSet:
    """A data set that was found in some layout.

    Attributes:
        name: the value of `Images.name` that selects it; see `set_name`.
        layout: of its files, in a few words.
        path: its folder or file.
        parts: its arrays, by the names in `PARTS`; labels and test images may be missing.
        class_names: names of the labels 0, 1, ...; () if labels are values of any kind.
        problem: why it cannot be read, and what to do; "" if it can be read.
    """

    name: str
    layout: str
    path: Path
    parts: Mapping[str, StoredArray] = dataclasses.field(default_factory=dict)
    class_names: tuple[str, ...] = ()
    problem: str = ""


def set_name(text: str) -> str:
    """The name of a data set after a folder or a file, as `Images.name` takes it.

    Example:
        >>> set_name("Kuzushiji-MNIST"), set_name("FashionMNIST"), set_name("49 kanji")
        ('kuzushiji_mnist', 'fashionmnist', 'set_49_kanji')
    """
    name = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return name if name[:1].isalpha() else f"set_{name}".rstrip("_")


def folder_name(directory: Path) -> str:
    """The name of the data set in a folder: that of the folder, or of the one above it if it is in `_PASSED_OVER`."""
    path = directory.absolute()
    while path.name.lower() in _PASSED_OVER and path.parent.name:
        path = path.parent
    return set_name(path.name)
