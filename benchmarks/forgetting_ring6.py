"""Six Gaussians on a ring: what does D see and forget where G collapses, and where it does not?

    python benchmarks/forgetting_ring6.py [--seeds 8] [--steps 6000] [--cases plain,r1] [--out FILE] [--pictures DIR]

The arms of `configs/forgetting_ring6.py`. A probe measures every 50 steps: the modes that D has a peak at and the share
of real points at a local maximum of D (`gan_jax.diagnostics.landscape`); the cosine of D's input gradient with that of
50 steps before, at fixed points (256 real ones and 256 of the whole plane), and the share of points at which it has
reversed; the share of the fakes of 0, 50, 500 and 2,000 steps ago that D rejects; and G's modes and high-quality share.

A row an arm: each of these over the last quarter of the run, mean and standard error over seeds; and the first step at
which D has a peak at all modes, and at which G makes all: median over the seeds that come to it. The pictures are the
curves, and each arm's contours, field, real points and fakes at the end, for the seed whose number of modes is the
median.

References:
    A. Gainetdinov, "GAN Mode Collapse Explanation", Towards AI, 2023, figure 1.
    H. Thanh-Tung, T. Tran, "Catastrophic forgetting and mode collapse in GANs", IJCNN 2020, arXiv 1807.04015.
"""

from __future__ import annotations

import argparse
import dataclasses
import operator
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.harness import arguments, emit, mean_and_error, picked
from benchmarks.programs import many_with_probe, start
from gan_jax.diagnostics import forgetting, landscape, scans
from gan_jax.diagnostics.state.plane_survey import RADIUS, plane_checkpoint, plane_scene
from gan_jax.diagnostics.state.scores import examples, fakes_at, score_at
from gan_jax.experiment.configs import load_sweep
from gan_jax.experiment.experiment import Experiment
from gan_jax.metrics.modes import mode_metrics
from gan_jax.networks.network import Variables
from gan_jax.reports.figures import new_figure
from gan_jax.reports.landscape_plane import draw_plane
from gan_jax.training.state import TrainState

EVERY = 50
AGES = (0, 50, 500, 2000)
NUM, NUM_MODES = 256, 6
"""Points of each kind that are probed; modes of the ring."""


def probe(experiment: Experiment, data: Any, state: TrainState) -> dict[str, Any]:
    """The numbers of a state, and what `forgotten` compares with later states: slopes, fakes, D and the step."""
    mixture: Any = experiment.data
    detector: Any = experiment.detector
    source: Any = mixture.source(())
    score = score_at(experiment, state)
    seen = examples(experiment, (), 0, NUM)
    reach = 1.4 * mixture.radius
    plane = jax.random.uniform(jax.random.key(1), (NUM, 2), minval=-reach, maxval=reach)
    latent = jax.random.normal(jax.random.key(2), (2500, experiment.generator.latent_dim))
    mode = landscape.nearest_mode(seen.real, source.modes)
    radii = RADIUS * source.std
    made = mode_metrics(source, fakes_at(experiment, state, latent), detector.rule)
    numbers = {
        "modes_seen": jnp.sum(landscape.local_maximum_test(score, source.modes, radii, plane).seen),
        "real_at_peak": jnp.mean(landscape.is_peak(score, seen.real, 2 * radii[mode])),
        "real_attracted": jnp.mean(landscape.attracted(score, seen.real, source.modes[mode], radii[mode])),
        "modes": made.modes,
        "high_quality": made.high_quality,
        "accepts_real": jnp.mean(score(seen.real) > 0),
    }
    return {
        "numbers": numbers,
        "slopes": {"real": scans.input_gradients(score, seen.real), "plane": scans.input_gradients(score, plane)},
        "fakes": fakes_at(experiment, state, seen.latent),
        "discriminator": state.discriminator.variables,
        "step": state.step,
    }


