"""`gan-jax diagnose memorisation RUN`: does D know the training examples, or the data?

At every checkpoint: the share of training, held-out and fake examples that D puts on the right side, with the batch
statistics of training and with running statistics, and what D pays for them. Examples are as the data have them: what
the run adds for D to see (augmentation, noise) is left out, and D's dropout acts with batch statistics only.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from gan_jax.data.images import Images, normalise
from gan_jax.data.stacked import StackedImages, draw_triples, stack_channels
from gan_jax.data.weighted import WeightedSource
from gan_jax.diagnostics.memorisation import Judgement, expected_transforms, gap_interval, judge, loss_floor
from gan_jax.diagnostics.state.scores import staged
from gan_jax.experiment.experiment import Experiment
from gan_jax.losses.transforms import chain
from gan_jax.reports.drawing import aligned, rounded
from gan_jax.reports.memorisation_figure import figure as figure
from gan_jax.runs.run_directory import RunError
from gan_jax.runs.run_states import chosen_steps, open_states
from gan_jax.training.batches import make_batch, sample_latent
from gan_jax.training.context import step_context
from gan_jax.training.player_losses import score
from gan_jax.training.state import TrainState

_LEAST_GAP = 0.02
"""A gap below this is not called memorisation, however certain it is."""


class Split(NamedTuple):
    """Examples that D was trained on, and as many that it was not.

    Attributes:
        train, held_out: [n, *shape].
        note: what they are.
        known: whether there is anything to know by heart: a finite training set.
    """

    train: Array
    held_out: Array
    note: str
    known: bool = True


def split_examples(experiment: Experiment, dataset: Any, num: int, key: Array) -> Split:
    """`num` training examples and as many held-out ones, or as many as there are; images without replacement.

    A mixture's held-out examples are fresh draws. So are its training examples, unless the run was trained on a fixed
    set of points (`Weighted`): D sees no example twice then, and the gap has to be 0.
    """
    data, source = experiment.data, experiment.data.source(dataset)
    keys = jax.random.split(key)
    if isinstance(data, Images):
        num_train, num_test = dataset.images.shape[0], dataset.test_images.shape[0]
        num = min(num, num_train, num_test)
        train, held = (
            normalise(images[jax.random.permutation(k, images.shape[0])[:num]])
            for k, images in zip(keys, (dataset.images, dataset.test_images), strict=True)
        )
        return Split(train, held, f"{num:,} of {num_train:,} training images, and of {num_test:,} test images")
    if isinstance(data, StackedImages):
        pool = dataset.test_images if data.protocol == "fresh" else dataset.images
        held = normalise(stack_channels(pool, draw_triples(keys[1], num, pool.shape[0])))
        what = "test images" if data.protocol == "fresh" else "images of the pool in other combinations"
        return Split(source.sample(keys[0], num), held, f"{num:,} training stacks, and as many of {what}")
    if isinstance(source, WeightedSource):
        held = source.mixture.sample(keys[1], num)
        note = f"{num:,} draws of {dataset.points.shape[0]:,} fixed training points, and as many fresh points"
        return Split(source.sample(keys[0], num), held, note)
    note = f"two sets of {num:,} fresh points: D never sees one twice, so that any gap is chance"
    return Split(source.sample(keys[0], num), source.sample(keys[1], num), note, known=False)


@jax.jit
def judge_state(
    experiment: Experiment, state: TrainState, train: Array, held_out: Array, latent: Array
) -> dict[str, dict[str, Judgement]]:
    """What D of a state makes of examples, by the mode of its statistics, and then by criterion.

    Fakes are G's of training batches, as D sees them. "plain" is the objective's own criterion; "noisy", if D has loss
    transforms, that of training with random flips as their expectation. A D without statistics has "running" only.

    Args:
        experiment: `staged`, if it grows.
        state: where to look.
        train: [batches, batch, *shape].
        held_out: the same.
        latent: [batches, batch, latent_dim].
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
            name: judge(criterion, shown, held, fake, step=state.step) for name, criterion in criteria.items()
        }
    return results


