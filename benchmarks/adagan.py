"""Does boosting cover the modes that one GAN misses, and more than as many GANs side by side? The grid, by rounds.

    python benchmarks/adagan.py [--config adagan_grid] [--rounds 10] [--steps N] [--seeds 3] [--classifier-steps N]
        [--cases independent,bagging,star,dagger,longer] [--out FILE] [--pictures DIR]

Every method of a seed gets the same training points and, for round or member t, the same key, so the same initial
weights and latents: the first rounds of both boosts and the first independent member are one run, bit for bit.

    independent   T GANs on the data as they are, equal weights: what boosting must beat
    bagging       the same on bootstrap resamples
    star, dagger  AdaGAN by theorem 1 and by theorem 2, beta = 1/t
    longer        one GAN, given the steps of all T rounds (a row at the end)
    best          the independent member with the most modes, of highest quality among those (a row at the end)

A row a method and round: modes captured under the config's rule, and by any sample; high-quality share; KL of the mode
counts (over high-quality samples, nats); AdaGAN's coverage C on the metric's samples against as many training points,
kernels of the modes' standard deviation; for boosts the density-ratio classifier's loss on the mixture before the round
(1.386 where it can not tell the two apart) and the effective share of the training points, 1 / (N sum w^2). A picture a
seed and boost shows, per round, the points coloured by weight and the mixture's samples; another the curves over
rounds, means over seeds with extremes.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import arguments, emit, picked
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.scaling.ensembles import (
    DensityRatioClassifier,
    Ensemble,
    bag,
    coverage,
    first,
    independent,
    measure,
    member,
    rounds,
    sample,
)
from gan_jax.training.evaluations import LoadedData, load_data

METHODS = ("independent", "bagging", "star", "dagger", "longer")
BOOSTS = ("star", "dagger")
SHOWN = 1500
"""Samples and training points in a picture."""


def mixtures(
    method: str,
    experiment: Experiment,
    resources: LoadedData,
    key: jax.Array,
    num_rounds: int,
    classifier: DensityRatioClassifier,
) -> Iterator[Ensemble]:
    """The mixture of a method after each round.

    Args:
        method: one of `METHODS`, without "longer".
        experiment: the GAN of a round.
        resources: its data.
        key: everything random follows from it.
        num_rounds: components in the end.
        classifier: that of boosts.
    """
    if method in BOOSTS:
        yield from rounds(experiment, resources, key, num_rounds, weighting=method, classifier=classifier)
    else:
        train = {"independent": independent, "bagging": bag}[method]
        ensemble = train(experiment, resources, key, num_rounds, strategy="map")
        yield from (first(ensemble, num) for num in range(1, num_rounds + 1))


def measured(experiment: Experiment, resources: LoadedData, ensemble: Ensemble, key: jax.Array) -> dict[str, Any]:
    """What a row says of a mixture."""
    seen = measure(experiment, resources, ensemble, key)
    num = experiment.detector.num_samples
    source = experiment.data.source(resources.dataset)
    samples = sample(experiment, ensemble, key, num)
    return {
        "modes": int(seen.modes),
        "modes_any": int(seen.modes_any),
        "high_quality": round(float(seen.high_quality), 4),
        "kl": round(float(seen.kl), 4),
        "coverage": round(float(coverage(samples, resources.dataset.points[:num], jnp.mean(source.std))), 4),
    }


def fit_figures(ensemble: Ensemble, number: int) -> dict[str, Any]:
    """Further figures of a boost's round: the fit of its classifier, and the weights that came of it."""
    weights = ensemble.data_weights[number - 1]
    loss, ratio = (float(part[number - 1]) for part in ensemble.fits)
    return {
        "classifier_loss": round(loss, 4) if number > 1 else None,
        "mean_ratio": round(ratio, 4) if number > 1 else None,
        "effective_share": round(float(1 / (weights.shape[0] * jnp.sum(weights**2))), 4),
    }


def longer(experiment: Experiment, num_rounds: int) -> Experiment:
    """One GAN with the steps of all rounds."""
    return override(experiment, "num_steps", num_rounds * experiment.num_steps)


# ---- Pictures --------------------------------------------------------------------------------------------------------


