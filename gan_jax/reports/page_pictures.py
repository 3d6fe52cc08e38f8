"""Pictures inside the page: as they are where they fit, smaller where they do not; frames over time with a slider."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

_ENCODED = 4 / 3  # base64
_MOST = 40
_WIDTH = 720
_END_OF_PNG = b"IEND\xaeB`\x82"


class Frame(NamedTuple):
    """A picture of a film.

    Attributes:
        picture: the PNG file's bytes, when asked for; None if they cannot be read.
        said: what it shows, in a few words: "step 500: healthy".
    """

    picture: Callable[[], bytes | None]
    said: str


def read_png(path: Path) -> bytes | None:
    """A PNG file's bytes; None if it is missing, or not written to its end."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    return data if data.endswith(_END_OF_PNG) else None


def picture_uri(png: bytes, room: float) -> str:
    """A picture as an address that holds it, of at most about `room` bytes: a JPEG where the PNG is larger."""
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
    """At most `most` of the indices below `num`, evenly spaced, the first and the last among them.

    Example:
        >>> spread(10, 4)
        [0, 3, 6, 9]
    """
    if num <= most:
        return list(range(num))
    return [num - 1] if most < 2 else [round(i * (num - 1) / (most - 1)) for i in range(most)]


def fit(frames: Sequence[Frame], room: float) -> list[tuple[str, str]]:
    """As many frames as the room (bytes of the page) holds, as (address, what it shows); PNG where all of 40 fit."""
    for most, small in ((_MOST, False), (_MOST, True), (24, True), (12, True), (6, True), (2, True), (1, True)):
        chosen = [(frames[index].picture(), frames[index].said) for index in spread(len(frames), most)]
        data = [(as_jpeg(png) if small else png, said) for png, said in chosen if png is not None]
        if sum(len(picture) for picture, _ in data) * _ENCODED <= room:
            kind = "jpeg" if small else "png"
            return [(f"data:image/{kind};base64,{base64.b64encode(part).decode()}", said) for part, said in data]
    return []


def fit_all(pictures: Sequence[Path], room: float) -> list[str] | None:
    """All of some PNG files as addresses that hold them, smaller where that is needed; None if they do not fit.

    A file that cannot be read is left empty.
    """
    data = [read_png(path) for path in pictures]
    for width in (None, _WIDTH, 360, 180):
        small = [png if png is None or width is None else as_jpeg(png, width) for png in data]
        if sum(len(part or b"") for part in small) * _ENCODED <= room:
            kind = "png" if width is None else "jpeg"
            return [f"data:image/{kind};base64,{base64.b64encode(part).decode()}" if part else "" for part in small]
    return None


def slider(frames: Sequence[Frame], name: str, what: str, room: float, marks: Sequence[tuple[str, int]] = ()) -> str:
    """Frames over time, the last one shown; a slider, a button that plays them, and buttons for those that matter.

    Args:
        frames: in order.
        name: its id within the page.
        what: is shown, for the pictures' texts: "samples".
        room: bytes of the page that they may take.
        marks: (the button's text, index into `frames`).
    """
    shown = fit(frames, room)
    if not shown:
        return ""
    last = len(shown) - 1
    images = "".join(
        f'<img class="plate" {"" if index == last else "hidden "}alt="{html.escape(f"{what} at {said}")}" '
        f'data-said="{html.escape(said)}" src="{uri}">'
        for index, (uri, said) in enumerate(shown)
    )
    said = html.escape(shown[-1][1])
    output = f'<output class="said">{said}</output>'
    controls = ""
    if last:
        at = {words: index for index, (_, words) in enumerate(shown)}
        buttons = "".join(
            f'<button type="button" data-frame="{at[frames[index].said]}">{html.escape(text)}</button>'
            for text, index in marks
            if frames[index].said in at
        )
        controls = (
            '<div class="controls" hidden><button type="button" class="play">Play</button>'
            f'<input type="range" id="{name}-range" min="0" max="{last}" step="1" value="{last}" '
            f'aria-label="{html.escape(what)}: step of training" aria-valuetext="{said}">{buttons}</div>'
        )
    left_out = len(frames) - len(shown)
    note = f'<p class="note">{len(shown)} of {len(frames)} pictures; the others are in the folder.</p>'
    return f'<div class="frames" id="{name}">{images}{output}{controls}</div>{note if left_out else ""}'
