"""Data sets under a folder: found in every layout, picked by name, and what is not read is named with the reason."""

from __future__ import annotations

import builtins
import io
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gan_jax.data.found_set import DataError, set_name
from gan_jax.data.image_arrays import ImageArrays
from gan_jax.data.layouts import find_sets, read_located
from gan_jax.data.listing import listing
from tests.data.made_sets import images, labels, made_arrays, write_idx_set, write_pictures


def read(location: Path, name: str = "made") -> ImageArrays:
    found = read_located(name, location)
    assert found is not None
    return found[0]


def refused(location: Path, name: str = "made") -> str:
    with pytest.raises(DataError) as caught:
        read(location, name)
    assert len(str(caught.value).splitlines()) <= 2
    return str(caught.value)


# --- Trees of folders -------------------------------------------------------------------------------------------------


def test_torchvisions_trees_side_by_side(tmp_path: Path) -> None:
    trees = {"MNIST": 1, "FashionMNIST": 2, "KMNIST": 3}
    for name, seed in trees.items():
        arrays = [images(30, seed=seed), labels(30), images(20, seed=seed + 9), labels(20)]
        for ending in ("", ".gz"):  # as torchvision leaves them
            write_idx_set(tmp_path / "root" / name / "raw", arrays, ending=ending)
    for name, seed in (("fashionmnist", 2), ("fashion_mnist", 2), ("kmnist", 3)):
        if name != "fashion_mnist":  # whose content is checked
            np.testing.assert_array_equal(read(tmp_path / "root", name).train_images[..., 0], images(30, seed=seed))
    assert {found.name for found in find_sets(tmp_path / "root")} == {"mnist", "fashionmnist", "kmnist"}
    assert "none is called made: fashionmnist, kmnist, mnist" in refused(tmp_path / "root")
    for depth in (tmp_path / "root" / "KMNIST", tmp_path / "root" / "KMNIST" / "raw"):
        np.testing.assert_array_equal(read(depth).train_images[..., 0], images(30, seed=3))


def test_the_only_set_needs_no_name_and_the_folder_itself_comes_first(tmp_path: Path) -> None:
    written = write_idx_set(tmp_path / "a" / "b" / "c")
    np.testing.assert_array_equal(read(tmp_path, "anything").train_images[..., 0], written[0])
    own = write_idx_set(tmp_path / "a", [images(30, seed=7), *made_arrays()[1:]])
    np.testing.assert_array_equal(read(tmp_path / "a", "anything").train_images[..., 0], own[0])
    np.testing.assert_array_equal(read(tmp_path / "a", "c").train_images[..., 0], written[0])


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("Kuzushiji-MNIST", "kuzushiji_mnist"),
        ("My Data (v2)", "my_data_v2"),
        ("ALLCAPS", "allcaps"),
        ("2024-scans", "set_2024_scans"),
        ("ü", "set"),
    ],
)
def test_folders_of_any_name_are_listed_under_one_that_picks_them(tmp_path: Path, folder: str, name: str) -> None:
    write_idx_set(tmp_path / folder, [images(30, seed=5), *made_arrays()[1:]])
    write_idx_set(tmp_path / "other")
    rows = {row.name: row for row in listing(tmp_path)}
    assert (rows[name].found, rows[name].layout, rows[name].num_classes) == (True, "IDX", 10)
    assert rows[name].where == str(tmp_path / folder)
    np.testing.assert_array_equal(read(tmp_path, name).train_images[..., 0], images(30, seed=5))
    assert set_name(name) == name


def test_two_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    write_idx_set(tmp_path / "My-Set")
    write_idx_set(tmp_path / "my_set")
    assert "several data sets my_set" in refused(tmp_path, "my_set")


def test_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert read_located("made", tmp_path) is None
    assert read_located("made", tmp_path / "absent") is None
    with pytest.raises(DataError, match="does not exist"):
        listing(tmp_path / "absent")


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    write_idx_set(tmp_path / "scans")
    (tmp_path / "scans" / "again").symlink_to(tmp_path, target_is_directory=True)
    assert [found.name for found in find_sets(tmp_path)] == ["scans"]
    assert len(read(tmp_path, "scans").train_images) == 30


