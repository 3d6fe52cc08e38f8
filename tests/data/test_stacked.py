"""Stacked images: channels that are independent and uniform, and a fixed set that no run's key changes."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.images import ImageDataset, normalise
from gan_jax.data.stacked import StackedImages, StackedSource, draw_triples, fixed_triples, stack_channels
from gan_jax.experiment.examples import tiny_stacked
from gan_jax.experiment.records import read_component
from gan_jax.experiment.settings import override, to_json
from gan_jax.runs.request import Request, prepare_data
from gan_jax.training.evaluations import load_data

NUM = 20


@pytest.fixture(scope="module")
def dataset():
    """NUM images of 16x16, image i with pixels of value i: what is in a channel can be read off it."""
    pixels = np.broadcast_to(np.arange(NUM, dtype=np.uint8)[:, None, None, None], (NUM, 16, 16, 1))
    labels = (np.arange(NUM) % 10).astype(np.int32)
    return ImageDataset(jnp.asarray(pixels), jnp.asarray(labels), jnp.asarray(pixels[:5]), jnp.asarray(labels[:5]))


def chosen(batch):
    """The pool's images in each channel of a batch [b, 16, 16, 3], from the pixels: int [b, 3]."""
    values = np.rint((np.asarray(batch) + 1) * 127.5).astype(int)
    assert np.all(values == values[:, :1, :1])
    return values[:, 0, 0]


def test_channels_are_the_chosen_images(dataset):
    triples = jnp.array([[0, 7, 19], [3, 3, 4]])
    stacked = stack_channels(dataset.images, triples)
    assert stacked.shape == (2, 16, 16, 3)
    assert stacked.dtype == jnp.uint8
    np.testing.assert_array_equal(chosen(normalise(stacked)), triples)


@pytest.mark.parametrize("draws", ["fresh", "fixed"])
def test_channels_are_uniform_and_independent(draws):
    num = 40_000
    if draws == "fresh":
        triples = draw_triples(jax.random.key(0), num, NUM)
    else:
        triples = jax.jit(fixed_triples, static_argnums=(0, 2))(0, jnp.arange(num), NUM)
    triples = np.asarray(triples)
    # Chi-square over the cells of each channel, and of each pair of channels: mean df, deviation sqrt(2 df); 5 of them.
    tables = [np.bincount(triples[:, c], minlength=NUM) for c in range(3)]
    tables += [np.bincount(NUM * triples[:, a] + triples[:, b], minlength=NUM**2) for a, b in ((0, 1), (0, 2), (1, 2))]
    for counts in tables:
        expected, freedom = num / len(counts), len(counts) - 1
        assert abs(np.sum((counts - expected) ** 2 / expected) - freedom) < 5 * math.sqrt(2 * freedom)


def test_every_batch_of_the_fresh_protocol_is_new_and_depends_on_key_and_step_alone(dataset):
    source = StackedSource(dataset)
    draw = jax.jit(lambda key, step: source.batch_triples(key, step, 64))
    first, again = draw(jax.random.key(0), 5), draw(jax.random.key(0), 5)
    np.testing.assert_array_equal(first, again)
    for other in (draw(jax.random.key(0), 6), draw(jax.random.key(1), 5)):
        # 64 triples of 8,000 agree in place 0.008 times on average.
        assert np.sum(np.all(np.asarray(first) == np.asarray(other), axis=1)) <= 1
    short = source.batch(jax.random.key(0), 5, 64, count=9)
    np.testing.assert_array_equal(chosen(short), first[:9])


def test_the_fixed_set_is_visited_once_an_epoch_and_is_the_same_for_every_key(dataset):
    size, batch_size = 300, 50
    source = StackedSource(dataset, "fixed", size, 3)
    draw = jax.jit(lambda key, step: source.batch_triples(key, step, batch_size))
    steps = size // batch_size

    def epoch(seed, number):
        key = jax.random.key(seed)
        return np.concatenate([draw(key, number * steps + step) for step in range(steps)])

    epochs = [epoch(0, 0), epoch(0, 1), epoch(7, 0)]
    whole = np.asarray(source.triples(jnp.arange(size)))
    for triples in epochs:
        np.testing.assert_array_equal(triples[np.lexsort(triples.T)], whole[np.lexsort(whole.T)])
    assert not np.array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], epochs[2])
    other = np.asarray(StackedSource(dataset, "fixed", size, 4).triples(jnp.arange(size)))
    assert not np.array_equal(other, whole)
    # Samples are of the set too: 50 of all 8,000 triples would be in it once or twice.
    sampled = chosen(source.sample(jax.random.key(2), batch_size))
    assert {tuple(t) for t in sampled.tolist()} <= {tuple(t) for t in whole.tolist()}


