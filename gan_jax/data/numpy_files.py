"""Reads NumPy's .npy and .npz files, but never the pickles that they may hold."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from gan_jax.data.found_set import DataError, Header

_ERRORS = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)
_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def npz_headers(path: Path) -> dict[str, Header]:
    """The element type and the dimensions of every array of a .npz file, by name.

    Raises:
        DataError: if the file is damaged, or an array's size is not the one that its header states.
    """
    with _damage_told(path), zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        headers = {}
        for member in members:
            with archive.open(member) as file:
                headers[member.filename.removesuffix(".npy")] = _header(file, member.file_size)
        return headers


def npy_header(path: Path) -> Header:
    """The element type and the dimensions of a .npy file.

    Raises:
        DataError: as `npz_headers`.
    """
    with _damage_told(path), path.open("rb") as file:
        return _header(file, path.stat().st_size)


def read_npy(path: Path) -> np.ndarray:
    """The array in a .npy file.

    Raises:
        DataError: if the file is damaged, or holds Python objects.
    """
    npy_header(path)
    with _damage_told(path):
        return np.load(path, allow_pickle=False)


def read_npz(path: Path, name: str) -> np.ndarray:
    """An array of a .npz file.

    Raises:
        DataError: if the file is damaged, or the array holds Python objects.
    """
    return read_npz_arrays(path, [name])[name]


def read_npz_arrays(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Several arrays of a .npz file, by name.

    Raises:
        DataError: if the file is damaged, or an array holds Python objects.
    """
    headers = npz_headers(path)
    for name in names:
        if headers[name][0].hasobject:
            raise DataError(
                f"{path}: {name} holds Python objects, which are pickles and may execute code. "
                "Save it as a plain array."
            )
    with _damage_told(path), np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in names}


def _header(file: IO[bytes] | Any, num_bytes: int) -> Header:
    version = np.lib.format.read_magic(file)
    if version not in _READERS:
        raise ValueError(f"format {version} of NumPy is unknown")
    shape, _, dtype = _READERS[version](file)
    if not dtype.hasobject and math.prod(shape) * dtype.itemsize > num_bytes:
        raise ValueError(f"it holds less than the {math.prod(shape) * dtype.itemsize:,} bytes that its header states")
    return dtype, shape


@contextmanager
def _damage_told(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Is the path right?") from None
    except _ERRORS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} cannot be read: {reason}. Fetch or copy it again.") from None
