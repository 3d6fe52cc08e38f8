"""Six Gaussians on a ring: what D sees and forgets where G collapses, and where it does not.

    python -m benchmarks.forgetting_ring6 [--seeds 8] [--steps 6000] [--arms plain,r1] [--out DIR]

The arms of `configs/forgetting_ring6.py`. Every 50 steps: the modes that D has a peak at and the share of real points
at a local maximum of D (`gan_jax.diagnostics.landscape`); the cosine of D's input gradient at fixed probes, 256 real
points and 256 of the whole plane, with that of 50 steps before, and the share of probes at which it has reversed;
the share of the fakes of 0, 50, 500 and 2,000 steps ago that D rejects; and G's modes and high-quality share.

Prints a JSON row an arm: each of these over the last quarter of the run, mean and standard error over seeds; and the
first step at which D has a peak at all modes, and at which G makes all: median over the seeds that come to it. With
--out also the curves, and the picture: each arm's contours, field, real points and fakes at the end, for the seed whose
number of modes is the median.

References:
    A. Gainetdinov, "GAN Mode Collapse Explanation", Towards AI, 2023, figure 1.
    H. Thanh-Tung, T. Tran, "Catastrophic forgetting and mode collapse in GANs", IJCNN 2020, arXiv 1807.04015.
"""

from __future__ import annotations

import argparse
import functools
import json
import operator
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.diagnostics import forgetting, landscape, scans
from gan_jax.diagnostics.state.plane_survey import RADIUS, plane_checkpoint, plane_scene
from gan_jax.diagnostics.state.rounding import rounded
from gan_jax.diagnostics.state.scores import examples, fakes_at, score_at
from gan_jax.experiment.configs import load_sweep
from gan_jax.experiment.experiment import Experiment
from gan_jax.metrics.modes import mode_metrics
from gan_jax.reports.figures import new_figure
from gan_jax.reports.landscape_plane import draw_plane
from gan_jax.training.steps import TrainState, train_step
from gan_jax.training.train import compiler_options, init

EVERY = 50
AGES = (0, 50, 500, 2000)
NUM, NUM_MODES = 256, 6
"""Points of each kind that are looked at; modes of the ring."""


