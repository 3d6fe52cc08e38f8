"""Checks for links in a folder that may come from a stranger, so that nothing is written outside the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gan_jax.runs.folders import RunError


def refuse_links(folder: Path, *targets: Path) -> None:
    """Checks that no link leads out of a folder in which something is about to be written.

    Args:
        folder: the folder that the user named; it may itself be a link.
        *targets: files in it that are about to be written; if none are given, everything in it is checked.

    Raises:
        RunError: if a link does; the message names the first one.
    """
    inside = folder.resolve()
    for path in _below(folder, targets) if targets else _everything(folder):
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            raise RunError(f"{path} is a link that leads out of {folder}, so nothing is written there: remove the link")


def _below(folder: Path, targets: tuple[Path, ...]) -> Iterator[Path]:
    """The targets, and the folders between them and `folder`, outermost first."""
    for target in targets:
        path = folder
        for part in target.relative_to(folder).parts:
            path = path / part
            yield path


def _everything(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in (*folders, *files))
