"""Pictures inside a page, made smaller if they would not fit, and frames over time with a slider."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from gan_jax.reports.html_parts import render_template

_ENCODED = 4 / 3  # base64
_MAX_FRAMES = 40
_WIDTH = 720
_END_OF_PNG = b"IEND\xaeB`\x82"


class Frame(NamedTuple):
    """A picture of a film.

    Attributes:
        picture: returns the bytes of the PNG file; None if they cannot be read.
        caption: a few words on what it shows, such as "step 500: healthy".
    """

    picture: Callable[[], bytes | None]
    caption: str


def read_png(path: Path) -> bytes | None:
    """The bytes of a PNG file; None if it is missing or incomplete."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if data.endswith(_END_OF_PNG) else None


def picture_uri(png: bytes, room: float) -> str:
    """A picture as a data URI of at most about `room` bytes; a JPEG if the PNG is larger."""
    for encode in (lambda: png, *(lambda width=width: as_jpeg(png, width) for width in (_WIDTH, 360, 180))):
        data = encode()
        if len(data) * _ENCODED <= room:
            break
    kind = "png" if data is png else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def as_jpeg(png: bytes, width: int = _WIDTH) -> bytes:
    """A picture as JPEG on white, at most `width` pixels wide."""
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGBA")
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    opaque = ground.convert("RGB")
    opaque.thumbnail((width, 4 * width))
    buffer = io.BytesIO()
    opaque.save(buffer, format="jpeg", quality=82, optimize=True)
    return buffer.getvalue()


def spread(num: int, most: int) -> list[int]:
    """At most `most` of the indices below `num`, evenly spaced and including the first and the last.

    Example:
        >>> spread(10, 4)
        [0, 3, 6, 9]
    """
    if num <= most:
        return list(range(num))
    return [num - 1] if most < 2 else [round(i * (num - 1) / (most - 1)) for i in range(most)]


def fit(frames: Sequence[Frame], room: float) -> list[tuple[str, str]]:
    """As many frames as fit into `room` bytes, as (data URI, caption); PNG files if up to 40 of them fit."""
    for most, small in (
        (_MAX_FRAMES, False),
        (_MAX_FRAMES, True),
        (24, True),
        (12, True),
        (6, True),
        (2, True),
        (1, True),
    ):
        chosen = [(frames[index].picture(), frames[index].caption) for index in spread(len(frames), most)]
        data = [(as_jpeg(png) if small else png, caption) for png, caption in chosen if png is not None]
        if sum(len(picture) for picture, _ in data) * _ENCODED <= room:
            kind = "jpeg" if small else "png"
            return [(f"data:image/{kind};base64,{base64.b64encode(part).decode()}", caption) for part, caption in data]
    return []


def fit_all(pictures: Sequence[Path], room: float) -> list[str] | None:
    """PNG files as data URIs, made smaller if necessary; None if they do not fit into `room` bytes.

    The URI of a file that cannot be read is empty.
    """
    data = [read_png(path) for path in pictures]
    for width in (None, _WIDTH, 360, 180):
        small = [png if png is None or width is None else as_jpeg(png, width) for png in data]
        if sum(len(part or b"") for part in small) * _ENCODED <= room:
            kind = "png" if width is None else "jpeg"
            return [f"data:image/{kind};base64,{base64.b64encode(part).decode()}" if part else "" for part in small]
    return None


def slider(
    frames: Sequence[Frame], name: str, subject: str, room: float, marks: Sequence[tuple[str, int]] = ()
) -> Markup:
    """Frames over time, the last one visible, with a slider, a button that plays them, and buttons for some of them.

    Args:
        frames: the frames, in order of time.
        name: id of the element within the page.
        subject: what the frames show, such as "samples", for their alternative texts.
        room: bytes of the page that the frames may take; if they do not fit, fewer and smaller ones are shown.
        marks: buttons for single frames: (text of the button, index into `frames`).

    Returns:
        HTML; empty if no frame can be read.
    """
    shown = fit(frames, room)
    if not shown:
        return Markup()
    at = {caption: index for index, (_, caption) in enumerate(shown)}
    return render_template(
        "frames",
        frames=shown,
        name=name,
        subject=subject,
        marks=[(text, at[frames[index].caption]) for text, index in marks if frames[index].caption in at],
        num_pictures=len(frames),
    )
