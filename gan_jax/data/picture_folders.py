"""Data sets of picture files in a folder for each class: train/CLASS/*.png and test/CLASS/*.png, or CLASS/*.png."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from gan_jax.data.found_set import FoundSet, Header, StoredArray, folder_name
from gan_jax.data.pictures import Picture, picture_shape, read_pictures

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")
_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")
"""Names of the folder of a split; the first one that exists is taken."""
_LEAST_PICTURES = 2

Classes = dict[str, list[Path]]
"""Picture files by class; the class of pictures without one is ""."""


def find_pictures(directory: Path) -> FoundSet | None:
    """The data set of pictures in a folder, or None if there is none. No picture is opened.

    Args:
        directory: the folder.

    Returns:
        The data set. Pictures in the folder itself have no labels.
    """
    folders = {path.name.lower(): path for path in _folders(directory)}
    train = next((_classes(folders[name]) for name in _TRAIN if name in folders), {})
    test = next((_classes(folders[name]) for name in _TEST if name in folders), {}) if train else {}
    train = train or _classes(directory)
    if sum(map(len, train.values())) < _LEAST_PICTURES:
        return None
    name = folder_name(directory)
    labelled = "" not in train
    layout = "pictures by class" if labelled else "pictures"
    if test and sorted(test) != sorted(train):
        other = sorted(set(test) ^ set(train))[0] or "pictures without a class"
        problem = f"{directory}: training and test pictures have different classes ({other} is in one of them only)."
        return FoundSet(name, layout, directory, problem=problem)
    class_names = tuple(sorted(train, key=lambda text: (int(text) if text.isdecimal() else len(train), text)))
    parts = {}
    for split, classes in (("train", train), ("test", test)):
        if classes:
            files = [file for class_name in class_names for file in classes[class_name]]
            parts[f"{split}_images"] = _images(files)
            if labelled:
                counts = [len(classes[class_name]) for class_name in class_names]
                labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
                parts[f"{split}_labels"] = _labels(str(directory), labels)
    return FoundSet(name, layout, directory, parts, class_names if labelled else ())


def _folders(directory: Path) -> list[Path]:
    with os.scandir(directory) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir() and not entry.name.startswith("."))


def _classes(directory: Path) -> Classes:
    """The pictures by class folder, if each folder that is not empty has some; without folders, the directory's own."""
    folders = [folder for folder in _folders(directory) if not _is_empty(folder)]
    classes = {folder.name: _files(folder) for folder in folders}
    if folders:
        return classes if all(classes.values()) else {}
    own = _files(directory)
    return {"": own} if own else {}


def _is_empty(directory: Path) -> bool:
    try:
        with os.scandir(directory) as entries:
            return all(entry.name.startswith(".") for entry in entries)
    except OSError:
        return False


def _files(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            names = (entry.name for entry in entries if entry.name.lower().endswith(_ENDINGS))
            return [directory / name for name in sorted(names) if not name.startswith(".")]
    except OSError:
        return []


def _images(files: list[Path]) -> StoredArray:
    pictures = [Picture(str(file), file) for file in files]

    def header() -> Header:
        return np.dtype(np.uint8), (len(files), *picture_shape(pictures[0]))

    return StoredArray(str(files[0].parent), header, lambda: read_pictures(pictures))


def _labels(source: str, labels: np.ndarray) -> StoredArray:
    return StoredArray(source, lambda: (labels.dtype, labels.shape), lambda: labels)
