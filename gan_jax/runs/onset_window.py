"""The flight recorder: stores metrics and states around the collapse of a run, for `gan-jax diagnose onset`.

RUN/onset/signals.npz    every training metric of every step around the onset: arrays [steps], and "step"
RUN/onset/checkpoints/   the states at the evaluations around the onset
RUN/recent/STEP.npz      the same metrics up to each of the last evaluations, with which a resumed run continues

The last checkpoints of a run form a ring buffer of full states. It is long enough to reach from the evaluation at which
the detector reports the onset back to one before it, so that the window can be replayed with any other measurement.
"""

from __future__ import annotations

import collections
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.runs.files import remove_folder, replacing

_log = logging.getLogger(__name__)
MARGIN = 3
"""Number of evaluations before the onset whose states are kept."""


class FlightRecorder:
    """Holds the last metrics of every step in memory, and on disk for a resumed run; stores those around an onset.

    An error in it never stops the run: if a file cannot be written, a line is logged.

    Args:
        folder: the folder RUN/onset.
        window: number of evaluations that make an onset.
        recent: the folder RUN/recent; None keeps the last metrics only in memory.
    """

    def __init__(self, folder: Path, window: float, recent: Path | None = None) -> None:
        self.folder, self._recent = folder, recent
        self.num_states = int(window) + MARGIN
        self._parts: collections.deque[tuple[int, dict[str, np.ndarray], bool]] = collections.deque()
        self._evaluations = 0

    @property
    def has_fired(self) -> bool:
        return (self.folder / "signals.npz").is_file()

    def note(self, start: int, metrics: dict[str, Any], evaluates: bool) -> None:
        """Takes the metrics of a chunk.

        Args:
            start: step at which the chunk began.
            metrics: the metrics by name, each [steps].
            evaluates: whether the chunk ended in an evaluation.
        """
        self._parts.append((start, {name: np.asarray(series) for name, series in metrics.items()}, evaluates))
        self._evaluations += evaluates
        while self._evaluations > self.num_states:
            _, _, evaluated = self._parts.popleft()
            self._evaluations -= evaluated

    def store(self, step: int) -> None:
        """Writes the metrics between the previous evaluation and the one at `step`, and deletes the oldest files."""
        if self._recent is None:
            return
        parts = list(self._parts)
        before = max((index for index, part in enumerate(parts[:-1]) if part[2]), default=-1)
        try:
            self._recent.mkdir(exist_ok=True)
            _write_parts(self._recent / f"{step}.npz", parts[before + 1 :])
            for old in self._stored()[: -self.num_states]:
                old.unlink()
        except OSError as error:
            _log.warning("gan-jax: the metrics of single steps up to step %d are not kept: %s", step, error)

    def load(self, step: int) -> None:
        """Reads the files of `store` up to the step at which the run is resumed, and deletes later ones."""
        for path in self._stored():
            if int(path.stem) > step:
                path.unlink()
                continue
            try:
                with np.load(path) as file:
                    arrays = dict(file)
                self.note(int(arrays.pop("step")[0]), arrays, True)
            except Exception as error:  # numpy reports damage as ValueError, KeyError, EOFError, BadZipFile, ...
                _log.warning("gan-jax: %s is damaged (%s): an onset near it lacks metrics of single steps", path, error)

    def forget(self) -> None:
        """Deletes the stored window of a collapse while forming, after the run has formed."""
        remove_folder(self.folder)

    def keep(self, checkpoints: Path, onset: int | None = None) -> None:
        """Writes the metrics, and copies the present checkpoints (as hard links, if the disk supports them).

        Args:
            checkpoints: the folder of the run's checkpoints.
            onset: the step of the onset, if it is known; a warning is logged if the metrics begin after it.
        """
        try:
            self._keep(checkpoints)
        except OSError as error:
            _log.warning("gan-jax: the window around the onset is not kept in %s: %s", self.folder, error)
            return
        first = self._parts[0][0] if self._parts else None
        if onset is not None and (first is None or first > onset):
            _log.warning(
                "gan-jax: %s begins at step %s, after the onset at step %d: gan-jax diagnose onset computes the "
                "steps before it again, if there is a checkpoint",
                self.folder / "signals.npz",
                first,
                onset,
            )

    def _keep(self, checkpoints: Path) -> None:
        if not self.has_fired:  # a kill may have left an incomplete folder
            remove_folder(self.folder)
        kept = self.folder / "checkpoints"
        kept.mkdir(parents=True, exist_ok=True)
        for source in checkpoints.iterdir():
            if source.name.isdecimal() and not (kept / source.name).exists():
                unfinished = kept / f".{source.name}"
                shutil.rmtree(unfinished, ignore_errors=True)
                shutil.copytree(source, unfinished, copy_function=_link)
                unfinished.rename(kept / source.name)
        if self._parts:
            _write_parts(self.folder / "signals.npz", list(self._parts))

    def _stored(self) -> list[Path]:
        files = [] if self._recent is None else [p for p in self._recent.glob("*.npz") if p.stem.isdecimal()]
        return sorted(files, key=lambda path: int(path.stem))


def _write_parts(path: Path, parts: list[tuple[int, dict[str, np.ndarray], bool]]) -> None:
    """Joins the metrics that all parts have, and writes them with their steps as an .npz file."""
    names = sorted(set.intersection(*(set(metrics) for _, metrics, _ in parts)))
    arrays: dict[str, Any] = {name: np.concatenate([metrics[name] for _, metrics, _ in parts]) for name in names}
    steps = [np.arange(start, start + len(metrics[names[0]])) for start, metrics, _ in parts]
    with replacing(path) as temporary:
        np.savez(temporary, step=np.concatenate(steps), **arrays)


def read_signals(folder: Path) -> dict[str, np.ndarray]:
    """Reads the file of `keep`: arrays [steps] by name; {} if it is absent, or damaged, of which a line is logged."""
    path = folder / "signals.npz"
    if not path.is_file():
        return {}
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except Exception as error:  # numpy reports damage as ValueError, KeyError, EOFError, BadZipFile, ...
        _log.warning("gan-jax: %s is damaged (%s): the metrics of single steps are lost", path, error)
        return {}


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
