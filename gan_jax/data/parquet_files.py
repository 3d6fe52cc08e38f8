"""Data sets as Hugging Face's Parquet files: a column of encoded images, and one of labels.

`pyarrow` is optional, and is imported inside the functions that use it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.data.found_set import DataError, FoundSet, Header, StoredArray, folder_name
from gan_jax.data.pictures import Picture, picture_shape, read_pictures

_SPLIT = re.compile(r"(?:.*[-_.])?(train|test|valid|validation|val)(?:[-_.].*)?", re.IGNORECASE)
_LABELS = ("label", "labels", "fine_label", "character", "class", "target")
_BATCH = 512


def find_parquet(directory: Path, files: list[str]) -> FoundSet | None:
    """The data set in the .parquet files of a folder, or in those of its folders `train` and `test`.

    Args:
        directory: the folder.
        files: the names of its files.

    Returns:
        The data set, with a `problem` if it has no column of images; None if there is no such file.
    """
    splits: dict[str, list[Path]] = {}
    for name in sorted(files):
        if name.endswith(".parquet"):
            match = _SPLIT.fullmatch(name.removesuffix(".parquet"))
            splits.setdefault(match[1].lower() if match else "train", []).append(directory / name)
    if not splits:
        for split in ("train", "test", "validation"):
            if inner := sorted((directory / split).glob("*.parquet")):
                splits[split] = inner
    if not splits:
        return None
    name = folder_name(directory)
    try:
        return _described(name, directory, splits)
    except DataError as error:
        return FoundSet(name, "Parquet", directory, problem=str(error))


def _described(name: str, directory: Path, splits: dict[str, list[Path]]) -> FoundSet:
    train = splits.get("train")
    if train is None:
        raise DataError(f"{directory} has no training split, only {', '.join(sorted(splits))}: add train-*.parquet.")
    test = next((splits[split] for split in ("test", "validation", "valid", "val") if split in splits), None)
    schema = _opened(train[0]).schema_arrow
    image, label = _columns(train[0], schema)
    parts = {}
    for split, paths in (("train", train), ("test", test)):
        if paths:
            parts[f"{split}_images"] = _images(paths, image)
            if label is not None and not _unlabelled(paths, label):
                parts[f"{split}_labels"] = _labels(paths, label)
    if "test_images" in parts and ("test_labels" in parts) != ("train_labels" in parts):
        # Hugging Face marks the labels of a hidden test set with -1: such a set cannot serve as a test split.
        parts = {part: array for part, array in parts.items() if part.startswith("train")}
    names = _class_names(schema, label) if "train_labels" in parts else ()
    return FoundSet(name, "Parquet", directory, parts, names)


def _opened(path: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"{path} needs pyarrow: pip install pyarrow, or save the images as .npz or PNG.") from None
    try:
        return pyarrow.parquet.ParquetFile(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} cannot be read: {reason} Fetch or copy it again.") from None


def _columns(path: Path, schema: Any) -> tuple[str, str | None]:
    """(the column of images, the column of labels or None)."""
    from pyarrow import types

    def is_image(kind: Any) -> bool:
        fields = {field.name for field in kind} if types.is_struct(kind) else set()
        return types.is_binary(kind) or types.is_large_binary(kind) or "bytes" in fields

    images = [field.name for field in schema if is_image(field.type)]
    labels = [field.name for field in schema if types.is_integer(field.type) and field.name.lower() in _LABELS]
    if not images:
        raise DataError(
            f"{path} has the columns {', '.join(schema.names)}, and none has encoded images (bytes, or a struct with "
            "bytes)."
        )
    image = next((name for name in images if name.lower() in ("image", "img", "images")), images[0])
    return image, min(labels, key=lambda name: _LABELS.index(name.lower()), default=None)


def _values(paths: list[Path], column: str) -> Iterator[Any]:
    """The values of a column, a few hundred at a time."""
    for path in paths:
        file = _opened(path)
        if column not in file.schema_arrow.names:
            raise DataError(f"{path} has no column {column}, and {paths[0]} has. Are these files of one data set?")
        try:
            for batch in file.iter_batches(batch_size=_BATCH, columns=[column]):
                yield from batch.column(0).to_pylist()
        except OSError as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(f"{path} is damaged: {reason} Fetch or copy it again.") from None


def _images(paths: list[Path], column: str) -> StoredArray:
    def picture(index: int, value: Any) -> Picture:
        encoded = value.get("bytes") if isinstance(value, dict) else value
        source = f"{paths[0].parent}: {column} of row {index:,}"
        if encoded is None:
            raise DataError(f"{source} has no bytes, only a path: save the data set with its images embedded.")
        return Picture(source, _constant(encoded))

    def header() -> Header:
        num = sum(_opened(path).metadata.num_rows for path in paths)
        if num == 0:
            return np.dtype(np.uint8), (0, 0, 0, 1)
        return np.dtype(np.uint8), (num, *picture_shape(picture(0, next(_values(paths, column)))))

    def read() -> np.ndarray:
        return read_pictures([picture(index, value) for index, value in enumerate(_values(paths, column))])

    return StoredArray(str(paths[0].parent), header, read)


def _constant(content: bytes) -> Callable[[], bytes]:
    return lambda: content


def _labels(paths: list[Path], column: str) -> StoredArray:
    def header() -> Header:
        return np.dtype(np.int64), (sum(_opened(path).metadata.num_rows for path in paths),)

    def read() -> np.ndarray:
        values = list(_values(paths, column))
        if None in values:
            raise DataError(f"{paths[0].parent}: {column} of row {values.index(None):,} is empty.")
        return np.array(values, np.int64)

    return StoredArray(f"{paths[0].parent}: {column}", header, read)


def _unlabelled(paths: list[Path], column: str) -> bool:
    return all(value in (None, -1) for value in _values(paths, column))


def _class_names(schema: Any, label: str | None) -> tuple[str, ...]:
    """The names of the classes 0, 1, ... in Hugging Face's metadata; () if there are none."""
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return tuple(map(str, features[label]["names"]))
    except (KeyError, TypeError, ValueError):
        return ()
