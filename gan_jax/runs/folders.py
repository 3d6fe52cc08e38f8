"""Folders of runs and sweeps: created completely or not at all, locked for one process at a time; pictures by step."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gan_jax.scaling import hosts

_log = logging.getLogger(__name__)


class RunError(ValueError):
    """A run folder that cannot be used as asked. The message says why and what to do.

    Example:
        >>> import gan_jax
        >>> gan_jax.Run("nowhere")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        gan_jax.runs.folders.RunError: nowhere is not a run folder (it has no experiment.json): ...
    """


class Interrupted(KeyboardInterrupt):
    """An interruption of a process that was writing a folder.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path):
        super().__init__(str(path))
        self.path = path


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Locks a folder for this process; the system releases the lock even after a kill.

    If it cannot be locked (a file system without locks, or `.lock` is not a regular file), a warning says so, since a
    second writer would then not be noticed.

    Raises:
        RunError: if another process is writing there.
        Interrupted: in place of a KeyboardInterrupt of the block.
    """
    lock, file = path / ".lock", None
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if file is not None and error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            os.close(file)
            raise RunError(f"{path} is being written by another process: wait for it, or stop it") from None
        reason = error.strerror or error
        _log.warning("gan-jax: %s cannot be locked (%s): start no second process on this folder", lock, reason)
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(path) from None
    finally:
        if file is not None:
            os.close(file)


@contextlib.contextmanager
def new_folder(choose: Callable[[], Path], create: Callable[[Path], Any]) -> Iterator[Path]:
    """The folder of a new run or sweep, made by the leader. It is removed if the block fails without results.

    Args:
        choose: returns the folder to make.
        create: makes the folder.

    Yields:
        The folder. From its first row of metrics on it has results, and is kept.
    """
    absent: list[Path] = []

    def make() -> Path:
        path = choose()
        absent.extend(_absent(path))
        create(path)
        return path

    path = Path(hosts.from_leader(lambda: str(make())))
    try:
        yield path
    except Exception as error:
        refused = isinstance(error, (OSError, ValueError)) or hosts.num_hosts() == 1
        if refused and hosts.is_leader() and not (path / "metrics.jsonl").exists():
            _remove_contents(path, absent)
        raise


def make_folder(path: Path, kind: str, fill: Callable[[], None]) -> None:
    """Makes the folder of a run or a sweep (its `kind`). If it cannot be filled, it is removed.

    Args:
        path: the folder.
        kind: "run" or "sweep".
        fill: writes the first files.

    Raises:
        RunError: if it is not empty, or cannot be written.
    """
    try:
        if path.exists() and (not path.is_dir() or any(p.name != ".lock" for p in path.iterdir())):
            raise RunError(f"{path} exists and is not a {kind} of gan-jax: choose another --run-dir")
        absent = _absent(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            fill()
        except Exception:
            _remove_contents(path, absent)
            raise
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror or error}): choose another --run-dir") from error


def _absent(path: Path) -> list[Path]:
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def _remove_contents(path: Path, absent: list[Path]) -> None:
    """Empties a folder, and removes it and those folders above it that did not exist before."""
    with contextlib.suppress(OSError):
        for inside in path.iterdir():
            shutil.rmtree(inside) if inside.is_dir() and not inside.is_symlink() else inside.unlink()
        for folder in absent:
            folder.rmdir()


def new_run_path(root: Path, name: str) -> Path:
    """The path `root/name`, with the first free number after it if it exists."""
    path, number = root / name, 1
    while path.exists():
        number += 1
        path = root / f"{name}-{number}"
    return path


def picture_step(picture: Path) -> int:
    """The training step of a picture, from its name."""
    return int(picture.stem.rpartition("_")[2])


def numbered_pictures(folder: Path, prefix: str) -> list[Path]:
    """The pictures PREFIX<step>.png in a folder, in the order of their steps; other files are left out."""
    found = [p for p in folder.glob(f"{prefix}*.png") if p.stem.removeprefix(prefix).isdecimal()]
    return sorted(found, key=picture_step)
