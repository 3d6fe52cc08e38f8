"""Encoded pictures (PNG, JPEG, ...) as arrays, decoded by Pillow."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from gan_jax.data.found_set import DataError

_GREY = ("1", "L")
_COLOUR = ("RGB", "RGBA", "LA", "PA", "P", "CMYK", "YCbCr", "HSV", "LAB")


class Picture(NamedTuple):
    """An encoded picture.

    Attributes:
        source: the file or folder, for messages.
        content: a file, or a function that returns the encoded bytes.
    """

    source: str
    content: Path | Callable[[], bytes]


def picture_shape(picture: Picture) -> tuple[int, int, int]:
    """(height, width, channels) of a picture, from its header.

    Raises:
        DataError: if it is damaged, or does not have 8-bit pixels.
    """
    with _opened(picture) as image:
        width, height = image.size
        return height, width, 1 if image.mode in _GREY else 3


def read_pictures(pictures: list[Picture]) -> UInt8[np.ndarray, "n height width c"]:
    """Decodes pictures of one size: grey if all are grey, else in colour.

    Args:
        pictures: at least one.

    Returns:
        uint8 [n, height, width, 1 or 3].

    Raises:
        DataError: if one is damaged, transparent, or of another size than the first.
    """
    shapes = [picture_shape(picture) for picture in pictures]
    for picture, shape in zip(pictures, shapes, strict=True):
        if shape[:2] != shapes[0][:2]:
            raise DataError(
                f"{picture.source} is {shape[0]}x{shape[1]}, and {pictures[0].source} {shapes[0][0]}x{shapes[0][1]}: "
                "give all pictures one size."
            )
    channels = max(shape[2] for shape in shapes)
    pixels = np.empty((len(pictures), *shapes[0][:2], channels), np.uint8)
    for index, picture in enumerate(pictures):
        with _opened(picture) as image:
            transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            if transparent and image.convert("RGBA").getextrema()[3][0] < 255:
                raise DataError(f"{picture.source} is transparent: flatten it onto a background.")
            decoded = np.asarray(image.convert("L" if channels == 1 else "RGB"))
        pixels[index] = decoded.reshape(pixels.shape[1:])
    return pixels


@contextmanager
def _opened(picture: Picture) -> Iterator[Any]:
    from PIL import Image

    try:
        content = picture.content if isinstance(picture.content, Path) else io.BytesIO(picture.content())
        with Image.open(content) as image:
            if image.mode not in (*_GREY, *_COLOUR):
                raise DataError(f"{picture.source} has pixels of mode {image.mode}: save it with 8 bits a channel.")
            yield image
    except DataError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        reason = str(error).split(" '")[0] or type(error).__name__
        raise DataError(f"{picture.source} cannot be read as a picture: {reason}. Fetch or copy it again.") from None
