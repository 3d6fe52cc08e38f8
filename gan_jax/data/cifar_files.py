"""CIFAR-10 and CIFAR-100 in their binary version: rows of one or two labels and 3 x 32 x 32 bytes.

References:
    A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from gan_jax.data.found_set import DataError, FoundSet, StoredArray, folder_name

_PIXELS = 3 * 32 * 32
_TEN = re.compile(r"(data|test)_batch(_\d)?\.bin")
_HUNDRED = re.compile(r"(train|test)\.bin")


def find_cifar(directory: Path, files: list[str]) -> FoundSet | None:
    """The data set in a folder of CIFAR's binary files, or None if there is none.

    Args:
        directory: the folder.
        files: the names of its files.

    Returns:
        The data set; for CIFAR-100 the labels are the fine ones.
    """
    for pattern, num_labels, train in ((_TEN, 1, "data"), (_HUNDRED, 2, "train")):
        splits: dict[str, list[Path]] = {}
        for name in sorted(files):
            if match := pattern.fullmatch(name):
                splits.setdefault("train" if match[1] == train else "test", []).append(directory / name)
        sizes = [path.stat().st_size for paths in splits.values() for path in paths]
        if "train" in splits and all(size % (_PIXELS + num_labels) == 0 for size in sizes):
            parts = {}
            for split, paths in splits.items():
                parts[f"{split}_images"], parts[f"{split}_labels"] = _stored(paths, num_labels)
            return FoundSet(folder_name(directory), "CIFAR, binary", directory, parts)
        if "train" in splits and pattern is _TEN:
            problem = (
                f"{directory}: a CIFAR file is not a whole number of rows of {_PIXELS + 1:,} bytes. Fetch it again."
            )
            return FoundSet(folder_name(directory), "CIFAR, binary", directory, problem=problem)
    return None


def _stored(paths: list[Path], num_labels: int) -> tuple[StoredArray, StoredArray]:
    width = _PIXELS + num_labels
    num = sum(path.stat().st_size for path in paths) // width

    def rows() -> np.ndarray:
        try:
            return np.concatenate([np.fromfile(path, np.uint8).reshape(-1, width) for path in paths])
        except (OSError, ValueError) as error:
            raise DataError(f"{paths[0].parent} cannot be read: {error}. Fetch or copy it again.") from None

    def images() -> np.ndarray:
        return np.ascontiguousarray(rows()[:, num_labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))

    source, dtype = str(paths[0].parent), np.dtype(np.uint8)
    return (
        StoredArray(source, lambda: (dtype, (num, 32, 32, 3)), images),
        StoredArray(source, lambda: (dtype, (num,)), lambda: rows()[:, num_labels - 1]),
    )
