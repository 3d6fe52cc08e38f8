"""A peer: another process, perhaps with another Python, that times a round whenever it is asked to."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Self


class PeerError(RuntimeError):
    """The process of a peer has ended, or has not followed the protocol."""


class Peer:
    """A script that prints a JSON object when it is ready, and for every line that it reads the seconds of a round.

    Leaving its `with` block ends the process.

    Args:
        python: the interpreter.
        script: the script's path.
        *arguments: of the script.
        environment: variables of the process; None takes those of this one.

    Attributes:
        about: the object that the script printed when it was ready.

    Raises:
        PeerError: if the process ends before it is ready; the message has its exit code and its last line of errors.
    """

    def __init__(
        self, python: str, script: str | Path, *arguments: object, environment: Mapping[str, str] | None = None
    ) -> None:
        path = Path(script)
        self._name = " ".join([Path(python).name, path.name, *map(str, arguments)])
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115, closed in `close`
        pipes: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": self._errors,
            "env": environment,
        }
        self._process: Any = subprocess.Popen([python, str(path), *map(str, arguments)], text=True, **pipes)
        self.about: dict[str, Any] = self._answer()

    def round(self) -> float:
        """Seconds of one round, by the peer's own clock.

        Raises:
            PeerError: if the process has ended or prints no number.
        """
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        return float(self._answer())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process by closing its input."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _answer(self) -> Any:
        line = self._process.stdout.readline()
        with contextlib.suppress(json.JSONDecodeError):
            return json.loads(line)
        if line:
            self._process.kill()
        code = self._process.wait()
        self._errors.seek(0)
        error = (self._errors.read().strip().splitlines() or ["it wrote no error"])[-1]
        self.close()
        what = f"printed {line.strip()!r} and was stopped" if line else f"ended with exit code {code}"
        raise PeerError(f"the peer `{self._name}` {what}: {error}")
