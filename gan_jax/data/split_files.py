"""Data sets of four files: images and labels, for training and for test, as IDX or NumPy arrays.

The names are those of MNIST (`train-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`), with the name of a set before them
where several are in one folder (`emnist-letters-train-images-idx3-ubyte.gz`, `qmnist-train-labels-idx2-int`,
`k49-train-imgs.npz`). A file's format is known by its first bytes.

References:
    G. Cohen et al., "EMNIST: extending MNIST to handwritten letters", IJCNN 2017, arXiv 1702.05373.
    T. Clanuwat et al., "Deep learning for classical Japanese literature", 2018, arXiv 1812.01718: KMNIST and K49.
    C. Yadav and L. Bottou, "Cold case: the lost MNIST digits", NeurIPS 2019, arXiv 1905.10498: QMNIST.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gan_jax.data.found_set import (
    PARTS,
    DataError,
    FoundSet,
    Header,
    StoredArray,
    folder_name,
    set_name,
)
from gan_jax.data.idx import read_idx, read_idx_header
from gan_jax.data.numpy_files import npy_header, npz_headers, read_npy, read_npz

_NAME = re.compile(
    r"(?:(?P<set>.+)[-_.])?(?P<split>train|t10k|test)[-_.](?P<kind>images|imgs|labels)"
    r"(?:[-.]idx\d-(?:ubyte|byte|short|int|float|double)(?P<gz>\.gz)?|(?P<numpy>\.np[yz]))",
    re.IGNORECASE,
)


def find_split_files(directory: Path, files: list[str]) -> list[FoundSet]:
    """The data sets of four files in a folder; labels and test files may be absent in pairs.

    If a file exists in several forms, the uncompressed one is taken, and `t10k` before `test`.

    Args:
        directory: the folder.
        files: the names of its files.

    Returns:
        A data set for each name before `train` and `test`; incomplete ones have a `problem`.
    """
    candidates: dict[str, dict[str, list[tuple[tuple[bool, bool, bool], Path]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for name in files:
        if match := _NAME.fullmatch(name):
            split = "train" if match["split"].lower() == "train" else "test"
            kind = "labels" if match["kind"].lower() == "labels" else "images"
            rank = (match["numpy"] is not None, match["gz"] is not None, match["split"].lower() == "test")
            candidates[(match["set"] or "").lower()][f"{split}_{kind}"].append((rank, directory / name))
    found = []
    for prefix, parts in sorted(candidates.items()):
        paths = {part: min(parts[part])[1] for part in PARTS if part in parts}
        emnist = prefix.startswith("emnist")
        name = set_name(prefix) if prefix else folder_name(directory)
        layout = "EMNIST, transposed" if emnist else "NumPy" if min(parts[next(iter(paths))])[0][0] else "IDX"
        arrays = {part: _stored(path, turned=emnist and part.endswith("images")) for part, path in paths.items()}
        found.append(FoundSet(name, layout, directory, arrays, problem=_missing(directory, paths)))
    return found


def _missing(directory: Path, paths: dict[str, Path]) -> str:
    """The missing files of a data set, or "". Test files may be absent as a whole, and so may labels."""
    wanted = {"train_images"}
    wanted |= {"test_images"} if "test_labels" in paths else set()
    if len({part for part in paths if part.endswith("labels")}) == 1 and "test_images" in paths:
        wanted |= {"train_labels", "test_labels"}
    missing = sorted(wanted - paths.keys())
    if not missing:
        return ""
    has = ", ".join(sorted(path.name for path in paths.values()))
    remedy = "Put the missing files into the same folder."
    if missing in (["test_labels"], ["train_labels"]):
        remedy = "Put them into the same folder, or remove the other labels to read images without labels."
    return f"{directory} lacks {' and '.join(part.replace('_', ' ') for part in missing)}; it has only {has}.\n{remedy}"


def _stored(path: Path, *, turned: bool) -> StoredArray:
    def header() -> Header:
        read_header, _ = _format(path)
        return read_header(path)

    def read() -> np.ndarray:
        array = _format(path)[1](path)
        # EMNIST keeps its images column by column, as MATLAB does.
        return array.swapaxes(1, 2) if turned and array.ndim >= 3 else array

    return StoredArray(str(path), header, read)


def _format(path: Path) -> tuple[Callable[[Path], Header], Callable[[Path], np.ndarray]]:
    """(the reader of a file's header, the reader of its array), by its first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(6)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. May you read it?") from None
    if start == np.lib.format.MAGIC_PREFIX:
        return npy_header, read_npy
    if start[:2] == b"PK":
        return lambda path: npz_headers(path)[_only(path)], lambda path: read_npz(path, _only(path))
    return lambda path: read_idx_header(path)[:2], read_idx


def _only(path: Path) -> str:
    names = list(npz_headers(path))
    if len(names) != 1:
        raise DataError(f"{path} holds {', '.join(names) or 'no array'}, and by its name it should hold one array.")
    return names[0]
