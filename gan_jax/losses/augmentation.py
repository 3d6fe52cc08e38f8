"""Differentiable augmentations of all images that D sees, real and fake; G learns through them.

D never sees an unchanged image, so it memorises less of the training set. G is not drawn to make augmented images,
because its images are augmented in the same way before D scores them. The augmentations of `discriminator.augment` are
applied in order, each with its own random draw for each image and each loss.

References:
    S. Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020, arXiv 2006.10738,
        equations 7 and 8.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key

from gan_jax.experiment.component import component, setting


@runtime_checkable
class Augmentation(Protocol):
    """A random, differentiable change of one image."""

    def __call__(self, image: Array, key: Array) -> Array:
        """[height, width, channels] -> the same shape."""
        ...


@component
class Translation:
    """Moves the image by a whole number of pixels along each axis, uniform on -m..m with m = round(share * size).

    Pixels that enter at the border repeat the edge, or are 0 ("zero", as published). In data in [-1, 1] the value 0 is
    grey: on digits, whose background is black, a grey bar would show D how far an image was moved.

    Example:
        >>> image = jnp.tile(jnp.arange(4.0)[:, None], (4, 1, 1))  # every row is 0, 1, 2, 3
        >>> Translation(share=0.25)(image, jax.random.key(0))[0, :, 0].tolist()
        [1.0, 2.0, 3.0, 3.0]

    References:
        S. Zhao et al., arXiv 2006.10738, section 4: a share of 1/8.
    """

    share: float = setting(default=0.125, at_least=0, at_most=1, doc="largest shift over the image's size")
    border: Literal["edge", "zero"] = setting(
        default="edge", doc="pixels that enter: the edge repeated, or zeros as published"
    )

    def __call__(self, image: Array, key: Array) -> Array:
        rows, columns = (self._moved(size, k) for size, k in zip(image.shape[:2], jax.random.split(key), strict=True))
        # Products with matrices of zeros and ones, whose derivatives are products again; exact in full precision.
        highest = jax.lax.Precision.HIGHEST
        rows, columns = rows.astype(image.dtype), columns.astype(image.dtype)
        return jnp.einsum("ij,jkc,lk->ilc", rows, image, columns, precision=highest)

    def _moved(self, size: int, key: Array) -> Array:
        """[size, size], 1 where a new position (row) takes an old one (column)."""
        largest = _round(self.share * size)
        old = jnp.arange(size) - (_whole(key, 2 * largest + 1) - largest)
        if self.border == "edge":
            old = jnp.clip(old, 0, size - 1)
        return old[:, None] == jnp.arange(size)[None]


@component
class Flip:
    """Mirrors the image left to right. It is not for digits and letters, whose meaning it changes.

    Example:
        >>> row = jnp.arange(4.0).reshape(1, 4, 1)
        >>> Flip(probability=1.0)(row, jax.random.key(0))[0, :, 0].tolist()
        [3.0, 2.0, 1.0, 0.0]
    """

    probability: float = setting(default=0.5, at_least=0, at_most=1, doc="share of the images that are mirrored")

    def __call__(self, image: Array, key: Array) -> Array:
        return jnp.where(jax.random.uniform(key) < self.probability, image[:, ::-1], image)


@component
class Cutout:
    """Sets a square of side round(share * size) to 0. Its centre is uniform on the image; it may cross the border.

    Example:
        >>> Cutout(share=0.5)(jnp.ones((4, 4, 1)), jax.random.key(1))[..., 0].astype(int).tolist()
        [[1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1]]

    References:
        T. DeVries, G. W. Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout", arXiv
            1708.04552, section 3.2; S. Zhao et al., arXiv 2006.10738, section 4: a share of 1/2.
    """

    share: float = setting(default=0.5, at_least=0, at_most=1, doc="side of the square over the image's size")

    def __call__(self, image: Array, key: Array) -> Array:
        cut = [self._cut(size, k) for size, k in zip(image.shape[:2], jax.random.split(key), strict=True)]
        return jnp.where((cut[0][:, None] & cut[1][None])[..., None], jnp.zeros((), image.dtype), image)

    def _cut(self, size: int, key: Array) -> Array:
        """[size] whether a row (or a column) belongs to the square."""
        side = _round(self.share * size)
        # One more centre for even sides, as published, so that both ends are alike.
        first = _whole(key, size + 1 - side % 2) - side // 2
        position = jnp.arange(size)
        return (position >= first) & (position < first + side)


AUGMENTATIONS = (Translation, Flip, Cutout)


def augmented(
    augmentations: tuple[Augmentation, ...], images: Float[Array, "n height width channels"], keys: Key[Array, "n"]
) -> Float[Array, "n height width channels"]:
    """Applies all augmentations in order to every image.

    Args:
        augmentations: in order of application.
        images: [n, height, width, channels].
        keys: [n] typed PRNG keys, one for each image.

    Returns:
        Images of the same shape and dtype.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> images = jnp.arange(32.0).reshape(2, 4, 4, 1)
        >>> augmented((Flip(probability=1.0),), images, jax.random.split(jax.random.key(0), 2))[0, 0, :, 0].tolist()
        [3.0, 2.0, 1.0, 0.0]
    """

    def change(image: Array, key: Array) -> Array:
        for index, augmentation in enumerate(augmentations):
            image = augmentation(image, jax.random.fold_in(key, index))
        return image

    return jax.vmap(change)(images, keys)


def check_augmentations(augmentations: tuple[Augmentation, ...], shape: tuple[int, ...]) -> None:
    """Checks that data can be augmented.

    Raises:
        ValueError: if there are augmentations and the data are not images.
    """
    if augmentations and len(shape) != 3:
        what = type(augmentations[0]).__name__
        raise ValueError(
            f"discriminator.augment has {what}, which changes images, and the data are vectors of {shape[0]} numbers: "
            "leave it out, or use instance_noise"
        )


def _round(value: float | Array) -> Array:
    return jnp.floor(jnp.asarray(value) + 0.5)


def _whole(key: Array, num: Array) -> Array:
    """A whole number, uniform on 0..num-1; num may be traced."""
    # In float32 a uniform number may be so close to 1 that the product rounds up to num.
    return jnp.minimum(jnp.floor(jax.random.uniform(key) * num), num - 1)
