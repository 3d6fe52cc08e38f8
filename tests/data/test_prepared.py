"""Prepared data sets: written and read without TensorFlow, checked, and never waiting for a network."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gan_jax.data import prepared, standard_sets
from gan_jax.data.found_set import DataError
from gan_jax.data.idx import idx_digest, write_idx
from gan_jax.data.image_arrays import ImageArrays
from gan_jax.data.prepared import list_prepared, load_prepared, prepare


def write_data_set(directory: Path, *, seed: int = 0) -> ImageArrays:
    directory.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for split, num in (("train", 30), ("t10k", 20)):
        images = random.integers(0, 256, (num, 8, 8)).astype(np.uint8)
        write_idx(directory / f"{split}-images-idx3-ubyte.gz", images)
        write_idx(directory / f"{split}-labels-idx1-ubyte.gz", (np.arange(num) % 10).astype(np.uint8))
    return standard_sets.read_source("made", directory)


def make_standard(monkeypatch: pytest.MonkeyPatch, arrays: ImageArrays, name: str = "mnist") -> None:
    """Lets a small synthetic data set be the standard one of that name."""
    digests = {
        part: idx_digest(array[..., 0] if array.ndim == 4 else array.astype(np.uint8))
        for part, array in list(arrays._asdict().items())[:4]
    }
    monkeypatch.setitem(standard_sets.DIGESTS, name, digests)


def assert_equal(a: ImageArrays, b: ImageArrays) -> None:
    for part, other in zip(a[:4], b[:4], strict=True):
        np.testing.assert_array_equal(part, other)
        assert part.dtype == other.dtype


def test_round_trip_keeps_the_order_and_prints_nothing(tmp_path: Path, capfd: Any) -> None:
    arrays = write_data_set(tmp_path / "idx")
    path = prepare("letters", source=tmp_path / "idx", data_dir=tmp_path / "tfds")
    assert path == tmp_path / "tfds" / "idx_letters" / "1.0.0"
    loaded = load_prepared("letters", tmp_path / "tfds")
    assert loaded is not None
    assert_equal(loaded, arrays)
    assert capfd.readouterr() == ("", "")
    [row] = list_prepared(tmp_path / "tfds")
    assert row == prepared.Prepared("letters", path, 30, 20, (8, 8, 1), 10, True)
    assert [entry.name for entry in path.parent.iterdir()] == ["1.0.0"]  # nothing half-written beside it


def test_colour_and_other_numbers_of_classes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
    np.savez(tmp_path / "set.npz", images=images, labels=np.arange(40) % 4 + 1)
    path = prepare("mine", source=tmp_path / "set.npz", data_dir=tmp_path / "tfds")
    loaded = load_prepared("mine", tmp_path / "tfds")
    assert loaded is not None
    assert_equal(loaded, standard_sets.read_source("mine", tmp_path / "set.npz"))
    assert list_prepared(tmp_path / "tfds") == [prepared.Prepared("mine", path, 36, 4, (8, 8, 3), 4, True)]
    np.savez(tmp_path / "set.npz", images=images)
    with pytest.raises(DataError, match="has no labels, which a prepared data set has"):
        prepare("other", source=tmp_path / "set.npz", data_dir=tmp_path / "tfds")


def test_an_unknown_home_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def unknown(uid: int) -> Any:
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.chdir(tmp_path)
    write_data_set(tmp_path / "idx")
    assert list_prepared() == []
    assert load_prepared("letters") is None
    with pytest.raises(DataError, match="the home directory is unknown: give the folder to write to"):
        prepare("letters", source=tmp_path / "idx")
    assert [path.name for path in tmp_path.iterdir()] == ["idx"]
    prepare("letters", source=tmp_path / "idx", data_dir=tmp_path / "tfds")


def test_no_tensorflow(tmp_path: Path) -> None:
    write_data_set(tmp_path / "idx")
    program = f"""
