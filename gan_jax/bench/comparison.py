"""Comparisons: of the rows of two files, or of the training steps of two checkouts, which take turns."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.bench.peer import Peer
from gan_jax.bench.rounds import compare, take_turns
from gan_jax.bench.rows import commit_of, read_rows

STEPS = {"ring": 50, "unrolled": 10, "mlp": 50, "dcgan28": 5}
"""The cases on which checkouts are compared, and the steps of a round."""
_SIZES = ("kind", "batch_size", "members", "strategy", "inner_steps", "memory")
"""Figures of a row that two rows must share to be compared; the steps of a round may differ."""


def served_step(case: str, *options: int, environment: Mapping[str, str]) -> Peer:
    """A process that times the training steps of a case.

    Args:
        case: a key of `STEPS`.
        *options: steps of a round; then, if given, steps per iteration of the compiled loop.
        environment: variables of the process; PYTHONPATH chooses the checkout.

    Returns:
        The process, which has compiled the steps.

    Raises:
        PeerError: if it ends before it is ready.
    """
    script = Path(__file__).with_name("served_step.py")
    return Peer(sys.executable, script, case, *options, environment=environment)


def compare_rows(first: Path, second: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Compares the newest rows with the same question and case in two files.

    Args:
        first: a file of rows.
        second: another one.

    Yields:
        (case, figures of `compare`, with "commits" and "devices" of both).

    Raises:
        ValueError: if they have no case in common, their rows lack the seconds of rounds, or a size differs.
    """
    sides = []
    for path in (first, second):
        rows = [row for row in read_rows(path) if "round_seconds" in row]
        if not rows:
            raise ValueError(f"{path} has no rows with round_seconds: gan-jax bench step --out FILE makes some")
        sides.append({(row["question"], row["case"]): row for row in rows})
    shared = [key for key in sides[0] if key in sides[1]]
    if not shared:
        raise ValueError(f"{first} and {second} have no case in common: measure the same cases")
    for key in shared:
        a, b = (side[key] for side in sides)
        for name in _SIZES:
            if a.get(name) != b.get(name):
                raise ValueError(
                    f"{key[0]} {key[1]}: {name} is {a.get(name)} in {first} and {b.get(name)} in {second}: measure "
                    "the same sizes"
                )
        each, other = (np.asarray(row["round_seconds"]) / (row.get("steps") or 1) for row in (a, b))
        about = {f"{name}s": [a[name], b[name]] for name in ("commit", "device")}
        yield key[1], {**compare(each, other), **about}


def compare_checkouts(
    first: Path, second: Path, cases: Sequence[str], num_rounds: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Compares the training steps of two checkouts of this project, run in turns by the same Python.

    Args:
        first: folder of a checkout.
        second: folder of a checkout.
        cases: keys of `STEPS`.
        num_rounds: measured rounds.

    Yields:
        (case, figures of `compare`, with the commits of both and all rounds).

    Raises:
        ValueError: for an unknown case, or a folder that is no checkout.
        PeerError: if a checkout does not run.
    """
    if unknown := [case for case in cases if case not in STEPS]:
        raise ValueError(f"no case {unknown[0]!r} for checkouts; there is {', '.join(STEPS)}")
    for folder in (first, second):
        if not (folder / "gan_jax" / "__init__.py").is_file():
            raise ValueError(f"{folder} is no checkout of this project: it has no package gan_jax")
    for case in cases:
        with contextlib.ExitStack() as stack:
            peers = [
                stack.enter_context(served_step(case, STEPS[case], environment=checkout_environment(folder)))
                for folder in (first, second)
            ]
            seconds = take_turns({"first": peers[0].round, "second": peers[1].round}, num_rounds)
        about = {"commits": [commit_of(folder) for folder in (first, second)], "steps": STEPS[case]}
        rounds = {f"{name}_round_seconds": list(spent) for name, spent in seconds.items()}
        yield case, {**compare(seconds["first"], seconds["second"]), **about, **rounds}


def checkout_environment(folder: Path) -> dict[str, str]:
    """The variables of a process that takes gan_jax from a checkout and shares the device with others.

    Args:
        folder: of the checkout, which comes before the other places of PYTHONPATH.

    Returns:
        This process's variables with those changed. On a GPU the process takes only the memory that it needs.
    """
    places = [str(folder.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])]
    paths = {"PYTHONPATH": os.pathsep.join(places), "PYTHONSAFEPATH": "1"}
    return {**os.environ, **paths, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
