"""The result of `gan_jax.metrics.evaluate_samples` as text."""

from __future__ import annotations

import math
from typing import Any

from gan_jax.reports.text_tables import text_table

_ARROWS = {"low": "↓", "high": "↑", "real": "="}
_LEGEND = (
    "↓ lower is better, ↑ higher is better, = closer to real data is better\n"
    "real data: the same metric for real examples that are not in the reference\n"
    "floor: the expected value of a perfect sampler with as many samples, if it is known in closed form"
)


def sample_table(result: dict[str, Any]) -> str:
    """A row for each number, with its interval, the value of real data and its meaning; then the grid of modes."""
    rows = [["", "metric", "value", "95 % interval", "real data", "floor", "what it says"]]
    for name, row in result["values"].items():
        ends = row["interval"]
        rows.append(
            [
                _ARROWS[row["better"]],
                name.replace("_", " "),
                _number(row["value"]),
                "-" if ends is None else f"{_number(ends[0])} to {_number(ends[1])}",
                _number(row["real"]),
                _number(row["floor"]),
                row["meaning"],
            ]
        )
    lines = [*_head(result), "", text_table(rows), "", _LEGEND]
    if result["grid"] is not None:
        lines += ["", _grid_table(result["grid"])]
    lines += [f"left out: {why}" for why in result["left_out"].values()]
    return "\n".join(lines)


def _head(result: dict[str, Any]) -> list[str]:
    shape, features = "x".join(map(str, result["shape"])), result["features"]
    accuracy = "" if features["accuracy"] is None else f", accuracy {features['accuracy']:.2%}".replace("%", " %")
    return [
        f"{result['samples']}: {result['num_samples']:,} samples ({shape}) against {result['reference']}",
        f"real data: {result['real']}; features: {features['name']}, {features['dims']:,} numbers{accuracy}",
        *(f"note: {note}" for note in result["notes"]),
    ]


def _grid_table(grid: dict[str, Any]) -> str:
    """The modes by confidence and count; for stacked images also by the product of the three probabilities."""
    mixture = "nearest mode" in grid["rule"]
    text = _cells(grid, "modes", "real_modes", ("anywhere", "within 3 std") if mixture else None)
    head = "modes by the two published thresholds (real data in brackets)"
    text = f"{head}{'' if mixture else '; p: ' + grid['rule']}\n{text}"
    if "product_modes" in grid:
        cells = _cells(grid, "product_modes", "real_product_modes")
        text += f"\nthe same; p: product of the three class probabilities\n{cells}"
    return text


def _cells(grid: dict[str, Any], name: str, real: str, labels: tuple[str, ...] | None = None) -> str:
    rows = [["", *(f"count >= {count}" for count in grid["min_counts"])]]
    labels = labels or tuple(f"p >= {confidence:g}" for confidence in grid["confidences"])
    for label, found, others in zip(labels, grid[name], grid[real], strict=True):
        rows.append([label, *(f"{one:,} ({other:,})" for one, other in zip(found, others, strict=True))])
    return text_table(rows)


def _number(value: float | None) -> str:
    """A number with four digits, a whole number as such, and "-" for an undefined value."""
    if value is None or math.isnan(value):
        return "-"
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:.4g}" if abs(value) >= 1e-4 else f"{value:.2g}"
