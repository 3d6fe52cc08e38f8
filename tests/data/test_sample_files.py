"""Samples of other programs: what is recognised, and what is refused with a remedy."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.found_set import DataError
from gan_jax.data.sample_files import as_images, as_points, read_samples

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (4, 16, 16, 1), dtype=np.uint8)
SIGNED = BYTES.astype(np.float32) / 127.5 - 1


@pytest.mark.parametrize(
    ("array", "note"),
    [
        (BYTES, None),
        (BYTES[..., 0], None),
        (BYTES.astype(np.int64), None),
        (np.moveaxis(BYTES, 3, 1), "channels first"),
        (BYTES / 255, r"taken as pixels in \[0, 1\]"),
        (np.moveaxis(SIGNED, 3, 1), r"taken as pixels in \[-1, 1\]"),
        (BYTES.astype(np.float16), r"taken as pixels in 0\.\.255"),
        (BYTES.reshape(4, -1) / 255, "rows of 256 numbers"),
        (np.repeat(BYTES, 3, axis=3), "three equal channels"),
        (np.repeat(np.moveaxis(BYTES, 3, 1), 3, axis=1), "channels first"),
    ],
    ids=lambda value: None if isinstance(value, np.ndarray) else str(value),
)
def test_layouts_are_recognised_and_noted(array, note):
    read = as_images(array, "it")
    assert read.array.dtype == np.float32
    np.testing.assert_allclose(read.array, SIGNED, atol=2e-3)
    assert (note is None and not read.notes) or any(re.search(note, one) for one in read.notes)


def test_colour_images_stay_in_colour():
    colour = RNG.integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    np.testing.assert_allclose(as_images(colour, "it").array, np.moveaxis(colour, 1, 3) / 127.5 - 1, atol=1e-6)
    assert as_images(np.repeat(BYTES, 3, axis=3), "it", grey=False).array.shape == (4, 16, 16, 3)


WITH_NAN = SIGNED.copy()
WITH_NAN[2, 0, 0, 0] = np.nan


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (WITH_NAN, "1 of 4 samples with NaN or infinity (the first is sample 2)"),
        (SIGNED * 2, "from -2 to 2: pixels are in [0, 1], [-1, 1] or 0..255; clip or rescale them"),
        (SIGNED * 0.2, "not clear whether that is [0, 1] or [-1, 1]"),
        (BYTES / 255 * 1.5, "from 0 to 1.5: pixels are in"),
        (BYTES.astype(np.int32) * 2, "whole numbers are pixels in 0..255"),
        ((BYTES > 127).astype(np.uint8), "multiply them by 255"),
        (BYTES[:, :10], "images of 10x16 pixels, and 16, 28, 32, 64 along both sides work"),
        (BYTES[:, :, :, [0, 0]], "has the shape [4, 16, 16, 2]"),
        (BYTES[0, :, :, 0][:, :10], "images are [n, h, w]"),
        (BYTES[:1], "with n at least 2"),
        (np.array([b"a", b"b"]), "samples are numbers"),
        (np.zeros((3, 0)), "holds no numbers"),
    ],
)
def test_what_is_not_clear_is_refused_in_one_line(array, words):
    with pytest.raises(DataError) as error:
        as_images(array, "it")
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_images_that_are_known_to_be_signed_are_not_guessed():
    for array in (SIGNED * 0.2, np.abs(SIGNED)):
        read = as_images(array, "it", signed=True)
        np.testing.assert_array_equal(read.array, array)
        assert read.notes == ()


def test_points_have_the_dimensions_of_the_data():
    assert as_points(np.ones((5, 2)), 2, "it").array.dtype == np.float32
    with pytest.raises(DataError, match=r"the data are points \[n, 2\]"):
        as_points(np.ones((5, 3)), 2, "it")


def test_files_and_folders_are_read(tmp_path):
    np.save(tmp_path / "a.npy", BYTES)
    np.savez(tmp_path / "b.npz", latents=np.ones((4, 2)), samples=BYTES)
    np.savez(tmp_path / "c.npz", anything=BYTES)
    (tmp_path / "pictures").mkdir()
    for index, image in enumerate(BYTES):
        Image.fromarray(image[..., 0]).save(tmp_path / "pictures" / f"{index}.png")
    for name in ("a.npy", "b.npz", "c.npz", "pictures"):
        np.testing.assert_array_equal(read_samples(tmp_path / name), BYTES)


def test_other_files_are_refused_with_what_to_do(tmp_path):
    np.savez(tmp_path / "two.npz", first=BYTES, second=BYTES)
    (tmp_path / "samples.pt").write_bytes(b"pickle")
    (tmp_path / "empty").mkdir()
    for name, words in (
        ("two.npz", "holds first, second: call the array of samples `samples`"),
        ("samples.pt", "save the samples with numpy.savez"),
        ("empty", "holds no pictures"),
        ("none.npz", "does not exist"),
    ):
        with pytest.raises(DataError) as error:
            read_samples(tmp_path / name)
        assert words in str(error.value)
