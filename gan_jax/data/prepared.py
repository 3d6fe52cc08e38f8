"""Image data sets prepared with tensorflow-datasets, written and read without TensorFlow.

The stock builders of MNIST and Fashion-MNIST need TensorFlow for preparation, but not for reading. The builders here
(`idx_<name>` in the same folder) need it for neither: they write plain tensors to ArrayRecord files, in the order of
the IDX files. A stock set can be read too; tfds shuffled it when it was prepared, always into the same order.

`tensorflow_datasets` is imported inside the functions that use it, because its import takes a second.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.found_set import DataError
from gan_jax.data.idx import idx_digest
from gan_jax.data.image_arrays import ImageArrays
from gan_jax.data.places import expanded
from gan_jax.data.standard_sets import STANDARD, download_standard, idx_form, read_source

_VERSION = "1.0.0"


class Prepared(NamedTuple):
    """A prepared data set in a tfds folder.

    Attributes:
        name: as in `Images.name`.
        path: the folder of its version.
        num_train, num_test: examples.
        image_shape: (height, width, channels) before any resizing.
        num_classes: of its labels; None if unknown.
        readable: False for a stock set in TFRecord files, which only TensorFlow can read.
    """

    name: str
    path: Path
    num_train: int
    num_test: int
    image_shape: tuple[int, ...]
    num_classes: int | None
    readable: bool


def default_data_dir() -> Path:
    """The folder of tfds: the environment's `TFDS_DATA_DIR`, or `~/tensorflow_datasets`.

    If the home directory is unknown (a user without an entry in the password file), the path keeps its `~`.
    """
    return Path(os.path.expanduser(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"))


def prepare(name: str, *, source: Path | None = None, data_dir: Path | None = None) -> Path:
    """Prepares a data set from files of any known layout, unless it is prepared already.

    Args:
        name: `mnist` or `fashion_mnist`, whose content is checked, or any other identifier for another data set.
        source: the directory of its files. None downloads them, for the two standard data sets.
        data_dir: the tfds folder. None takes the default one.

    Returns:
        The folder of the prepared data set. An incomplete one has another name.

    Raises:
        DataError: if the files are missing, damaged, not the standard ones, or cannot be downloaded, or if the name was
            prepared from other files before.
    """
    if name == "digits":
        raise DataError("digits come with scikit-learn: there is nothing to prepare")
    check_name(name)
    root = default_data_dir() if data_dir is None else Path(expanded(data_dir))
    if root.parts[:1] == ("~",):
        raise DataError("the home directory is unknown: give the folder to write to (--data DIR, or TFDS_DATA_DIR)")
    target = root / f"idx_{name}" / _VERSION
    if source is None:
        if _is_prepared(target):
            return target
        source = download_standard(name, root)
    arrays = read_source(name, source)
    parts = [array for array in arrays[:4] if array is not None]
    if len(parts) < 4:
        raise DataError(f"{source} has no labels, which a prepared data set has: use --data {source} as it is.")
    digest = hashlib.sha256("".join(idx_digest(idx_form(array)) for array in parts).encode()).hexdigest()
    if _is_prepared(target):
        if _metadata(target).get("sha256") != digest:
            raise DataError(
                f"{target} was prepared from other files than those in {source}.\n"
                "Remove that folder to replace it, or prepare these files under another name."
            )
        return target
    _write(name, arrays, digest, root)
    return target


def load_prepared(name: str, data_dir: Path | None = None) -> ImageArrays | None:
    """Reads a prepared data set: the stock one if there is one, else one of `prepare`. It never uses the network.

    A stock set has tfds's shuffled order, which is the same on every machine, and needs pillow. A set of `prepare` has
    the order of the IDX files.

    Args:
        name: of the data set.
        data_dir: the tfds folder. None takes the default one.

    Returns:
        The arrays in host memory, or None if there is no readable data set of that name.

    Raises:
        DataError: if the prepared files are damaged.
    """
    found = [prepared for prepared in list_prepared(data_dir) if prepared.name == name and prepared.readable]
    if not found:
        return None
    path = found[0].path
    import tensorflow_datasets as tfds  # type: ignore[import-untyped]

    try:
        # Not `tfds.data_source(name, download=False)`: it makes the stock builder, which asks the network for versions,
        # and waits for minutes without a network. The folder has all that reading needs.
        sources = tfds.builder_from_directory(path).as_data_source()
        train, test = _read_split(sources["train"]), _read_split(sources["test"])
    except ImportError as error:
        raise DataError(f"{path} cannot be read: {error}.\nInstall what is missing (pip install pillow).") from None
    except Exception as error:  # array_record and protobuf raise various errors for damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path} is damaged: {reason}\nRemove that folder and prepare {name} again.") from error
    num_classes = 1 + max(int(labels.max()) for _, labels in (train, test))
    return ImageArrays(*train, *test, class_names=tuple(map(str, range(num_classes))))


def list_prepared(data_dir: Path | None = None) -> list[Prepared]:
    """The image data sets in a tfds folder: stock ones before those of `prepare`, the newest version first.

    Args:
        data_dir: the tfds folder, which need not exist. None takes the default one.

    Returns:
        The data sets; those in TFRecord files are not readable.
    """
    root = default_data_dir() if data_dir is None else Path(expanded(data_dir))
    folders = [(name, root / name) for name in STANDARD]
    folders += [(folder.name.removeprefix("idx_"), folder) for folder in sorted(root.glob("idx_*"))]
    described = [_describe(name, path) for name, folder in folders for path in _versions(folder)]
    return [prepared for prepared in described if prepared is not None]


def check_name(name: str) -> None:
    """Checks the name of a data set, which becomes the name of a folder.

    Raises:
        ValueError: if the name has other characters than lower-case letters, digits and underscores.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"the data set's name is {name!r}, and must be lower-case letters, digits and underscores")