def test_the_default_generator_of_keys_does_not_change_the_fixed_set():
    expected = fixed_triples(0, jnp.arange(4), 70_000)
    with jax.default_prng_impl("rbg"):
        np.testing.assert_array_equal(fixed_triples(0, jnp.arange(4), 70_000), expected)


def test_the_pool_is_the_training_set_or_with_the_fixed_protocol_all():
    fresh, fixed = (StackedImages("digits", image_size=16, protocol=p) for p in ("fresh", "fixed"))
    assert fresh.shape == (16, 16, 3)
    assert fresh.num_modes == 1000
    dataset, pool = fresh.load(), fixed.load()
    assert dataset.images.shape == (1437, 16, 16, 1)
    assert pool.images.shape == (1797, 16, 16, 1)
    assert pool.images.dtype == jnp.uint8
    np.testing.assert_array_equal(pool.images[1437:], dataset.test_images)
    np.testing.assert_array_equal(pool.labels[1437:], dataset.test_labels)
    np.testing.assert_array_equal(pool.test_images, dataset.test_images)
    assert fresh.epoch_size(dataset) is None
    assert fixed.epoch_size(pool) == 128_000
    assert fresh.source(dataset).sample(jax.random.key(0), 3).dtype == jnp.float32


def test_batches_map_over_keys(dataset):
    source = StackedSource(dataset, "fixed", 100, 0)
    keys = jax.random.split(jax.random.key(0), 3)
    batch = jax.jit(lambda key: source.batch(key, 4, 8))
    for row, key in zip(jax.jit(jax.vmap(batch))(keys), keys, strict=True):
        np.testing.assert_array_equal(row, batch(key))


def test_wrong_settings_are_told_in_a_line(dataset):
    for settings, words in (
        ({"protocol": "endless"}, "one of 'fresh', 'fixed'"),
        ({"num_stacked": 0}, "num_stacked is 0, and must be at least 1"),
        ({"triples_seed": -1}, "triples_seed is -1, and must be at least 0"),
        ({"image_size": 27}, "image_size is 27, and must be one of 16, 28, 32, 64"),
        ({"name": "no/such"}, "lower-case"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            StackedImages(**settings)
        assert "\n" not in str(caught.value)
    for protocol in ("fresh", "fixed"):
        with pytest.raises(ValueError, match="count is 9, and must be 1 to the batch size, 8"):
            StackedSource(dataset, protocol, 100, 0).batch(jax.random.key(0), 0, 8, count=9)


def test_experiments_couple_data_detector_and_networks():
    experiment = tiny_stacked()
    assert read_component(to_json(experiment)) == experiment
    with pytest.raises(ValueError, match=r"Ring data and StackedDetector do not go together"):
        override(experiment, "data", "Ring")
    with pytest.raises(ValueError, match=r"StackedImages data and MixtureDetector do not go together"):
        override(experiment, "detector", "MixtureDetector")
    with pytest.raises(ValueError, match=r"num_samples is 70, and must be a multiple of batch_size \(16\)"):
        override(experiment, "detector.num_samples", 70)
    with pytest.raises(ValueError, match=r"28 x 28 pixels and the data are 16 x 16 x 3: set data.image_size to 28"):
        override(experiment, "data.image_size", 16)


def test_epochs_are_counted_where_there_are_any():
    experiment = override(tiny_stacked(), "data.num_stacked", 320)
    fixed = override(experiment, "data.protocol", "fixed")
    prepared, resources, fingerprint = prepare_data(fixed, Request(num_epochs=3))
    assert prepared.num_steps == 3 * 320 // 16
    assert len(fingerprint) == 16
    assert resources.dataset.images.shape[0] == 1797
    with pytest.raises(ValueError, match=r"data.protocol='fresh' has none: use --num-steps"):
        prepare_data(experiment, Request(num_epochs=3))
    with pytest.raises(ValueError, match="batch_size is 16, more than the 15 training examples of digits"):
        load_data(override(fixed, "data.num_stacked", 15))
