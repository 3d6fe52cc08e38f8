"""Augmentation of what D sees: which pixels go where, that G learns through it, and where it is applied."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.component import component
from gan_jax.experiment.examples import tiny_dcgan, tiny_ring
from gan_jax.experiment.settings import override
from gan_jax.losses.augmentation import AUGMENTATIONS, Augmentation, Cutout, Flip, Translation, augmented
from gan_jax.losses.penalties import R1
from gan_jax.networks.points import LinearDiscriminator
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.batches import Batch, make_batch, sample_latent
from gan_jax.training.context import StepContext
from gan_jax.training.player_losses import discriminator_loss, generator_loss

IMAGE = jnp.arange(1.0, 65.0).reshape(8, 8, 1)


@component
class Blank:
    """Shows nothing."""

    def __call__(self, image, key):
        return jnp.zeros_like(image)


def many(augmentation, image=IMAGE, num=400):
    keys = jax.random.split(jax.random.key(1), num)
    return np.asarray(jax.jit(lambda keys: augmented((augmentation,), jnp.stack([image] * num), keys))(keys))


def moved(image, down, right, border):
    """The image moved, by hand."""
    height, width = image.shape[:2]
    out = np.zeros_like(image)
    for i in range(height):
        for j in range(width):
            y, x = i - down, j - right
            if border == "edge":
                out[i, j] = image[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]
            elif 0 <= y < height and 0 <= x < width:
                out[i, j] = image[y, x]
    return out


@pytest.mark.parametrize("border", ["edge", "zero"])
def test_translations_are_all_moves_up_to_the_share_alike(border):
    image = np.asarray(IMAGE)
    wanted = {moved(image, down, right, border).tobytes() for down in range(-2, 3) for right in range(-2, 3)}
    found = [image.tobytes() for image in many(Translation(share=0.25, border=border), num=2000)]
    assert set(found) == wanted
    counts = np.array([found.count(image) for image in wanted])
    # Chi-square with 24 degrees of freedom: mean 24, standard deviation 7.
    assert np.sum((counts - 80) ** 2 / 80) < 24 + 4 * 7


def test_flips_are_half():
    found = many(Flip())
    flipped = np.all(found == np.asarray(IMAGE)[:, ::-1], axis=(1, 2, 3))
    assert np.all(flipped | np.all(found == np.asarray(IMAGE), axis=(1, 2, 3)))
    assert np.mean(flipped) == pytest.approx(0.5, abs=4 * 0.5 / 20)


@pytest.mark.parametrize("share", [0.5, 0.375])
def test_cutouts_are_squares_of_zeros(share):
    side, image = round(8 * share), np.asarray(IMAGE)
    sizes = set()
    for found in many(Cutout(share=share)):
        zero = found[..., 0] == 0
        rows, columns = np.flatnonzero(zero.any(1)), np.flatnonzero(zero.any(0))
        assert np.all(zero[np.ix_(rows, columns)])
        assert zero.sum() == len(rows) * len(columns)
        assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))
        np.testing.assert_array_equal(np.where(zero, image[..., 0], found[..., 0]), image[..., 0])
        sizes.add((len(rows), len(columns)))
    # Parts of it fall outside: an even one by up to half of it on either side.
    least = side // 2 if side % 2 == 0 else side // 2 + 1
    assert max(sizes) == (side, side)
    assert min(rows for rows, _ in sizes) == least


@pytest.mark.parametrize("kind", AUGMENTATIONS)
def test_contract(kind, key):
    augmentation = kind()
    assert isinstance(augmentation, Augmentation)
    images = jax.random.normal(key, (3, 8, 6, 2))
    keys = jax.random.split(key, 3)
    run = jax.jit(lambda images, keys: augmented((augmentation,), images, keys))
    out = run(images, keys)
    assert out.shape == images.shape
    assert out.dtype == images.dtype
    for one in range(3):
        np.testing.assert_array_equal(augmentation(images[one], jax.random.fold_in(keys[one], 0)), out[one])
    # Linear in the pixels: the derivative of the sum of what is shown counts how often each pixel is.
    counts = jax.grad(lambda x: jnp.sum(run(x, keys)))(images)
    if kind is Flip:
        assert np.array_equal(counts, np.ones_like(counts))
    np.testing.assert_allclose(float(jnp.sum(counts * images)), float(jnp.sum(out)), rtol=1e-4)


def test_none_moves_nothing():
    identities = (Translation(share=0.0), Flip(probability=0.0), Cutout(share=0.0))
    keys = jax.random.split(jax.random.key(0), 2)
    images = jnp.stack([IMAGE, -IMAGE])
    assert np.array_equal(augmented(identities, images, keys), images)


@pytest.fixture(scope="module")
def setting():
    experiment = tiny_dcgan()
    state = compiled_init(experiment, jax.random.key(0))
    real = jax.random.uniform(jax.random.key(1), (16, 16, 16, 1), minval=-1.0)
    latent = sample_latent(experiment, jax.random.key(2), 16)
    return experiment, state, real, latent


def with_augment(experiment, *augmentations, **changes):
    disc = dataclasses.replace(experiment.discriminator, augment=augmentations, **changes)
    return dataclasses.replace(experiment, discriminator=disc)


@jax.jit
def losses(experiment, state, real, latent, key):
    """Both players' losses, and the gradients with respect to real images and G's parameters."""
    gen, disc = state.generator.variables, state.discriminator.variables
    context = StepContext(experiment, state.step)

    def of_disc(real):
        batch, _ = make_batch(context, gen, real, latent)
        return discriminator_loss(context, disc, batch, key)[0]

    def of_gen(params):
        batch, _ = make_batch(context, gen._replace(params=params), real, latent)
        return generator_loss(context, disc, batch, key)[0]

    return jax.value_and_grad(of_disc)(real), jax.value_and_grad(of_gen)(gen.params)


def test_both_sides_of_d_and_g_see_augmented_images(setting):
    experiment, state, real, latent = setting
    key = jax.random.key(3)
    plain, same = (
        losses(experiment, state, real, latent, key),
        losses(with_augment(experiment, Translation(share=0.0)), state, real, latent, key),
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), plain, same)
    # Where D is shown nothing, no gradient reaches the data or G.
    (_, real_slope), (_, gen_slope) = losses(with_augment(experiment, Blank()), *setting[1:], key)
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves((real_slope, gen_slope)))
    half = losses(with_augment(experiment, Cutout(share=0.5)), state, real, latent, key)
    assert float(jnp.mean(half[0][1] == 0)) > 0.1  # the pixels that D does not see
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(half))
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(half[1][1]))


def test_two_devices_are_one(setting):
    experiment, state, real, latent = setting
    experiment = with_augment(
        experiment, Translation(), Cutout(), network=LinearDiscriminator(start=0.1), penalties=(R1(weight=1.0),)
    )
    disc = experiment.discriminator.network.init(jax.random.key(0), (16, 16, 1))
    fake, key = jnp.tanh(3 * real[::-1]), jax.random.key(5)

    def loss(real, fake, axis_name):
        batch = Batch(real, fake, fake, latent, fake, state.generator.variables)
        return discriminator_loss(StepContext(experiment, state.step, None, axis_name), disc, batch, key)[1][1]

    one = jax.jit(lambda real, fake: loss(real, fake, None))(real, fake)
    split = jax.pmap(lambda real, fake: loss(real, fake, "devices"), "devices", devices=jax.devices()[:2])
    two = split(*(x.reshape(2, 8, 16, 16, 1) for x in (real, fake)))
    for name, value in one.items():
        np.testing.assert_allclose(np.mean(two[name]), value, rtol=1e-4)
    other = jax.jit(lambda real, fake: loss(fake, real, None))(real, fake)
    assert abs(float(other["discriminator_loss"] - one["discriminator_loss"])) > 1e-2


def test_wrong_uses_are_refused():
    with pytest.raises(
        ValueError, match="Translation, which changes images, and the data are vectors of 2 numbers: leave it out"
    ):
        override(tiny_ring(), "discriminator.augment", "translation")
    with pytest.raises(ValueError, match=r"Translation\.share is 1\.5, and must be at most 1"):
        Translation(share=1.5)
    with pytest.raises(ValueError, match="Translation, Flip, Cutout"):
        override(tiny_dcgan(), "discriminator.augment", "transalate")