def plot_rounds(history: list[Ensemble], experiment: Experiment, resources: LoadedData, key: Any, path: Path) -> None:
    """Above, the training points by weight relative to the uniform one; below, what the mixture then makes."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import colors
    from matplotlib import pyplot as plt

    points = np.asarray(resources.dataset.points)
    num, span = len(points), 1.25 * np.abs(points).max()
    across = len(history)
    figure, axes = plt.subplots(2, across, figsize=(2.2 * across + 0.6, 4.6), layout="constrained", squeeze=False)
    for index, ensemble in enumerate(history):
        relative = num * np.asarray(ensemble.data_weights[index][:SHOWN])
        order = np.argsort(relative)
        seen = axes[0, index].scatter(
            *points[:SHOWN][order].T, c=relative[order], s=4, cmap="viridis", norm=colors.Normalize(0, 4)
        )
        axes[0, index].set_title(f"round {index + 1}", fontsize=9)
        samples = np.asarray(sample(experiment, ensemble, key, SHOWN))
        axes[1, index].plot(*points[:SHOWN].T, ".", color="0.8", markersize=4)
        axes[1, index].plot(*samples.T, ".", color="tab:red", markersize=1.5)
    for axis in axes.flat:
        axis.set(xlim=(-span, span), ylim=(-span, span), aspect="equal", xticks=[], yticks=[])
    axes[0, 0].set_ylabel("training points")
    axes[1, 0].set_ylabel("mixture (red)")
    figure.colorbar(seen, ax=axes[0].tolist(), label="weight x N", extend="max")
    figure.savefig(path, dpi=90)
    plt.close(figure)


def plot_curves(rows: list[dict[str, Any]], path: Path) -> None:
    """Each metric over rounds: means over seeds, and the range; the single runs as levels."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(16, 3.8), layout="constrained")
    colours = {
        method: f"C{index}"
        for index, method in enumerate(("independent", "bagging", "star", "dagger", "longer", "best"))
    }
    for axis, metric in zip(axes, ("modes", "high_quality", "coverage", "kl"), strict=True):
        for method, colour in colours.items():
            of_method = [row for row in rows if row["method"] == method]
            numbers = sorted({row["round"] for row in of_method})
            values = [[row[metric] for row in of_method if row["round"] == number] for number in numbers]
            if not numbers:
                continue
            means = [np.mean(each) for each in values]
            if len(numbers) == 1:
                axis.axhline(means[0], color=colour, ls=":", label=method)
                continue
            axis.plot(numbers, means, color=colour, label=method)
            low, high = ([limit(each) for each in values] for limit in (min, max))
            axis.fill_between(numbers, low, high, color=colour, alpha=0.12, lw=0)
        axis.set(title=metric.replace("_", " "), xlabel="components", ylim=(0, None))
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=100)
    plt.close(figure)


# ---- The study -------------------------------------------------------------------------------------------------------


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, seeds=3, cases="methods", pictures=True)
    parser.add_argument("--config", default="adagan_grid")
    parser.add_argument("--rounds", type=int, default=10, help="components of every mixture")
    parser.add_argument("--steps", type=int, help="training steps of a component. None: the config's")
    default = DensityRatioClassifier().num_steps
    parser.add_argument("--classifier-steps", type=int, default=default, help="of the density-ratio classifier")
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    experiment, classifier = load(options.config), DensityRatioClassifier(num_steps=options.classifier_steps)
    if options.steps is not None:
        experiment = override(experiment, "num_steps", options.steps)
    resources = load_data(experiment)
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []

    def record(began: float, method: str, seed: int, number: int, found: dict[str, Any]) -> None:
        figures = {"method": method, "seed": seed, "round": number, **found}
        figures |= {"seconds": round(time.perf_counter() - began, 1), "num_steps": experiment.num_steps}
        rows.append(emit("adagan", method, figures, options.out))

    for seed, method in itertools.product(range(options.seeds), picked(parser, options.cases, METHODS)):
        key, key_measure = jax.random.split(jax.random.key(seed))
        measure_mixture = functools.partial(measured, experiment, resources, key=key_measure)
        write = functools.partial(record, time.perf_counter())
        if method == "longer":
            alone = independent(longer(experiment, options.rounds), resources, key, 1)
            write(method, seed, options.rounds, measure_mixture(alone))
            continue
        history = []
        for ensemble in mixtures(method, experiment, resources, key, options.rounds, classifier):
            history.append(ensemble)
            number = len(history)
            found = measure_mixture(ensemble) | (fit_figures(ensemble, number) if method in BOOSTS else {})
            write(method, seed, number, found)
        if method in BOOSTS and options.pictures:
            path = options.pictures / f"{method}_seed{seed}.png"
            plot_rounds(history, experiment, resources, key_measure, path)
        if method == "independent":
            each = [measure_mixture(member(ensemble, index)) for index in range(options.rounds)]
            write("best", seed, options.rounds, max(each, key=lambda found: (found["modes"], found["high_quality"])))
    if options.pictures:
        plot_curves(rows, options.pictures / "curves.png")


if __name__ == "__main__":
    main()
