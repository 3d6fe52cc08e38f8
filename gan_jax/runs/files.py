"""Files of runs and reports: UTF-8 in every locale; a new version of a file is written beside it, and renamed."""

from __future__ import annotations

import contextlib
import functools
import gzip
import json
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gan_jax.runs.json_text import json_text

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Adds the name of a file to errors that name none, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file that replaces `path` once it is complete; if anything fails, `path` is unchanged.

    Args:
        path: the file to replace or create. A link itself is replaced, not the file that it points to.

    Yields:
        A path in the same folder, with the same ending.
    """
    temporary = path.with_name(f".{path.stem}.tmp{os.getpid()}{path.suffix}")
    temporary.unlink(missing_ok=True)
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically, so that no reader sees a part of it.

    A link is followed. Anything other than a regular file, such as /dev/stdout, is written to directly.

    Raises:
        OSError: if the file cannot be written; the old content is then kept.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
        return
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file atomically; a link is replaced."""
    with _naming(path), replacing(path) as temporary:
        temporary.write_text(json_text(value, indent=2) + "\n", encoding="utf-8")


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes a file of JSON lines atomically; a link is replaced."""
    with _naming(path), replacing(path) as temporary:
        temporary.write_text(_lines(rows), encoding="utf-8")


def append_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Adds rows to a file of JSON lines.

    Raises:
        OSError: if the file cannot be written, or is a link, which could lead out of the folder.
    """
    with _naming(path), open(path, "a", encoding="utf-8", opener=_open_no_link) as file:
        file.write(_lines(rows))


def read_lines(
    path: Path, damaged: Callable[[Any], str | None] = lambda row: None, remedy: str = ""
) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; [] if it is absent. Damaged lines are left out, and one warning counts them.

    Anything other than a regular file, such as a pipe or a device, counts as absent, since reading it might never end.

    Args:
        path: the file. A compressed one, with ".gz" after its name, may take its place, as in stored results.
        damaged: returns the field of a row that is missing or has another type; None for a correct row.
        remedy: what to do about lost lines, for the warning.

    Returns:
        The rows in their order.

    Raises:
        OSError: if the file cannot be read.
    """
    rows, lost, packed = [], list[str](), path.with_name(path.name + ".gz")
    content = b""
    try:
        if path.is_file():
            content = path.read_bytes()
        elif packed.is_file():
            content = gzip.decompress(packed.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        lost.append(f"{packed.name} cannot be unpacked: {error}")
    for number, line in enumerate(filter(bytes.strip, content.split(b"\n")), 1):
        try:
            row = json.loads(line, parse_constant=lambda name: None)
            field = damaged(row) if isinstance(row, dict) else ""
        except (ValueError, RecursionError):
            field = ""
        if field is None:
            rows.append(row)
        else:
            lost.append(f"line {number} is not a row" if not field else f"line {number} has no valid {field}")
    if lost:
        tell_once(f"{path}: {len(lost)} of {len(lost) + len(rows)} lines are damaged and left out ({lost[0]}){remedy}")
    return rows


@functools.lru_cache(maxsize=1024)
def tell_once(line: str) -> None:
    """Logs a line about a damaged folder once per process, however often the folder is read."""
    _log.warning("gan-jax: %s", line)


def remove_folder(path: Path) -> None:
    """Removes a folder such that a kill leaves either all of it under its name, or nothing."""
    former = path.with_name(f".{path.name}.removed")
    shutil.rmtree(former, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        path.rename(former)
    shutil.rmtree(former, ignore_errors=True)


def set_aside(folder: Path, paths: Iterable[Path]) -> Path:
    """Moves files and folders into a new folder `set_aside/N`, where nothing reads or deletes them.

    Args:
        folder: the folder of the run or sweep.
        paths: files and folders inside it; those that do not exist are left out.

    Returns:
        The new folder.
    """
    number = 1
    while (place := folder / "set_aside" / str(number)).exists():
        number += 1
    for path in paths:
        if os.path.lexists(path):
            target = place / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            path.rename(target)
    return place


def _lines(rows: Iterable[dict[str, Any]]) -> str:
    return "".join(json_text(row) + "\n" for row in rows)


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)
