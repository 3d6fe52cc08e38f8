"""Finds the image data sets under a folder, in every layout that is known, and picks one by its name."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

from gan_jax.data.cifar_files import find_cifar
from gan_jax.data.found_set import DataError, FoundSet, folder_name
from gan_jax.data.image_arrays import ImageArrays, assemble
from gan_jax.data.npz_sets import find_npz
from gan_jax.data.parquet_files import find_parquet
from gan_jax.data.picture_folders import find_pictures
from gan_jax.data.split_files import find_split_files

_log = logging.getLogger(__name__)

_DEPTH = 3
_MOST_FOLDERS = 2000
_SAVE_AS_NPZ = "save its arrays as .npz with x_train, y_train, x_test, y_test"
_PICKLES = "Python pickles, which may execute code and are never opened"
_UNREAD = (
    (r"data_batch_\d|test_batch|batches\.meta", _PICKLES, "take CIFAR's binary version, or " + _SAVE_AS_NPZ),
    (r".*\.(pkl|pickle|pt|pth|joblib)", _PICKLES, _SAVE_AS_NPZ),
    (r".*\.(zip|tar|tgz|tar\.\w+|7z|rar)", "archives", "unpack them"),
    (r".*ubyte\.xz|.*-int\.xz", "compressed by xz", "unpack them"),
    (r".*\.(mat|h5|hdf5|csv|arrow|tfrecord.*|feather|lmdb|beton)", "in a format that is not read", _SAVE_AS_NPZ),
)
"""Patterns of files that may be data but cannot be read, a description of each, and what to do."""


def find_sets(location: Path) -> list[FoundSet]:
    """The image data sets in a folder and up to three folders below it, or in a file.

    A folder belongs to one data set; the folders inside a folder of pictures are its classes.

    Args:
        location: a folder, or a .npz file.

    Returns:
        The data sets, those of upper folders first; those that cannot be read have a `problem`.

    Raises:
        DataError: if there are too many folders, or none that can be read.
    """
    if location.suffix == ".npz" and location.is_file():
        return [find_npz(location)]
    if location.is_file():
        raise DataError(f"{location} is a file: give its folder as --data (a file only if it is a .npz).")
    if not location.is_dir():
        return []
    found: list[FoundSet] = []
    level, visited = [location], set()
    for _ in range(_DEPTH + 1):
        below: list[Path] = []
        for directory in level:
            real = directory.resolve()
            if real in visited:
                continue
            visited.add(real)
            if len(visited) > _MOST_FOLDERS:
                raise DataError(f"{location} has over {_MOST_FOLDERS:,} folders: give the data set's own folder.")
            sets, inner = _visit(directory)
            found += sets
            below += inner
        level = below
    return found


def pick(name: str, sets: list[FoundSet], location: Path) -> FoundSet | None:
    """The data set of a name among those at a location.

    The first of these that exists: the one of that name (underscores do not count); the one whose name ends with it
    ("letters" for "emnist_letters"); the one in the location itself; the only one.

    Args:
        name: as in `Images.name`.
        sets: from `find_sets`.
        location: the folder in which they were found.

    Returns:
        The data set, or None if there is none.

    Raises:
        DataError: if several match, or none can be read.
    """
    readable = [found for found in sets if found.layout]
    named = [found for found in readable if found.name.replace("_", "") == name.replace("_", "")]
    ending = [found for found in readable if found.name.endswith(f"_{name}")]
    own = [found for found in readable if found.path == location]
    for candidates in (named, ending, own, readable):
        if len(candidates) == 1:
            return candidates[0]
        if len(candidates) > 1 and candidates is named:
            places = " and ".join(str(found.path) for found in candidates[:2])
            raise DataError(f"there are several data sets {name}: {places}. Give the folder of one as --data.")
    if readable:
        names = ", ".join(sorted({found.name for found in readable})[:20])
        raise DataError(
            f"{location} holds several data sets, and none is called {name}: {names}.\n"
            "Set --data.name to one of these, or --data to its folder."
        )
    if sets:
        raise DataError(sets[0].problem)
    return None


def read_located(name: str, location: Path) -> tuple[ImageArrays, Path] | None:
    """Reads the data set of a name at a location.

    Changes that a user may not expect (a held-out test split, scaled pixels) are logged.

    Args:
        name: as in `Images.name`.
        location: a folder or a file.

    Returns:
        (its arrays, its folder or file), or None if there is no data set.

    Raises:
        DataError: as `pick` and `gan_jax.data.image_arrays.assemble`.
    """
    found = pick(name, find_sets(location), location)
    if found is None:
        return None
    arrays = assemble(found)
    for note in arrays.notes:
        _log.warning("gan-jax: %s", note)
    return arrays, found.path


def _visit(directory: Path) -> tuple[list[FoundSet], list[Path]]:
    """(the data sets in a folder itself, the folders in which to search further)."""
    try:
        with os.scandir(directory) as entries:
            names = sorted((entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        problem = f"{directory} cannot be read: {error.strerror or error}."
        return [FoundSet(folder_name(directory), "", directory, problem=problem)], []
    files = [name for name, is_folder in names if not is_folder]
    if "dataset_info.json" in files and "features.json" in files:  # prepared by tfds, see `gan_jax.data.prepared`
        return [], []
    sets = _in_folder(directory, files)
    if not any(found.layout for found in sets) and (pictures := find_pictures(directory)) is not None:
        return [pictures], []
    if any(found.layout == "Parquet" for found in sets):
        return sets, []
    return sets, [directory / name for name, is_folder in names if is_folder and name != "downloads"]


def _in_folder(directory: Path, files: list[str]) -> list[FoundSet]:
    sets = find_split_files(directory, files)
    taken = {Path(part.source).name for found in sets for part in found.parts.values()}
    sets += [find_npz(directory / name) for name in files if name.endswith(".npz") and name not in taken]
    sets += [found for find in (find_parquet, find_cifar) if (found := find(directory, files)) is not None]
    for pattern, what, remedy in _UNREAD:
        matching = [name for name in files if re.fullmatch(pattern, name, re.IGNORECASE)]
        if matching:
            shown = matching[0] if len(matching) == 1 else f"{matching[0]} and {len(matching) - 1} more"
            problem = f"{directory / shown} cannot be read, since these are {what}: {remedy}."
            sets.append(FoundSet(folder_name(directory), "", directory, problem=problem))
    return sets