def in_batches(experiment: Experiment, split: Split, key: Array) -> tuple[Array, Array, Array]:
    """(training examples, held-out ones, latents), cut into batches of the training size.

    Raises:
        RunError: if there is not one batch of held-out examples.
    """
    size = experiment.batch_size
    num = split.train.shape[0] // size
    if num == 0:
        raise RunError(
            f"there are {split.train.shape[0]} training or held-out examples, less than a training batch of {size}: "
            "give --points as many, or take data with more"
        )
    latent = sample_latent(experiment, key, num * size)
    return (
        split.train[: num * size].reshape(num, size, *split.train.shape[1:]),
        split.held_out[: num * size].reshape(num, size, *split.held_out.shape[1:]),
        latent.reshape(num, size, -1),
    )


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Accuracies and losses of D at the kept checkpoints.

    Raises:
        RunError: if the run or the examples do not suffice.
    """
    if options.points < 1:
        raise RunError(f"--points is {options.points}, and must be at least 1")
    states = open_states(Path(options.run), options.data)
    experiment, dataset = states.experiment, states.resources.dataset
    key_split, key_latent = jax.random.split(jax.random.key(options.seed))
    split = split_examples(experiment, dataset, options.points, key_split)
    batches = in_batches(experiment, split, key_latent)
    rows = []
    for step in chosen_steps(states, options):
        say(f"step {step:,}")
        found = jax.device_get(judge_state(staged(experiment, step), states.restore(step), *batches))
        floor = floors(experiment, step) if experiment.discriminator.transforms else None
        rows.append({"step": step, "floor": floor, **_rows(found)})
    modes = list(rows[0]["modes"])
    result = {
        "num": int(batches[0].shape[0] * experiment.batch_size),
        "examples": split.note,
        "known": split.known,
        "shown": "batch" if "batch" in modes else "running",
        "transforms": [type(transform).__name__ for transform in experiment.discriminator.transforms],
        "onset": (states.verdict or {}).get("onset_step"),
        "rows": rows,
    }
    return {**result, "sentence": sentence(result)}


def floors(experiment: Experiment, step: int) -> dict[str, float | None]:
    """By side, the least loss of D on flipped labels; see `gan_jax.diagnostics.memorisation.loss_floor`."""
    transforms = expected_transforms(experiment.discriminator.transforms, experiment.batch_size, step)
    criterion = chain(experiment.objective.criterion(), transforms)
    return {"real": loss_floor(criterion.real, step), "fake": loss_floor(criterion.fake, step)}


def _rows(found: dict[str, dict[str, Judgement]]) -> dict[str, Any]:
    return {
        "modes": {
            mode: {name: _json(judgement._asdict()) for name, judgement in by.items()} for mode, by in found.items()
        }
    }


def sentence(result: dict[str, Any]) -> str:
    """What the last checkpoint says; the checkpoint of the largest gap too, if it is another."""
    last = result["rows"][-1]
    seen = last["modes"][result["shown"]]["plain"]
    if seen["train"] is None:
        return (
            f"At step {last['step']:,} D's mean score is {seen['train_score']:.3g} for training examples, "
            f"{seen['held_out_score']:.3g} for held-out ones and {seen['fake_score']:.3g} for fakes; its objective has "
            "no decision threshold, so that there are no accuracies."
        )
    width = gap_interval(seen["train"], seen["held_out"], result["num"])
    told = (
        f"At step {last['step']:,} D calls {seen['train']:.1%} of the training examples real, {seen['held_out']:.1%} "
        f"of the held-out ones, and {1 - seen['fake']:.1%} of the fakes: a gap of {_points(seen['gap'])} ± "
        f"{100 * width:.1f} points"
    )
    if not result["known"]:
        return f"{told}; its training data are fresh draws, of which there is nothing to know by heart."
    known = seen["gap"] > max(width, _LEAST_GAP)
    told += ": it knows training examples by heart" if known else ": no sign that it knows training examples by heart"
    gaps = [row["modes"][result["shown"]]["plain"]["gap"] for row in result["rows"]]
    most = int(np.argmax(gaps))
    if known and most != len(gaps) - 1:
        told += f" (most at step {result['rows'][most]['step']:,}: {_points(gaps[most])} points)"
    noisy, floor = last["modes"][result["shown"]].get("noisy"), last["floor"]
    if noisy and floor and None not in floor.values():
        fake = noisy["fake_loss"]
        told += (
            f"; on fresh labels it pays {noisy['train_loss'] + fake:.3f} with training and "
            f"{noisy['held_out_loss'] + fake:.3f} with held-out examples, and the floor is {sum(floor.values()):.3f}"
        )
    return f"{told}."


def table(result: dict[str, Any]) -> str:
    """A row a checkpoint and mode."""
    noisy = any(row["floor"] for row in result["rows"])
    head = ["step", "statistics", "train", "held-out", "fake", "gap", "overfitting", "loss train", "held-out", "fake"]
    rows = [head + (["fresh labels: train", "held-out", "floor"] if noisy else [])]
    for row in result["rows"]:
        for mode, by in row["modes"].items():
            plain = by["plain"]
            line = [f"{row['step']:,}" if mode == next(iter(row["modes"])) else "", mode]
            line += ["-" if plain[name] is None else f"{plain[name]:.1%}" for name in ("train", "held_out", "fake")]
            width = "" if plain["gap"] is None else gap_interval(plain["train"], plain["held_out"], result["num"])
            line.append("-" if plain["gap"] is None else f"{_points(plain['gap'])} ± {100 * width:.1f}")
            line.append("-" if plain["overfitting"] is None else f"{plain['overfitting']:.2f}")
            line += [_number(plain[f"{name}_loss"]) for name in ("train", "held_out", "fake")]
            if noisy:
                fake, floor = by["noisy"]["fake_loss"], row["floor"]
                line += [_sum(by["noisy"][f"{name}_loss"], fake) for name in ("train", "held_out")]
                line.append(_sum(*floor.values()))
            rows.append(line)
    notes = [
        f"{result['examples']}; {result['num']:,} of each kind, as many fakes",
        "train, held-out: share called real; fake: share called fake; gap in points, with its 95 % interval",
        "overfitting: (mean score of train - held-out) / (train - fake) (Karras et al. 2020)",
    ]
    if noisy:
        names = ", ".join(result["transforms"])
        notes.append(f"fresh labels: mean of D's loss on both sides under {names}, over fresh flips; floor: of any D")
    return "\n".join([*aligned(rows), *notes])


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _sum(a: float | None, b: float | None) -> str:
    return "-" if a is None or b is None else f"{a + b:.4g}"


_json = functools.partial(rounded, digits=6)
