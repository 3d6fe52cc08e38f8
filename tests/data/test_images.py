"""Image data sets: found where they are said to be, resized as published, and batched on the device."""

from __future__ import annotations

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data import image_files as module
from gan_jax.data import prepared
from gan_jax.data.found_set import DataError
from gan_jax.data.idx import write_idx
from gan_jax.data.image_files import load_arrays, load_digits, resize
from gan_jax.data.images import ImageDataset, Images, fingerprint, normalise
from gan_jax.data.listing import Listed, listing, show_grid
from gan_jax.data.standard_sets import STANDARD, read_source

REAL_DATA = Path(os.environ.get("GAN_JAX_TEST_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture(autouse=True)
def no_data_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(module.LOCATION_VARIABLE, raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "default"))


def write_data_set(directory: Path, *, seed: int = 0, size: int = 28) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for split, num in (("train", 45), ("t10k", 20)):
        images = random.integers(0, 256, (num, size, size)).astype(np.uint8)
        write_idx(directory / f"{split}-images-idx3-ubyte.gz", images)
        write_idx(directory / f"{split}-labels-idx1-ubyte.gz", (np.arange(num) % 10).astype(np.uint8))
    return directory


@pytest.mark.parametrize("size", [16, 28, 32, 64])
def test_digits(size: int) -> None:
    settings = Images("digits", image_size=size)
    dataset = settings.load()
    assert dataset.images.shape == (1437, *settings.shape)
    assert dataset.images.dtype == jnp.uint8
    assert dataset.test_images.shape == (360, size, size, 1)
    assert dataset.labels.dtype == jnp.int32
    assert settings.num_batches_per_epoch(dataset, 64) == 23


def test_digits_split_is_stratified_and_complete() -> None:
    arrays = load_digits()
    train, test = np.bincount(arrays.train_labels), np.bincount(arrays.test_labels)
    assert (train + test).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.max(np.abs(test - (train + test) / 5)) < 1
    assert arrays.train_images.min() == 0
    assert arrays.train_images.max() == 255


def test_resize_is_pillows() -> None:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1)).astype(np.uint8)
    for size in (16, 32, 64):
        expected = [np.asarray(Image.fromarray(p[..., 0]).resize((size, size), Image.BILINEAR)) for p in pixels]
        np.testing.assert_array_equal(resize(pixels, size)[..., 0], expected)
    assert resize(pixels, 28) is pixels


def test_normalise_is_totensor_and_normalize() -> None:
    pixels = jnp.arange(256, dtype=jnp.uint8)
    values = np.asarray(jax.jit(normalise)(pixels))
    assert values.dtype == np.float32
    assert values.min() == -1
    assert values.max() == 1
    np.testing.assert_allclose(values, (np.arange(256) / 255 - 0.5) / 0.5, atol=1e-7)


def test_source(tmp_path: Path) -> None:
    settings = Images("letters", image_size=28)
    dataset = settings.load(write_data_set(tmp_path))
    traces = 0

    def draw(dataset: ImageDataset, key: jax.Array, step: jax.Array) -> tuple[jax.Array, jax.Array]:
        nonlocal traces
        traces += 1
        source = settings.source(dataset)
        return source.sample(key, 7), source.batch(key, step, 15)

    compiled = jax.jit(draw)
    drawn = [compiled(dataset, jax.random.key(0), jnp.int32(step)) for step in range(3)]
    assert traces == 1
    for sample, batch in drawn:
        assert sample.shape == (7, 28, 28, 1)
        assert batch.shape == (15, 28, 28, 1)
        assert sample.dtype == batch.dtype == jnp.float32
        assert float(jnp.abs(sample).max()) <= 1
        assert float(batch.min()) >= -1
    epoch = np.concatenate([np.asarray(batch) for _, batch in drawn]).reshape(45, -1)
    whole = np.asarray(normalise(dataset.images)).reshape(45, -1)
    np.testing.assert_array_equal(epoch[np.lexsort(epoch.T)], whole[np.lexsort(whole.T)])
    # The source may itself cross a jit decision_threshold: its choice of batches is static.
    assert len(jax.tree.leaves(settings.source(dataset))) == 4
    per_key = jax.jit(jax.vmap(lambda key: draw(dataset, key, jnp.int32(1))[1]))
    batches = per_key(jax.random.split(jax.random.key(1), 2))
    single = compiled(dataset, jax.random.split(jax.random.key(1), 2)[1], jnp.int32(1))[1]
    np.testing.assert_array_equal(batches[1], single)


