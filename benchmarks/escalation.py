"""Do signal magnitudes escalate when D overshoots, and does pixelwise normalisation stop G from taking part?

    python benchmarks/escalation.py [--data DIR] [--steps 1500] [--rates 1e-3,1e-2,3e-2] [--seeds 3]
        [--objective wgan_gp | least_squares | non_saturating] [--out FILE] [--pictures DIR]

The progressive networks at 16x16, without growth, by WGAN-GP with drift as in `progressive_mnist` or by an objective
without any penalty; a high learning rate of D makes it overshoot (G's stays). Every 25 steps a probe measures the root
mean square of every block's activations in G and in D, the largest absolute score, and the norms of the players'
gradients. A row a rate, with and without the normalisation: magnitudes at the end relative to those at step 25, and the
largest, each the median over seeds. The picture shows all traces.

References:
    T. Karras et al., "Progressive Growing of GANs", ICLR 2018, section 4.2.
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

from benchmarks.harness import arguments, emit
from benchmarks.programs import start, train_with_probe
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.losses.objectives import LeastSquares, NonSaturating
from gan_jax.training.batches import sample_latent
from gan_jax.training.evaluations import LoadedData, load_data
from gan_jax.training.state import TrainState

EVERY = 25
OBJECTIVES = {"wgan_gp": None, "least_squares": LeastSquares(), "non_saturating": NonSaturating()}


def setting(rate: float, pixel_norm: bool, objective: str) -> Experiment:
    """The config `escalation` at a learning rate of D, under its objective or under one without any penalty."""
    base = load("escalation")
    gen, disc = base.generator, base.discriminator
    network: Any = gen.network
    other = OBJECTIVES[objective]
    return dataclasses.replace(
        base,
        generator=dataclasses.replace(gen, network=dataclasses.replace(network, pixel_norm=pixel_norm)),
        discriminator=dataclasses.replace(disc, learning_rate=rate, penalties=() if other else disc.penalties),
        objective=other or base.objective,
    )


def rms(x: jax.Array) -> jax.Array:
    return jnp.sqrt(jnp.mean(jnp.square(x)))


def probe(experiment: Experiment, data: Any, state: TrainState) -> dict[str, jax.Array]:
    """Magnitudes by signal."""
    latent = sample_latent(experiment, jax.random.key(1), 64)
    gen, disc = state.generator.variables, state.discriminator.variables
    network: Any = experiment.generator.network
    fake, made = network.features(gen, latent, experiment.data.shape, train=False)
    scores, seen = experiment.discriminator.network.features(disc, fake, train=False)
    values = {f"G {name}": rms(value) for name, value in made.items()}
    values |= {f"D {name}": rms(value) for name, value in seen.items()}
    return values | {"G image": rms(fake), "D score": jnp.max(jnp.abs(scores))}


@jax.jit
def trace(experiment: Experiment, data: LoadedData, state: TrainState) -> dict[str, jax.Array]:
    """By signal, its magnitude every `EVERY` steps. Learning rates are leaves: one program serves all of them."""
    result = train_with_probe(experiment, data, state, probe, EVERY)
    norms = {
        f"{player} gradient": result.metrics[f"{name}_grad_norm"][EVERY - 1 :: EVERY]
        for player, name in (("G", "generator"), ("D", "discriminator"))
    }
    return result.probes | norms


def magnitudes(experiment: Experiment, data: LoadedData, seed: int) -> dict[str, np.ndarray]:
    """The trace of a run."""
    return {name: np.asarray(value) for name, value in trace(experiment, data, start(experiment, seed)).items()}


def measure(runs: list[dict[str, np.ndarray]]) -> dict[str, Any]:
    """The figures of the traces of some seeds."""
    growth = {name: [float(run[name][-1] / max(run[name][0], 1e-12)) for run in runs] for name in runs[0]}
    peak = {name: [float(np.nanmax(run[name])) for run in runs] for name in runs[0]}
    return {
        "growth": {name: float(np.median(values)) for name, values in growth.items()},
        "peak": {name: float(np.median(values)) for name, values in peak.items()},
        "finite": all(bool(np.all(np.isfinite(values))) for run in runs for values in run.values()),
    }


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, seeds=3, pictures=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--rates", default="1e-3,1e-2,3e-2", help="learning rates of D, comma-separated")
    parser.add_argument("--objective", choices=OBJECTIVES, default="wgan_gp")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    objective, rates = options.objective, [float(rate) for rate in options.rates.split(",")]
    data = load_data(setting(1e-3, True, objective), options.data)
    traces = {}
    for rate, pixel_norm in itertools.product(rates, (True, False)):
        began = time.perf_counter()
        made = dataclasses.replace(setting(rate, pixel_norm, objective), num_steps=options.steps)
        runs = [magnitudes(made, data, seed) for seed in range(options.seeds)]
        traces[rate, pixel_norm] = runs
        figures = {"objective": objective, "rate": rate, "pixel_norm": pixel_norm}
        figures |= {"steps": options.steps, "seeds": options.seeds, **measure(runs)}
        figures["seconds"] = round(time.perf_counter() - began, 1)
        case = f"{objective}, rate {rate:g}, {'with' if pixel_norm else 'without'} normalisation"
        emit("escalation", case, figures, options.out)
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        draw(traces, options.pictures / "escalation.png")


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