# --- Writing and reading ------------------------------------------------------------------------------------


def _write(name: str, arrays: ImageArrays, digest: str, root: Path) -> None:
    import tensorflow_datasets as tfds

    class IdxBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg, misc]
        VERSION = tfds.core.Version(_VERSION)

        def _info(self) -> Any:
            shape = arrays.train_images.shape[1:]
            features = {
                # As bytes; by default tfds writes a 64-bit number for each pixel, which takes twice as long to write
                # and to read.
                "image": tfds.features.Tensor(shape=shape, dtype=np.uint8, encoding=tfds.features.Encoding.BYTES),
                "label": tfds.features.ClassLabel(num_classes=len(arrays.class_names)),
            }
            return tfds.core.DatasetInfo(
                builder=self,
                description=f"{name}, from IDX files",
                features=tfds.features.FeaturesDict(features),
                # Keeps the files' order, so that "the first 100 examples" are the same ones.
                disable_shuffling=True,
                metadata=tfds.core.MetadataDict(sha256=digest),
            )

        def _split_generators(self, dl_manager: Any) -> Any:
            train = self._generate_examples(arrays.train_images, arrays.train_labels)
            test = self._generate_examples(arrays.test_images, arrays.test_labels)
            return {"train": train, "test": test}

        def _generate_examples(self, images: np.ndarray, labels: Any) -> Iterator[tuple[int, dict[str, Any]]]:
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                yield index, {"image": image, "label": int(label)}

    IdxBuilder.name = f"idx_{name}"
    # tfds prints messages, and progress bars on stderr.
    silent = io.StringIO()
    with (
        tempfile.TemporaryDirectory() as downloads,
        contextlib.redirect_stdout(silent),
        contextlib.redirect_stderr(silent),
    ):
        builder = IdxBuilder(data_dir=root, file_format="array_record")
        builder.download_and_prepare(download_dir=downloads)


def _read_split(source: Any) -> tuple[np.ndarray, np.ndarray]:
    # One call for all examples: single indices cost 141 us each.
    examples = source.__getitems__(list(range(len(source))))
    images = np.stack([example["image"] for example in examples])
    return images, np.array([example["label"] for example in examples], np.int32)


def _is_prepared(path: Path) -> bool:
    return (path / "dataset_info.json").is_file()


def _metadata(path: Path) -> dict[str, Any]:
    return (
        json.loads((path / "metadata.json").read_text(encoding="utf-8")) if (path / "metadata.json").is_file() else {}
    )


def _versions(folder: Path) -> list[Path]:
    """The prepared versions in a folder, the newest first. An incomplete version has another name."""
    paths = [p for p in folder.glob("*.*.*") if re.fullmatch(r"\d+\.\d+\.\d+", p.name) and _is_prepared(p)]
    return sorted(paths, key=lambda path: [int(number) for number in path.name.split(".")], reverse=True)


def _describe(name: str, path: Path) -> Prepared | None:
    try:
        info = json.loads((path / "dataset_info.json").read_text(encoding="utf-8"))
        counts = {split["name"]: sum(map(int, split["shardLengths"])) for split in info["splits"]}
        features = json.loads((path / "features.json").read_text(encoding="utf-8"))["featuresDict"]["features"]
        image = features["image"]
        shape = image[next(kind for kind in ("tensor", "image") if kind in image)]["shape"]["dimensions"]
        num_classes = features.get("label", {}).get("classLabel", {}).get("numClasses")
        readable = info.get("fileFormat", "tfrecord") == "array_record"
        size, classes = tuple(map(int, shape)), None if num_classes is None else int(num_classes)
        return Prepared(name, path, counts["train"], counts["test"], size, classes, readable)
    except (OSError, ValueError, KeyError, StopIteration, IndexError):
        return None  # not a folder of an image data set
