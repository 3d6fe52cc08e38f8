"""Do signal magnitudes escalate when D overshoots, and does pixelwise normalisation stop G from taking part?

    python -m benchmarks.escalation [--data DIR] [--steps 1500] [--rates 1e-3,1e-2,3e-2] [--seeds 3] [--out DIR]
        [--objective wgan_gp | least_squares | non_saturating]

The progressive networks at 16x16, without growth, WGAN-GP with drift as in `progressive_mnist` or an objective without
any penalty; D is pushed to overshoot by a high learning rate (G's stays). Every 25 steps: the root mean square of every
block's activations in G and in D, the largest absolute score, and the norms of the players' gradients. Prints a JSON
row for each rate, with and without the normalisation: magnitudes at the end relative to those at step 25, median over
seeds. One figure shows all.

References:
    T. Karras et al., "Progressive Growing of GANs", ICLR 2018, section 4.2.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.losses.objectives import LeastSquares, NonSaturating
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.batches import sample_latent
from gan_jax.training.evaluations import load_data
from gan_jax.training.steps import train_step

EVERY = 25
OBJECTIVES = {"wgan_gp": None, "least_squares": LeastSquares(), "non_saturating": NonSaturating()}


def setting(rate: float, pixel_norm: bool, objective: str) -> Experiment:
    """The config `escalation` at a learning rate of D, under its objective or under one without any penalty."""
    base = load("escalation")
    gen, disc = base.generator, base.discriminator
    other = OBJECTIVES[objective]
    return dataclasses.replace(
        base,
        generator=dataclasses.replace(gen, network=dataclasses.replace(gen.network, pixel_norm=pixel_norm)),
        discriminator=dataclasses.replace(disc, learning_rate=rate, penalties=() if other else disc.penalties),
        objective=other or base.objective,
    )


def rms(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(x)))


@functools.partial(jax.jit, static_argnames="num_probes")
def trace(experiment: Experiment, dataset, state, num_probes: int) -> dict[str, jax.Array]:
    """By signal, its magnitude every `EVERY` steps. Learning rates are leaves: one program serves all of them."""

    def look(state, _):
        state, metrics = jax.lax.scan(lambda s, _: train_step(experiment, dataset, s), state, length=EVERY)
        latent = sample_latent(experiment, jax.random.key(1), 64)
        gen, disc = state.generator.variables, state.discriminator.variables
        fake, made = experiment.generator.network.features(gen, latent, experiment.data.shape, train=False)
        scores, seen = experiment.discriminator.network.features(disc, fake, train=False)
        out = {f"G {name}": rms(value) for name, value in made.items()}
        out |= {f"D {name}": rms(value) for name, value in seen.items()}
        out |= {"G image": rms(fake), "D score": jnp.max(jnp.abs(scores))}
        out |= {f"{p} gradient": metrics[f"{n}_grad_norm"][-1] for p, n in (("G", "generator"), ("D", "discriminator"))}
        return state, out

    return jax.lax.scan(look, state, length=num_probes)[1]


def magnitudes(experiment: Experiment, dataset, seed: int, steps: int) -> dict[str, np.ndarray]:
    """The trace of a run."""
    values = trace(experiment, dataset, compiled_init(experiment, jax.random.key(seed)), steps // EVERY)
    return {name: np.asarray(value) for name, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rates", default="1e-3,1e-2,3e-2")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--objective", choices=OBJECTIVES, default="wgan_gp")
    options = parser.parse_args()
    objective = options.objective
    dataset = load_data(setting(1e-3, True, objective), options.data).dataset
    traces = {}
    for rate in map(float, options.rates.split(",")):
        for pixel_norm in (True, False):
            start = time.perf_counter()
            made = setting(rate, pixel_norm, objective)
            runs = [magnitudes(made, dataset, seed, options.steps) for seed in range(options.seeds)]
            traces[rate, pixel_norm] = runs
            growth = {name: [float(run[name][-1] / max(run[name][0], 1e-12)) for run in runs] for name in runs[0]}
            peak = {name: [float(np.nanmax(run[name])) for run in runs] for name in runs[0]}
            row = {
                "objective": objective,
                "rate": rate,
                "pixel_norm": pixel_norm,
                "steps": options.steps,
                "seeds": options.seeds,
                "growth": {name: float(np.median(values)) for name, values in growth.items()},
                "peak": {name: float(np.median(values)) for name, values in peak.items()},
                "finite": all(bool(np.all(np.isfinite(values))) for run in runs for values in run.values()),
                "seconds": round(time.perf_counter() - start, 1),
            }
            print(json.dumps(row), flush=True)
            if options.out:
                options.out.mkdir(parents=True, exist_ok=True)
                with (options.out / "rows.jsonl").open("a") as file:
                    file.write(json.dumps(row) + "\n")
    if options.out:
        draw(traces, options.out / "escalation.png")


def draw(traces: dict, path: Path) -> None:
    """A column a rate; magnitudes of G's last block and image, D's first block and score; with it and without."""
    import matplotlib.pyplot as plt

    signals = ("G block_16", "G image", "D block_16", "D score", "D gradient")
    rates = sorted({rate for rate, _ in traces})
    figure, grid = plt.subplots(
        len(signals),
        len(rates),
        figsize=(3.6 * len(rates), 1.9 * len(signals)),
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for row, signal in zip(grid, signals, strict=True):
        for axes, rate in zip(row, rates, strict=True):
            for pixel_norm, colour in ((True, "#2a6f97"), (False, "#d1495b")):
                for index, run in enumerate(traces[rate, pixel_norm]):
                    label = ("with" if pixel_norm else "without") + " pixelwise normalisation"
                    steps = EVERY * (1 + np.arange(len(run[signal])))
                    axes.plot(steps, run[signal], color=colour, linewidth=0.9, label=None if index else label)
            axes.set_yscale("log")
            axes.tick_params(labelsize=7)
        row[0].set_ylabel(signal, fontsize=8)
    for axes, rate in zip(grid[0], rates, strict=True):
        axes.set_title(f"D's learning rate {rate:g}", fontsize=9)
    grid[0, 0].legend(fontsize=6, frameon=False)
    figure.supxlabel("step", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
