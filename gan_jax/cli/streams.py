"""Standard streams that never stop a command: not by a closed pipe or stream, nor by a missing character."""

from __future__ import annotations

import errno
import io
import os
import sys


class _Lenient(io.FileIO):
    """A file descriptor that drops output after its reader has gone, or after a write error, which it raises once."""

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
    """Lets standard output and error survive a reader that stops reading, as under `| head -1`.

    A closed stream is replaced by the null device before another file can get its descriptor number, and with it the
    output that C++ libraries write there. Results get a descriptor of their own: with several processes, number 1 is
    left to the messages of C++ libraries.
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
    """Whether a descriptor is open; those of the outputs must be open for writing."""
    try:
        return number == 0 or os.write(number, b"") == 0
    except OSError as error:
        return error.errno != errno.EBADF  # a descriptor on a full device is open too