def look(experiment: Experiment, state: TrainState, past: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what the next look needs, the numbers of this one) of a state."""
    source, score = experiment.data.source(()), score_at(experiment, state)
    seen = examples(experiment, (), 0, NUM)
    reach = 1.4 * experiment.data.radius
    plane = jax.random.uniform(jax.random.key(1), (NUM, 2), minval=-reach, maxval=reach)
    slopes = {"real": scans.score_gradients(score, seen.real), "plane": scans.score_gradients(score, plane)}
    cosines = {kind: forgetting.gradient_cosines(past["slopes"][kind], slopes[kind]) for kind in slopes}
    fakes = fakes_at(experiment, state, seen.latent)
    shown = jnp.concatenate([fakes[None], past["fakes"][:-1]])
    mode = landscape.nearest_mode(seen.real, source.modes)
    radii = RADIUS * source.std
    made = mode_metrics(source, fakes_at(experiment, state, past["latent"]), experiment.detector.rule)
    numbers = {
        "modes_seen": jnp.sum(landscape.local_maximum_test(score, source.modes, radii, plane).seen),
        "real_at_peak": jnp.mean(landscape.is_peak(score, seen.real, 2 * radii[mode])),
        "real_attracted": jnp.mean(landscape.attracted(score, seen.real, source.modes[mode], radii[mode])),
        **{f"cosine_{kind}": of.mean for kind, of in cosines.items()},
        **{f"reversed_{kind}": of.reversed_share for kind, of in cosines.items()},
        "modes": made.modes,
        "high_quality": made.high_quality,
        "accepts_real": jnp.mean(score(seen.real) > 0),
    }
    for age in AGES:
        old = shown[age // EVERY]
        rejected = forgetting.accuracy_on_fakes(score(old), 0.0)
        numbers[f"rejects_{age}"] = jnp.where(jnp.all(jnp.isfinite(old)), rejected, jnp.nan)
    return {"slopes": slopes, "fakes": shown, "latent": past["latent"]}, numbers


def trace(experiment: Experiment, state: TrainState, num_probes: int) -> tuple[TrainState, dict[str, jax.Array]]:
    """A run, and its looks: leaves [looks]."""
    zero = jnp.zeros((NUM, 2))
    past = {
        "slopes": {"real": zero, "plane": zero},
        "fakes": jnp.full((AGES[-1] // EVERY + 1, NUM, 2), jnp.nan),
        "latent": jax.random.normal(jax.random.key(2), (2500, experiment.generator.latent_dim)),
    }

    def step(carry: tuple[TrainState, Any], _: None) -> tuple[Any, Any]:
        state, past = carry
        state, _ = jax.lax.scan(lambda s, _: (train_step(experiment, (), s)[0], None), state, length=EVERY)
        past, numbers = look(experiment, state, past)
        return (state, past), numbers

    (state, _), numbers = jax.lax.scan(step, (state, past), length=num_probes)
    return state, numbers


def runs(experiment: Experiment, seeds: int, num_probes: int) -> tuple[TrainState, dict[str, np.ndarray]]:
    """(the last states, stacked; the looks [seeds, looks]) of runs side by side."""
    states = [init(experiment, jax.random.key(seed)) for seed in range(seeds)]
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    program = jax.jit(
        jax.vmap(functools.partial(trace, num_probes=num_probes), (None, 0)), compiler_options=compiler_options()
    )
    last, numbers = program(experiment, states)
    return last, {name: np.asarray(values, float) for name, values in numbers.items()}


def summary(numbers: dict[str, np.ndarray]) -> dict[str, Any]:
    """Mean and standard error over seeds of the last quarter's means."""
    late = {name: np.nanmean(values[:, -max(1, values.shape[1] // 4) :], axis=1) for name, values in numbers.items()}
    rows = {name: [float(np.mean(part)), standard_error(part)] for name, part in late.items()}
    firsts = {f"first_all_{what}": first(numbers[name]) for what, name in (("seen", "modes_seen"), ("made", "modes"))}
    return {**rounded(rows, 4), **firsts}


def first(modes: np.ndarray) -> dict[str, Any]:
    """The step of the first look with all modes, of [seeds, looks]: its median over the seeds that have one."""
    steps = [EVERY * (1 + int(np.argmax(run >= NUM_MODES))) for run in modes if np.any(run >= NUM_MODES)]
    return {"median": float(np.median(steps)) if steps else None, "seeds": len(steps)}


def standard_error(values: np.ndarray) -> float | None:
    return float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="forgetting_ring6")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--arms", help="names with commas; all of the config if not given")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    arms = {arm.name: arm.experiment for arm in load_sweep(options.config).arms}
    names = options.arms.split(",") if options.arms else list(arms)
    if unknown := [name for name in names if name not in arms]:
        parser.error(f"no arm {', '.join(unknown)}: there are {', '.join(arms)}")
    if options.seeds < 1 or options.steps < EVERY:
        parser.error(f"--seeds must be at least 1, and --steps at least {EVERY}, the steps between two looks")
    traces, pictures = {}, {}
    for name in names:
        start = time.perf_counter()
        last, numbers = runs(arms[name], options.seeds, options.steps // EVERY)
        traces[name] = numbers
        at_end = numbers["modes"][:, -1]
        typical = int(np.argmin(np.abs(at_end - np.median(at_end))))
        seen = examples(arms[name], (), 0, 512)
        state = jax.tree.map(operator.itemgetter(typical), last)
        pictures[name] = {
            **plane_scene(arms[name], (), seen),
            "checkpoints": [plane_checkpoint(arms[name], (), state, seen)],
            "made": [float(at_end[typical]), typical],
        }
        row = {"arm": name, "steps": options.steps, "seeds": options.seeds, **summary(numbers)}
        row["seconds"] = round(time.perf_counter() - start, 1)
        print(json.dumps(row), flush=True)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            with (options.out / "rows.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
    if options.out:
        draw_landscapes(pictures, options.out / "forgetting_ring6.png")
        draw_curves(traces, options.out / "forgetting_ring6_curves.png")


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
        "reversed_real": f"gradient reversed in {EVERY} steps, real points",
        "reversed_plane": f"gradient reversed in {EVERY} steps, whole plane",
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
    """Means of up to `width` looks up to each: [seeds, looks] -> the same."""
    return np.stack([values[:, max(0, i - width + 1) : i + 1].mean(axis=1) for i in range(values.shape[1])], axis=1)


if __name__ == "__main__":
    main()
