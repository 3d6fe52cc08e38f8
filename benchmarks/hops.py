"""Two cities, one thermometer: how often does G hop between the modes, plain and with each remedy?

    python benchmarks/hops.py [--seeds 8] [--steps 10000] [--cases plain,replay_fifo] [--out FILE] [--pictures DIR]

Every 20 steps a probe takes 256 temperatures from G. G is *in* a city when at least 90 % of them are nearer to it than
to the other, and *covers* both when at least 25 % are within 3 standard deviations of each. A hop is a change from one
city to the other, with anything in between. A row a remedy: hops per 10,000 steps (mean, standard error, and of each
seed), and the shares of probes at which G covers both cities, and is in one. The picture shows the traces.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import arguments, emit, mean_and_error, picked
from benchmarks.programs import many_with_probe
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.remedies import REMEDIES, apply_remedy
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.batches import generate, sample_latent
from gan_jax.training.context import StepContext
from gan_jax.training.state import TrainState

EVERY = 20


def probe(experiment: Experiment, data: Any, state: TrainState) -> tuple[jax.Array, jax.Array]:
    """The share of temperatures nearer to the hot city, and the shares within 3 std of the cold and the hot one [2]."""
    cities: Any = experiment.data
    middle = (cities.cold + cities.hot) / 2
    latent = sample_latent(experiment, jax.random.key(1), 256)
    samples, _ = generate(StepContext(experiment, state.step), state.generator.variables, latent, train=False)
    share = jnp.where(jnp.all(jnp.isfinite(samples)), jnp.mean(samples > middle), jnp.nan)
    near = jnp.abs(samples - jnp.stack([cities.cold, cities.hot])) < 3 * cities.std
    return share, jnp.mean(near, axis=0)


def city_shares(experiment: Experiment, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """The probe's values over runs: [seeds, probes] and [seeds, probes, 2]."""
    states = [compiled_init(experiment, key) for key in jax.random.split(jax.random.key(0), seeds)]
    _, (shares, near) = many_with_probe(experiment, states, probe, EVERY)
    return np.asarray(shares), np.asarray(near)


def hops(shares: np.ndarray) -> int:
    """Changes of city along one trace.

    >>> hops(np.array([0.0, 0.05, 0.5, 1.0, 0.95, 0.6, 0.97, 0.02]))
    2
    """
    inside = [city for share in shares if (city := 1 if share >= 0.9 else 0 if share <= 0.1 else None) is not None]
    return sum(a != b for a, b in itertools.pairwise(inside))


def measure(experiment: Experiment, seeds: int) -> tuple[dict[str, Any], np.ndarray]:
    """(the figures of an arm, its traces [seeds, probes])."""
    began = time.perf_counter()
    trace, near = city_shares(experiment, seeds)
    counts = np.array([hops(shares) for shares in trace]) * 10_000 / experiment.num_steps
    mean, error = mean_and_error(counts)
    figures = {
        "hops": mean,
        "hops_se": error,
        "hops_each": [round(float(count), 1) for count in counts],
        "covers_both": round(float(np.mean(np.all(near >= 0.25, axis=-1))), 3),
        "in_one": round(float(np.mean((trace >= 0.9) | (trace <= 0.1))), 3),
        "finite": bool(np.all(np.isfinite(trace))),
        "seconds": round(time.perf_counter() - began, 1),
    }
    return figures, trace


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, seeds=8, cases="remedies", pictures=True)
    parser.add_argument("--config", default="temperatures_hopping")
    parser.add_argument("--steps", type=int, default=10_000)
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    base = dataclasses.replace(load(options.config), num_steps=options.steps)
    traces = {}
    for name in picked(parser, options.cases, REMEDIES):
        figures, traces[name] = measure(apply_remedy(base, name), options.seeds)
        about = {"arm": name, "steps": options.steps, "seeds": options.seeds}
        emit("hops", name, about | figures, options.out)
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        draw(traces, options.pictures / "traces.png")


def draw(traces: dict[str, np.ndarray], path: Path) -> None:
    """Three seeds of every arm, side by side."""
    import matplotlib.pyplot as plt

    columns = 4
    rows = -(-len(traces) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(12, 1.3 * rows), sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(traces) :]:
        axes.axis("off")
    for axes, (name, trace) in zip(grid.flat, traces.items(), strict=False):
        steps = EVERY * (1 + np.arange(trace.shape[1]))
        axes.plot(steps, trace[:3].T, linewidth=0.6)
        axes.set_title(name, fontsize=8)
        axes.tick_params(labelsize=6)
    figure.supylabel("share of temperatures nearer to the hot city", fontsize=9)
    figure.supxlabel("step", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
