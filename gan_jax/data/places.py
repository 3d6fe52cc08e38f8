"""Paths as typed by a user."""

from __future__ import annotations

import os


class PlaceError(ValueError):
    """The path starts in a home folder that is not known."""


def expanded(path: str | os.PathLike[str]) -> str:
    """A path with `~` and `~user` replaced by the home folder.

    Args:
        path: as typed; without `~` at its start it is unchanged.

    Returns:
        The path.

    Raises:
        PlaceError: if the home folder is not known, as for a user id without an entry in the password file.

    Example:
        >>> expanded("runs/ring~2")
        'runs/ring~2'
    """
    text = os.fspath(path)
    full = os.path.expanduser(text)
    if full.startswith("~"):
        home = text.replace(os.sep, "/").partition("/")[0]
        raise PlaceError(f"{text} is in the home folder {home}, which is not known: set HOME, or give a full path")
    return full
