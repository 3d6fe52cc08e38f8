"""Trains the image metrics' classifiers: `python -m gan_jax.metrics.train_classifier mnist --data DIR --out FILE`.

Besides real images, every batch has junk with uniform targets, and mixtures of two images with mixed targets. So images
that are not digits (or garments) get no confident label, and a generator's junk is counted as junk.

References:
    D. Hendrycks et al., "Deep Anomaly Detection with Outlier Exposure", ICLR 2019, arXiv 1812.04606, eq. 1.
    H. Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, arXiv 1710.09412, eq. 1.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax.data.images import Images
from gan_jax.metrics.classifier import (
    GATES,
    Classifier,
    accuracy,
    as_floats,
    classifier_hash,
    read_classifier,
)
from gan_jax.networks.classifier_network import (
    CLASSIFIER_SIZE,
    ClassifierModule,
    fold_normalization,
    resize_for_classifier,
)


class Recipe(NamedTuple):
    """Hyperparameters of a classifier, chosen on images held back from the training set, never on the test set.

    Attributes:
        num_held_back: number of last training images that are not used for training.
        learning_rate: the peak rate, after a linear warm-up over a tenth of the steps and before a cosine decay to 0.
        num_mixtures: mixtures of two images in a batch, in addition to `batch_size` real ones.
        num_junk: junk images in a batch.
        augmented_share: share of the real images that are augmented.
        max_shift: largest shift of the augmentation, in pixels of 28; `max_zoom` is relative; `max_radius` is that of
            the blur, in pixels.
        flip: whether an image may be mirrored left to right.
    """

    num_epochs: int
    num_held_back: int
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    batch_size: int = 128
    num_mixtures: int = 8
    num_junk: int = 8
    augmented_share: float = 0.75
    max_shift: float = 2.0
    max_zoom: float = 0.1
    max_radius: float = 1.8
    flip: bool = False


RECIPES = {
    "mnist": Recipe(num_epochs=5, num_held_back=3_000),
    "fashion_mnist": Recipe(
        num_epochs=10,
        num_held_back=3_000,
        augmented_share=0.4,
        max_shift=1.0,
        max_zoom=0.05,
        max_radius=1.5,
        flip=True,
    ),
    "digits": Recipe(num_epochs=100, num_held_back=150),
}


def train_classifier(
    images: jax.Array, labels: jax.Array, recipe: Recipe, key: jax.Array, report: Callable[[int, float], None]
) -> Classifier:
    """Trains `ClassifierModule` with AdamW and a cosine schedule, and folds its batch norm into the convolutions.

    Args:
        images: uint8 or floats in [-1, 1], `[n, size, size, 1]`.
        labels: whole numbers in 0..9, `[n]`.
        recipe: the hyperparameters.
        key: typed PRNG key of the initial weights, the order of the images, and the random parts of the batches.
        report: called after each epoch with the number of epochs and the mean loss of the last one, in nats.

    Returns:
        The classifier.
    """
    module = ClassifierModule(normalize=True, train=True)
    init_key, order_key, batch_key = jax.random.split(key, 3)
    variables = module.init(init_key, jnp.zeros((2, CLASSIFIER_SIZE, CLASSIFIER_SIZE, 1)))
    steps_per_epoch = images.shape[0] // recipe.batch_size
    num_steps = recipe.num_epochs * steps_per_epoch
    schedule = optax.warmup_cosine_decay_schedule(0.0, recipe.learning_rate, num_steps // 10, num_steps)
    optimizer = optax.adamw(schedule, weight_decay=recipe.weight_decay)

    # One jitted step in a Python loop: XLA:CPU's gradients of native convolutions are 40 times slower in a scan.
    @jax.jit
    def step(state: Any, indices: jax.Array, step_index: jax.Array) -> tuple[Any, jax.Array]:
        x, targets = classifier_batch(
            jax.random.fold_in(batch_key, step_index), images[indices], labels[indices], recipe
        )

        def loss_fn(params: Any) -> tuple[jax.Array, Any]:
            model = {"params": params, "batch_stats": state[1]}
            (logits, _), updated = module.apply(model, x, mutable=["batch_stats"])
            return jnp.mean(optax.softmax_cross_entropy(logits, targets)), updated["batch_stats"]

        (loss, batch_stats), grads = jax.value_and_grad(loss_fn, has_aux=True)(state[0])
        updates, opt_state = optimizer.update(grads, state[2], state[0])
        return (optax.apply_updates(state[0], updates), batch_stats, opt_state), loss

    state = (variables["params"], variables["batch_stats"], optimizer.init(variables["params"]))
    for epoch in range(recipe.num_epochs):
        order = jax.random.permutation(jax.random.fold_in(order_key, epoch), images.shape[0])
        losses = []
        for i in range(steps_per_epoch):
            indices = order[i * recipe.batch_size : (i + 1) * recipe.batch_size]
            state, loss = step(state, indices, jnp.asarray(epoch * steps_per_epoch + i))
            losses.append(loss)
        report(epoch + 1, float(np.mean(jax.device_get(losses))))
    return Classifier(fold_normalization(state[0], state[1]))


def classifier_batch(
    key: jax.Array, images: jax.Array, labels: jax.Array, recipe: Recipe
) -> tuple[jax.Array, jax.Array]:
    """A training batch: augmented real images, mixtures of two of them, and junk.

    Args:
        key: typed PRNG key of the batch.
        images: real images `[batch_size, size, size, 1]`, uint8 or floats in [-1, 1].
        labels: their classes `[batch_size]`, whole numbers in 0..9.
        recipe: the hyperparameters.

    Returns:
        Images `[batch, 28, 28, 1]` in [-1, 1] and target probabilities `[batch, 10]`.
    """
    resample_key, mix_key, junk_key = jax.random.split(key, 3)
    real = 0.5 * (resize_for_classifier(as_floats(images)) + 1.0)[..., 0]
    real = augment(resample_key, real, recipe)
    targets = jax.nn.one_hot(labels, 10)
    n = recipe.num_mixtures
    share = jax.random.uniform(mix_key, (n, 1), minval=0.3, maxval=0.7)
    mixed_targets = share * targets[:n] + (1.0 - share) * targets[n : 2 * n]
    mixed = share[..., None] * real[:n] + (1.0 - share[..., None]) * real[n : 2 * n]
    bad = junk(junk_key, real[-recipe.num_junk :])
    x = jnp.concatenate([real, mixed, bad])
    y = jnp.concatenate([targets, mixed_targets, jnp.full((bad.shape[0], 10), 0.1)])
    return 2.0 * x[..., None] - 1.0, y


def augment(key: jax.Array, images: jax.Array, recipe: Recipe) -> jax.Array:
    """Shifts, zooms and blurs a share of the images slightly; the others are unchanged.

    Each axis is resampled with a triangle kernel of radius r about c_i = c + z (i - c) + t. That is a shift (t), a zoom
    (z) and the blur of enlarging and reducing (r > 1) in one matrix product for each axis.

    Args:
        key: typed PRNG key.
        images: `[batch, size, size]` in [0, 1], background 0.
        recipe: its `augmented_share`, `max_shift`, `max_zoom`, `max_radius` and `flip` are used.

    Returns:
        Images of the same shape.
    """
    change_key, radius_key, flip_key, shift_key, zoom_key = jax.random.split(key, 5)
    n = images.shape[0]
    change = jax.random.bernoulli(change_key, recipe.augmented_share, (n, 1)).astype(jnp.float32)
    radius = 1.0 + change * jax.random.uniform(radius_key, (n, 1), maxval=recipe.max_radius - 1.0)
    shift = change * jax.random.uniform(shift_key, (n, 2), minval=-recipe.max_shift, maxval=recipe.max_shift)
    zoom = 1.0 + change * jax.random.uniform(zoom_key, (n, 2), minval=-recipe.max_zoom, maxval=recipe.max_zoom)
    rows, columns = (resampling(images.shape[1], zoom[:, i : i + 1], shift[:, i : i + 1], radius) for i in (0, 1))
    if recipe.flip:
        flipped = jax.random.bernoulli(flip_key, 0.5, (n, 1, 1))
        columns = jnp.where(flipped, columns[:, ::-1], columns)
    return rows @ images @ jnp.swapaxes(columns, 1, 2)


def resampling(size: int, zoom: jax.Array, shift: jax.Array, radius: jax.Array) -> jax.Array:
    """Matrices that resample one axis of images with a triangle kernel.

    Args:
        size: pixels along the axis.
        zoom: `[n, 1]`, relative to 1.
        shift: `[n, 1]`, in pixels.
        radius: `[n, 1]`, of the kernel, in pixels, at least 1.

    Returns:
        `[n, size, size]`.
    """
    margin = 8
    centre = 0.5 * (size - 1)
    sources = jnp.arange(-margin, size + margin, dtype=jnp.float32)
    positions = centre + zoom * (jnp.arange(size, dtype=jnp.float32) - centre)[None] + shift
    distances = jnp.abs(positions[:, :, None] - sources[None, None, :])
    weights = jax.nn.relu(1.0 - distances / radius[:, :, None])
    # Normalised before the margin is cut off, so that pixels outside the image count as background.
    weights = weights / jnp.maximum(jnp.sum(weights, axis=2, keepdims=True), 1e-6)
    return weights[:, :, margin : margin + size]


def junk(key: jax.Array, images: jax.Array) -> jax.Array:
    """Junk images made from images `[n, 28, 28]` in [0, 1]: half noise, a quarter tiles, a quarter of one grey level.

    The noise is white or smooth, with a random share of background. The tiles are those of the images, of 4x4 or 7x7
    pixels, in random order.
    """
    noise_key, radius_key, gamma_key, tile_key, flat_key = jax.random.split(key, 5)
    half, quarter = images.shape[0] // 2, images.shape[0] // 4
    size = images.shape[1]
    white = jax.random.uniform(noise_key, (half, size, size))
    radius = jnp.exp(jax.random.uniform(radius_key, (half, 1), minval=0.0, maxval=jnp.log(7.0)))
    smooth = resampling(size, jnp.ones_like(radius), jnp.zeros_like(radius), radius)
    noise = smooth @ white @ jnp.swapaxes(smooth, 1, 2)
    low, high = (f(noise, axis=(1, 2), keepdims=True) for f in (jnp.min, jnp.max))
    contrast = jax.random.uniform(gamma_key, (half, 2, 1), minval=0.0, maxval=0.6)
    cut = (noise - low) / (high - low) - contrast[:, :1]
    noise = jnp.clip(cut / (1.0 - contrast[:, :1] - 0.5 * contrast[:, 1:]), 0.0, 1.0)
    shuffled = [
        shuffle_tiles(k, image, tile)
        for k, image, tile in zip(jax.random.split(tile_key, quarter), images[:quarter], [4, 7] * quarter, strict=False)
    ]
    flat = jnp.broadcast_to(jax.random.uniform(flat_key, (quarter, 1, 1)), (quarter, size, size))
    return jnp.concatenate([noise, jnp.stack(shuffled), flat])


def shuffle_tiles(key: jax.Array, image: jax.Array, tile: int) -> jax.Array:
    """Permutes the square tiles of an image at random.

    Args:
        key: typed PRNG key.
        image: `[size, size]`.
        tile: pixels along a tile's side; it divides the size.

    Returns:
        The image `[size, size]`.
    """
    n = image.shape[0] // tile
    tiles = image.reshape(n, tile, n, tile).swapaxes(1, 2).reshape(n * n, tile, tile)
    tiles = jax.random.permutation(key, tiles)
    return tiles.reshape(n, n, tile, tile).swapaxes(1, 2).reshape(n * tile, n * tile)


def write_classifier(path: Path, classifier: Classifier) -> None:
    """Writes the weights as float16 arrays named "layer/parameter". The file is renamed into place when complete."""
    arrays: dict[str, Any] = {
        f"{layer}/{name}": np.asarray(array, np.float16)
        for layer, params in sorted(classifier.params.items())
        for name, array in sorted(params.items())
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        np.savez_compressed(file, **arrays)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def run_command(arguments: list[str] | None = None) -> None:
    """Trains one classifier, writes it, reads it back, and prints its accuracy."""
    parser = argparse.ArgumentParser(description=run_command.__doc__)
    parser.add_argument("name", choices=sorted(GATES))
    parser.add_argument("--data", default=None, help="directory of the data set; digits ignore it")
    parser.add_argument("--out", type=Path, required=True, help="the npz file to write")
    parser.add_argument("--key", type=int, default=0, help="seed of the random key")
    options = parser.parse_args(arguments)
    recipe = RECIPES[options.name]
    started = time.monotonic()

    def report(epoch: int, loss: float) -> None:
        print(f"epoch {epoch:3d}  loss {loss:.4f} nats  {time.monotonic() - started:6.0f} s", flush=True)

    data = Images(name=options.name, image_size=CLASSIFIER_SIZE).load(options.data)
    images, labels = jnp.asarray(data.images), jnp.asarray(data.labels)
    split = images.shape[0] - recipe.num_held_back
    trained = train_classifier(images[:split], labels[:split], recipe, jax.random.key(options.key), report)
    write_classifier(options.out, trained)
    classifier = read_classifier(options.out)
    print(f"hash {classifier_hash(classifier)}, {options.out.stat().st_size} bytes")
    print(f"held back from training: {accuracy(classifier, images[split:], labels[split:]):.4f}")
    print(f"test: {accuracy(classifier, data.test_images, data.test_labels):.4f} (gate {GATES[options.name]})")
    for size in (32, 64):
        resized = Images(name=options.name, image_size=size, num_examples=1).load(options.data)
        print(f"test at {size}x{size}: {accuracy(classifier, resized.test_images, resized.test_labels):.4f}")


if __name__ == "__main__":
    run_command()
