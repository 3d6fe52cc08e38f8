"""Scans of D through MNIST digits: where does a GAN do well, where does it collapse, and where does D overfit?

    python benchmarks/overfitting_mnist.py [--data DIR] [--seeds 3] [--steps 4000] [--probes 5] [--points 256]
        [--cases good,overfitted] [--out FILE] [--pictures DIR]

The arms of `configs/overfitting_mnist.py`. At several times of a run, a probe scans D(x + k u) through training,
held-out and fake digits as `gan-jax diagnose landscape` does, along random lines and towards another training digit:
the share with a peak at k = 0, the half-width and sharpness of the peaks of D's probability, the share of points in its
flat regions; D's mean probability of each kind; and the classes, junk and variance of G's samples. The classifier gets
98.3 % of the 16x16 test digits right: below its gate in `gan_jax.metrics.classifier`, above the one here, 98 %.

A row an arm: all of these at the end, mean and standard error over seeds. The pictures are the curves over training
with bands of a standard error, and the mean scans at the end above a few samples.

References:
    A. Gainetdinov, "GAN Mode Collapse Explanation", Towards AI, 2023, figures 2 to 4.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.harness import arguments, emit, mean_and_error, picked
from benchmarks.programs import evaluations
from gan_jax.diagnostics import scans
from gan_jax.diagnostics.state.rounding import rounded
from gan_jax.diagnostics.state.scan_survey import NUM_OFFSETS, mean_distance, scan_summary, scan_survey
from gan_jax.diagnostics.state.scores import examples
from gan_jax.experiment.configs import load_sweep
from gan_jax.experiment.experiment import Experiment
from gan_jax.metrics.classifier import accuracy, load_classifier
from gan_jax.metrics.image_metrics import image_metrics, make_reference
from gan_jax.reports.figures import KIND_COLOURS, new_figure
from gan_jax.reports.landscape_scans import scan_row
from gan_jax.reports.sample_pictures import image_grid
from gan_jax.training.evaluations import LoadedData, load_data

KINDS = ("training", "held-out", "fake")
LEAST_ACCURACY, CONFIDENCE = 0.98, 0.6


class SampleMetrics:
    """Metrics of samples by the classifier of the digits at their size, which has to pass first."""

    def __init__(self, name: str, resources: LoadedData) -> None:
        images, labels = resources.dataset.test_images, resources.dataset.test_labels
        self.classifier = load_classifier(name)
        self.accuracy = 0.0 if self.classifier is None else accuracy(self.classifier, images, labels)
        if self.accuracy < LEAST_ACCURACY:
            raise SystemExit(f"the classifier gets {self.accuracy:.2%} of the test images right: too few")
        self.reference = make_reference(self.classifier, images, confidence=CONFIDENCE)

    def __call__(self, samples: jax.Array) -> dict[str, float]:
        found = image_metrics(self.classifier, self.reference, samples, confidence=CONFIDENCE)
        return {name: float(getattr(found, name)) for name in ("effective_classes", "junk", "variance_ratio")}


def trace(
    experiment: Experiment, resources: LoadedData, metrics: SampleMetrics, seed: int, points: int
) -> tuple[list[dict[str, Any]], np.ndarray]:
    """(the probe's values of each evaluation, the last samples) of a run.

    Args:
        experiment: what is trained.
        resources: its data.
        metrics: of its samples.
        seed: of the run.
        points: digits of each kind that are scanned.
    """
    seen = examples(experiment, resources.dataset, 0, points)
    ks = scans.offsets(float(mean_distance(seen.real)), NUM_OFFSETS)
    probes, samples = [], np.zeros(0)
    for state, evaluation in evaluations(experiment, resources, seed):
        found = jax.device_get(scan_survey(experiment, state, seen, ks))
        samples = np.asarray(evaluation.samples[:24])
        middle = {kind: found["scans"][kind]["random"][:, NUM_OFFSETS] for kind in KINDS}
        probes.append(
            {
                "step": int(state.step),
                "offsets": rounded(ks, 4),
                **scan_summary(found, KINDS),
                **metrics(evaluation.samples),
                "probability": {kind: float(np.mean(1 / (1 + np.exp(-scores)))) for kind, scores in middle.items()},
            }
        )
    return probes, samples


def numbers(values: dict[str, Any]) -> dict[str, float]:
    """The numbers among a probe's values, by name; NaN where there is none."""
    found = {name: values[name] for name in ("effective_classes", "junk", "variance_ratio")}
    for kind in KINDS:
        for direction in ("random", "towards another"):
            row = scan_row(values, kind, direction)
            found[f"peaks, {kind}, {direction}"] = row["peak_share"]
            found[f"half-width, {kind}, {direction}"] = row["half_width"]["median"]
            found[f"sharpness, {kind}, {direction}"] = row["sharpness"]["median"]
        for name, by in values["slopes"].items():
            found[f"flat, {kind}, {name}"] = by[kind]["flat_share"]
        found[f"probability, {kind}"] = values["probability"][kind]
    found["overfitting"] = values["probability"]["training"] - values["probability"]["held-out"]
    return {name: float("nan") if value is None else float(value) for name, value in found.items()}


def summary(runs: list[list[dict[str, Any]]]) -> dict[str, list[float | None]]:
    """By name, mean and standard error over seeds at the end."""
    last = [numbers(probes[-1]) for probes in runs]
    return {name: mean_and_error(np.array([row[name] for row in last])) for name in last[0]}


def measure(
    name: str, experiment: Experiment, data: Path | None, seeds: int, points: int
) -> tuple[dict[str, Any], list[list[dict[str, Any]]], np.ndarray]:
    """(the figures of an arm, the probes of its runs, samples of the first).

    Args:
        name: of the arm.
        experiment: its settings.
        data: folder of the data.
        seeds: runs.
        points: digits of each kind that are scanned.
    """
    began = time.perf_counter()
    resources = load_data(experiment, data)
    images: Any = experiment.data
    metrics = SampleMetrics(images.name, resources)
    runs = [trace(experiment, resources, metrics, seed, points) for seed in range(seeds)]
    probes = [of_run for of_run, _ in runs]
    figures = {"arm": name, "steps": experiment.num_steps, "seeds": seeds, "points": points}
    figures |= {"classifier_accuracy": round(metrics.accuracy, 4), **summary(probes)}
    return figures | {"seconds": round(time.perf_counter() - began, 1)}, probes, runs[0][1]


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, seeds=3, cases="arms", pictures=True)
    parser.add_argument("--config", default="overfitting_mnist")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--probes", type=int, default=5, help="of a run")
    parser.add_argument("--points", type=int, default=256, help="digits of each kind that are scanned")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    if options.points < 2 or not 1 <= options.probes <= options.steps:
        parser.error("--points must be at least 2, and --probes from 1 to --steps")
    sweep = load_sweep(options.config)
    if sweep is None:
        parser.error(f"--config: {options.config} has no arms")
    arms = {arm.name: arm.experiment for arm in sweep.arms}
    traces, pictures = {}, {}
    for name in picked(parser, options.cases, arms):
        every = -(-options.steps // options.probes)
        experiment = dataclasses.replace(arms[name], num_steps=options.steps, eval_every_steps=every)
        figures, traces[name], pictures[name] = measure(name, experiment, options.data, options.seeds, options.points)
        emit("overfitting_mnist", name, figures, options.out)
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        draw_scans(traces, pictures, options.pictures / "overfitting_mnist.png")
        draw_curves(traces, options.pictures / "overfitting_mnist_curves.png")


def draw_scans(traces: dict[str, list[Any]], pictures: dict[str, np.ndarray], path: Path) -> None:
    """A column an arm: mean scans at the end, bands from the least to the greatest seed, and samples of the first."""
    figure = new_figure(3.5 * len(traces), 7.2)
    grid = figure.subplots(3, len(traces), squeeze=False, height_ratios=(1, 1, 0.8))
    for column, (name, runs) in zip(grid.T, traces.items(), strict=True):
        last = [probes[-1] for probes in runs]
        ks = np.array(last[0]["offsets"])
        for axes, direction in zip(column[:2], ("random", "towards another"), strict=True):
            for kind in KINDS:
                means = np.array([scan_row(values, kind, direction)["mean"] for values in last], float)
                share = np.mean([scan_row(values, kind, direction)["peak_share"] for values in last])
                label = f"{kind}: {share:.0%} peaks"
                axes.plot(ks, means.mean(axis=0), color=KIND_COLOURS[kind], linewidth=1.5, label=label)
                axes.fill_between(
                    ks, means.min(axis=0), means.max(axis=0), color=KIND_COLOURS[kind], alpha=0.2, linewidth=0
                )
            axes.axvline(0, color="gray", linewidth=0.8, linestyle=":")
            axes.set_title(f"{name}, u {direction}", fontsize=9)
            axes.legend(frameon=False, fontsize=7)
            axes.tick_params(labelsize=7)
            axes.grid(alpha=0.25)
        column[2].imshow(image_grid(pictures[name], columns=8, scale=1), cmap="gray")
        column[2].set_axis_off()
        classes, junk = (np.mean([values[what] for values in last]) for what in ("effective_classes", "junk"))
        column[2].set_title(f"{classes:.1f} effective classes, {junk:.0%} junk", fontsize=9)
    for axes in grid[:2, 0]:
        axes.set_ylabel("D(x + k u)", fontsize=8)
    figure.savefig(path)


def draw_curves(traces: dict[str, list[Any]], path: Path) -> None:
    """Over training, means over seeds with bands of a standard error."""
    shown = {
        "peaks, training, random": "peaks at training digits, u random",
        "peaks, training, towards another": "peaks at training digits, u towards another",
        "half-width, training, random": "half-width at training digits, u random",
        "sharpness, training, random": "sharpness at training digits, u random",
        "flat, fake, probability": "fakes in flat regions of the probability",
        "flat, fake, G's loss": "fakes in flat regions of G's loss",
        "overfitting": "D's mean probability, training - held-out",
        "effective_classes": "effective classes of G",
    }
    figure = new_figure(13.0, 6.0)
    for axes, (what, title) in zip(figure.subplots(2, 4).flat, shown.items(), strict=True):
        for name, runs in traces.items():
            steps = [values["step"] for values in runs[0]]
            values = np.array([[numbers(values)[what] for values in probes] for probes in runs])
            pairs = [mean_and_error(column) for column in values.T]
            mean = np.array([np.nan if pair[0] is None else pair[0] for pair in pairs])
            error = np.array([pair[1] or 0.0 for pair in pairs])
            (line,) = axes.plot(steps, mean, "o-", markersize=3, linewidth=1.3, label=name)
            axes.fill_between(steps, mean - error, mean + error, color=line.get_color(), alpha=0.2, linewidth=0)
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25)
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("step", fontsize=9)
    figure.savefig(path)


if __name__ == "__main__":
    main()
