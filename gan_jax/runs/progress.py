"""Progress of a training on standard error: a bar in a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """Shows steps done, steps/s without compilation, time left and the detector's label. It is a context manager."""

    def __init__(self, total_steps: int, start_step: int = 0, *, enabled: bool = True, every_seconds: float = 15.0):
        self._total, self._enabled, self._every = total_steps, enabled, every_seconds
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._timed_steps, self._timed_seconds, self._compiled = 0, 0.0, set[object]()
        self._last_line, self._step = time.monotonic(), start_step

    def __enter__(self) -> TrainingProgress:
        if self._enabled and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[speed]}"),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bar.start()
            self._task = self._bar.add_task("compiling", total=self._total, completed=self._step, speed="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    @property
    def steps_per_second(self) -> float | None:
        """Mean speed of the chunks whose program was already compiled; None before the first of them."""
        return self._timed_steps / self._timed_seconds if self._timed_seconds > 0 else None

    def update(self, step: int, seconds: float, label: str, program: object) -> None:
        """Reports a chunk.

        Args:
            step: the step after the chunk.
            seconds: the duration of the chunk.
            label: the label of the last evaluation.
            program: identifies the compiled program; its first chunk includes compilation and is not timed.
        """
        if program in self._compiled:
            self._timed_steps += step - self._step
            self._timed_seconds += seconds
        self._compiled.add(program)
        self._step = step
        rate = self.steps_per_second
        speed = f"{rate:,.3g} steps/s" if rate else ""
        if self._bar is not None:
            self._bar.update(self._task, completed=step, description=label, speed=speed)
        elif self._enabled and (time.monotonic() - self._last_line > self._every or step >= self._total):
            self._last_line = time.monotonic()
            left = f", {(self._total - step) / rate:,.0f} s left" if rate and step < self._total else ""
            print(f"step {step:,}/{self._total:,}  {label}  {speed}{left}", file=sys.stderr, flush=True)
