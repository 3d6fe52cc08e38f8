"""Rows of measurements: one line of JSON each, with the place and time of the measurement, written at once."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.runs.machine import processor_name

SCHEMA = {
    "question": "what is measured: the script, or one of its questions",
    "case": "which case, arm or way the row is about",
    "date": "when the row was written: ISO 8601, UTC",
    "commit": "of the repository, '-dirty' if files differ; GAN_JAX_COMMIT, or null, outside a git checkout",
    "python": "version",
    "jax": "version",
    "jaxlib": "version",
    "numpy": "version",
    "device": "kind of the default device",
    "num_devices": "devices of the default backend",
    "processor": "of the host",
    "threads": "processors that this process may use",
    "precision": "JAX's default precision of matrix products; null where the backend decides",
    "xla_flags": "the environment's XLA_FLAGS; empty if not set",
}
"""The keys of every row, one line of JSON. The figures of the measurement are further keys."""


def emit(
    question: str, case: str, figures: Mapping[str, Any], out: Path | None = None, *, show: bool = True
) -> dict[str, Any]:
    """Prints a row as one line of JSON and appends it to a file at once.

    Args:
        question: what is measured.
        case: which case the row is about; unique for a question, together with its figures.
        figures: the measurement, by name. NumPy values become numbers, and values that are not finite become null.
        out: a file of rows, or None. An incomplete last line, which a killed run leaves, is removed first.
        show: whether to print the row too.

    Returns:
        The row: `SCHEMA` and the figures.

    Raises:
        ValueError: if a figure has the name of a key of the schema.
    """
    if taken := [name for name in figures if name in SCHEMA]:
        raise ValueError(f"the schema of a row has {', '.join(taken)}: give the figures other names")
    row = _plain({"question": question, "case": case, **figures, **origin()})
    line = json.dumps(row, allow_nan=False)
    if show:
        print(line, flush=True)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("ab+") as file:
            file.seek(0)
            whole = file.read()
            if not whole.endswith(b"\n"):
                file.truncate(whole.rfind(b"\n") + 1)
            file.write(line.encode() + b"\n")
    return row


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The complete rows of a file; [] if there is no file. An incomplete last line is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    return [json.loads(line) for line in lines]


def origin() -> dict[str, Any]:
    """The keys of `SCHEMA` for the place and time of a row."""
    config: Any = jax.config
    # macOS and Windows do not report an affinity.
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": os.environ.get("GAN_JAX_COMMIT") or commit_of(Path(__file__).parent),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy")},
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
        "processor": processor_name(),
        "threads": threads,
        "precision": config.jax_default_matmul_precision,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


@functools.cache
def commit_of(folder: Path) -> str | None:
    """The commit of a git checkout, with "-dirty" if tracked files differ from it; None outside a checkout."""
    git = ["git", "-C", str(folder)]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        run = functools.partial(subprocess.run, check=True, capture_output=True, text=True)
        commit = run([*git, "rev-parse", "HEAD"]).stdout.strip()
        return commit + ("-dirty" if run([*git, "status", "--porcelain", "-uno"]).stdout else "")
    return None


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, (np.ndarray, np.generic, jax.Array)):
        return _plain(np.asarray(value).tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
