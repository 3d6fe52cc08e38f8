"""Data sets of four files: every naming and number type is read, or what is wrong is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gan_jax.data.found_set import DataError
from gan_jax.data.idx import write_idx
from gan_jax.data.image_arrays import ImageArrays
from gan_jax.data.layouts import find_sets, read_located
from tests.data.made_sets import MNIST_NAMES, images, labels, made_arrays, write_idx_set


def read(location: Path, name: str = "made") -> ImageArrays:
    found = read_located(name, location)
    assert found is not None
    return found[0]


def read_or_reason(location: Path) -> ImageArrays | str:
    try:
        return read(location)
    except DataError as error:
        return str(error)


def emnist_names(split: str) -> tuple[str, ...]:
    parts = ("images-idx3", "labels-idx1")
    return tuple(f"emnist-{split}-{where}-{part}-ubyte" for where in ("train", "test") for part in parts)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize(
    "names",
    [
        MNIST_NAMES,
        tuple(name.replace("-idx", ".idx") for name in MNIST_NAMES),
        tuple(name.replace("t10k", "test") for name in MNIST_NAMES),
        tuple(f"kmnist-{name}" for name in MNIST_NAMES),
    ],
)
def test_mnist_and_its_namings(tmp_path: Path, names: tuple[str, ...], ending: str) -> None:
    written = write_idx_set(tmp_path / "a-Set", names=names, ending=ending)
    arrays = read(tmp_path / "a-Set")
    np.testing.assert_array_equal(arrays.train_images[..., 0], written[0])
    np.testing.assert_array_equal(arrays.test_images[..., 0], written[2])
    assert arrays.train_images.dtype == np.uint8
    assert arrays.train_labels is not None
    assert arrays.train_labels.dtype == np.int32
    np.testing.assert_array_equal(arrays.train_labels, written[1])
    assert arrays.class_names == tuple("0123456789")
    assert arrays.notes == ()


@pytest.mark.parametrize(("split", "first", "classes"), [("letters", 1, 26), ("balanced", 0, 47), ("byclass", 0, 62)])
def test_emnist_is_turned_upright_and_numbered_from_0(tmp_path: Path, split: str, first: int, classes: int) -> None:
    written = made_arrays(2 * classes, classes, classes)
    stored = [part.swapaxes(1, 2) if part.ndim == 3 else part + first for part in written]
    write_idx_set(tmp_path, stored, emnist_names(split), ".gz")
    arrays = read(tmp_path)
    np.testing.assert_array_equal(arrays.train_images[..., 0], written[0])
    assert arrays.train_labels is not None
    np.testing.assert_array_equal(arrays.train_labels, written[1])
    assert arrays.class_names == tuple(str(first + index) for index in range(classes))


def test_sets_side_by_side_are_picked_by_name(tmp_path: Path) -> None:
    for split, seed in (("letters", 2), ("digits", 3), ("mnist", 4)):
        train = images(30, seed=seed)
        write_idx_set(tmp_path / "EMNIST" / "raw", [train, labels(30), train, labels(30)], emnist_names(split))
    for name, seed in (("emnist_letters", 2), ("letters", 2), ("emnist_digits", 3), ("emnistmnist", 4)):
        arrays = read(tmp_path, name)
        np.testing.assert_array_equal(arrays.train_images[..., 0], images(30, seed=seed).swapaxes(1, 2))
    for location in (tmp_path, tmp_path / "EMNIST" / "raw"):
        with pytest.raises(DataError, match="none is called letter: emnist_digits, emnist_letters, emnist_mnist"):
            read(location, "letter")


def test_qmnist_has_rows_of_eight_numbers(tmp_path: Path) -> None:
    names = tuple(
        f"qmnist-{where}-{part}" for where in ("train", "test") for part in ("images-idx3-ubyte", "labels-idx2-int")
    )
    rows = np.random.default_rng(0).integers(0, 4000, (30, 8)).astype(np.int32)
    rows[:, 0] = labels(30)
    write_idx_set(tmp_path, [images(30), rows, images(30), rows], names, ".gz")
    arrays = read(tmp_path, "qmnist")
    assert arrays.train_labels is not None
    assert arrays.train_labels.tolist() == rows[:, 0].tolist()


def test_kuzushiji_49_as_numpy_files(tmp_path: Path) -> None:
    written = made_arrays(98, 49, 49)
    for name, part in zip(("train-imgs", "train-labels", "test-imgs", "test-labels"), written, strict=True):
        np.savez_compressed(tmp_path / f"k49-{name}.npz", part)
    arrays = read(tmp_path)
    np.testing.assert_array_equal(arrays.train_images[..., 0], written[0])
    assert len(arrays.class_names) == 49
    assert [found.name for found in find_sets(tmp_path)] == ["k49"]


def test_the_uncompressed_file_and_t10k_come_first(tmp_path: Path) -> None:
    written = write_idx_set(tmp_path)
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"")
    write_idx(tmp_path / "test-images-idx3-ubyte", images(5))
    np.testing.assert_array_equal(read(tmp_path).test_images[..., 0], written[2])


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_labels_of_every_number_type(tmp_path: Path, kind: str) -> None:
    written = made_arrays()
    write_idx_set(tmp_path, [part if part.ndim == 3 else part.astype(kind) for part in written])
    arrays = read(tmp_path)
    assert arrays.test_labels is not None
    assert arrays.test_labels.tolist() == written[3].tolist()
    assert arrays.class_names == tuple("0123456789")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["u1", "i2", "i4", "f4", "f8"]),
    unit=st.booleans(),
    layout=st.sampled_from(["grey", "channels last", "channels first"]),
    seed=st.integers(0, 99),
)
def test_pixels_of_every_number_type_are_the_same_bytes(
    tmp_path: Path, kind: str, unit: bool, layout: str, seed: int
) -> None:
    pixels = images(12, channels=0 if layout == "grey" else 3, seed=seed)
    pixels.flat[0] = 255
    stored = np.moveaxis(pixels, 3, 1) if layout == "channels first" else pixels
    unit = unit and kind[0] == "f"
    stored = (stored / 255 if unit else stored).astype(kind)
    write_idx_set(tmp_path, [stored, labels(12), stored, labels(12)])
    arrays = read(tmp_path)
    np.testing.assert_array_equal(arrays.train_images, pixels[..., None] if layout == "grey" else pixels)
    assert bool(arrays.notes) == (kind[0] == "f")
    assert all(len(note.splitlines()) == 1 for note in arrays.notes)


def test_binary_images_become_black_and_white(tmp_path: Path) -> None:
    pixels = images(12) > 127
    write_idx_set(tmp_path, [pixels.astype(np.uint8), labels(12)] * 2)
    np.testing.assert_array_equal(read(tmp_path).train_images[..., 0], 255 * pixels)


@pytest.mark.parametrize(
    ("part", "array", "message"),
    [
        (1, labels(29), "30 images, and .*train-labels.* 29 labels"),
        (1, images(30), r"train-labels.* holds uint8\[30, 8, 8\], and labels are whole numbers"),
        (1, np.full(30, 0.5, np.float32), r"train-labels.* holds float32\[30\], and labels are whole numbers"),
        (1, np.full((30, 3), 7, np.int32), r"train-labels.* holds int32\[30, 3\], and labels are whole numbers"),
        (2, labels(20), r"t10k-images.* holds uint8\[20\], and images are \[n, h, w\]"),
        (2, np.zeros((20, 8, 8, 4), np.uint8), r"t10k-images.* holds uint8\[20, 8, 8, 4\], and images are"),
        (2, np.zeros((20, 8, 7), np.uint8), "images of 8x7, and only square ones work"),
        (2, np.zeros((20, 9, 9), np.uint8), "training images are 8x8x1, test images 9x9x1"),
        (2, np.zeros((20, 8, 8, 3), np.uint8), "training images are 8x8x1, test images 8x8x3"),
        (2, np.zeros((0, 8, 8), np.uint8), "t10k-images.* holds no images"),
        (0, np.full((30, 8, 8), 300, np.int32), "int32 images with values from .* to 300"),
        (0, images(30).astype(np.int16) - 9, "int16 images with values from -9 to"),
        (0, images(30) / np.float32(127.5) - 1, "float32 images with values from -1 to"),
        (0, np.full((30, 8, 8), np.nan, np.float32), "float32 images with values from nan"),
        (0, np.full((30, 8, 8), 40, np.uint8), "all 30 training images are identical"),
        (2, np.zeros((20, 8, 8), np.uint8), "all 20 test images are identical"),
        (0, np.arange(30 * 64).reshape(30, 8, 8).astype(np.uint8) * (np.arange(30) > 15)[:, None, None], "16 of 30"),
        (2, images(1), "t10k-images-idx3-ubyte holds 1 test image, and 2 are needed"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, part: int, array: np.ndarray, message: str) -> None:
    written = made_arrays()
    written[part] = array
    if message.endswith("2 are needed"):
        written[3] = labels(1)
    write_idx_set(tmp_path, written)
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        ((0,), "lacks train images; it has only"),
        ((1,), "lacks train labels; it has only"),
        ((2,), "lacks test images; it has only"),
        ((3,), "lacks test labels; .*\n.*or remove the other labels"),
        ((0, 1), "lacks train images"),
    ],
)
def test_missing_files_are_named(tmp_path: Path, left_out: tuple[int, ...], message: str) -> None:
    write_idx_set(tmp_path, names=tuple("" if i in left_out else name for i, name in enumerate(MNIST_NAMES)))
    with pytest.raises(DataError, match=message):
        read(tmp_path)


def test_images_without_labels(tmp_path: Path) -> None:
    write_idx_set(tmp_path, names=(MNIST_NAMES[0], "", MNIST_NAMES[2], ""))
    arrays = read(tmp_path)
    assert arrays.train_labels is None
    assert arrays.test_labels is None
    assert arrays.class_names == ()
    assert arrays.notes == (f"{tmp_path}: there are no labels, so there are no measurements by class",)


@pytest.mark.parametrize("labelled", [True, False])
def test_without_a_test_split_a_tenth_is_held_out(tmp_path: Path, labelled: bool) -> None:
    written = made_arrays(100, 20, 5)
    write_idx_set(tmp_path, written, (MNIST_NAMES[0], MNIST_NAMES[1] if labelled else "", "", ""))
    arrays, again = read(tmp_path), read(tmp_path)
    assert len(arrays.train_images) == 90
    assert len(arrays.test_images) == 10
    both = np.concatenate([arrays.train_images, arrays.test_images])[..., 0].reshape(100, -1)
    np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(written[0].reshape(100, -1), axis=0))
    np.testing.assert_array_equal(arrays.test_images, again.test_images)
    if labelled:
        assert arrays.test_labels is not None
        assert np.bincount(arrays.test_labels).tolist() == [2] * 5
        where = [int(np.argmax(np.all(written[0] == image[..., 0], axis=(1, 2)))) for image in arrays.test_images]
        assert written[1][where].tolist() == arrays.test_labels.tolist()
    assert "10 of 100 images are held out (1 in 10, spread over the classes, seed 0)" in arrays.notes[-1]


def test_too_few_images_to_hold_any_out(tmp_path: Path) -> None:
    write_idx_set(tmp_path, made_arrays(10, 20, 1), (*MNIST_NAMES[:2], "", ""))
    with pytest.raises(DataError, match="holds 10 images and there is no test split: 11 images are needed"):
        read(tmp_path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(part=st.sampled_from(MNIST_NAMES), cut=st.integers(0, 2000), gz=st.booleans(), flip=st.booleans())
def test_damage_is_said_or_harmless(tmp_path: Path, part: str, cut: int, gz: bool, flip: bool) -> None:
    ending = ".gz" if gz else ""
    place = tmp_path / f"set{ending}"
    written = write_idx_set(place, ending=ending)
    path = place / f"{part}{ending}"
    content = bytearray(path.read_bytes())
    if flip:
        content[cut % 8] ^= 0xFF  # in the header
    else:
        del content[cut % len(content) :]
    path.write_bytes(bytes(content))
    arrays = read_or_reason(place)
    if isinstance(arrays, str):
        assert len(arrays.splitlines()) <= 2
        assert str(path) in arrays
    else:  # such as a time stamp of gzip
        assert gz
        np.testing.assert_array_equal(arrays.train_images[..., 0], written[0])
        np.testing.assert_array_equal(arrays.test_images[..., 0], written[2])
