"""Image data sets on the device: MNIST, Fashion-MNIST, scikit-learn's digits, and any directory of IDX files.

`Images` holds the settings; `.load()` finds and resizes the pixels once, on the host; `.source(dataset)`
gives the sampler, inside the traced step. The pixels are an argument of a run and never part of the
experiment: they stay uint8 on the device, a quarter of float32, and become floats in [-1, 1] a batch at a
time.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data import prepared
from gan_jax.data.epochs import MAX_EXAMPLES, epoch_and_position, permuted_index
from gan_jax.data.idx import (
    NUM_CLASSES,
)
from gan_jax.data.image_files import load_arrays, resize
from gan_jax.experiment.component import component, setting

IMAGE_SIZES = (16, 28, 32, 64)


class ImageDataset(NamedTuple):
    """An image data set on the device.

    Attributes:
        images: uint8 [n, size, size, channels], the training examples.
        labels: int32 [n], in 0..9.
        test_images: uint8 [m, size, size, channels], held out.
        test_labels: int32 [m].
    """

    images: Array
    labels: Array
    test_images: Array
    test_labels: Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ImageSource:
    """Batches of a data set: independent examples, or whole epochs in an order made from the key.

    Attributes:
        dataset: the pixels.
        last_batch: static; see `Images.last_batch`.
    """

    dataset: ImageDataset
    last_batch: Literal["wrap", "short"] = dataclasses.field(default="wrap", metadata={"static": True})

    def sample(self, key: Array, num: int) -> Array:
        """`num` training examples drawn with replacement. float32 [num, size, size, channels]."""
        index = jax.random.randint(key, (num,), 0, self.dataset.images.shape[0])
        return normalise(self.dataset.images[index])

    def batch(self, key: Array, step: Array | int, batch_size: int, *, count: int | None = None) -> Array:
        """The training batch of a step: every example once an epoch, in a new order each epoch.

        With `last_batch="wrap"` the epochs follow each other in one endless stream, of which a step takes the
        next `batch_size`; a batch may hold the end of one epoch and the beginning of the next. With `"short"`
        a batch never crosses: the last one of an epoch holds what is left, and is asked for with a smaller
        `count` (positions past the end of the epoch, which no caller needs, start again at its beginning).

        Args:
            key: the key of the whole run's order, the same at every step.
            step: batches taken before this one.
            batch_size: nominal size, static.
            count: how many examples from the start of the batch, static; None: `batch_size`.

        Returns:
            float32 [count or batch_size, size, size, channels], in [-1, 1].

        Raises:
            ValueError: if `count` is not in 1..batch_size.
        """
        return normalise(self.dataset.images[self.batch_index(key, step, batch_size, count=count)])

    def batch_index(self, key: Array, step: Array | int, batch_size: int, *, count: int | None = None) -> Array:
        """Which training examples `batch` takes: int32 [count or batch_size]."""
        num_examples = self.dataset.images.shape[0]
        return batch_index(key, step, batch_size, num_examples, self.last_batch, count=count)


def batch_index(
    key: Array,
    step: Array | int,
    batch_size: int,
    num_examples: int,
    last_batch: Literal["wrap", "short"] = "wrap",
    *,
    count: int | None = None,
) -> Array:
    """The examples of a step's batch; see `ImageSource.batch`. int32 [count or batch_size]."""
    count = batch_size if count is None else count
    if not 1 <= count <= batch_size:
        raise ValueError(f"count is {count}, and must be 1 to the batch size, {batch_size}")
    offset = jnp.arange(count, dtype=jnp.int32)
    if last_batch == "short":
        step = jnp.asarray(step).astype(jnp.int32)
        num_batches = -(-num_examples // batch_size)
        # The product stays below n, and with the offset below 2**31 as long as n and the batch size do.
        position = (step % num_batches) * jnp.int32(min(batch_size, num_examples)) + offset
        return permuted_index(key, step // num_batches, position % num_examples, num_examples)
    epoch, start = epoch_and_position(step, batch_size, num_examples)
    position = start + offset
    epoch = epoch + (position // num_examples).astype(jnp.uint32)
    return permuted_index(key, epoch, position % num_examples, num_examples)


def normalise(images: Array) -> Array:
    """Pixels as float32 in [-1, 1]: x / 127.5 - 1, torchvision's ToTensor and Normalize(0.5, 0.5)."""
    # (2x - 255) / 255: compiled, x / 127.5 becomes a product with a rounded 1 / 127.5, and white 1.0000001.
    return (2.0 * images.astype(jnp.float32) - 255.0) / 255.0


@component
class Images:
    """A labelled set of square grey images, and how a run goes through it.

    `mnist` and `fashion_mnist` have 60,000 training and 10,000 test images of 28x28 (LeCun et al. 1998; Xiao,
    Rasul and Vollgraf, arXiv:1708.07747). `digits` comes with scikit-learn and needs no download: 1,797
    digits of 8x8 (Alpaydin and Kaynak 1998), of which 1,437 are for training and 360 for test. Any other name
    stands for a directory of IDX files, given as the location.

    Example:
        >>> Images("digits", image_size=16).load().images.shape
        (1437, 16, 16, 1)
    """

    name: str = setting(default="mnist", doc="mnist, fashion_mnist, digits, or a name for the IDX files at --data")
    image_size: int = setting(default=32, doc="pixels along a side after resizing: 16, 28, 32 or 64")
    last_batch: Literal["wrap", "short"] = setting(
        default="wrap",
        doc="at the end of an epoch: go on into the next one, or a smaller batch, as published loaders do",
    )
    num_examples: int | None = setting(
        default=None, at_least=1, at_most=MAX_EXAMPLES, doc="train on the first n examples only; none: all"
    )

    def validate(self) -> None:
        prepared.check_name(self.name)
        if self.image_size not in IMAGE_SIZES:
            sizes = ", ".join(map(str, IMAGE_SIZES))
            raise ValueError(f"Images.image_size is {self.image_size}, and must be one of {sizes} (pixels)")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: (height, width, channels)."""
        return (self.image_size, self.image_size, 1)

    @property
    def num_modes(self) -> int:
        """The classes."""
        return NUM_CLASSES

    def load(self, location: Path | str | None = None) -> ImageDataset:
        """Finds, checks and resizes the data set, and puts it on the default device.

        Args:
            location: a directory of IDX files, or one that holds such a directory by the data set's name, or
                a tfds folder in which it is prepared. None: the environment's `GAN_JAX_DATA` (the same
                three), then the default tfds folder. `digits` needs none.

        Returns:
            The data set. Its order, and so what "the first n" are, is that of the IDX files, or of a stock
            tfds set.

        Raises:
            DataError: if it is not there (naming the commands that get it), damaged, or not the standard one
                though it bears its name.
            ValueError: if `num_examples` is more than there are.
        """
        arrays = load_arrays(self.name, location)
        num_train = len(arrays.train_images)
        if self.num_examples is not None and self.num_examples > num_train:
            raise ValueError(
                f"Images.num_examples is {self.num_examples:,}, and must be at most {num_train:,}, "
                f"the training examples of {self.name}"
            )
        kept = slice(self.num_examples)
        return ImageDataset(
            images=jnp.asarray(resize(arrays.train_images[kept], self.image_size)),
            labels=jnp.asarray(arrays.train_labels[kept]),
            test_images=jnp.asarray(resize(arrays.test_images, self.image_size)),
            test_labels=jnp.asarray(arrays.test_labels),
        )

    def source(self, dataset: ImageDataset) -> ImageSource:
        """The sampler of a loaded data set."""
        return ImageSource(dataset, self.last_batch)

    def epoch_size(self, dataset: ImageDataset) -> int | None:
        """Examples of an epoch."""
        return dataset.images.shape[0]

    def num_batches_per_epoch(self, dataset: ImageDataset, batch_size: int) -> int:
        """Batches after which every example of the first epoch has come: n / batch_size, rounded up.

        With `last_batch="short"` that is exactly an epoch. With `"wrap"` the last of them may reach into the
        next epoch; both count alike, so that "epoch 25" is the same number of updates.
        """
        return -(-dataset.images.shape[0] // batch_size)


def fingerprint(dataset: ImageDataset) -> str:
    """The first 16 hex digits of the sha256 of a data set's shapes and content, order included."""
    digest = hashlib.sha256()
    for part in dataset:
        array = np.ascontiguousarray(part)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()[:16]
