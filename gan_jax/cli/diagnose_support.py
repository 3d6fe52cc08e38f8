"""`gan-jax diagnose support RUN`: how many different samples G makes, and how near they are to the training examples.

Two samples count as the same if they are nearer to each other than all but 1 % of held-out examples are to their
nearest training example: as near as real data come to a training example by chance. The same rule on as many real
examples says what a perfect generator gets. Distances are Euclidean, over all values (pixels in [-1, 1]) and, for
images with a classifier, over its features. Diversity is not quality: noise never repeats itself.
"""

from __future__ import annotations

import argparse
import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.cli.diagnose_memorisation import split_examples
from gan_jax.data.images import Images, normalise
from gan_jax.data.stacked import ImageData
from gan_jax.data.weighted import WeightedSource
from gan_jax.diagnostics.state.scores import staged
from gan_jax.diagnostics.support import (
    Neighbours,
    closest_pairs,
    coincidences,
    nearest,
    observed_chances,
    support_size,
)
from gan_jax.experiment.experiment import Experiment
from gan_jax.metrics.classifier import Classifier, classify
from gan_jax.reports.drawing import rounded
from gan_jax.reports.sample_pictures import image_grid
from gan_jax.reports.support_figure import figure as figure
from gan_jax.reports.support_words import sentence
from gan_jax.reports.support_words import table as table
from gan_jax.runs.run_directory import RunError
from gan_jax.runs.run_states import RunStates, chosen_steps, open_states
from gan_jax.training.batches import sample_latent
from gan_jax.training.evaluations import evaluated_variables, sample_modes
from gan_jax.training.growth import at_step
from gan_jax.training.state import TrainState

QUANTILE = 0.01
"""Share of held-out examples that are nearer to a training example than the threshold."""
NUM_QUERIES = 2000
"""Fakes, and held-out examples, whose nearest training example is looked for."""
MOST_REFERENCES = 60_000
NUM_SHOWN = 8
_BATCHES = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Space(NamedTuple):
    """A space that distances are taken in.

    Attributes:
        name: for people.
        embed: samples [n, *shape] -> [n, d].
        train: [m, d], the training examples.
        held_out: [k, d].
        held_distance: [k], of each held-out example to its nearest training example.
        threshold: below which two samples are the same.
    """

    name: str
    embed: Callable[[Array], Array]
    train: Array
    held_out: Array
    held_distance: np.ndarray
    threshold: float


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Support size and nearest neighbours at the checkpoints; of image runs at the newest only, unless told.

    Raises:
        RunError: if the run or the samples do not suffice.
    """
    if not 100 <= options.samples <= 100_000:
        raise RunError(f"--samples is {options.samples:,}, and must be between 100 and 100,000")
    states = open_states(Path(options.run), options.data)
    experiment = states.experiment
    steps = chosen_steps(states, options)
    if len(experiment.data.shape) > 1 and options.step is None and len(steps) > 1:
        say(f"at the newest of {len(steps)} checkpoints, since each takes a while: --step for another")
        steps = steps[-1:]
    size = experiment.batch_size
    num = -(-options.samples // size) * size  # whole batches, for batch norm in training mode
    say("distances between real examples")
    keys = jax.random.split(jax.random.key(options.seed), 4)
    train, held_out, note = _real(states, keys[0], num)
    spaces = make_spaces(train, held_out, _classifier(states))
    ceilings = {space.name: _support(space, _real_samples(states, keys[1], num, space)) for space in spaces}
    latent = sample_latent(experiment, keys[2], num)
    rows, pictures = [], {}
    for step in steps:
        say(f"step {step:,}: {num:,} samples")
        state = states.restore(step)
        fakes = samples_of(staged(experiment, step), state, latent)
        if not bool(jnp.all(jnp.isfinite(fakes))):
            raise RunError(f"step {step:,}: samples are not finite: take an earlier checkpoint with --step")
        measured = {space.name: measure(space, fakes) for space in spaces}
        rows.append({"step": step, "spaces": {name: numbers for name, (numbers, _) in measured.items()}})
        if len(experiment.data.shape) > 1 and step == steps[-1]:
            pictures = {name: _pictures(np.asarray(fakes), train, found) for name, (_, found) in measured.items()}
    result = {
        "num_samples": num,
        "examples": note,
        "quantile": QUANTILE,
        "num_train": int(train.shape[0]),
        "spaces": {
            space.name: {
                "threshold": space.threshold,
                "held_out_median": float(np.median(space.held_distance)),
                "held_out_quantiles": _quantiles(space.held_distance),
                "real": ceilings[space.name],
            }
            for space in spaces
        },
        "onset": (states.verdict or {}).get("onset_step"),
        "rows": rows,
        "pictures": pictures,
    }
    result = rounded_texts(result)
    return {**result, "sentence": sentence(result)}


def make_spaces(train: Array, held_out: Array, classifier: Classifier | None) -> list[Space]:
    """The spaces that distances are taken in, each with its threshold.

    Raises:
        RunError: if the threshold is 0: 1 % or more of the held-out examples are training examples.
    """
    embeddings: dict[str, Callable[[Array], Array]] = {"pixels" if train.ndim == 4 else "data": _flat}
    if classifier is not None:
        embeddings["features"] = lambda samples: _features(classifier, samples)
    spaces = []
    for name, embed in embeddings.items():
        known, fresh = embed(train), embed(held_out)
        distance = np.asarray(nearest(fresh, known).distance)
        threshold = float(np.quantile(distance, QUANTILE))
        if threshold <= 0:
            raise RunError(
                f"{QUANTILE:.0%} or more of the held-out examples are training examples too ({name}): there is no "
                "distance below which samples are the same; diagnose a run on data with some spread"
            )
        spaces.append(Space(name, embed, known, fresh, distance, threshold))
    return spaces


def measure(space: Space, fakes: Array) -> tuple[dict[str, Any], tuple[Neighbours, Neighbours]]:
    """(numbers of a set of samples [n, *shape] in a space, (neighbours among themselves, in the training set))."""
    points = space.embed(fakes)
    among = nearest(points, points, exclude_self=True)
    in_train = nearest(points[:NUM_QUERIES], space.train)
    distance = np.asarray(in_train.distance)
    return {
        **_support(space, points),
        "nearest_median": float(np.median(distance)),
        "nearest_ratio": float(np.median(distance) / np.median(space.held_distance)),
        "share_close": float(np.mean(distance < space.threshold)),
        "nearest_quantiles": _quantiles(distance),
    }, (among, in_train)


def _support(space: Space, points: Array) -> dict[str, Any]:
    found = coincidences(points, space.threshold)
    size = support_size(np.asarray(found.degree))
    batches = [batch for batch in _BATCHES if batch <= points.shape[0] // 10]
    return {**size._asdict(), "chances": observed_chances(np.asarray(found.next), batches)}


@jax.jit
def samples_of(experiment: Experiment, state: TrainState, latent: Array) -> Array:
    """Samples of the G that evaluations are of, in training batches where it has batch norm. [n, *shape]."""
    experiment = at_step(experiment, state.step)
    modes = sample_modes(experiment, evaluated_variables(experiment, state), latent)
    return modes.get("batch", modes["running"])


def _real(states: RunStates, key: Array, num: int) -> tuple[Array, Array, str]:
    """(training examples, held-out ones, what they are)."""
    experiment, dataset = states.experiment, states.resources.dataset
    source = experiment.data.source(dataset)
    if isinstance(experiment.data, Images):
        split = split_examples(experiment, dataset, NUM_QUERIES, key)
        train = normalise(dataset.images[:MOST_REFERENCES])
        return train, split.held_out, f"{train.shape[0]:,} training and {split.held_out.shape[0]:,} held-out images"
    if isinstance(source, WeightedSource):
        train = dataset.points[:MOST_REFERENCES]
        held = source.mixture.sample(key, NUM_QUERIES)
        return train, held, f"{train.shape[0]:,} training points, and {NUM_QUERIES:,} fresh ones for held-out"
    split = split_examples(experiment, dataset, num, key)
    note = f"{num:,} fresh examples for training ones, of which there is no set, and {NUM_QUERIES:,} for held-out"
    return split.train, split.held_out[:NUM_QUERIES], note


def _real_samples(states: RunStates, key: Array, num: int, space: Space) -> Array:
    """Real examples in a space, as many as G's samples or as there are; images without replacement."""
    if isinstance(states.experiment.data, Images):
        points = jnp.concatenate([space.train, space.held_out])
        return points[jax.random.permutation(key, points.shape[0])[:num]]
    source = states.experiment.data.source(states.resources.dataset)
    source = source.mixture if isinstance(source, WeightedSource) else source
    return space.embed(source.sample(key, num))


