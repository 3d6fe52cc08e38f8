"""Pictures of samples: grids of images, scatters over the real modes, histograms of one-dimensional data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_jax.data.mixtures import MixtureSource

REAL, FAKE = "#2a78d6", "#e8590c"


def image_grid(images: np.ndarray, columns: int = 8, scale: int | None = None) -> Image.Image:
    """Images [n, h, w, c] in [-1, 1], with c 1 or 3, as one picture with a pixel between neighbours."""
    pixels = np.asarray(np.rint((np.nan_to_num(np.clip(images, -1, 1)) + 1) * 127.5), np.uint8)
    num, height, width, channels = pixels.shape
    rows = -(-num // columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), 64, np.uint8)
    for index, image in enumerate(pixels):
        top, left = (index // columns) * (height + 1), (index % columns) * (width + 1)
        canvas[top : top + height, left : left + width] = image
    picture = Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
    factor = scale or max(1, 512 // picture.width)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def picture_samples(path: Path, source: Any, samples: np.ndarray, title: str) -> None:
    """Writes the picture that suits the data: a grid of 64, a scatter, a histogram, or the first two coordinates."""
    samples = np.asarray(samples)
    if samples.ndim == 4:
        image_grid(samples[:64]).save(path)
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.6), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=10)
    modes, std, weights = (np.asarray(part) for part in (source.modes, source.std, source.weights))
    if modes.shape[1] == 1:
        _histogram(axes, modes[:, 0], std, weights, samples[:, 0])
    else:
        _scatter(axes, source, modes, std, samples)
    axes.legend(loc="upper right", fontsize=8, framealpha=0.9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path)


def _scatter(axes: Any, source: MixtureSource, modes: np.ndarray, std: np.ndarray, samples: np.ndarray) -> None:
    from matplotlib.collections import EllipseCollection

    span = 1.35 * float(np.abs(modes[:, :2]).max() + 3 * std.max())
    shown = samples[:1500, :2]
    outside = 1 - np.mean(np.all(np.abs(shown) <= span, axis=1))
    axes.plot(modes[:, 0], modes[:, 1], "+", color=REAL, markersize=9, label="real modes")
    circles = EllipseCollection(
        6 * std, 6 * std, np.zeros(len(std)), units="xy", offsets=modes[:, :2], transOffset=axes.transData
    )
    circles.set(facecolor="none", edgecolor=REAL, linewidth=0.8)
    axes.add_collection(circles)
    label = "fakes" + (f" ({outside:.0%} outside)" if outside > 0.005 else "")
    axes.plot(shown[:, 0], shown[:, 1], ".", color=FAKE, markersize=3, alpha=0.5, label=label)
    axes.set(xlim=(-span, span), ylim=(-span, span), aspect="equal")


def _histogram(axes: Any, modes: np.ndarray, std: np.ndarray, weights: np.ndarray, samples: np.ndarray) -> None:
    low, high = modes.min() - 6 * std.max(), modes.max() + 6 * std.max()
    grid = np.linspace(low, high, 400)
    scaled = (grid[:, None] - modes[None]) / std
    density = (weights / (std * np.sqrt(2 * np.pi)) * np.exp(-0.5 * scaled**2)).sum(axis=1)
    axes.plot(grid, density, color=REAL, label="real density")
    axes.hist(
        np.clip(samples, low, high), bins=80, range=(low, high), density=True, color=FAKE, alpha=0.6, label="fakes"
    )
    axes.set(xlim=(low, high), xlabel="degrees Celsius", ylabel="density")
