"""IDX files: what is written is read back, and whatever is wrong with a file is named."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from gan_jax.data.found_set import DataError
from gan_jax.data.idx import idx_digest, read_idx, write_idx


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("name", ["array.idx", "array.idx.gz"])
def test_round_trip(tmp_path: Path, dtype: str, name: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    write_idx(tmp_path / name, array)
    back = read_idx(tmp_path / name)
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype
    assert back.dtype.isnative


def test_the_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    write_idx(tmp_path / "labels", np.array([5, 0, 4], np.uint8))
    content = b"\x00\x00\x08\x01\x00\x00\x00\x03\x05\x00\x04"
    assert (tmp_path / "labels").read_bytes() == content
    assert idx_digest(np.array([5, 0, 4], np.uint8)) == hashlib.sha256(content).hexdigest()


def test_gzip_is_known_by_content_and_may_have_members_and_padding(tmp_path: Path) -> None:
    write_idx(tmp_path / "plain", np.arange(100, dtype=np.uint8))
    content = (tmp_path / "plain").read_bytes()
    joined = gzip.compress(content[:40]) + gzip.compress(content[40:]) + b"\0" * 512
    (tmp_path / "no-ending").write_bytes(joined)
    np.testing.assert_array_equal(read_idx(tmp_path / "no-ending"), np.arange(100))
    (tmp_path / "plain.gz").write_bytes(content)
    np.testing.assert_array_equal(read_idx(tmp_path / "plain.gz"), np.arange(100))


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_truncated_content_says_how_much_there_is(tmp_path: Path, ending: str) -> None:
    write_idx(tmp_path / "whole", np.zeros((60, 28, 28), np.uint8))
    part = (tmp_path / "whole").read_bytes()[:4000]
    path = tmp_path / f"images{ending}"
    path.write_bytes(gzip.compress(part) if ending else part)
    with pytest.raises(DataError, match=r"images.*holds 4,000 of 47,056 bytes"):
        read_idx(path)


def test_truncated_gzip_stream(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, 28, 28)).astype(np.uint8)
    write_idx(tmp_path / "images.gz", noise)
    content = (tmp_path / "images.gz").read_bytes()
    (tmp_path / "images.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"truncated: it holds [\d,]+ of 78,416 bytes"):
        read_idx(tmp_path / "images.gz")
    for end in (1, 5, 12):
        (tmp_path / "images.gz").write_bytes(content[:end])
        with pytest.raises(DataError):
            read_idx(tmp_path / "images.gz")


def test_bit_flip_in_gzip_is_found(tmp_path: Path) -> None:
    write_idx(tmp_path / "images.gz", np.random.default_rng(0).integers(0, 256, 5000).astype(np.uint8))
    content = bytearray((tmp_path / "images.gz").read_bytes())
    content[len(content) // 2] ^= 0x10
    (tmp_path / "images.gz").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_idx(tmp_path / "images.gz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>Not found</html>", r"0x3c68746d, and images start with 0x00000803"),
        (b"\0\0\x07\x01\0\0\0\0", "not an IDX file"),
        (b"\0\0\x08\0", "not an IDX file"),
        (b"\0\0", "holds 2 bytes"),
        (b"", "holds 0 bytes"),
        (b"\0\0\x08\x03\0\0\0\1", "8 of 16 header bytes"),
        (b"\0\0\x08\x01\0\0\0\1ab", "holds more than the 9 bytes"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "truncated"),  # claims 2**96 elements: must not be allocated
    ],
)
def test_bad_content(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_idx(tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


def test_unreadable_paths(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_idx(tmp_path / "absent")
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(tmp_path)
    with pytest.raises(ValueError, match=r"not bool\[2\]"):
        write_idx(tmp_path / "file", np.ones(2, bool))
