"""D's accuracies on training, held-out and fake examples at one training state, by the mode of its statistics.

Examples are those of the data set, without the augmentation and the noise that a run adds for D. D's dropout is active
only with batch statistics.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
from jax import Array

from gan_jax.data.images import Images, normalise
from gan_jax.data.stacked import StackedImages, draw_triples, stack_channels
from gan_jax.data.weighted import WeightedSource
from gan_jax.diagnostics.memorisation import (
    DiscriminatorAccuracies,
    discriminator_accuracies,
    expected_transforms,
    loss_floor,
)
from gan_jax.experiment.experiment import Experiment
from gan_jax.losses.transforms import chain
from gan_jax.training.batches import make_batch, sample_latent
from gan_jax.training.context import step_context
from gan_jax.training.player_losses import score
from gan_jax.training.state import TrainState


class Split(NamedTuple):
    """Examples that D was trained on, and as many that it was not trained on.

    Attributes:
        train, held_out: [n, *shape].
        note: description, for a table.
        known: whether the training set is finite, so that memorisation is possible.
    """

    train: Array
    held_out: Array
    note: str
    known: bool = True


def split_examples(experiment: Experiment, dataset: Any, num: int, key: Array) -> Split:
    """Training examples and as many held-out ones; images without replacement.

    Held-out examples of a mixture are fresh draws. So are its training examples, unless the run was trained on a fixed
    set of points (`Weighted`): then D sees no example twice, and the gap has to be 0.

    Args:
        experiment: of the run.
        dataset: of the run.
        num: examples of each kind; fewer if there are not as many images.
        key: of the draws.

    Returns:
        The split.
    """
    data, source = experiment.data, experiment.data.source(dataset)
    keys = jax.random.split(key)
    if isinstance(data, Images):
        num_train, num_test = dataset.images.shape[0], dataset.test_images.shape[0]
        num = min(num, num_train, num_test)
        pools = dataset.images, dataset.test_images
        train, held = (
            normalise(images[jax.random.permutation(k, images.shape[0])[:num]])
            for k, images in zip(keys, pools, strict=True)
        )
        return Split(train, held, f"{num:,} of {num_train:,} training images, and of {num_test:,} test images")
    if isinstance(data, StackedImages):
        pool = dataset.test_images if data.protocol == "fresh" else dataset.images
        held = normalise(stack_channels(pool, draw_triples(keys[1], num, pool.shape[0])))
        what = "test images" if data.protocol == "fresh" else "images of the pool in other combinations"
        return Split(source.sample(keys[0], num), held, f"{num:,} training stacks, and as many of {what}")
    if isinstance(source, WeightedSource):
        held = source.mixture.sample(keys[1], num)
        num_points = dataset.points.shape[0]
        note = f"{num:,} draws of {num_points:,} fixed training points, and as many fresh points"
        return Split(source.sample(keys[0], num), held, note)
    note = f"two sets of {num:,} fresh points: D never sees a point twice, so that any gap is due to chance"
    return Split(source.sample(keys[0], num), source.sample(keys[1], num), note, known=False)


def split_batches(experiment: Experiment, split: Split, key: Array) -> tuple[Array, Array, Array]:
    """A split cut into batches of the training size, with latents.

    Args:
        experiment: of the run.
        split: of its examples.
        key: of the latents.

    Returns:
        (training examples [num, batch, *shape], held-out examples likewise, latents [num, batch, latent_dim]).

    Raises:
        ValueError: if there are fewer examples than a training batch has.
    """
    size = experiment.batch_size
    num = split.train.shape[0] // size
    if num == 0:
        raise ValueError(
            f"there are {split.train.shape[0]} training or held-out examples, fewer than a training batch of {size}: "
            "set --points to at least that many, or use more data"
        )
    latent = sample_latent(experiment, key, num * size)
    return (
        split.train[: num * size].reshape(num, size, *split.train.shape[1:]),
        split.held_out[: num * size].reshape(num, size, *split.held_out.shape[1:]),
        latent.reshape(num, size, -1),
    )


@jax.jit
def split_accuracies(
    experiment: Experiment, state: TrainState, train: Array, held_out: Array, latent: Array
) -> dict[str, dict[str, DiscriminatorAccuracies]]:
    """D's accuracies and losses at a state.

    Fakes are generated in batches of the training size, as D sees them in training.

    Args:
        experiment: `staged`, if it grows.
        state: of the run.
        train: [num, batch, *shape], training examples.
        held_out: [num, batch, *shape], held-out examples.
        latent: [num, batch, latent_dim].

    Returns:
        By the mode of D's statistics ("running", and "batch" for a D that has statistics), then by criterion: "plain"
        is the objective's own; "noisy", if D has loss transforms, applies them with the expectation of random flips.
    """
    context = step_context(experiment, None, state.step, draws=False)
    experiment = context.experiment
    gen, disc, network = state.generator.variables, state.discriminator.variables, experiment.discriminator.network

    def scores(inputs: tuple[Array, Array, Array]) -> dict[str, tuple[Array, Array, Array]]:
        shown, held = (make_batch(context, gen, real, inputs[2])[0] for real in inputs[:2])
        seen = (shown.real, held.real, shown.fake)
        found = {"running": tuple(network.apply(disc, samples, train=False)[0] for samples in seen)}
        if jax.tree.leaves(disc.statistics):
            real_scores, fake_scores, _ = score(context, disc, shown.real, shown.fake)
            found["batch"] = (real_scores, score(context, disc, held.real, held.fake)[0], fake_scores)
        return found  # type: ignore[return-value]

    found = jax.lax.map(scores, (train, held_out, latent))
    plain, transforms = experiment.objective.criterion(), experiment.discriminator.transforms
    criteria = {"plain": plain}
    if transforms:
        criteria["noisy"] = chain(plain, expected_transforms(transforms, experiment.batch_size, state.step))
    results = {}
    for mode, parts in found.items():
        shown, held, fake = (part.reshape(-1) for part in parts)
        results[mode] = {
            name: discriminator_accuracies(criterion, shown, held, fake, step=state.step)
            for name, criterion in criteria.items()
        }
    return results


def loss_floors(experiment: Experiment, step: int) -> dict[str, float | None]:
    """Floor of D's loss on flipped labels by side, see `gan_jax.diagnostics.memorisation.loss_floor`."""
    transforms = expected_transforms(experiment.discriminator.transforms, experiment.batch_size, step)
    criterion = chain(experiment.objective.criterion(), transforms)
    return {"real": loss_floor(criterion.real, step), "fake": loss_floor(criterion.fake, step)}
