"""Pictures of samples: grids of images, scatters over the real modes, histograms of one-dimensional data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from gan_jax.reports.figures import FAKE, REAL, new_figure, plain_text

_MAX_POINTS = 1500
_SEPARATOR = 64
"""Grey level of the lines between the images of a grid."""


def image_grid(images: np.ndarray, columns: int = 8, scale: int | None = None) -> Image.Image:
    """Images as one picture, row by row, with a line of one pixel between neighbours.

    Args:
        images: [n, height, width, channels] in [-1, 1], with 1 or 3 channels; values outside are clipped, NaN is grey.
        columns: images in a row.
        scale: pixels of the picture for a pixel of an image; None for a picture about 512 pixels wide.

    Returns:
        A grey or an RGB picture.
    """
    pixels = np.asarray(np.rint((np.nan_to_num(np.clip(images, -1, 1)) + 1) * 127.5), np.uint8)
    num, height, width, channels = pixels.shape
    rows = -(-num // columns)
    canvas = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1, channels), _SEPARATOR, np.uint8)
    for index, image in enumerate(pixels):
        top, left = (index // columns) * (height + 1), (index % columns) * (width + 1)
        canvas[top : top + height, left : left + width] = image
    picture = Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
    factor = scale or max(1, 512 // picture.width)
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)


def picture_samples(path: Path, source: Any, samples: np.ndarray, title: str, unit: str = "") -> None:
    """Writes a picture of samples beside their data: a grid of 64 images, a scatter, or a histogram.

    Args:
        path: the file, whose ending determines the format.
        source: the source of the data; mixtures have `modes` [modes, dim], `std` [modes], `weights` [modes] and
            `noisy` [dim].
        samples: [n, height, width, channels] in [-1, 1], or [n, dim], of which the first two coordinates are drawn.
        title: title of a scatter or a histogram; `$` has no special meaning in it.
        unit: the unit of the numbers of a histogram; "" for none.
    """
    samples = np.asarray(samples)
    if samples.ndim == 4:
        image_grid(samples[:64]).save(path)
        return
    figure = new_figure(4.6, 4.6)
    axes = figure.add_subplot()
    axes.set_title(plain_text(title), fontsize=10)
    modes, std, weights = (np.asarray(part) for part in (source.modes, source.std, source.weights))
    noisy = np.asarray(getattr(source, "noisy", np.ones(modes.shape[1])))
    if modes.shape[1] > 1:
        _scatter(axes, modes, std, samples)
    else:
        _histogram(axes, modes[:, 0], std, samples[:, 0], unit)
        if noisy[0]:
            _density(axes, modes[:, 0], std, weights)
        else:
            draw_points(axes, modes[:, 0])
    axes.legend(loc="upper right", fontsize=8, framealpha=0.9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path)


def _scatter(axes: Any, modes: np.ndarray, std: np.ndarray, samples: np.ndarray) -> None:
    from matplotlib.collections import EllipseCollection

    span = 1.35 * float(np.abs(modes[:, :2]).max() + 3 * std.max())
    shown = samples[:_MAX_POINTS, :2]
    axes.plot(modes[:, 0], modes[:, 1], "+", color=REAL, markersize=9, label="real modes")
    circles = EllipseCollection(
        6 * std, 6 * std, np.zeros(len(std)), units="xy", offsets=modes[:, :2], transOffset=axes.transData
    )
    circles.set(facecolor="none", edgecolor=REAL, linewidth=0.8)
    axes.add_collection(circles)
    label = "fakes" + outside_note(shown, np.full(2, -span), np.full(2, span))
    axes.plot(shown[:, 0], shown[:, 1], ".", color=FAKE, markersize=3, alpha=0.5, label=label)
    axes.set(xlim=(-span, span), ylim=(-span, span), aspect="equal")


def outside_note(points: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """The share of points outside a box, in brackets for a legend; empty up to 0.5 %.

    Args:
        points: [n, dim]; those that are not finite count as outside.
        low: [dim] corner of the box.
        high: [dim] opposite corner.

    Returns:
        A text such as " (12% outside)".

    Example:
        >>> outside_note(np.array([[0.0], [1.0], [9.0], [np.nan]]), np.array([-2.0]), np.array([2.0]))
        ' (50% outside)'
    """
    outside = 1 - np.mean(np.all((points >= low) & (points <= high), axis=1)) if len(points) else 0.0
    return f" ({outside:.0%} outside)" if outside > 0.005 else ""


def draw_points(axes: Any, points: np.ndarray) -> None:
    """Real data that are points without noise, as lines over the axis of numbers.

    Args:
        axes: the matplotlib axes to draw on.
        points: [n].
    """
    for index, point in enumerate(points):
        axes.axvline(point, color=REAL, label="real point" if index == 0 else None)


def _histogram(axes: Any, modes: np.ndarray, std: np.ndarray, samples: np.ndarray, unit: str) -> None:
    low, high = _range(modes, std)
    shown = np.clip(samples[~np.isnan(samples)], low, high)
    # Without a sample there is no density; the counts are then all 0.
    axes.hist(shown, bins=80, range=(low, high), density=len(shown) > 0, color=FAKE, alpha=0.6, label="fakes")
    axes.set(xlim=(low, high), xlabel=unit or "value", ylabel="density")


def _density(axes: Any, modes: np.ndarray, std: np.ndarray, weights: np.ndarray) -> None:
    grid = np.linspace(*_range(modes, std), 400)
    scaled = (grid[:, None] - modes[None]) / std
    density = (weights / (std * np.sqrt(2 * np.pi)) * np.exp(-0.5 * scaled**2)).sum(axis=1)
    axes.plot(grid, density, color=REAL, label="real density")


def _range(modes: np.ndarray, std: np.ndarray) -> tuple[float, float]:
    return float(modes.min() - 6 * std.max()), float(modes.max() + 6 * std.max())
