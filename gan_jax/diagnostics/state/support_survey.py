"""Support size of G and distances to the training examples at one training state, by the space of the distances.

Two samples count as the same if their distance is below a threshold: the 1 % quantile of the distance from a held-out
example to its nearest training example, at which real data coincide with the training set by chance. The same rule
applied to real examples gives the value of a perfect generator. Distances are Euclidean, over all values (pixels in
[-1, 1]) and, for images with a classifier, over its features. A large support does not mean high quality: noise never
repeats itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.data.images import Images, normalise
from gan_jax.data.weighted import WeightedSource
from gan_jax.diagnostics.state.split_accuracies import split_examples
from gan_jax.diagnostics.support import (
    Neighbours,
    coincidences,
    nearest_neighbours,
    observed_chances,
    support_size,
)
from gan_jax.experiment.experiment import Experiment
from gan_jax.metrics.classifier import Classifier, classify
from gan_jax.training.evaluations import evaluated_variables, sample_modes
from gan_jax.training.growth import at_step
from gan_jax.training.state import TrainState

THRESHOLD_QUANTILE = 0.01
"""Share of held-out examples that are closer to a training example than the threshold."""
NUM_QUERIES = 2000
"""Number of fakes, and of held-out examples, whose nearest training example is searched."""
_MOST_REFERENCES = 60_000
_BATCHES = (10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class SupportSpace(NamedTuple):
    """A space in which distances are taken.

    Attributes:
        name: "pixels", "data" or "features".
        embed: samples [n, *shape] -> [n, d].
        train: [m, d], the training examples.
        held_out: [k, d], the held-out examples.
        held_distance: [k], distance of each held-out example to its nearest training example.
        threshold: distance below which two samples are the same.
    """

    name: str
    embed: Callable[[Array], Array]
    train: Array
    held_out: Array
    held_distance: np.ndarray
    threshold: float


def reference_examples(experiment: Experiment, dataset: Any, key: Array, num: int) -> tuple[Array, Array, str]:
    """The real examples with which samples are compared.

    Args:
        experiment: of the run.
        dataset: of the run.
        key: of the draws.
        num: training examples for a mixture without a fixed training set.

    Returns:
        (training examples [m, *shape], held-out examples [k, *shape], a description).
    """
    source = experiment.data.source(dataset)
    if isinstance(experiment.data, Images):
        split = split_examples(experiment, dataset, NUM_QUERIES, key)
        train = normalise(dataset.images[:_MOST_REFERENCES])
        return train, split.held_out, f"{train.shape[0]:,} training and {split.held_out.shape[0]:,} held-out images"
    if isinstance(source, WeightedSource):
        train = dataset.points[:_MOST_REFERENCES]
        held = source.mixture.sample(key, NUM_QUERIES)
        return train, held, f"{train.shape[0]:,} training points, and {NUM_QUERIES:,} fresh ones as held-out points"
    split = split_examples(experiment, dataset, num, key)
    note = f"no fixed training set: {num:,} fresh examples in its place, and {NUM_QUERIES:,} as held-out examples"
    return split.train, split.held_out[:NUM_QUERIES], note


def support_spaces(train: Array, held_out: Array, classifier: Classifier | None) -> list[SupportSpace]:
    """The spaces of the distances, each with its threshold.

    Args:
        train: [m, *shape], training examples.
        held_out: [k, *shape], held-out examples.
        classifier: its features are the second space; None for data without one.

    Returns:
        One or two spaces.

    Raises:
        ValueError: if the threshold is 0, because 1 % or more of the held-out examples are training examples.
    """
    embeddings: dict[str, Callable[[Array], Array]] = {"pixels" if train.ndim == 4 else "data": _flat}
    if classifier is not None:
        embeddings["features"] = lambda samples: _features(classifier, samples)
    spaces = []
    for name, embed in embeddings.items():
        known, fresh = embed(train), embed(held_out)
        distance = np.asarray(nearest_neighbours(fresh, known).distance)
        threshold = float(np.quantile(distance, THRESHOLD_QUANTILE))
        if threshold <= 0:
            raise ValueError(
                f"{THRESHOLD_QUANTILE:.0%} or more of the held-out examples are also training examples ({name}), so "
                "that the distance below which samples count as the same is 0: diagnose a run on data with some spread"
            )
        spaces.append(SupportSpace(name, embed, known, fresh, distance, threshold))
    return spaces


def real_support(experiment: Experiment, dataset: Any, key: Array, num: int, space: SupportSpace) -> dict[str, Any]:
    """Support size of real examples, the value of a perfect generator; images are drawn without replacement.

    Args:
        experiment: of the run.
        dataset: of the run.
        key: of the draws.
        num: examples; fewer if there are not as many images.
        space: of the distances.

    Returns:
        The fields of `SupportSize` and "chances", see `observed_chances`.
    """
    if isinstance(experiment.data, Images):
        points = jnp.concatenate([space.train, space.held_out])
        return _support(space, points[jax.random.permutation(key, points.shape[0])[:num]])
    source = experiment.data.source(dataset)
    source = source.mixture if isinstance(source, WeightedSource) else source
    return _support(space, space.embed(source.sample(key, num)))


def fake_support(space: SupportSpace, fakes: Array) -> tuple[dict[str, Any], tuple[Neighbours, Neighbours]]:
    """Support size of samples of G, and their distances to the training examples.

    Args:
        space: of the distances.
        fakes: [n, *shape].

    Returns:
        (numbers, JSON-ready; (nearest neighbours among the samples, nearest training examples)).
    """
    points = space.embed(fakes)
    among = nearest_neighbours(points, points, exclude_self=True)
    in_train = nearest_neighbours(points[:NUM_QUERIES], space.train)
    distance = np.asarray(in_train.distance)
    return {
        **_support(space, points),
        "nearest_median": float(np.median(distance)),
        "nearest_ratio": float(np.median(distance) / np.median(space.held_distance)),
        "share_close": float(np.mean(distance < space.threshold)),
        "nearest_quantiles": distance_quantiles(distance),
    }, (among, in_train)


@jax.jit
def support_samples(experiment: Experiment, state: TrainState, latent: Array) -> Array:
    """Samples of the G that evaluations measure; if it has batch norm, they are generated in training batches.

    Args:
        experiment: `staged`, if it grows.
        state: of the run.
        latent: [n, latent_dim].

    Returns:
        [n, *shape].
    """
    experiment = at_step(experiment, state.step)
    modes = sample_modes(experiment, evaluated_variables(experiment, state), latent)
    return modes.get("batch", modes["running"])


def distance_quantiles(distance: np.ndarray) -> list[float]:
    """Quantiles at 0, 5, ..., 100 %."""
    return [float(value) for value in np.quantile(distance, np.linspace(0, 1, 21))]


def _support(space: SupportSpace, points: Array) -> dict[str, Any]:
    found = coincidences(points, space.threshold)
    size = support_size(np.asarray(found.degree))
    batches = [batch for batch in _BATCHES if batch <= points.shape[0] // 10]
    return {**size._asdict(), "chances": observed_chances(np.asarray(found.next), batches)}


def _flat(samples: Array) -> Array:
    return samples.reshape(samples.shape[0], -1)


def _features(classifier: Classifier, samples: Array) -> Array:
    """Features of images, concatenated over the channels: [n, channels * 96]."""
    channels = jnp.moveaxis(samples, -1, 1).reshape(-1, *samples.shape[1:3], 1)
    return classify(classifier, channels)[1].reshape(samples.shape[0], -1)
