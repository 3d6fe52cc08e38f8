"""Runs the stages in a process of their own, which may fail, hang or be killed without harm to the others.

The worker runs a stage for each line on its standard input, {"stage", "seconds"}, and answers with a line. One that
does not answer in time is killed, and the next stage gets a new one.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

GRACE_SECONDS = 20.0
"""What a stage may take beyond its time, to end what it has begun."""


class Stage(NamedTuple):
    """A stage and its share of the time that is left when its turn comes."""

    name: str
    share: float


STAGES = (
    Stage("machine", 0.1),
    Stage("smoke", 0.15),
    Stage("digits", 0.65),
    Stage("ceilings", 0.15),
    Stage("steps", 0.4),
    Stage("peers", 0.4),
    Stage("unrolled", 0.4),
    Stage("sweeps", 0.4),
    Stage("settings", 0.4),
    Stage("remedies", 0.4),
    Stage("mnist64", 1.0),
)
"""In order of value: an early stage that needs less than its share leaves more to those after it."""


class Worker:
    """A process that runs stages.

    Args:
        command: that starts it.
    """

    def __init__(self, command: Sequence[str]) -> None:
        pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
        self._answers: queue.Queue[str] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                self._answers.put(line)
        self._answers.put("")

    def run(self, stage: str, seconds: float, most: float) -> str | None:
        """Runs a stage.

        Args:
            stage: its name.
            seconds: its time, which it keeps by itself.
            most: seconds after which it is killed.

        Returns:
            None, or why it did not end by itself.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"stage": stage, "seconds": seconds}) + "\n")
            self._process.stdin.flush()
        try:
            answer = self._answers.get(timeout=most)
        except queue.Empty:
            self.close()
            return f"it did not end in {most:.0f} s and was killed"
        if answer:
            return json.loads(answer)["error"]
        return f"its process ended with exit code {self._process.wait()}"

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Ends the process and those that it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._listener.join()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


def run_stages(
    command: Sequence[str], minutes: float, out: Path, names: Sequence[str], grace: float = GRACE_SECONDS
) -> list[tuple[str, str]]:
    """Runs stages one after another, within a time.

    Args:
        command: that starts a worker.
        minutes: for all of them.
        out: folder of the rows; a stage that fails leaves its reason in failures.txt there.
        names: of the stages.
        grace: seconds that a stage may take beyond its time before it is killed.

    Returns:
        (stage, reason) of those that failed.
    """
    log = functools.partial(print, file=sys.stderr, flush=True)
    end, failures, worker = time.monotonic() + 60 * minutes, list[tuple[str, str]](), None
    for stage in [stage for stage in STAGES if stage.name in names]:
        left = end - time.monotonic()
        if left <= 0:
            log(f"{stage.name}: no time is left")
            continue
        if worker is not None and not worker.is_alive:
            worker.close()
            worker = None
        worker = worker or Worker(command)
        seconds = stage.share * left
        log(f"{stage.name}: {seconds:.0f} s of {left:.0f} s")
        if (reason := worker.run(stage.name, seconds, seconds + grace)) is not None:
            log(f"{stage.name}: {reason}")
            failures.append((stage.name, reason))
            with (out / "failures.txt").open("a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {stage.name}: {reason}\n")
    if worker is not None:
        worker.close()
    return failures
