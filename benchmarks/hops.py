"""Two cities, one thermometer: how often does G hop between the modes, plain and with each remedy?

    python -m benchmarks.hops [--seeds 8] [--steps 10000] [--arms plain,replay_fifo] [--out DIR]

Every 20 steps G makes 256 temperatures. It is *in* a city when at least 90 % of them are nearer to it than to the
other, and *covers* both when at least 25 % are within 3 standard deviations of each. A hop is to be in the one city
after having been in the other, with anything in between. Prints a JSON row an arm: hops per 10,000 steps (mean,
standard error, and of each seed), the share of looks at which G covers both, and the share at which it is in one;
writes the traces as a picture.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.remedies import REMEDIES, apply_remedy
from gan_jax.scaling.programs import compiled_init, compiler_options
from gan_jax.training.batches import generate, sample_latent
from gan_jax.training.steps import train_step

EVERY = 20


def hot_shares(experiment: Experiment, seeds: int, num_probes: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of temperatures nearer to the hot city, [seeds, looks], and within 3 std of either, [seeds, looks, 2]."""
    middle = (experiment.data.cold + experiment.data.hot) / 2

    def run(experiment, state):
        def look(state, _):
            state, _ = jax.lax.scan(lambda s, _: (train_step(experiment, (), s)[0], None), state, length=EVERY)
            latent = sample_latent(experiment, jax.random.key(1), 256)
            samples, _ = generate(experiment, state.generator.variables, latent, train=False)
            share = jnp.where(jnp.all(jnp.isfinite(samples)), jnp.mean(samples > middle), jnp.nan)
            near = jnp.abs(samples - jnp.stack([experiment.data.cold, experiment.data.hot])) < 3 * experiment.data.std
            return state, (share, jnp.mean(near, axis=0))

        return jax.lax.scan(look, state, length=num_probes)[1]

    states = [compiled_init(experiment, key) for key in jax.random.split(jax.random.key(0), seeds)]
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    program = jax.jit(jax.vmap(run, (None, 0)), compiler_options=compiler_options())
    shares, near = program(experiment, states)
    return np.asarray(shares), np.asarray(near)


def hops(shares: np.ndarray) -> int:
    """Changes of city along one trace.

    >>> hops(np.array([0.0, 0.05, 0.5, 1.0, 0.95, 0.6, 0.97, 0.02]))
    2
    """
    inside = [city for share in shares if (city := 1 if share >= 0.9 else 0 if share <= 0.1 else None) is not None]
    return sum(a != b for a, b in itertools.pairwise(inside))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="temperatures_hopping")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--arms", help="names of remedies with commas; all if not given")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    names = options.arms.split(",") if options.arms else list(REMEDIES)
    base = dataclasses.replace(load(options.config), num_steps=options.steps)
    traces = {}
    for name in names:
        start = time.perf_counter()
        traces[name], near = hot_shares(apply_remedy(base, name), options.seeds, options.steps // EVERY)
        counts = np.array([hops(trace) for trace in traces[name]]) * 10_000 / options.steps
        row = {
            "arm": name,
            "hops": round(float(counts.mean()), 2),
            "hops_se": round(float(counts.std(ddof=1) / np.sqrt(len(counts))), 2),
            "hops_each": [round(float(c), 1) for c in counts],
            "covers_both": round(float(np.mean(np.all(near >= 0.25, axis=-1))), 3),
            "in_one": round(float(np.mean((traces[name] >= 0.9) | (traces[name] <= 0.1))), 3),
            "finite": bool(np.all(np.isfinite(traces[name]))),
            "seconds": round(time.perf_counter() - start, 1),
        }
        print(json.dumps(row), flush=True)
        if options.out:
            options.out.mkdir(parents=True, exist_ok=True)
            with (options.out / "rows.jsonl").open("a") as file:
                file.write(json.dumps(row) + "\n")
    if options.out:
        draw(traces, options.out / "traces.png")


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
