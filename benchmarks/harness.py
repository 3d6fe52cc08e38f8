"""What all benchmarks share: rows, rounds in which things take turns, and arguments."""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

SCHEMA = {
    "question": "what is measured: the script, or one of its questions",
    "case": "which case, arm or way the row is about",
    "date": "when the row was written: ISO 8601, UTC",
    "commit": "of the repository, with '-dirty' where files differ from it; null outside a git checkout",
    "python": "version",
    "jax": "version",
    "jaxlib": "version",
    "numpy": "version",
    "device": "kind of the default device",
    "num_devices": "devices of the default backend",
    "processor": "of the host",
    "threads": "processors that this process may use",
    "precision": "JAX's default precision of matrix products; null where the backend decides",
    "xla_flags": "the environment's XLA_FLAGS; empty where there are none",
}
"""The keys of every row, one line of JSON. The figures of the measurement stand beside them, under their own names."""


# ---- Rows ------------------------------------------------------------------------------------------------------------


def emit(
    question: str, case: str, figures: Mapping[str, Any], out: Path | None = None, *, show: bool = True
) -> dict[str, Any]:
    """Prints a row as one line of JSON and appends it to a file at once.

    Args:
        question: what is measured.
        case: which case the row is about; unique for a question, together with its figures.
        figures: the measurement, by name. NumPy values become numbers, and what is not finite null.
        out: a file of rows, or None. A last line without an end, of a run that was killed, is cut off first.
        show: whether to print the row too.

    Returns:
        The row: `SCHEMA` and the figures.

    Raises:
        ValueError: if a figure has the name of a key of the schema.
    """
    if taken := [name for name in figures if name in SCHEMA]:
        raise ValueError(f"the schema of a row has {', '.join(taken)}: give the figures other names")
    row = _plain({"question": question, "case": case, **figures, **environment()})
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
    """The whole rows of a file; none where there is no file. A last line without an end is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
    return [json.loads(line) for line in lines]


def environment() -> dict[str, Any]:
    """The keys of `SCHEMA` that say where and when a row was made."""
    config: Any = jax.config
    # macOS and Windows have no affinity.
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": _commit(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy")},
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
        "processor": platform.processor() or platform.machine(),
        "threads": threads,
        "precision": config.jax_default_matmul_precision,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }


@functools.cache
def _commit() -> str | None:
    git = ["git", "-C", str(Path(__file__).parent)]
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


def significant(value: float, digits: int = 4) -> float | None:
    """A number to so many significant digits; None for one that is not finite.

    >>> significant(12345.678), significant(float("nan"))
    (12350.0, None)
    """
    return float(f"{float(value):.{digits}g}") if math.isfinite(value) else None


def mean_and_error(values: ArrayLike, digits: int = 4) -> list[float | None]:
    """[mean, standard error] of the finite values, of which an error takes two; None for what is not known.

    >>> mean_and_error([1.0, 2.0, 3.0, float("nan")])
    [2.0, 0.5774]
    """
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    mean = significant(known.mean(), digits) if known.size else None
    error = significant(known.std(ddof=1) / math.sqrt(known.size), digits) if known.size > 1 else None
    return [mean, error]


# ---- Rounds ----------------------------------------------------------------------------------------------------------


def rounds(ways: Mapping[str, Callable[[], float]], num_rounds: int, min_seconds: float = 0.0) -> dict[str, np.ndarray]:
    """Times some ways in turns, round by round, so that other load on the machine falls on all alike.

    Args:
        ways: by name, a function that does one round and returns the seconds that it took.
        num_rounds: rounds that count, at least. One more goes before them, which warms caches.
        min_seconds: go on until the rounds that count have taken so long together.

    Returns:
        Seconds by name, [rounds]. `spread` makes figures of them and of their ratios.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    began = time.perf_counter()
    while len(next(iter(seconds.values()))) < num_rounds or time.perf_counter() - began < min_seconds:
        for name, way in ways.items():
            seconds[name].append(way())
    return {name: np.array(spent) for name, spent in seconds.items()}


def spread(name: str, values: ArrayLike, digits: int = 4) -> dict[str, Any]:
    """Two figures: the median of values under a name, and their quartiles under "name_quartiles".

    >>> spread("seconds", [4.0, 1.0, 2.0, 3.0, 5.0])
    {'seconds': 3.0, 'seconds_quartiles': [2.0, 4.0]}
    """
    low, middle, high = (significant(value, digits) for value in np.percentile(np.asarray(values), (25, 50, 75)))
    return {name: middle, f"{name}_quartiles": [low, high]}


# ---- Arguments -------------------------------------------------------------------------------------------------------


def arguments(
    doc: str,
    *,
    rounds: int | None = None,
    seeds: int | None = None,
    cases: str | None = None,
    peers: bool = False,
    pictures: bool = False,
) -> argparse.ArgumentParser:
    """A parser with --out and those of the common arguments that a script takes.

    Args:
        doc: the script's docstring, which --help shows.
        rounds: default of --rounds; None: no such argument.
        seeds: default of --seeds; None: no such argument.
        cases: what the names in --cases are; None: no such argument.
        peers: whether there is --torch-python.
        pictures: whether there is --pictures.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE", help="file that rows are appended to, as they come")
    if rounds is not None:
        parser.add_argument("--rounds", type=_positive, default=rounds, help=f"timed, at least ({rounds})")
    if seeds is not None:
        parser.add_argument("--seeds", type=_positive, default=seeds, help=f"how many ({seeds})")
    if cases is not None:
        parser.add_argument("--cases", help=f"only these {cases}: by commas, or semicolons where names have commas")
    if peers:
        parser.add_argument("--torch-python", help="a Python that can import torch. None: no PyTorch beside ours")
    if pictures:
        parser.add_argument("--pictures", type=Path, metavar="DIR", help="folder for figures of the study")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"it is {value}, and must be at least 1")
    return value


def picked(parser: argparse.ArgumentParser, text: str | None, known: Iterable[str]) -> list[str]:
    """The names in --cases, all known ones where it is not given; an unknown name ends the program and lists them."""
    names: Sequence[str] = list(known)
    wanted = names if text is None else [text] if text in names else text.split(";" if ";" in text else ",")
    if unknown := [name for name in wanted if name not in names]:
        parser.error(f"--cases: no {', '.join(unknown)}; there are {'; '.join(names)}")
    return list(wanted)
