"""Image data sets on the device: MNIST, Fashion-MNIST, scikit-learn's digits, and files of every known layout.

`Images` holds the settings. `.load()` finds and resizes the pixels once, on the host. `.source(dataset)` makes the
sampler, inside the traced step. The pixels are an argument of a run and never part of the experiment. They stay uint8
on the device, in a quarter of float32's memory, and each batch is converted to floats in [-1, 1].
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
from jaxtyping import Float, Int, Integer, Key, UInt8

from gan_jax.data import prepared
from gan_jax.data.epochs import MAX_EXAMPLES, epoch_and_position, permuted_index
from gan_jax.data.found_set import DataError
from gan_jax.data.image_arrays import ImageArrays
from gan_jax.data.image_files import load_arrays, resize
from gan_jax.experiment.component import component, setting

IMAGE_SIZES = (16, 28, 32, 64)


class ImageDataset(NamedTuple):
    """An image data set on the device.

    Attributes:
        images: uint8 [n, size, size, channels], the training examples.
        labels: int32 [n], in 0..k-1 for k classes; None for images without labels.
        test_images: uint8 [m, size, size, channels], held out.
        test_labels: int32 [m], or None.
    """

    images: Array
    labels: Array | None
    test_images: Array
    test_labels: Array | None


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class ImageSource:
    """Batches of a data set: independent examples, or whole epochs in an order that the key determines.

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
        """The training batch of a step: every example occurs once in an epoch, in a new order each epoch.

        With `last_batch="wrap"` the epochs form one endless stream, of which a step takes the next `batch_size`
        examples; a batch may hold the end of one epoch and the start of the next. With `"short"` the last batch of an
        epoch holds the remaining examples, which the caller requests with a smaller `count`. (Positions past the end of
        the epoch start again at its beginning; no caller uses them.)

        Args:
            key: typed PRNG key of the run's order, the same at every step.
            step: number of batches before this one.
            batch_size: nominal size, static.
            count: number of examples from the start of the batch, static. None takes `batch_size`.

        Returns:
            float32 [count or batch_size, size, size, channels], in [-1, 1].

        Raises:
            ValueError: if `count` is not in 1..batch_size.
        """
        return normalise(self.dataset.images[self.batch_index(key, step, batch_size, count=count)])

    def batch_index(self, key: Array, step: Array | int, batch_size: int, *, count: int | None = None) -> Array:
        """The indices of the training examples of `batch`.

        Args:
            key: typed PRNG key of the run's order.
            step: number of batches before this one.
            batch_size: nominal size, static.
            count: number of examples from the start of the batch, static. None takes `batch_size`.

        Returns:
            int32 [count or batch_size].
        """
        num_examples = self.dataset.images.shape[0]
        return batch_index(key, step, batch_size, num_examples, self.last_batch, count=count)


