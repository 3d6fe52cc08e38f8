"""Standard streams that never stop a command: readers that have gone, streams that are closed, letters they lack."""

from __future__ import annotations

import errno
import io
import os
import sys


class _Lenient(io.FileIO):
    """A file descriptor; what its reader no longer takes is dropped, and what follows on an error that was raised."""

    failed = False

    def write(self, data: object, /) -> int:
        try:
            return len(memoryview(data)) if self.failed else super().write(data)  # type: ignore[arg-type]
        except BrokenPipeError:
            return len(memoryview(data))  # type: ignore[arg-type]
        except OSError:
            self.failed = True
            raise


def guard_streams() -> None:
    """Makes standard output and error go on when nobody reads them, as under `| head -1`.

    One that is closed becomes the null device, before another file gets its number and with it what C++ writes there.
    Results have a descriptor of their own: with several processes, number 1 is left to the messages of C++.
    """
    before = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
    for number, old in enumerate(before.values()):
        if old is None or not _is_usable(number):
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    for name, number in (("stdout", os.dup(1)), ("stderr", 2)):
        raw = io.BufferedWriter(_Lenient(number, "w", closefd=False))
        encoding = getattr(before[name], "encoding", None) or "utf-8"
        lines = name == "stderr" or raw.isatty()
        setattr(sys, name, io.TextIOWrapper(raw, encoding, errors="backslashreplace", line_buffering=lines))


def _is_usable(number: int) -> bool:
    """Whether a descriptor is open, and for writing if it is not that of the input."""
    try:
        return number == 0 or os.write(number, b"") == 0
    except OSError as error:
        return error.errno != errno.EBADF  # a full device is open