def test_num_examples_keeps_the_first(tmp_path: Path) -> None:
    write_data_set(tmp_path)
    whole = Images("letters", image_size=28).load(tmp_path)
    part = Images("letters", image_size=28, num_examples=12).load(tmp_path)
    np.testing.assert_array_equal(part.images, whole.images[:12])
    assert part.labels.shape == (12,)
    assert part.test_images.shape == whole.test_images.shape
    assert fingerprint(part) != fingerprint(whole)
    assert len(fingerprint(whole)) == 16
    assert fingerprint(whole) == fingerprint(Images("letters", image_size=28).load(tmp_path))
    with pytest.raises(ValueError, match="num_examples is 46, and must be at most 45"):
        Images("letters", num_examples=46).load(tmp_path)


@pytest.mark.parametrize("size", [0, 8, 27, 128])
def test_bad_settings(size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size is {size}, and must be one of 16, 28, 32, 64"):
        Images(image_size=size)
    with pytest.raises(ValueError, match="lower-case"):
        Images("no/such")
    with pytest.raises(ValueError, match="one of 'wrap', 'short'"):
        Images(last_batch="drop")  # type: ignore[arg-type]


def test_locations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = read_source("letters", write_data_set(tmp_path / "files" / "letters"))
    prepared.prepare("letters", source=tmp_path / "files" / "letters", data_dir=tmp_path / "tfds")
    for location in (tmp_path / "files" / "letters", tmp_path / "files", tmp_path / "tfds"):
        found = load_arrays("letters", location)
        monkeypatch.setenv(module.LOCATION_VARIABLE, str(location))
        again = load_arrays("letters")
        monkeypatch.delenv(module.LOCATION_VARIABLE)
        for part, other, expected in zip(found[:4], again[:4], arrays[:4], strict=True):
            np.testing.assert_array_equal(part, expected)
            np.testing.assert_array_equal(other, expected)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    np.testing.assert_array_equal(load_arrays("letters").train_images, arrays.train_images)


def test_absent_data_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError) as caught:
        Images("mnist").load()
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert str(tmp_path / "default") in lines[0]
    assert "gan-jax data prepare mnist" in lines[1]
    monkeypatch.setenv(module.LOCATION_VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"'mnits' \(known: digits, fashion_mnist, mnist\) in GAN_JAX_DATA"):
        Images("mnits").load()
    with pytest.raises(DataError, match=r"no mnist at .*absent"):
        Images("mnist").load(tmp_path / "absent")


def test_other_files_do_not_pass_for_mnist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not hold the standard mnist"):
        Images("mnist").load(write_data_set(tmp_path))


def test_listing(tmp_path: Path) -> None:
    rows = {row.name: row for row in listing()}
    assert list(rows) == ["digits", *STANDARD]
    assert rows["digits"].num_train == 1437
    assert "gan-jax data prepare mnist" in rows["mnist"].where
    write_data_set(tmp_path / "files" / "letters")
    rows = {row.name: row for row in listing(tmp_path / "files")}
    place = str(tmp_path / "files" / "letters")
    assert rows["letters"] == Listed("letters", "IDX", place, True, 45, 20, (28, 28, 1), 10)
    prepared.prepare("letters", source=tmp_path / "files" / "letters", data_dir=tmp_path / "tfds")
    rows = {row.name: row for row in listing(tmp_path / "tfds")}
    assert rows["letters"].found
    assert rows["letters"].num_test == 20
    assert not rows["mnist"].found


def test_show_grid(tmp_path: Path) -> None:
    dataset = Images("digits", image_size=16, num_examples=5).load()
    show_grid(dataset, tmp_path / "grid.png", rows=2, columns=3)
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "mean"), [("mnist", 33.318), ("fashion_mnist", 72.940)])
def test_the_real_data(name: str, mean: float) -> None:
    if not (REAL_DATA / name).is_dir():
        pytest.skip(f"no {name} in {REAL_DATA}: set GAN_JAX_TEST_DATA to the folder that holds {name}/")
    dataset = Images(name, image_size=28).load(REAL_DATA)
    assert dataset.images.shape == (60_000, 28, 28, 1)
    assert dataset.test_images.shape == (10_000, 28, 28, 1)
    assert abs(float(np.mean(np.asarray(dataset.images))) - mean) < 5e-4
    assert np.unique(np.asarray(dataset.test_labels)).tolist() == list(range(10))