def batch_index(
    key: Key[Array, ""],
    step: int | Integer[Array, ""],
    batch_size: int,
    num_examples: int,
    last_batch: Literal["wrap", "short"] = "wrap",
    *,
    count: int | None = None,
) -> Int[Array, "n"]:
    """The indices of the examples of a step's batch; see `ImageSource.batch`.

    Args:
        key: typed PRNG key of the run's order.
        step: number of batches before this one.
        batch_size: nominal size, static.
        num_examples: examples of an epoch, static, 1 to 2**30.
        last_batch: static; see `Images.last_batch`.
        count: number of examples from the start of the batch, static. None takes `batch_size`.

    Returns:
        int32 [count or batch_size], in [0, num_examples).

    Raises:
        ValueError: if `count` is not in 1..batch_size.
    """
    count = batch_size if count is None else count
    if not 1 <= count <= batch_size:
        raise ValueError(f"count is {count}, and must be 1 to the batch size, {batch_size}")
    offset = jnp.arange(count, dtype=jnp.int32)
    if last_batch == "short":
        step = jnp.asarray(step).astype(jnp.int32)
        num_batches = -(-num_examples // batch_size)
        # The product is below n; with the offset it is below 2**31 if n plus the batch size is.
        position = (step % num_batches) * jnp.int32(min(batch_size, num_examples)) + offset
        return permuted_index(key, step // num_batches, position % num_examples, num_examples)
    epoch, start = epoch_and_position(step, batch_size, num_examples)
    position = start + offset
    epoch = epoch + (position // num_examples).astype(jnp.uint32)
    return permuted_index(key, epoch, position % num_examples, num_examples)


def normalise(images: UInt8[Array, "..."]) -> Float[Array, "..."]:
    """Pixels as float32 in [-1, 1]: x / 127.5 - 1, as torchvision's ToTensor and Normalize(0.5, 0.5)."""
    # (2x - 255) / 255: XLA compiles x / 127.5 to a product with a rounded 1 / 127.5, which makes white 1.0000001.
    return (2.0 * images.astype(jnp.float32) - 255.0) / 255.0


@component
class Images:
    """A set of square images, grey or in colour, and the order of its batches.

    `mnist` and `fashion_mnist` have 60,000 training and 10,000 test images of 28x28 (LeCun et al. 1998; Xiao,
    Rasul and Vollgraf, arXiv:1708.07747). `digits` comes with scikit-learn and needs no download: 1,797
    digits of 8x8 (Alpaydin and Kaynak 1998), of which 1,437 are training and 360 test images. Any other name is that of
    a data set at the location, in any layout that `gan_jax.data.layouts` finds. Without a test split, a fixed tenth is
    held out.

    Example:
        >>> Images("digits", image_size=16).load().images.shape
        (1437, 16, 16, 1)
    """

    name: str = setting(default="mnist", doc="mnist, fashion_mnist, digits, or the name of a data set at --data")
    image_size: int = setting(default=32, doc="pixels along a side after resizing: 16, 28, 32 or 64")
    last_batch: Literal["wrap", "short"] = setting(
        default="wrap",
        doc="last batch of an epoch: filled from the next epoch (wrap), or smaller, as in published loaders (short)",
    )
    num_examples: int | None = setting(
        default=None, at_least=1, at_most=MAX_EXAMPLES, doc="number of training examples, the first n; None takes all"
    )
    channels: int = setting(default=1, doc="1 for grey images, 3 for colour")

    def validate(self) -> None:
        prepared.check_name(self.name)
        if self.image_size not in IMAGE_SIZES:
            sizes = ", ".join(map(str, IMAGE_SIZES))
            raise ValueError(f"Images.image_size is {self.image_size}, and must be one of {sizes} (pixels)")
        if self.channels not in (1, 3):
            raise ValueError(f"Images.channels is {self.channels}, and must be 1 (grey) or 3 (colour)")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (height, width, channels)."""
        return (self.image_size, self.image_size, self.channels)

    def load(self, location: Path | str | None = None) -> ImageDataset:
        """Finds, checks and resizes the data set, and puts it on the default device.

        Args:
            location: the folder of the data set, or one that holds it under its name, or a .npz file, or a tfds folder
                with the prepared data set. None takes the environment's `GAN_JAX_DATA` (one of the same), then the
                default tfds folder. `digits` ignores it.

        Returns:
            The data set, in the order of its files or of the stock tfds set; so "the first n" are well defined.

        Raises:
            DataError: if the data set is missing (with the commands that get it), damaged, has other channels, or
                differs from the standard data set of its name.
            ValueError: if `num_examples` is larger than the training set.
        """
        arrays = _with_channels(load_arrays(self.name, location), self.channels, self.name)
        num_train = len(arrays.train_images)
        if self.num_examples is not None and self.num_examples > num_train:
            raise ValueError(
                f"Images.num_examples is {self.num_examples:,}, and must be at most {num_train:,}, "
                f"the number of training examples of {self.name}"
            )
        return to_device(arrays, self.image_size, self.num_examples)

    def source(self, dataset: ImageDataset) -> ImageSource:
        """The sampler of a loaded data set."""
        return ImageSource(dataset, self.last_batch)

    def epoch_size(self, dataset: ImageDataset) -> int | None:
        """Number of examples in an epoch."""
        return dataset.images.shape[0]

    def num_batches_per_epoch(self, dataset: ImageDataset, batch_size: int) -> int:
        """Number of batches that cover the first epoch: n / batch_size, rounded up.

        With `last_batch="short"` these are exactly one epoch. With `"wrap"` the last batch may reach into the next
        epoch. Both count alike, so "epoch 25" is the same number of updates.
        """
        return -(-dataset.images.shape[0] // batch_size)


def to_device(arrays: ImageArrays, image_size: int, num_examples: int | None = None) -> ImageDataset:
    """Resizes images and puts them on the default device.

    Args:
        arrays: the data set in host memory, with any number of channels.
        image_size: pixels along a side.
        num_examples: number of training examples, the first n; None takes all.

    Returns:
        The data set.
    """

    def moved(labels: np.ndarray | None) -> Array | None:
        return None if labels is None else jnp.asarray(labels)

    train, labels = arrays.train_images[:num_examples], arrays.train_labels
    return ImageDataset(
        images=jnp.asarray(resize(train, image_size)),
        labels=moved(labels if labels is None else labels[:num_examples]),
        test_images=jnp.asarray(resize(arrays.test_images, image_size)),
        test_labels=moved(arrays.test_labels),
    )


def _with_channels(arrays: ImageArrays, channels: int, name: str) -> ImageArrays:
    """The arrays with `channels` channels; colour images whose channels are equal count as grey."""
    images, test_images = arrays.train_images, arrays.test_images
    found = images.shape[-1]
    if found == channels:
        return arrays
    if channels == 3:
        raise DataError(f"the images of {name} are grey, and data.channels is 3: set --data.channels 1")
    if not all(np.array_equal(part[..., :1], part[..., c : c + 1]) for part in (images, test_images) for c in (1, 2)):
        raise DataError(f"the images of {name} are in colour, and grey ones are needed: set --data.channels 3 (Images)")
    return arrays._replace(train_images=images[..., :1], test_images=test_images[..., :1])


def fingerprint(dataset: ImageDataset) -> str:
    """The first 16 hex digits of the sha256 of a data set's shapes and content, including the order."""
    digest = hashlib.sha256()
    for part in dataset:
        if part is None:
            continue
        array = np.ascontiguousarray(part)
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()[:16]
