"""How many of a stacked game's 1,000 modes do the same runs have by other rules?

    python benchmarks/mode_grid.py SWEEP [--data DIR] [--out FILE]

A row for every run and every cell of confidence and count: the modes that at least `count` samples capture, of those
samples whose three class probabilities have a product of at least `confidence`. Batch norm of G has its running
statistics. At the end it prints the mean over the runs of each arm.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from benchmarks.harness import arguments, emit
from gan_jax.runs.sample_evaluation import evaluate_run_samples
from gan_jax.runs.sweep_directory import SweepDirectory


def cells(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells of an evaluation's grid.

    Args:
        result: of `evaluate_run_samples` with the metric `modes`.

    Returns:
        A row for each confidence and count, with the number of modes.
    """
    grid = result["grid"]
    return [
        {"confidence": confidence, "count": count, "modes": modes}
        for confidence, of_confidence in zip(grid["confidences"], grid["product_modes"], strict=True)
        for count, modes in zip(grid["min_counts"], of_confidence, strict=True)
    ]


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table for every arm: confidences down, counts across, the mean number of modes over the runs."""
    texts = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        own = [row for row in rows if row["arm"] == arm]
        counts, confidences = (sorted({row[name] for row in own}) for name in ("count", "confidence"))
        lines = [[arm, *(f"count >= {count}" for count in counts)], ["---"] * (1 + len(counts))]
        for confidence in confidences:
            line = [f"p >= {confidence:g}"]
            for count in counts:
                cell = [row["modes"] for row in own if (row["confidence"], row["count"]) == (confidence, count)]
                line.append(f"{statistics.fmean(cell):.4g}")
            lines.append(line)
        texts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(texts)


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__)
    parser.add_argument("sweep", type=Path, help="folder of a finished sweep")
    parser.add_argument("--data", help="folder of the data set (default: that of the sweep)")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    rows = []
    for member in sorted(SweepDirectory.open(options.sweep).read_members(), key=lambda row: row["member"]):
        name = f"{options.sweep}#{member['member']}"
        result = evaluate_run_samples(
            name, metrics="modes", statistics="running", intervals=False, location=options.data
        )
        for cell in cells(result):
            rows.append({"arm": member["arm"], "seed": member["seed"], "step": result["step"], **cell})
            emit("mode grid", member["arm"], rows[-1], options.out)
    print(table(rows))


if __name__ == "__main__":
    main()
