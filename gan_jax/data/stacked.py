"""Stacked images: three independently drawn grey images are the channels of one, so 10 classes make 1,000 modes.

A stacked image is stored as three indices, one for the pool image in each channel. The pixels stay the single-channel
uint8 arrays of `images.ImageDataset`, from which the traced step gathers a batch.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, arXiv 1611.02163, section 3.3.1: drawn on the
        fly from the training set.
    A. Srivastava et al., "VEEGAN", NeurIPS 2017, arXiv 1705.07761, section 5.2; Z. Lin et al., "PacGAN", NeurIPS 2018,
        arXiv 1712.04086, section 4.2, whose code fixes 128,000 stacked images of the training and the test set.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Int, Key, Num

from gan_jax.data import prepared
from gan_jax.data.epochs import MAX_EXAMPLES
from gan_jax.data.found_set import DataError
from gan_jax.data.image_arrays import NUM_CLASSES
from gan_jax.data.images import IMAGE_SIZES, ImageDataset, Images, batch_index, normalise
from gan_jax.experiment.component import component, setting

NUM_CHANNELS = 3
NUM_MODES = NUM_CLASSES**NUM_CHANNELS

StackingProtocol = Literal["fresh", "fixed"]


def stack_channels(images: Num[Array, "n size size 1"], triples: Int[Array, "b 3"]) -> Num[Array, "b size size 3"]:
    """Stacked images of a pool: [n, size, size, 1] and indices [b, 3] -> [b, size, size, 3], of the pool's dtype."""
    return jnp.moveaxis(images[triples][..., 0], 1, -1)


def draw_triples(key: Key[Array, ""], num: int, num_images: int) -> Int[Array, "b 3"]:
    """Draws the three channels of stacked images, independently, uniformly and with replacement.

    Args:
        key: typed PRNG key.
        num: number of stacked images.
        num_images: number of images in the pool.

    Returns:
        int32 [num, 3], in 0..num_images-1.
    """
    return jax.random.randint(key, (num, NUM_CHANNELS), 0, num_images)


def fixed_triples(seed: int, index: Int[Array, "b"], num_images: int) -> Int[Array, "b 3"]:
    """The pool images of some stacked images of the fixed set.

    It is a function of (seed, index) alone, so the set needs neither a table nor the run's key.

    Args:
        seed: of the fixed set.
        index: [b] indices of stacked images in the fixed set.
        num_images: number of images in the pool.

    Returns:
        int32 [b, 3], in 0..num_images-1.
    """
    # The generator is named, so that another default generator gives the same set.
    key = jax.random.key(seed, impl="threefry2x32")
    return jax.vmap(lambda i: draw_triples(jax.random.fold_in(key, i), 1, num_images)[0])(index)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class StackedSource:
    """Batches of stacked images.

    Attributes:
        dataset: its `images` are the pool from which channels are drawn.
        protocol: static; see `StackedImages`.
        num_stacked: static; size of the fixed set.
        triples_seed: static; seed of the fixed set.
    """

    dataset: ImageDataset
    protocol: StackingProtocol = dataclasses.field(default="fresh", metadata={"static": True})
    num_stacked: int = dataclasses.field(default=128_000, metadata={"static": True})
    triples_seed: int = dataclasses.field(default=0, metadata={"static": True})

    def sample(self, key: Array, num: int) -> Array:
        """`num` independent stacked images, float32 [num, size, size, 3] in [-1, 1]; "fixed" draws from its set."""
        if self.protocol == "fresh":
            return self._show(draw_triples(key, num, self.dataset.images.shape[0]))
        return self._show(self.triples(jax.random.randint(key, (num,), 0, self.num_stacked)))

    def batch(self, key: Array, step: Array | int, batch_size: int, *, count: int | None = None) -> Array:
        """The training batch of a step: new draws, or for "fixed" the next stacked images of endless shuffled epochs.

        Args:
            key: typed PRNG key of the run's order, the same at every step.
            step: number of batches before this one.
            batch_size: nominal size, static.
            count: number of examples from the start of the batch, static. None takes `batch_size`.

        Returns:
            float32 [count or batch_size, size, size, 3], in [-1, 1].

        Raises:
            ValueError: if `count` is not in 1..batch_size.
        """
        return self._show(self.batch_triples(key, step, batch_size, count=count))

    def batch_triples(self, key: Array, step: Array | int, batch_size: int, *, count: int | None = None) -> Array:
        """The pool images of `batch`.

        Args:
            key: typed PRNG key of the run's order.
            step: number of batches before this one.
            batch_size: nominal size, static.
            count: number of examples from the start of the batch, static. None takes `batch_size`.

        Returns:
            int32 [count or batch_size, 3].

        Raises:
            ValueError: if `count` is not in 1..batch_size.
        """
        if self.protocol == "fixed":
            return self.triples(batch_index(key, step, batch_size, self.num_stacked, count=count))
        if count is not None and not 1 <= count <= batch_size:
            raise ValueError(f"count is {count}, and must be 1 to the batch size, {batch_size}")
        # The whole batch is drawn and cut, so that a smaller `count` gives the start of the batch, as with epochs.
        return draw_triples(jax.random.fold_in(key, step), batch_size, self.dataset.images.shape[0])[:count]

    def triples(self, index: Array) -> Array:
        """The pool images of the fixed set's stacked images `index` [b]: int32 [b, 3]."""
        return fixed_triples(self.triples_seed, index, self.dataset.images.shape[0])

    def _show(self, triples: Array) -> Array:
        return normalise(stack_channels(self.dataset.images, triples))


