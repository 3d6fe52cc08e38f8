"""Links in a folder that may come from a stranger: nothing is written where they lead."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from gan_jax.runs.folders import RunError


def refuse_links(folder: Path, *targets: Path) -> None:
    """Refuses to write through links that lead out of a folder.

    Args:
        folder: that the user names; it may be a link itself.
        *targets: files in it that are about to be written; without any, everything in it is checked.

    Raises:
        RunError: naming the first such link.
    """
    inside = folder.resolve()
    for path in _below(folder, targets) if targets else _everything(folder):
        if path.is_symlink() and not path.resolve().is_relative_to(inside):
            raise RunError(f"{path} is a link out of {folder}, and nothing is written there: remove the link")


def _below(folder: Path, targets: tuple[Path, ...]) -> Iterator[Path]:
    """The targets and the folders between them and the folder, outermost first."""
    for target in targets:
        path = folder
        for part in target.relative_to(folder).parts:
            path = path / part
            yield path


def _everything(folder: Path) -> Iterator[Path]:
    for place, folders, files in os.walk(folder):
        yield from (Path(place, name) for name in (*folders, *files))
