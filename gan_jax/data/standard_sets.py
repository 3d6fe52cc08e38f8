"""MNIST and Fashion-MNIST as published: the addresses of their files, and the digests that identify them."""

from __future__ import annotations

import shutil
import tempfile
import urllib.request
from pathlib import Path

import numpy as np

from gan_jax.data.found_set import DataError
from gan_jax.data.idx import idx_digest
from gan_jax.data.image_arrays import ImageArrays
from gan_jax.data.layouts import read_located

_TIMEOUT_SECONDS = 15
_LARGEST_FILE_BYTES = 100_000_000

# The addresses of the files, the same as in tfds. The Fashion-MNIST host has no https, so the content is checked
# against the digests below.
URLS = {
    "mnist": "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "fashion_mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
}

# The sha256 of the uncompressed IDX files; compressed files differ between mirrors.
DIGESTS = {
    "mnist": {
        "train_images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train_labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "test_images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "test_labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion_mnist": {
        "train_images": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train_labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "test_images": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "test_labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}
STANDARD = tuple(sorted(DIGESTS))


def check_standard(name: str, arrays: ImageArrays, source: Path) -> None:
    """Checks that arrays with the name of a standard data set are that data set.

    Args:
        name: of the data set; names that are not standard are not checked.
        arrays: its arrays.
        source: the folder that they were read from, for the message.

    Raises:
        DataError: if the content differs; the message has the first file that does, and what to do.
    """
    for part, expected in DIGESTS.get(name, {}).items():
        array = getattr(arrays, part)
        found = "" if array is None else idx_digest(idx_form(array))
        if found != expected:
            differs = (
                f"the sha256 of {part} is {found[:12]}..., and must be {expected[:12]}..." if found else "no labels"
            )
            raise DataError(
                f"{source} does not hold the standard {name}: {differs}.\n"
                f"If that is intended, give the data set another name, such as my_{name}."
            )


def read_source(name: str, source: Path) -> ImageArrays:
    """Reads the files of a data set, and checks those of a standard one.

    Raises:
        DataError: if there is no data set, or it is not the standard one of its name.
    """
    found = read_located(name, source)
    if found is None:
        raise DataError(f"there is no data set in {source}: give the folder that holds its files.")
    arrays, path = found
    check_standard(name, arrays, path)
    return arrays


def idx_form(array: np.ndarray) -> np.ndarray:
    """An array in the shape and dtype of its IDX file."""
    if array.ndim == 1:
        return array.astype(np.uint8)
    return array[..., 0] if array.shape[-1] == 1 else array


def download_standard(name: str, root: Path) -> Path:
    """Downloads and checks the four files of a standard data set, and returns their folder."""
    if name not in URLS:
        raise DataError(
            f"there is no address to download {name!r} from: only {' and '.join(STANDARD)} have one.\n"
            f"Give the directory of its files: gan-jax data prepare {name} --from DIR."
        )
    target = root / "downloads" / f"idx_{name}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"idx_{name}.incomplete.", dir=target.parent))
    try:
        for split in ("train", "t10k"):
            for kind in ("images-idx3", "labels-idx1"):
                file = f"{split}-{kind}-ubyte.gz"
                (partial / file).write_bytes(_fetch(name, URLS[name] + file))
        read_source(name, partial)
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def _fetch(name: str, url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as response:
            return response.read(_LARGEST_FILE_BYTES)
    except (
        OSError,
        ValueError,
    ) as error:  # URLError and timeouts are OSErrors; a damaged proxy setting a ValueError
        reason = getattr(error, "reason", None) or error
        raise DataError(
            f"could not download {url}: {reason}\n"
            f"Use local files: gan-jax data prepare {name} --from DIR, or --data DIR "
            "(any directory of IDX files)."
        ) from None