@component
class StackedImages:
    """Stacked MNIST, or stacks of any other grey images with ten classes: 1,000 modes.

    `protocol="fresh"` (unrolled GAN; PacGAN's comparison with it) draws every stacked image anew from the training set,
    without epochs. `"fixed"` (VEEGAN; PacGAN's comparison with it) draws `num_stacked` of them once from training and
    test set together, and iterates over these in epochs. The set depends on `triples_seed` and not on the run's key.

    Example:
        >>> data = StackedImages("digits", image_size=16)
        >>> data.source(data.load()).sample(jax.random.key(0), 5).shape
        (5, 16, 16, 3)
    """

    name: str = setting(default="mnist", doc="mnist, fashion_mnist, digits, or the name of a data set at --data")
    image_size: int = setting(default=28, doc="pixels along a side after resizing: 16, 28, 32 or 64")
    protocol: StackingProtocol = setting(
        default="fresh", doc="new draws from the training set (fresh), or a fixed set in epochs"
    )
    num_stacked: int = setting(default=128_000, at_least=1, at_most=MAX_EXAMPLES, doc="stacked images in the fixed set")
    triples_seed: int = setting(
        default=0, at_least=0, below=2**31, doc="seed of the fixed set, part of the data and not of the run"
    )

    def validate(self) -> None:
        prepared.check_name(self.name)
        if self.image_size not in IMAGE_SIZES:
            sizes = ", ".join(map(str, IMAGE_SIZES))
            raise ValueError(f"StackedImages.image_size is {self.image_size}, and must be one of {sizes} (pixels)")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one stacked image: (height, width, 3)."""
        return (self.image_size, self.image_size, NUM_CHANNELS)

    @property
    def num_modes(self) -> int:
        """Number of triples of classes."""
        return NUM_MODES

    def load(self, location: Path | str | None = None) -> ImageDataset:
        """Finds, checks and resizes the single images, and puts them on the default device; see `Images.load`.

        Returns:
            `images` and `labels` are the pool: the training images, followed by the test images for "fixed".
            `test_images` are the test images alone, on which the classifier is validated.

        Raises:
            DataError: if the data set is missing, damaged, without labels, of more than ten classes, or differs from
                the standard data set of its name.
        """
        single = Images(name=self.name, image_size=self.image_size).load(location)
        if single.labels is None or single.test_labels is None or int(single.labels.max()) >= NUM_CLASSES:
            raise DataError(
                f"StackedImages takes labelled images of {NUM_CLASSES} classes at most, and {self.name} has "
                f"{'no labels' if single.labels is None else f'{int(single.labels.max()) + 1} classes'}: use Images"
            )
        if self.protocol == "fresh":
            return single
        return single._replace(
            images=jnp.concatenate([single.images, single.test_images]),
            labels=jnp.concatenate([single.labels, single.test_labels]),
        )

    def source(self, dataset: ImageDataset) -> StackedSource:
        """The sampler of a loaded data set."""
        return StackedSource(dataset, self.protocol, self.num_stacked, self.triples_seed)

    def epoch_size(self, dataset: ImageDataset) -> int | None:
        """Number of stacked images in an epoch; None if there are no epochs."""
        return self.num_stacked if self.protocol == "fixed" else None


ImageData = Images | StackedImages
"""Data that are read from image files; they have a name, an image size, a fingerprint and perhaps epochs."""
