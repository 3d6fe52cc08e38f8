"""Lists the image data sets that can be loaded, and draws one: for `gan-jax data`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data import prepared
from gan_jax.data.found_set import DataError, FoundSet
from gan_jax.data.image_arrays import check_shapes, count_classes
from gan_jax.data.image_files import LOCATION_VARIABLE, how_to_get
from gan_jax.data.images import ImageDataset
from gan_jax.data.layouts import find_sets
from gan_jax.data.places import expanded
from gan_jax.data.standard_sets import STANDARD


class Listed(NamedTuple):
    """A row of `gan-jax data list`.

    Attributes:
        name: as in `Images.name`.
        layout: of its files; "" if there are none that can be read.
        where: the folder in which it was found, or the reason why it cannot be read, or the commands that get it.
        found: whether it was found.
        num_train, num_test: numbers of examples; None if not found. `num_test` is None without a test split.
        image_shape: (height, width, channels) before resizing; None if not found.
        num_classes: of its labels; None if unknown or without labels.
    """

    name: str
    layout: str
    where: str
    found: bool
    num_train: int | None = None
    num_test: int | None = None
    image_shape: tuple[int, ...] | None = None
    num_classes: int | None = None


def listing(location: Path | str | None = None) -> list[Listed]:
    """The data sets that `Images.load(location)` finds, those that it cannot read, and how to get the standard ones.

    It reads headers, descriptions and labels, but no images.

    Args:
        location: as for `Images.load`.

    Returns:
        One row for each data set: the digits, prepared ones, those in files, then the standard ones that are missing.

    Raises:
        DataError: if the location does not exist.
    """
    given = location if location is not None else os.environ.get(LOCATION_VARIABLE)
    roots = [Path(expanded(given))] if given else []
    if location is not None and not roots[0].exists():
        raise DataError(f"--data {location} does not exist: give a folder of data sets, or leave it out")
    rows = [Listed("digits", "in scikit-learn", "scikit-learn", True, 1437, 360, (8, 8, 1), 10)]
    ready = {row.name: row for row in reversed(_readable(roots, explicit=location is not None))}
    rows += [
        Listed(name, "prepared", str(row.path), True, row.num_train, row.num_test, row.image_shape, row.num_classes)
        for name, row in sorted(ready.items())
    ]
    rows += [_row(found) for root in roots for found in find_sets(root)]
    known = {row.name.replace("_", "") for row in rows if row.found}
    missing = [name for name in STANDARD if name.replace("_", "") not in known]
    return rows + [Listed(name, "", how_to_get(name), False) for name in missing]


LISTED_COLUMNS = ("name", "layout", "training", "test", "size", "classes", "where it is, or why not")


def listed_row(row: Listed) -> list[str]:
    """The columns of a row, as text."""
    size = "x".join(map(str, row.image_shape)) if row.image_shape else "-"
    numbers = ["-" if value is None else f"{value:,}" for value in (row.num_train, row.num_test)]
    classes = "-" if row.num_classes is None else f"{row.num_classes:,}"
    return [row.name, row.layout or "-", *numbers, size, classes, row.where]


def _row(found: FoundSet) -> Listed:
    try:
        shapes = check_shapes(found)
        classes = count_classes(found)
    except DataError as error:
        return Listed(found.name, found.layout, " ".join(str(error).split()), False)
    num_test = shapes.num_test or None
    return Listed(
        found.name, found.layout, str(found.path), True, shapes.num_train, num_test, shapes.image_shape, classes
    )


def _readable(roots: list[Path], *, explicit: bool) -> list[prepared.Prepared]:
    listed = [row for root in roots for row in prepared.list_prepared(root)]
    if not explicit:
        listed += prepared.list_prepared()
    return [row for row in listed if row.readable]


def show_grid(dataset: ImageDataset, path: Path | str, rows: int = 8, columns: int = 8) -> None:
    """Saves the first training images with their labels if there are any, as a PNG.

    Args:
        dataset: its first `rows * columns` training images are shown, or all if there are fewer.
        path: the PNG file to write.
        rows: rows of the grid.
        columns: columns of the grid.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    num = min(rows * columns, dataset.images.shape[0])
    images = np.asarray(dataset.images[:num])
    labels: Any = [] if dataset.labels is None else np.asarray(dataset.labels[:num])
    figure = Figure(figsize=(columns, 1.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, axis in enumerate(axes.flat):
        axis.axis("off")
        if index < num:
            image = images[index]
            axis.imshow(image[:, :, 0] if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
            axis.set_title(str(labels[index]) if len(labels) else "", fontsize=9)
    figure.savefig(path, format="png", dpi=100)
