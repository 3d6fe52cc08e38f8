"""Tables and figures of the kit's rows: `python -m benchmarks.accelerator --table ROWS [--pictures DIR]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax.bench.rows import read_rows

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], Any]]


def _of(name: str, digits: int = 4) -> Callable[[Row], Any]:
    def value(row: Row) -> Any:
        found = row.get(name)
        return f"{found:.{digits}g}" if isinstance(found, float) else found

    return value


def _percent(name: str) -> Callable[[Row], Any]:
    return lambda row: None if row.get(name) is None else f"{100 * row[name]:.1f} %"


def _compared(prefix: str) -> tuple[Column, ...]:
    """The columns of a comparison, whose keys in a row begin with `prefix`."""
    name = f"{prefix}_ratio"

    def interval(row: Row) -> str | None:
        bounds = row.get(f"{name}_interval")
        return None if bounds is None else f"{bounds[0]:.3g} to {bounds[1]:.3g}"

    return ("times as fast", _of(name, 3)), ("95 %", interval), ("p", _of(f"{prefix}_p", 2))


TABLES: dict[str, tuple[str, tuple[Column, ...]]] = {
    "accelerator machine": ("Machine", (("driver", _of("driver")), ("backend", _of("backend")), ("jax", _of("jax")))),
    "accelerator smoke": (
        "Correctness",
        (("relative error", _of("relative_error", 2)), ("tolerance", _of("tolerance")), ("passed", _of("passed"))),
    ),
    "accelerator ceilings": (
        "Ceilings",
        (("TFLOP/s", _of("tflops")), ("GB/s, read and written", _of("gigabytes_per_second"))),
    ),
    "accelerator steps": (
        "Training steps",
        (
            ("steps/s", _of("steps_per_second")),
            ("examples/s", _of("examples_per_second")),
            ("TFLOP/s", _of("tflops")),
            ("MFU", _percent("mfu")),
            ("program, MB", _of("peak_mb")),
            ("compile, s", _of("compile_seconds")),
        ),
    ),
    "accelerator peers": (
        "Beside PyTorch, in turns",
        (
            ("ours, steps/s", _of("steps_per_second")),
            ("PyTorch, steps/s", _of("torch_steps_per_second")),
            *_compared("torch_over_ours"),
        ),
    ),
    "accelerator settings": (
        "Settings of the compiler and of random numbers, in turns with the defaults",
        (
            ("steps/s", _of("steps_per_second")),
            ("default, steps/s", _of("default_steps_per_second")),
            *_compared("default_over_changed"),
        ),
    ),
    "accelerator unrolled": (
        "Unrolled rings",
        (
            ("steps/s", _of("steps_per_second")),
            ("temporaries, MB", _of("temporary_mb")),
            ("compile, s", _of("compile_seconds")),
        ),
    ),
    "accelerator sweeps": (
        "Sweeps",
        (
            ("steps/s of all members", _of("steps_per_second")),
            ("program, MB", _of("peak_mb")),
            ("compile, s", _of("compile_seconds")),
        ),
    ),
    "accelerator digits_label_noise": (
        "Label noise on digits",
        (
            ("members", _of("members")),
            ("steps", _of("steps")),
            ("ended", _of("ended")),
            ("seconds", _of("sweep_seconds")),
            ("collapsed", _of("collapsed")),
        ),
    ),
    "accelerator label_noise_mnist": (
        "Label noise on MNIST at 64x64",
        (
            ("members", _of("members")),
            ("steps", _of("steps")),
            ("of", _of("of_steps")),
            ("seconds", _of("sweep_seconds")),
            ("predicted, s", _of("predicted_seconds")),
        ),
    ),
    "accelerator remedies": ("CollapseBench", (("played", _of("played")),)),
}
"""By question, a title and columns; a row that failed or was left out says why in the first of them."""


def tables(path: Path) -> str:
    """The rows as Markdown tables: the newest of each case.

    Args:
        path: file of rows.

    Returns:
        The text.
    """
    rows, parts = read_rows(path), []
    for question, (title, columns) in TABLES.items():
        own = {row["case"]: row for row in rows if row["question"] == question}
        if own:
            lines = [["case", *(name for name, _ in columns)]]
            lines += [[case, *_cells(row, columns)] for case, row in own.items()]
            parts.append(f"## {title}\n\n{_markdown(lines)}")
    if rows:
        keys = ("device", "num_devices", "jax", "python", "commit", "date")
        parts.insert(0, ", ".join(f"{key} {rows[-1][key]}" for key in keys))
    return "\n\n".join(parts)


def _cells(row: Row, columns: Sequence[Column]) -> list[str]:
    if reason := row.get("error") or row.get("skipped"):
        return [str(reason), *[""] * (len(columns) - 1)]
    values = [value(row) for _, value in columns]
    return ["–" if value is None else str(value) for value in values]


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *body = ("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)
    return "\n".join([head, "|" + "---|" * len(lines[0]), *body])


def draw(path: Path, folder: Path) -> list[Path]:
    """Draws unrolled steps by K and sweeps by number of members.

    Args:
        path: file of rows.
        folder: where to write.

    Returns:
        The files; those without rows are left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, written = read_rows(path), []
    folder.mkdir(parents=True, exist_ok=True)
    for question, name, x, pattern in (
        ("accelerator unrolled", "accelerator_unrolled.png", "K, updates of D that G sees", r"K=(\d+), (.*)"),
        ("accelerator sweeps", "accelerator_sweeps.png", "members", r"(?:\w+), (\d+) members, (.*)"),
    ):
        series: dict[str, list[tuple[int, float]]] = {}
        for row in rows:
            if row["question"] == question and row.get("steps_per_second"):
                found = re.fullmatch(pattern, row["case"])
                assert found is not None
                prefix = row["case"].split(",")[0] + ", " if "sweeps" in question else ""
                series.setdefault(prefix + found[2], []).append((int(found[1]), row["steps_per_second"]))
        if not series:
            continue
        figure = Figure(figsize=(5, 3.5), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        for label, points in series.items():
            axes.plot(*zip(*sorted(points), strict=True), "o-", label=label)
        axes.set(xlabel=x, ylabel="steps/s of all members" if "sweeps" in question else "steps/s", yscale="log")
        axes.set_xscale("symlog" if "unrolled" in question else "log")
        axes.legend(fontsize="small")
        figure.savefig(folder / name, dpi=120)
        written.append(folder / name)
    return written
