"""Pictures of successive checkpoints: frames for the report's slider, and a GIF."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

FRAME_MS, LAST_FRAME_MS = 350, 1800
"""Durations of a frame of the film, and of its last frame, in milliseconds."""


def picture(figure: Any, dpi: int = 80) -> Image.Image:
    """A figure as a picture with at most 256 colours, which is the limit of a GIF and makes a PNG small."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    buffer.seek(0)
    return Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)


def keep_frames(run: Path, name: str, steps: Sequence[int], frames: Sequence[Image.Image]) -> list[str]:
    """Writes frames into RUN/diagnosis/NAME, in place of older ones.

    Args:
        run: folder of the run.
        name: the name of the folder of the frames.
        steps: training step of each frame.
        frames: the pictures, one per step.

    Returns:
        The files, relative to the run's folder.
    """
    folder = run / "diagnosis" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files = [folder / f"step_{step:08d}.png" for step in steps]
    for path, frame in zip(files, frames, strict=True):
        frame.save(path, optimize=True)
    return [str(path.relative_to(run)) for path in files]


def write_film(path: str | Path, frames: Sequence[Image.Image]) -> None:
    """Writes frames of the same size as a GIF that repeats for ever.

    Raises:
        ValueError: if there is no frame.
    """
    if not frames:
        raise ValueError("a film needs at least one frame: give some frames")
    durations = [FRAME_MS] * (len(frames) - 1) + [LAST_FRAME_MS]
    frames[0].save(path, save_all=True, append_images=list(frames[1:]), duration=durations, loop=0)
