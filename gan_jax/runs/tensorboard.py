"""TensorBoard event files of a run. An error in writing them is logged, and never stops the run."""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
import time
from pathlib import Path
from typing import Any

from gan_jax.runs.folders import RunError

_log = logging.getLogger(__name__)


def check_tensorboard() -> None:
    """Checks that the package which writes event files is installed.

    Raises:
        RunError: if tensorboardX is not installed.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        raise RunError("--tensorboard needs the package tensorboardX: pip install tensorboardX")


class EventFile:
    """An event file of one process, written immediately, without the thread of tensorboardX's own writer.

    It begins with the record of a session that starts at the next step. TensorBoard then ignores later steps in earlier
    files, which a resumed run makes again.

    Args:
        folder: the folder of the run.
        start: step at which the process begins.
    """

    def __init__(self, folder: Path, start: int) -> None:
        self._writer: Any = None
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        try:
            from tensorboardX.proto.event_pb2 import SessionLog
            from tensorboardX.record_writer import RecordWriter

            self._writer = RecordWriter(str(folder / name))
            self._add(step=start + 1, file_version="brain.Event:2")
            self._add(step=start + 1, session_log=SessionLog(status=SessionLog.START))
            self._writer.flush()
        except Exception as error:
            self._give_up(error)

    def write(self, row: dict[str, Any]) -> None:
        """Adds the numbers of a row of metrics.jsonl."""
        groups = {"train": row["train"], **{f"evaluation/{mode}": found for mode, found in row["evaluation"].items()}}
        if self._writer is None:
            return
        try:
            from tensorboardX.summary import scalar

            for group, values in groups.items():
                for name, value in values.items():
                    if isinstance(value, (int, float)):
                        self._add(step=row["step"], summary=scalar(f"{group}/{name}", value))
            self._writer.flush()
        except Exception as error:
            self._give_up(error)

    def close(self) -> None:
        """Closes the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except Exception as error:
                self._give_up(error)

    def _add(self, **fields: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._writer.write(Event(wall_time=time.time(), **fields).SerializeToString())

    def _give_up(self, error: Exception) -> None:
        self._writer = None
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        _log.warning("gan-jax: no more is written for TensorBoard (%s); all numbers are in metrics.jsonl", reason)
