"""Files of runs and reports: text is UTF-8 in every locale; what replaces a file is written beside it and renamed."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gan_jax.runs.json_text import json_text


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


def read_lines(path: Path, keys: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; none if it is absent. What is no row, such as a line that was cut, is left out.

    What is no regular file, such as a pipe or a device, counts as absent: reading it could go on without end.

    Args:
        path: the file. In its place there may be a compressed one, with ".gz" behind its name, as stored results have.
        keys: of whole numbers that a row must have, such as "step".

    Returns:
        The rows in their order.
    """
    rows, packed = [], path.with_name(path.name + ".gz")
    content = b""
    if path.is_file():
        content = path.read_bytes()
    elif packed.is_file():
        content = gzip.decompress(packed.read_bytes())
    for line in content.decode("utf-8", "replace").splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and all(isinstance(row.get(key), int) for key in keys):
                rows.append(row)
    return rows


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