def _classifier(states: RunStates) -> Classifier | None:
    """Of the run's detector, if its data have one."""
    if not isinstance(states.experiment.data, ImageData):
        return None
    return states.resources.reference.classifier


def _flat(samples: Array) -> Array:
    return samples.reshape(samples.shape[0], -1)


def _features(classifier: Classifier, samples: Array) -> Array:
    """Features of images, those of all channels one after another. [n, channels * 96]."""
    channels = jnp.moveaxis(samples, -1, 1).reshape(-1, *samples.shape[1:3], 1)
    return classify(classifier, channels)[1].reshape(samples.shape[0], -1)


def _quantiles(distance: np.ndarray) -> list[float]:
    """Of the 0, 5, ..., 100 %."""
    return [float(value) for value in np.quantile(distance, np.linspace(0, 1, 21))]


def _pictures(fakes: np.ndarray, train: Array, found: tuple[Neighbours, Neighbours]) -> dict[str, str]:
    """Base64 of PNG: the closest pairs of fakes, and the fakes closest to a training example above that example."""
    among, in_train = found
    pairs = closest_pairs(among, NUM_SHOWN)
    order = np.argsort(np.asarray(in_train.distance), kind="stable")[:NUM_SHOWN]
    examples = np.asarray(train[np.asarray(in_train.which)[order]])
    return {
        "pairs": _png(np.concatenate([fakes[pairs[:, 0]], fakes[pairs[:, 1]]])),
        "nearest": _png(np.concatenate([fakes[order], examples])),
    }


def _png(images: np.ndarray) -> str:
    file = io.BytesIO()
    image_grid(images, columns=len(images) // 2, scale=1).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def rounded_texts(value: Any) -> Any:
    """Numbers with 6 significant digits; texts, None and the rest as they are."""
    if isinstance(value, dict):
        return {name: rounded_texts(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded_texts(part) for part in value]
    return rounded(value, 6) if isinstance(value, (int, float, np.generic)) else value
