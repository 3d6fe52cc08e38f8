"""What the stages of the kit share: where they write, how much time is left, and rows that are measured once."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gan_jax.bench.rows import emit, read_rows

ROWS = "rows.jsonl"


class Kit(NamedTuple):
    """The surroundings of a stage.

    Attributes:
        out: folder of the rows and of stored studies, which is what one keeps.
        work: folder of checkpoints and compiled programs, which may be lost.
        data: where data sets lie; None: only what needs none is measured.
        small: whether sizes are those of a rehearsal.
        deadline: of `time.monotonic`, at which the stage should have ended.
    """

    out: Path
    work: Path
    data: Path | None
    small: bool
    deadline: float

    @property
    def left(self) -> float:
        """Seconds that the stage has left."""
        return self.deadline - time.monotonic()

    def rows(self) -> list[dict[str, Any]]:
        """All rows so far, of earlier calls too."""
        return read_rows(self.out / ROWS)

    def is_done(self, question: str, case: str) -> bool:
        """Whether there is a row of a measurement on this device and at these sizes that did not fail and has ended."""
        device = jax.devices()[0].device_kind
        return any(
            (row["question"], row["case"], row["device"], row["small"]) == (question, case, device, self.small)
            and "error" not in row
            and row.get("ended", True)
            for row in self.rows()
        )

    def emit(self, question: str, case: str, figures: Mapping[str, Any]) -> None:
        """Writes a row, which is on the disk when this returns."""
        emit(question, case, {"small": self.small, **figures}, self.out / ROWS)

    def measure(self, question: str, case: str, figures: Callable[[], Mapping[str, Any]], needs: float = 0.0) -> bool:
        """Measures once: not again if an earlier call has, and not if too little time is left.

        Args:
            question: of the row.
            case: of the row.
            figures: measures. An error is written into the row, and stops nothing.
            needs: seconds that it takes about, with compilation.

        Returns:
            Whether there is a row.
        """
        if self.is_done(question, case):
            return True
        if self.left < (0.0 if self.small else needs):
            return False
        began = time.monotonic()
        try:
            found = dict(figures())
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {_first_line(error)}"}
            traceback.print_exc()
        self.emit(question, case, {**found, "wall_seconds": round(time.monotonic() - began, 1)})
        return True


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]
