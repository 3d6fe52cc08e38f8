"""Lists the image data sets that can be loaded, and draws one: for `gan-jax data`."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data import prepared
from gan_jax.data.idx import DataError, find_idx_files, has_idx_files, read_idx_header
from gan_jax.data.image_files import LOCATION_VARIABLE, how_to_get
from gan_jax.data.images import ImageDataset
from gan_jax.data.places import PlaceError, expanded


class Listed(NamedTuple):
    """A row of `gan-jax data list`.

    Attributes:
        name: as in `Images.name`.
        where: the folder in which it was found, or the commands that get it.
        found: whether it was found.
        num_train, num_test: examples; None where not found.
        image_size: pixels along a side, before resizing; None where not found.
    """

    name: str
    where: str
    found: bool
    num_train: int | None = None
    num_test: int | None = None
    image_size: int | None = None


def listing(location: Path | str | None = None) -> list[Listed]:
    """The data sets that `Images.load(location)` finds, and the commands that get the missing standard ones.

    It reads only headers and descriptions.

    Args:
        location: as for `Images.load`.

    Returns:
        One row for each data set: the digits, the standard ones, then any others.

    Raises:
        DataError: if there is no such folder, or IDX files there are incomplete or damaged.
    """
    given = location if location is not None else os.environ.get(LOCATION_VARIABLE)
    roots = [Path(expanded(given))] if given else []
    for root in roots:
        if not root.is_dir():
            source = "--data" if location is not None else LOCATION_VARIABLE
            raise DataError(
                f"{source} is {root}, and there is no such folder: give one with data sets, or leave it out"
            )
    found = {prepared_.name: prepared_ for prepared_ in reversed(_readable(roots, explicit=location is not None))}
    rows = {"digits": Listed("digits", "in scikit-learn", True, 1437, 360, 8)}
    for name in [*prepared.STANDARD, *sorted(found.keys() - set(prepared.STANDARD))]:
        if name in found:
            row = found[name]
            rows[name] = Listed(name, str(row.path), True, row.num_train, row.num_test, row.image_size)
        else:
            rows[name] = Listed(name, how_to_get(name), False)
    for root in roots:
        for directory in [root, *sorted(path for path in root.glob("*") if path.is_dir())]:
            if has_idx_files(directory) and re.fullmatch(r"[a-z][a-z0-9_]*", directory.name):
                files = find_idx_files(directory)
                (num_train, size, *_), (num_test, *_) = (
                    read_idx_header(files[part])[1] for part in ("train_images", "test_images")
                )
                rows[directory.name] = Listed(directory.name, str(directory), True, num_train, num_test, size)
    return list(rows.values())


def _readable(roots: list[Path], *, explicit: bool) -> list[prepared.Prepared]:
    listed = [row for root in roots for row in prepared.list_prepared(root)]
    if not explicit:
        with contextlib.suppress(PlaceError):  # without a home folder there is no default one
            listed += prepared.list_prepared()
    return [row for row in listed if row.readable]


def show_grid(dataset: ImageDataset, path: Path | str, rows: int = 8, columns: int = 8) -> None:
    """Saves the first training images with their labels, as a PNG.

    Args:
        dataset: its first `rows * columns` training images are shown, or all if there are fewer.
        path: the PNG file to write.
        rows: rows of the grid.
        columns: columns of the grid.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    num = min(rows * columns, dataset.images.shape[0])
    images, labels = np.asarray(dataset.images[:num]), np.asarray(dataset.labels[:num])
    figure = Figure(figsize=(columns, 1.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for index, axis in enumerate(axes.flat):
        axis.axis("off")
        if index < num:
            axis.imshow(images[index, :, :, 0], cmap="gray", vmin=0, vmax=255)
            axis.set_title(str(labels[index]), fontsize=9)
    figure.savefig(path, format="png", dpi=100)
