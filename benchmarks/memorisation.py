"""Does more data, or a remedy, make D generalise, and does that postpone collapse?

    python benchmarks/memorisation.py [--study size | remedies] [--data DIR] [--seeds 3] [--steps N] [--points 2048]
        [--cases NAME;..] [--out FILE] [--points-out FILE] [--pictures DIR]

Trains the arms of the config `memorisation_size` or `memorisation_remedies`. At every evaluation D scores training,
held-out and fake images, as `gan-jax diagnose memorisation` has it. A row an arm: means over the seeds with standard
errors at the end, the largest gap of D's accuracy between training and held-out images, outcomes and onsets.
--points-out gets a row for every evaluation of every run; the picture shows the curves with bands of a standard error.

References:
    A. Brock, J. Donahue, K. Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019,
        section 4.2.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.harness import arguments, emit, mean_and_error, picked
from benchmarks.programs import evaluations
from gan_jax.diagnostics.detector import LABELS
from gan_jax.diagnostics.state.split_accuracies import split_accuracies, split_batches, split_examples
from gan_jax.diagnostics.verdict import verdict_on
from gan_jax.experiment.configs import load_sweep
from gan_jax.experiment.experiment import Experiment
from gan_jax.training.evaluations import LoadedData, load_data

ACCURACIES = ("train", "held_out", "fake", "gap", "overfitting", "train_loss", "held_out_loss", "fake_loss")
MEASURED = ("effective_classes", "junk", "variance_ratio")


def train(
    experiment: Experiment, resources: LoadedData, seed: int, num_points: int, keep: Callable[[dict], None]
) -> tuple[list[dict], dict]:
    """(a point an evaluation, each also given to `keep`, and the verdict) of a run.

    Args:
        experiment: what is trained.
        resources: its data.
        seed: of the run.
        num_points: images of each kind that D scores.
        keep: called with each point as it comes.
    """
    split = split_examples(experiment, resources.dataset, num_points, jax.random.key(0))
    batches = split_batches(experiment, split, jax.random.key(1))
    points = []
    for state, evaluation in evaluations(experiment, resources, seed):
        accuracies = jax.device_get(split_accuracies(experiment, state, *batches))
        metrics = evaluation.metrics["batch"]
        points.append(
            {
                "step": int(state.step),
                "label": LABELS[int(state.detector.label)],
                **{
                    f"{name}_{mode}": float(getattr(by["plain"], name))
                    for mode, by in accuracies.items()
                    for name in ACCURACIES
                },
                **{name: float(getattr(metrics, name)) for name in MEASURED},
                "finite": int(state.nonfinite_step) < 0,
            }
        )
        keep(points[-1])
        if int(state.nonfinite_step) >= 0:
            break
    verdict = verdict_on(state.detector, last_step=int(state.step), nonfinite_step=int(state.nonfinite_step))
    return points, verdict.to_json()


def summary(arm: str, runs: list[tuple[list[dict], dict]]) -> dict[str, Any]:
    """The figures of an arm."""
    last = [points[-1] for points, _ in runs]
    names = [name for name in last[0] if name not in ("step", "label", "finite")]
    worst = [max(point["gap_batch"] for point in points) for points, _ in runs]
    verdicts = [verdict for _, verdict in runs]
    outcomes = [verdict["outcome"] for verdict in verdicts]
    return {
        "arm": arm,
        "seeds": len(runs),
        "steps": last[0]["step"],
        "end": {name: mean_and_error([point[name] for point in last]) for name in names},
        "largest_gap": mean_and_error(worst),
        "outcomes": {name: outcomes.count(name) for name in dict.fromkeys(outcomes)},
        "onsets": [verdict["onset_step"] for verdict in verdicts],
        "formed": [verdict["formed_step"] for verdict in verdicts],
    }


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, seeds=3, cases="arms", pictures=True)
    parser.add_argument("--study", choices=("size", "remedies"), default="size")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, help="of each run. None: the config's")
    parser.add_argument("--points", type=int, default=2048, help="examples of each kind that D scores")
    parser.add_argument("--points-out", type=Path, metavar="FILE", help="file for a row an evaluation")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    question = f"memorisation, {options.study}"
    sweep = load_sweep(f"memorisation_{options.study}")
    assert sweep is not None
    arms = {arm.name: arm.experiment for arm in sweep.arms}
    curves: dict[str, list[list[dict]]] = {}
    for name in picked(parser, options.cases, arms):
        experiment = arms[name]
        if options.steps:
            every = max(1, options.steps // 20)
            experiment = dataclasses.replace(experiment, num_steps=options.steps, eval_every_steps=every)
        began, runs = time.perf_counter(), []
        resources = load_data(experiment, options.data)
        for seed in range(options.seeds):

            def keep(point: dict, arm: str = name, seed: int = seed) -> None:
                if options.points_out:
                    figures = {"arm": arm, "seed": seed, **point}
                    emit(f"{question}, points", arm, figures, options.points_out, show=False)

            runs.append(train(experiment, resources, seed, options.points, keep))
        curves[name] = [points for points, _ in runs]
        figures = summary(name, runs) | {"seconds": round(time.perf_counter() - began, 1)}
        emit(question, name, figures, options.out)
        if options.pictures:
            options.pictures.mkdir(parents=True, exist_ok=True)
            draw(curves, options.pictures / f"memorisation_{options.study}.png")


def draw(curves: dict[str, list[list[dict]]], path: Path) -> None:
    """By arm, means over the seeds with bands of a standard error."""
    import matplotlib.pyplot as plt

    panels = {
        "train_batch": "training images called real",
        "held_out_batch": "held-out images called real",
        "gap_batch": "gap, D with batch statistics",
        "gap_running": "gap, D with running statistics",
        "overfitting_batch": "overfitting (Karras et al. 2020)",
        "effective_classes": "effective classes of 10",
        "junk": "junk",
        "variance_ratio": "variance, of the real one",
    }
    figure, grid = plt.subplots(2, 4, figsize=(14, 5.6), layout="constrained")
    colours = ("#c92a2a", "#e8590c", "#2f9e44", "#2a78d6", "#9c36b5", "#868e96")
    for axes, (signal, title) in zip(grid.flat, panels.items(), strict=True):
        for colour, (arm, runs) in zip(colours, curves.items(), strict=False):
            num = min(len(points) for points in runs)
            steps = [point["step"] for point in runs[0][:num]]
            values = np.array([[point[signal] for point in points[:num]] for points in runs])
            mean = values.mean(axis=0)
            axes.plot(steps, mean, color=colour, linewidth=1.4, label=arm)
            if len(runs) > 1:
                error = values.std(axis=0, ddof=1) / np.sqrt(len(runs))
                axes.fill_between(steps, mean - error, mean + error, color=colour, alpha=0.18, linewidth=0)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25)
    grid[0, 0].legend(fontsize=7, frameon=False)
    figure.supxlabel("step", fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