def forgotten(experiment: Experiment, last: TrainState, probes: dict[str, Any]) -> dict[str, Array]:
    """What compares a probe with earlier ones: cosines of the slopes, and the share of old fakes that D rejects.

    A probe sees one state only, so that this is computed afterwards.

    Args:
        experiment: of the run.
        last: its last state.
        probes: values of `probe`, stacked.

    Returns:
        [probes] by name; NaN where there is no earlier probe.
    """
    num = probes["step"].shape[0]
    numbers = {}
    for kind, slopes in probes["slopes"].items():
        cosines = jax.vmap(forgetting.gradient_cosines)(slopes[:-1], slopes[1:])
        for name, values in (("cosine", cosines.mean), ("reversed", cosines.reversed_share)):
            numbers[f"{name}_{kind}"] = jnp.append(jnp.nan, values)

    def rejected(old: tuple[Variables, Array, Array]) -> Array:
        variables, step, fakes = old
        state = last._replace(discriminator=last.discriminator._replace(variables=variables), step=step)
        share = forgetting.accuracy_on_fakes(score_at(experiment, state)(fakes), 0.0)
        return jnp.where(jnp.all(jnp.isfinite(fakes)), share, jnp.nan)

    for age in AGES:
        lag = min(age // EVERY, num)
        later = jax.tree.map(lambda leaf, lag=lag: leaf[lag:], (probes["discriminator"], probes["step"]))
        shares = jax.lax.map(rejected, (*later, probes["fakes"][: num - lag]))
        numbers[f"rejects_{age}"] = jnp.concatenate([jnp.full(lag, jnp.nan), shares])
    return numbers


def runs(experiment: Experiment, seeds: int) -> tuple[TrainState, dict[str, np.ndarray]]:
    """(the last states, stacked; numbers [seeds, probes] by name) of runs side by side."""
    states = [start(experiment, seed) for seed in range(seeds)]
    last, probes = many_with_probe(experiment, states, probe, EVERY)
    compared = jax.jit(jax.vmap(forgotten, (None, 0, 0)))(experiment, last, probes)
    return last, {name: np.asarray(values, float) for name, values in (probes["numbers"] | compared).items()}


def summary(numbers: dict[str, np.ndarray]) -> dict[str, Any]:
    """Mean and standard error over seeds of the last quarter's means."""
    late = {name: np.nanmean(values[:, -max(1, values.shape[1] // 4) :], axis=1) for name, values in numbers.items()}
    rows = {name: mean_and_error(part) for name, part in late.items()}
    firsts = {f"first_all_{what}": first(numbers[name]) for what, name in (("seen", "modes_seen"), ("made", "modes"))}
    return {**rows, **firsts}


def first(modes: np.ndarray) -> dict[str, Any]:
    """The step of the first probe with all modes, of [seeds, probes]: its median over the seeds that have one."""
    steps = [EVERY * (1 + int(np.argmax(run >= NUM_MODES))) for run in modes if np.any(run >= NUM_MODES)]
    return {"median": float(np.median(steps)) if steps else None, "seeds": len(steps)}


def measure(name: str, experiment: Experiment, seeds: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """(the figures of an arm, its traces, what its picture shows)."""
    began = time.perf_counter()
    last, numbers = runs(experiment, seeds)
    at_end = numbers["modes"][:, -1]
    typical = int(np.argmin(np.abs(at_end - np.median(at_end))))
    seen = examples(experiment, (), 0, 512)
    state = jax.tree.map(operator.itemgetter(typical), last)
    picture = {
        **plane_scene(experiment, (), seen),
        "checkpoints": [plane_checkpoint(experiment, (), state, seen)],
        "made": [float(at_end[typical]), typical],
    }
    figures = {"arm": name, "steps": experiment.num_steps, "seeds": seeds, **summary(numbers)}
    return figures | {"seconds": round(time.perf_counter() - began, 1)}, numbers, picture


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, seeds=8, cases="arms", pictures=True)
    parser.add_argument("--config", default="forgetting_ring6")
    parser.add_argument("--steps", type=int, default=6000)
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    if options.steps < EVERY:
        parser.error(f"--steps is {options.steps}, and must be at least {EVERY}, the steps between two probes")
    sweep = load_sweep(options.config)
    if sweep is None:
        parser.error(f"--config: {options.config} has no arms")
    arms = {arm.name: arm.experiment for arm in sweep.arms}
    traces, pictures = {}, {}
    for name in picked(parser, options.cases, arms):
        experiment = dataclasses.replace(arms[name], num_steps=options.steps)
        figures, traces[name], pictures[name] = measure(name, experiment, options.seeds)
        emit("forgetting_ring6", name, figures, options.out)
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        draw_landscapes(pictures, options.pictures / "forgetting_ring6.png")
        draw_curves(traces, options.pictures / "forgetting_ring6_curves.png")


def draw_landscapes(pictures: dict[str, dict[str, Any]], path: Path) -> None:
    """The six-Gaussian picture: an arm beside the other, at the end."""
    columns = min(3, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = new_figure(4.9 * columns, 5.1 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(pictures) :]:
        axes.set_axis_off()
    for axes, (name, scene_of) in zip(grid, pictures.items(), strict=False):
        row = scene_of["checkpoints"][0]
        draw_plane(axes, scene_of, row)
        made, seed = scene_of["made"]
        num = len(scene_of["modes"])
        axes.set_title(
            f"{name}, seed {seed}, step {row['step']:,}: G makes {made:.0f} of {num} modes,\nD has a peak at "
            f"{row['modes_seen']}; {row['real_at_peak']:.0%} of real points are at a peak",
            fontsize=8.5,
        )
    figure.savefig(path)


def draw_curves(traces: dict[str, dict[str, np.ndarray]], path: Path) -> None:
    """Over training, means over seeds with bands of a standard error."""
    shown = {
        "modes": "modes that G makes",
        "modes_seen": "modes that D has a peak at",
        "real_at_peak": "real points at a local maximum of D",
        "reversed_real": f"gradient turned round in {EVERY} steps, real points",
        "reversed_plane": f"gradient turned round in {EVERY} steps, whole plane",
        f"rejects_{AGES[-1]}": f"fakes of {AGES[-1]:,} steps ago that D rejects",
    }
    figure = new_figure(12.0, 6.0)
    for axes, (signal, title) in zip(figure.subplots(2, 3).flat, shown.items(), strict=True):
        for name, numbers in traces.items():
            values = numbers[signal]
            steps = EVERY * (1 + np.arange(values.shape[1]))
            smooth = running_mean(values, 5)
            mean = smooth.mean(axis=0)
            (line,) = axes.plot(steps, mean, linewidth=1.3, label=name)
            if len(values) > 1:
                error = smooth.std(axis=0, ddof=1) / np.sqrt(len(values))
                axes.fill_between(steps, mean - error, mean + error, color=line.get_color(), alpha=0.2, linewidth=0)
        axes.set_title(title, fontsize=9)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25)
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("step", fontsize=9)
    figure.savefig(path)


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """Means of up to `width` probes up to each: [seeds, probes] -> the same."""
    return np.stack([values[:, max(0, i - width + 1) : i + 1].mean(axis=1) for i in range(values.shape[1])], axis=1)


if __name__ == "__main__":
    main()