import sys
from pathlib import Path
from gan_jax.data.prepared import load_prepared, prepare
assert "tensorflow_datasets" not in sys.modules
prepare("letters", source=Path({str(tmp_path / "idx")!r}), data_dir=Path({str(tmp_path / "tfds")!r}))
assert load_prepared("letters", Path({str(tmp_path / "tfds")!r})).train_images.shape == (30, 8, 8, 1)
assert "tensorflow_datasets" in sys.modules and "tensorflow" not in sys.modules
"""
    root = Path(prepared.__file__).parents[2]
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, cwd=root, timeout=120)


def test_prepared_again_from_the_same_and_from_other_files(tmp_path: Path) -> None:
    write_data_set(tmp_path / "idx")
    write_data_set(tmp_path / "other", seed=1)
    first = prepare("letters", source=tmp_path / "idx", data_dir=tmp_path / "tfds")
    assert prepare("letters", source=tmp_path / "idx", data_dir=tmp_path / "tfds") == first
    assert prepare("letters", data_dir=tmp_path / "tfds") == first
    with pytest.raises(DataError, match="was prepared from other files than those in"):
        prepare("letters", source=tmp_path / "other", data_dir=tmp_path / "tfds")


@pytest.mark.parametrize("name", ["../up", "Upper", "", "a-b", "1st"])
def test_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        prepare(name, source=tmp_path, data_dir=tmp_path)


def test_files_that_are_not_the_standard_ones_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = write_data_set(tmp_path / "idx")
    with pytest.raises(DataError, match="does not hold the standard mnist: the sha256 of train_images") as caught:
        prepare("mnist", source=tmp_path / "idx", data_dir=tmp_path / "tfds")
    assert "another name, such as my_mnist" in str(caught.value)
    make_standard(monkeypatch, arrays)
    prepare("mnist", source=tmp_path / "idx", data_dir=tmp_path / "tfds")
    # One label of the standard set tampered with.
    labels = arrays.test_labels.astype(np.uint8)
    labels[3] = 7
    write_idx(tmp_path / "idx" / "t10k-labels-idx1-ubyte.gz", labels)
    with pytest.raises(DataError, match="sha256 of test_labels"):
        prepare("mnist", source=tmp_path / "idx", data_dir=tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere").exists()


def test_no_network_is_told_in_two_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts = []

    def refuse(url: str, timeout: float) -> Any:
        timeouts.append(timeout)
        raise urllib.error.URLError(socket.gaierror(-2, "Name or service not known"))

    monkeypatch.setattr(standard_sets.urllib.request, "urlopen", refuse)
    with pytest.raises(DataError) as caught:
        prepare("mnist", data_dir=tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "could not download https://" in lines[0]
    assert "not known" in lines[0]
    assert "gan-jax data prepare mnist --from DIR" in lines[1]
    assert "--data DIR" in lines[1]
    assert timeouts == [15]  # one attempt, no retries
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or "incomplete" in path.name]
    with pytest.raises(DataError, match="no address to download 'letters' from"):
        prepare("letters", data_dir=tmp_path)


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = write_data_set(tmp_path / "server")

    def serve(url: str, timeout: float) -> Any:
        return (tmp_path / "server" / url.rsplit("/", 1)[1]).open("rb")

    monkeypatch.setattr(standard_sets.urllib.request, "urlopen", serve)
    with pytest.raises(DataError, match="does not hold the standard mnist"):
        prepare("mnist", data_dir=tmp_path / "tfds")
    assert list((tmp_path / "tfds" / "downloads").iterdir()) == []
    make_standard(monkeypatch, arrays)
    prepare("mnist", data_dir=tmp_path / "tfds")
    loaded = load_prepared("mnist", tmp_path / "tfds")
    assert loaded is not None
    assert_equal(loaded, arrays)


def write_stock(arrays: ImageArrays, data_dir: Path, version: str = "3.0.1") -> None:
    """A data set as the stock builder lays it out: PNG images, shuffled."""
    import tensorflow_datasets as tfds
    from PIL import Image

    class Mnist(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version(version)

        def _info(self) -> Any:
            image = tfds.features.Image(shape=(8, 8, 1))
            features = {"image": image, "label": tfds.features.ClassLabel(num_classes=10)}
            return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager: Any) -> Any:
            return {
                "train": self._generate_examples(arrays.train_images, arrays.train_labels),
                "test": self._generate_examples(arrays.test_images, arrays.test_labels),
            }

        def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Any:
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield index, {"image": Image.fromarray(image[..., 0]), "label": int(label)}

    Mnist(data_dir=data_dir, file_format="array_record").download_and_prepare()


def test_stock_data_set_is_read_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, other = write_data_set(tmp_path / "idx"), write_data_set(tmp_path / "other", seed=1)
    make_standard(monkeypatch, other)
    prepare("mnist", source=tmp_path / "other", data_dir=tmp_path / "tfds")
    write_stock(arrays, tmp_path / "tfds")
    loaded = load_prepared("mnist", tmp_path / "tfds")
    assert loaded is not None
    # Shuffled, but the same pairs.
    order = [int(np.argmax(np.all(arrays.train_images == image, axis=(1, 2, 3)))) for image in loaded.train_images]
    assert sorted(order) == list(range(30))
    assert order != list(range(30))
    np.testing.assert_array_equal(loaded.train_labels, arrays.train_labels[order])
    again = load_prepared("mnist", tmp_path / "tfds")
    assert again is not None
    assert_equal(again, loaded)
    # As TFRecord it is listed, and passed over.
    info = tmp_path / "tfds" / "mnist" / "3.0.1" / "dataset_info.json"
    info.write_text(info.read_text().replace('"array_record"', '"tfrecord"'))
    assert [row.readable for row in list_prepared(tmp_path / "tfds")] == [False, True]
    ours = load_prepared("mnist", tmp_path / "tfds")
    assert ours is not None
    assert_equal(ours, other)


def test_nothing_there_and_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_prepared("mnist", tmp_path / "absent") is None
    assert list_prepared(tmp_path / "absent") == []
    write_data_set(tmp_path / "idx")
    path = prepare("letters", source=tmp_path / "idx", data_dir=tmp_path)
    (file,) = path.glob("*train*")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match="is damaged") as caught:
        load_prepared("letters", tmp_path)
    assert len(str(caught.value).splitlines()) == 2
    (path / "dataset_info.json").write_text("{")
    assert list_prepared(tmp_path) == []
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "there"))
    assert prepared.default_data_dir() == tmp_path / "there"
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert prepared.default_data_dir() == Path.home() / "tensorflow_datasets"