def test_what_was_done_is_logged(tmp_path: Path, caplog: Any) -> None:
    np.savez(tmp_path / "set.npz", images=images(40) / 255.0)
    with caplog.at_level(logging.WARNING):
        read(tmp_path)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(": ")[-1].split(",")[0] for line in lines] == [
        "pixels are float64 in 0..1",
        "there are no labels",
        "there is no test split",
    ]


# --- NumPy ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "keys",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("X_train", "Y_train", "X_test", "Y_test"),
    ],
)
def test_npz_with_a_test_split(tmp_path: Path, keys: tuple[str, ...]) -> None:
    written = made_arrays()
    np.savez_compressed(tmp_path / "kept.npz", **dict(zip(keys, written, strict=True)))
    for location, name in ((tmp_path, "kept"), (tmp_path, "other"), (tmp_path / "kept.npz", "other")):
        arrays = read(location, name)
        np.testing.assert_array_equal(arrays.test_images[..., 0], written[2])
        assert arrays.test_labels is not None
        assert arrays.test_labels.tolist() == written[3].tolist()


def test_npz_with_columns_one_hot_rows_and_texts_as_labels(tmp_path: Path) -> None:
    one_hot = np.eye(10)[labels(40)]
    for name, kept in (("column", labels(40)[:, None]), ("one_hot", one_hot), ("texts", np.array(list("abcd") * 10))):
        np.savez(tmp_path / f"{name}.npz", images=images(40, channels=3), labels=kept)
    assert read(tmp_path, "column").class_names == tuple("0123456789")
    assert read(tmp_path, "one_hot").class_names == tuple("0123456789")
    assert read(tmp_path, "texts").class_names == tuple("abcd")
    assert read(tmp_path, "texts").train_images.shape == (36, 8, 8, 3)


