"""Small image data sets, written in the layouts that people have."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gan_jax.data.idx import write_idx

MNIST_NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def images(num: int, *, size: int = 8, channels: int = 0, seed: int = 0) -> np.ndarray:
    """Random uint8 images [num, size, size], or with channels [num, size, size, channels]."""
    shape = (num, size, size, channels) if channels else (num, size, size)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def labels(num: int, classes: int = 10) -> np.ndarray:
    return (np.arange(num) % classes).astype(np.uint8)


def made_arrays(num_train: int = 30, num_test: int = 20, classes: int = 10) -> list[np.ndarray]:
    """Images and labels for training, images and labels for test."""
    train, test = images(num_train), images(num_test, seed=1)
    return [train, labels(num_train, classes), test, labels(num_test, classes)]


def write_idx_set(
    directory: Path,
    arrays: list[np.ndarray] | None = None,
    names: tuple[str, ...] = MNIST_NAMES,
    ending: str = "",
) -> list[np.ndarray]:
    """Writes arrays as IDX files; a name of "" leaves its file out."""
    arrays = made_arrays() if arrays is None else arrays
    directory.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, arrays, strict=True):
        if name:
            write_idx(directory / f"{name}{ending}", array)
    return arrays


def write_pictures(directory: Path, pixels: np.ndarray, classes: np.ndarray | None = None, ending: str = "png") -> None:
    """Writes images as picture files, in a folder for each class."""
    from PIL import Image

    for index, image in enumerate(pixels):
        folder = directory if classes is None else directory / str(classes[index])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{index:04d}.{ending}")
