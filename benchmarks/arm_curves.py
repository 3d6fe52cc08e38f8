"""Metrics of a study over its steps, one colour for each arm.

    python benchmarks/arm_curves.py SWEEP FILE.png [--metrics modes,high_quality,kl]

A panel for each metric of the detector: the median over the seeds of every arm, and a band from the smallest to the
largest. SWEEP is the folder of a sweep, or the part of it that `benchmarks/stored_study.py` keeps.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.runs.sweep_directory import SweepDirectory


def arm_series(sweep: Path, metric: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The values of a metric by arm.

    Args:
        sweep: the folder.
        metric: name of one of the detector's metrics; running statistics of batch norm are preferred.

    Returns:
        arm -> (steps [t], values [seeds, t]); a value that is not known is NaN.
    """
    directory = SweepDirectory.open(sweep)
    arms = {row["member"]: row["arm"] for row in sorted(directory.read_members(), key=lambda row: row["member"])}
    curves: dict[int, dict[int, float]] = {member: {} for member in arms}
    for row in directory.read_metrics():
        values = row["evaluation"].get("running") or row["evaluation"]["batch"]
        value = values[metric]
        curves[row["member"]][row["step"]] = float("nan") if value is None else float(value)
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for arm in dict.fromkeys(arms.values()):
        own = [curves[member] for member, name in arms.items() if name == arm]
        steps = sorted(set().union(*own))
        table = [[curve.get(step, float("nan")) for step in steps] for curve in own]
        found[arm] = np.array(steps), np.array(table)
    return found


def draw(sweep: Path, metrics: list[str], path: Path) -> None:
    """Writes the figure."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, grid = plt.subplots(1, len(metrics), figsize=(4.6 * len(metrics), 3.6), layout="constrained", squeeze=False)
    for axes, metric in zip(grid[0], metrics, strict=True):
        for arm, (steps, values) in arm_series(sweep, metric).items():
            (line,) = axes.plot(steps, np.median(values, axis=0), label=arm)
            low, high = values.min(axis=0), values.max(axis=0)
            axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, lw=0)
        axes.set(xlabel="training step", title=metric.replace("_", " "), ylim=(0, None))
        axes.grid(alpha=0.3)
    grid[0][0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser: Any = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sweep", type=Path, help="folder of a sweep")
    parser.add_argument("out", type=Path, help="picture to write")
    parser.add_argument("--metrics", default="modes,high_quality,kl", help="names, by commas (modes,high_quality,kl)")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    draw(options.sweep, options.metrics.split(","), options.out)


if __name__ == "__main__":
    main()