class Executed:
    """A pickle that would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    np.savez(tmp_path / "set.npz", x_train=np.array([Executed(mark)] * 30, object))
    assert "pickles" in refused(tmp_path / "set.npz") or "object" in refused(tmp_path / "set.npz")
    (tmp_path / "set.npz").unlink()
    for file in ("data_batch_1", "training.pt", "set.pkl"):
        (tmp_path / file).write_bytes(pickle.dumps(Executed(mark)))
    said = refused(tmp_path)
    assert "may execute code and are never opened: take CIFAR's binary version" in said
    assert not mark.exists()


def test_npz_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    np.savez(path, pixels=images(30), other=labels(30))
    assert "holds other, pixels: name its arrays x_train" in refused(tmp_path)
    np.savez(path, x_train=images(30), y_train=labels(30), x_test=images(30))
    assert "add the missing images or labels" in refused(tmp_path)
    np.savez(path, x_train=images(300), y_train=labels(300))
    whole = path.read_bytes()
    for content in (b"", b"PK", whole[:200], whole[: len(whole) // 2], whole[:-40]):
        path.write_bytes(content)
        assert str(path) in refused(tmp_path)
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**40, 28, 28)})
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x_train.npy", header.getvalue())
    assert "holds less than the" in refused(tmp_path)


# --- Pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "bmp"])
def test_pictures_by_class(tmp_path: Path, ending: str) -> None:
    pixels, classes = images(40), labels(40, 4) + 8  # 8, 9, 10, 11: sorted as numbers
    write_pictures(tmp_path / "train", pixels, classes, ending)
    write_pictures(tmp_path / "test", pixels[:12], classes[:12], ending)
    arrays = read(tmp_path)
    assert arrays.class_names == ("8", "9", "10", "11")
    assert arrays.train_images.shape == (40, 8, 8, 1)
    assert arrays.train_labels is not None
    for image, label in zip(arrays.train_images, arrays.train_labels, strict=True):
        where = int(np.argmax(np.all(pixels == image[..., 0], axis=(1, 2))))
        assert classes[where] == label + 8
    assert len(arrays.test_images) == 12


def test_pictures_in_colour_without_a_split_or_without_classes(tmp_path: Path) -> None:
    write_pictures(tmp_path / "classes", images(40, channels=3), labels(40, 2))
    assert read(tmp_path / "classes").train_images.shape == (36, 8, 8, 3)
    write_pictures(tmp_path / "flat", images(40, channels=3))
    assert read(tmp_path / "flat").train_labels is None
    (tmp_path / "flat" / "notes.txt").write_text("not a picture")
    (tmp_path / "flat" / ".hidden.png").write_bytes(b"")
    assert len(read(tmp_path / "flat").train_images) == 36


def test_pictures_beside_data_do_not_hide_them(tmp_path: Path) -> None:
    write_idx_set(tmp_path / "MNIST" / "raw")
    write_pictures(tmp_path, images(3))
    write_pictures(tmp_path / "figures", images(3))
    assert "mnist" in {found.name for found in find_sets(tmp_path)}


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    from PIL import Image

    write_pictures(tmp_path, images(20), labels(20, 2))
    odd = tmp_path / "1" / "0007.png"
    for save, message in (
        (lambda: Image.fromarray(images(1, size=9)[0]).save(odd), f"{odd} is 9x9, and .*give all pictures one size"),
        (lambda: Image.fromarray(images(1, channels=4)[0], "RGBA").save(odd), f"{odd} is transparent"),
        (lambda: Image.fromarray(np.zeros((8, 8), np.uint16)).save(odd), f"{odd} has pixels of mode I;16"),
        (lambda: odd.write_bytes(b"<html>"), f"{odd} cannot be read as a picture"),
        (
            lambda: odd.write_bytes((tmp_path / "0" / "0000.png").read_bytes()[:60]),
            f"{odd} cannot be read as a picture",
        ),
    ):
        save()
        with pytest.raises(DataError, match=message):
            read(tmp_path)


def test_pictures_of_other_classes_in_the_test_split(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train", images(20), labels(20, 3))
    write_pictures(tmp_path / "test", images(20), labels(20, 4))
    assert "different classes (3 is in one of them only)" in refused(tmp_path)


# --- Parquet ----------------------------------------------------------------------------------------------------------


def encoded(image: np.ndarray) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG")
    return buffer.getvalue()


def write_parquet(
    path: Path, pixels: np.ndarray, kept: Any, *, names: list[str] | None = None, plain: bool = False
) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    column = [encoded(image) if plain else {"bytes": encoded(image), "path": None} for image in pixels]
    kind = pa.binary() if plain else pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {"image": pa.array(column, kind)}
    if kept is not None:
        columns["label"] = pa.array(np.asarray(kept).tolist(), pa.int64())
    table = pa.table(columns)
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pa.parquet.write_table(table, path)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("names", ["data/{}-00000-of-00001.parquet", "{}/0000.parquet"])
def test_parquet_as_hugging_face_writes_it(tmp_path: Path, names: str, plain: bool) -> None:
    written = [images(30, channels=3), labels(30, 3), images(20, channels=3, seed=1), labels(20, 3)]
    folder = tmp_path / "Some-Set"
    write_parquet(folder / names.format("train"), *written[:2], names=["cat", "dog", "owl"], plain=plain)
    write_parquet(folder / names.format("test"), *written[2:], names=["cat", "dog", "owl"], plain=plain)
    arrays = read(tmp_path, "some_set")
    np.testing.assert_array_equal(arrays.train_images, written[0])
    np.testing.assert_array_equal(arrays.test_images, written[2])
    assert arrays.class_names == ("cat", "dog", "owl")
    assert arrays.test_labels is not None
    assert arrays.test_labels.tolist() == written[3].tolist()


def test_parquet_in_parts_without_labels_or_with_a_hidden_test_set(tmp_path: Path) -> None:
    pixels = images(40)
    for part in range(2):
        write_parquet(tmp_path / "a" / f"train-{part:05d}-of-00002.parquet", pixels[20 * part :][:20], None)
    assert len(read(tmp_path / "a").train_images) == 36
    write_parquet(tmp_path / "b" / "train.parquet", pixels, labels(40))
    write_parquet(tmp_path / "b" / "test.parquet", pixels, np.full(40, -1))
    arrays = read(tmp_path / "b")
    assert len(arrays.train_images) == 36
    assert arrays.test_labels is not None


def test_parquet_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    path = tmp_path / "train.parquet"
    write_parquet(path, images(30), labels(30))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert str(path) in refused(tmp_path)
    pa.parquet.write_table(pa.table({"text": ["a"], "label": [0]}), path)
    assert "has the columns text, label, and none has encoded images" in refused(tmp_path)
    pa.parquet.write_table(pa.table({"image": [b"no picture"] * 3}), path)
    assert "image of row 0 cannot be read as a picture" in refused(tmp_path)
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "needs pyarrow: pip install pyarrow" in refused(tmp_path)


# --- CIFAR, and what is not read --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "num_labels"),
    [(("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"), 1), (("train.bin", "test.bin"), 2)],
)
def test_cifar_in_its_binary_version(tmp_path: Path, names: tuple[str, ...], num_labels: int) -> None:
    pixels, written = images(20, size=32, channels=3), []
    for name in names:
        first = np.full((20, num_labels - 1), 9, np.uint8)  # the coarse labels of CIFAR-100
        rows = np.concatenate([first, labels(20)[:, None], pixels.transpose(0, 3, 1, 2).reshape(20, -1)], axis=1)
        (tmp_path / name).write_bytes(rows.tobytes())
        written.append(labels(20))
    arrays = read(tmp_path)
    np.testing.assert_array_equal(arrays.test_images, pixels)
    assert arrays.train_labels is not None
    assert arrays.train_labels.tolist() == np.concatenate(written[:-1]).tolist()
    (tmp_path / names[0]).write_bytes(b"123")
    assert str(tmp_path) in refused(tmp_path) if num_labels == 1 else True


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("gzip.zip", "these are archives: unpack them"),
        ("cifar-10-python.tar.gz", "these are archives: unpack them"),
        ("mnist_train.csv", "not read: save its arrays as .npz"),
        ("train_32x32.mat", "not read: save its arrays as .npz"),
        ("mnist-train.tfrecord-00000-of-00001", "not read: save its arrays as .npz"),
        ("qmnist-train-images-idx3-ubyte.xz", "these are compressed by xz: unpack them"),
        ("training.pt", "Python pickles"),
    ],
)
def test_other_files_say_what_to_do(tmp_path: Path, file: str, message: str) -> None:
    (tmp_path / "Scans").mkdir()
    (tmp_path / "Scans" / file).write_bytes(b"anything")
    said = refused(tmp_path)
    assert message in said
    assert file in said
    row = next(row for row in listing(tmp_path) if row.name == "scans")
    assert not row.found
    assert message in row.where


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    write_idx_set(tmp_path)
    assert "is a file: give its folder" in refused(tmp_path / "train-images-idx3-ubyte")


def test_the_list_has_a_reason_for_each_set_that_it_does_not_take(tmp_path: Path) -> None:
    good = made_arrays()
    write_idx_set(tmp_path / "Good")
    write_idx_set(tmp_path / "Oblong", [images(30)[:, :, :7], *good[1:]])
    write_idx_set(
        tmp_path / "Half", names=("train-images-idx3-ubyte", "", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    )
    write_idx_set(tmp_path / "Cut")
    (tmp_path / "Cut" / "t10k-images-idx3-ubyte").write_bytes(b"\0\0")
    np.savez(tmp_path / "odd.npz", a=images(30))
    rows = {row.name: row for row in listing(tmp_path)}
    assert rows["good"].found
    for name, reason in (
        ("oblong", "only square"),
        ("half", "lacks train labels"),
        ("cut", "truncated"),
        ("odd", "holds a:"),
    ):
        assert not rows[name].found
        assert reason in rows[name].where
        assert "\n" not in rows[name].where
