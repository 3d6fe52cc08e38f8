"""Reading, writing and checking of IDX files, the format of MNIST and of its drop-in replacements.

An IDX file is two zero bytes, a byte for the type of the elements, a byte for the number of dimensions, each
dimension as a big-endian 32-bit number, and the elements (LeCun, Cortes and Burges, "The MNIST database of
handwritten digits", section "File formats").
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gan_jax.data.found_set import DataError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP_MAGIC = b"\x1f\x8b"
_CHUNK_BYTES = 1 << 20


def read_idx(path: Path | str) -> np.ndarray:
    """The array in an IDX file, plain or gzipped. Gzip is recognised by its content, not by the file's name.

    Args:
        path: the file.

    Returns:
        The array in native byte order, with the dimensions that the header states.

    Raises:
        DataError: if the file cannot be read, is not an IDX file, is damaged, or has the wrong length.
    """
    path = Path(path)
    dtype, shape, header_bytes = read_idx_header(path)
    size = header_bytes + math.prod(shape) * dtype.itemsize
    content = _read(path, size + 1)
    if len(content) < size:
        raise DataError(f"{path} is truncated: it holds {len(content):,} of {size:,} bytes. {_FETCH}")
    if len(content) > size:
        raise DataError(f"{path} holds more than the {size:,} bytes that its header states. {_FETCH}")
    array = np.frombuffer(content, dtype, offset=header_bytes).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def read_idx_header(path: Path | str) -> tuple[np.dtype, tuple[int, ...], int]:
    """The element type, the dimensions and the header's length in bytes of an IDX file; elements are not read.

    Raises:
        DataError: as `read_idx`.
    """
    path = Path(path)
    head = _read(path, 4 + 4 * 255)
    if len(head) < 4:
        raise DataError(f"{path} is truncated: it holds {len(head):,} bytes, and an IDX header is at least 4. {_FETCH}")
    if head[:2] != b"\0\0" or head[2] not in _DTYPES or head[3] == 0:
        raise DataError(
            f"{path} is not an IDX file: it starts with 0x{head[:4].hex()}, "
            "and images start with 0x00000803, labels with 0x00000801.\n"
            "Is it the file that its name says, or an error page saved in its place?"
        )
    header_bytes = 4 + 4 * head[3]
    if len(head) < header_bytes:
        raise DataError(f"{path} is truncated: it ends after {len(head):,} of {header_bytes:,} header bytes. {_FETCH}")
    return np.dtype(_DTYPES[head[2]]), struct.unpack_from(f">{head[3]}I", head, 4), header_bytes


def write_idx(path: Path | str, array: np.ndarray) -> None:
    """Writes an array as an IDX file, gzipped if the name ends in `.gz`. The same array gives the same bytes.

    Raises:
        ValueError: for an array without dimensions or of a type that IDX lacks.
    """
    path = Path(path)
    content = b"".join(_idx_content(array))
    # No time stamp and no name in the gzip header: files of the same array are equal.
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def idx_digest(array: np.ndarray) -> str:
    """The sha256, in hex, of the uncompressed IDX file that holds an array.

    `read_idx` accepts exactly one content for an array, so this is also the digest of the file that it was read from.
    """
    digest = hashlib.sha256()
    for part in _idx_content(array):
        digest.update(part)
    return digest.hexdigest()


_FETCH = "Fetch or copy it again."


def _idx_content(array: np.ndarray) -> tuple[bytes, bytes]:
    codes = {np.dtype(name).newbyteorder("="): (code, name) for code, name in _DTYPES.items()}
    found = codes.get(array.dtype.newbyteorder("="))
    if found is None or array.ndim == 0:
        known = ", ".join(str(dtype) for dtype in codes)
        raise ValueError(f"IDX holds arrays of {known} with 1 dimension or more, not {array.dtype}{list(array.shape)}")
    code, name = found
    header = struct.pack(f">2xBB{array.ndim}I", code, array.ndim, *array.shape)
    return header, array.astype(name).tobytes()


def _read(path: Path, limit: int) -> bytes:
    """Up to `limit` bytes of a file's content, decompressed; for a truncated gzip stream, the bytes before its end."""
    limit = min(limit, sys.maxsize)  # a damaged header can state any number
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == _GZIP_MAGIC
            file.seek(0)
            if not compressed:
                return file.read(min(limit, path.stat().st_size))
            return b"".join(_decompress(iter(lambda: file.read(_CHUNK_BYTES), b""), limit))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Is the path right?") from None
    except zlib.error as error:
        raise DataError(f"{path} is damaged: its gzip stream fails the check ({error}). {_FETCH}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}. Is it a file that you may read?") from None


def _decompress(chunks: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """Decompresses gzip members up to `limit` bytes; stops without an error where the input ends."""
    # Not `gzip.open`: it raises at an early end and discards the bytes that it had, and the error reports their number.
    stream = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        while chunk and limit > 0:
            data = stream.decompress(chunk, limit)
            limit -= len(data)
            yield data
            # Zeros may pad a gzip file; other bytes after the end of a member are the next member.
            chunk = stream.unused_data.lstrip(b"\0") if stream.eof else stream.unconsumed_tail
            if stream.eof:
                stream = zlib.decompressobj(wbits=31)
        if limit <= 0:
            return
