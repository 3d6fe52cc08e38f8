"""The flight recorder: what a run keeps of the time around its collapse, for `gan-jax diagnose onset`.

RUN/onset/signals.npz    every training metric of every step around the onset: arrays [steps], and "step" beside them
RUN/onset/checkpoints/   the states at the evaluations around it

The last checkpoints of a run are a ring buffer of full states, long enough to reach from the evaluation at which the
detector is sure back to one before the onset. From them the window can be replayed with any other measurement.
"""

from __future__ import annotations

import collections
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

MARGIN = 3
"""Evaluations before the onset whose states are kept."""


class FlightRecorder:
    """The last metrics of every step, in memory; and what is written when the detector fires.

    Args:
        folder: RUN/onset.
        window: evaluations that the detector needs to be sure.
    """

    def __init__(self, folder: Path, window: float) -> None:
        self.folder = folder
        self.num_states = int(window) + MARGIN
        self._parts: collections.deque[tuple[int, dict[str, np.ndarray], bool]] = collections.deque()
        self._evaluations = 0

    @property
    def has_fired(self) -> bool:
        return (self.folder / "signals.npz").is_file()

    def note(self, start: int, metrics: dict[str, Any], evaluates: bool) -> None:
        """A chunk's metrics, each [steps], which began at step `start`; and whether it ended in an evaluation.

        Args:
            start: step at which the chunk began.
            metrics: by name, each [steps].
            evaluates: whether the chunk ended in an evaluation.
        """
        self._parts.append((start, {name: np.asarray(series) for name, series in metrics.items()}, evaluates))
        self._evaluations += evaluates
        while self._evaluations > self.num_states:
            _, _, evaluated = self._parts.popleft()
            self._evaluations -= evaluated

    def forget(self) -> None:
        """Drops what was kept of a collapse while forming that the run has undone by forming."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep(self, checkpoints: Path) -> None:
        """Writes the metrics, and copies the checkpoints that are there (by links, where the disk has them)."""
        self.folder.mkdir(exist_ok=True)
        for source in checkpoints.iterdir():
            target = self.folder / "checkpoints" / source.name
            if source.name.isdigit() and not target.exists():
                shutil.copytree(source, target, copy_function=_link)
        names = set.intersection(*(set(metrics) for _, metrics, _ in self._parts))
        arrays: dict[str, Any] = {
            name: np.concatenate([metrics[name] for _, metrics, _ in self._parts]) for name in sorted(names)
        }
        first = next(iter(sorted(names)))
        steps = [np.arange(start, start + len(metrics[first])) for start, metrics, _ in self._parts]
        temporary = self.folder / "signals.tmp.npz"
        np.savez(temporary, step=np.concatenate(steps), **arrays)
        temporary.replace(self.folder / "signals.npz")


def read_signals(folder: Path) -> dict[str, np.ndarray]:
    """What `keep` wrote: arrays [steps] by name; empty if it wrote nothing."""
    path = folder / "signals.npz"
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
