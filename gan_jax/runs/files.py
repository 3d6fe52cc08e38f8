"""Files of runs and reports: text is UTF-8 in every locale; what replaces a file is written beside it and renamed."""

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
    """Errors that name no file, such as that of a full disk, name this one."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which takes the place of `path` once it is complete; if anything fails, `path` is as before.

    Args:
        path: the file to replace or to make. A link is replaced, and what it points to is left alone.

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
    """Writes a text file at once, so that no reader sees half of it.

    A link is followed. What is not a regular file, such as /dev/stdout, is written to directly.

    Raises:
        OSError: if the file cannot be written; what was there before is kept.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        target.write_text(text, encoding="utf-8")
        return
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes JSON at once; a link is replaced."""
    with _naming(path), replacing(path) as temporary:
        temporary.write_text(json_text(value, indent=2) + "\n", encoding="utf-8")


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Writes a file of JSON lines at once; a link is replaced."""
    with _naming(path), replacing(path) as temporary:
        temporary.write_text(_lines(rows), encoding="utf-8")


def append_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Adds rows to a file of JSON lines.

    Raises:
        OSError: if it cannot be written, or is a link, which could lead out of the folder.
    """
    with _naming(path), open(path, "a", encoding="utf-8", opener=_open_no_link) as file:
        file.write(_lines(rows))


def read_lines(
    path: Path, damaged: Callable[[Any], str | None] = lambda row: None, remedy: str = ""
) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; none if it is absent. What is no row is left out, and told once in a line.

    What is no regular file, such as a pipe or a device, counts as absent: reading it could go on without end.

    Args:
        path: the file. In its place there may be a compressed one, with ".gz" behind its name, as stored results have.
        damaged: names the field of a row that is missing or of another type; None of a whole row.
        remedy: what to do about lines that are lost.

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
            lost.append(f"line {number} is no row" if not field else f"line {number} has no valid {field}")
    if lost:
        tell_once(f"{path}: {len(lost)} of {len(lost) + len(rows)} lines are damaged and left out ({lost[0]}){remedy}")
    return rows


@functools.lru_cache(maxsize=1024)
def tell_once(line: str) -> None:
    """Says a line on a damaged folder, once a process, however often it is read."""
    _log.warning("gan-jax: %s", line)


def remove_folder(path: Path) -> None:
    """Removes a folder so that a kill leaves all of it or nothing under its name."""
    former = path.with_name(f".{path.name}.removed")
    shutil.rmtree(former, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        path.rename(former)
    shutil.rmtree(former, ignore_errors=True)


def set_aside(folder: Path, paths: Iterable[Path]) -> Path:
    """Moves files and folders into a new folder `set_aside/N`, where nothing reads or deletes them.

    Args:
        folder: of the run or sweep.
        paths: inside it; those that are not there are left out.

    Returns:
        The place.
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
