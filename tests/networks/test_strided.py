"""The strided nets: sizes worked out by hand, PyTorch's and TensorFlow's halves, native and matmul, both ranges."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.experiment.examples import tiny_stacked
from gan_jax.experiment.experiment import Discriminator, Generator
from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork
from gan_jax.networks.packing import Packed
from gan_jax.networks.strided import StridedDiscriminator, StridedGenerator, halved
from gan_jax.training.state import init
from gan_jax.training.steps import train_step

SHAPE = (28, 28, 3)
SMALL = {"kernel": 3, "rounding": "down", "init_name": "torch_default", "use_bias": False}


def small(convolution="auto", **changes):
    """The alpha-GAN papers' pair."""
    changes = SMALL | {"convolution": convolution} | changes
    return StridedGenerator(widths=(32, 16, 8), **changes), StridedDiscriminator(widths=(8, 16, 32), **changes)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameter_counts_by_hand():
    gen, disc = StridedGenerator(), StridedDiscriminator()
    assert isinstance(gen, GeneratorNetwork)
    assert isinstance(disc, DiscriminatorNetwork)
    params = jax.eval_shape(lambda k: gen.init(k, 100, SHAPE), jax.random.key(0)).params
    dense, norms = 100 * 2 * 2 * 512, 2 * (512 + 256 + 128 + 64)
    kernels = 25 * (512 * 256 + 256 * 128 + 128 * 64 + 64 * 3)
    assert count(params) == dense + norms + kernels + 3
    params = jax.eval_shape(lambda k: disc.init(k, SHAPE), jax.random.key(0)).params
    kernels, norms = 25 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512), 2 * (128 + 256 + 512)
    assert count(params) == kernels + norms + 64 + 2 * 2 * 512 + 1

    gen, disc = small()
    params = jax.eval_shape(lambda k: gen.init(k, 100, SHAPE), jax.random.key(0)).params
    assert count(params) == 100 * 9 * 32 + 2 * (32 + 16 + 8) + 9 * (32 * 16 + 16 * 8 + 8 * 3)
    params = jax.eval_shape(lambda k: disc.init(k, SHAPE), jax.random.key(0)).params
    assert count(params) == 9 * (3 * 8 + 8 * 16 + 16 * 32) + 2 * (16 + 32) + 9 * 32


@pytest.mark.parametrize("size", [7, 14, 16, 28, 33])
@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_halves_are_those_of_tensorflow_and_pytorch(size, kernel):
    x, weights = jnp.arange(1.0, size + 1).reshape(1, 1, size), jnp.arange(1.0, kernel + 1).reshape(1, 1, kernel)

    def windows(padding):
        return lax.conv_general_dilated(x, weights, (2,), padding)

    half, padding = halved(size, kernel, "up")
    np.testing.assert_array_equal(windows([padding]), windows("SAME"))
    assert half == math.ceil(size / 2)
    half, padding = halved(size, kernel, "down")
    assert half == windows([padding]).shape[-1] == size // 2
    # PyTorch has the same number of zeros on both sides, and drops what its last window does not reach.
    np.testing.assert_array_equal(windows([padding]), windows([(padding[0], padding[0])])[..., :half])


def up(convolution="auto"):
    gen = StridedGenerator(widths=(8, 4), convolution=convolution)
    return gen, StridedDiscriminator(widths=(4, 8), convolution=convolution)


@pytest.mark.parametrize("pair", [small, up])
def test_native_and_matmul_agree_in_value_and_gradient(pair):
    latent = jax.random.normal(jax.random.key(0), (4, 6))
    gen, disc = pair("native")
    keys = jax.random.split(jax.random.key(1))
    variables = jax.jit(lambda k: (gen.init(k[0], 6, SHAPE), disc.init(k[1], SHAPE)))(keys)

    @jax.jit
    def both(variables):
        results = []
        for name in ("native", "matmul"):
            gen, disc = pair(name)

            def loss(params, gen=gen, disc=disc):
                samples, _ = gen.apply(variables[0]._replace(params=params[0]), latent, SHAPE, train=True)
                scores, _ = disc.apply(variables[1]._replace(params=params[1]), samples, train=True)
                return jnp.sum(jax.nn.softplus(-scores)), (samples, scores)

            results.append(jax.value_and_grad(loss, has_aux=True)((variables[0].params, variables[1].params)))
        return results

    native, matmul = both(variables)
    assert native[0][1][0].shape == (4, *SHAPE)
    for a, b in zip(jax.tree.leaves(matmul), jax.tree.leaves(native), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * max(1e-3, float(np.abs(b).max())))


def test_the_unit_range_is_that_of_the_published_game():
    """D sees [0, 1] for real images and G's bare tanh for fakes; outside, images are in [-1, 1]."""
    signed, unit = small(), small(data_range="unit")
    latent = jax.random.normal(jax.random.key(0), (4, 6))
    gen = jax.jit(lambda k: signed[0].init(k, 6, SHAPE))(jax.random.key(1))
    disc = jax.jit(lambda k: signed[1].init(k, SHAPE))(jax.random.key(2))
    tanh, outside = (jax.jit(lambda g=g: g.apply(gen, latent, SHAPE, train=True)[0])() for g in (signed[0], unit[0]))
    np.testing.assert_allclose(outside, 2 * tanh - 1, atol=1e-6)
    expected = jax.jit(lambda x: signed[1].apply(disc, x, train=True)[0])(tanh)
    scores = jax.jit(lambda x: unit[1].apply(disc, x, train=True)[0])(outside)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


def test_initial_weights():
    gen, disc = small()
    params = jax.jit(lambda k: gen.init(k, 100, SHAPE))(jax.random.key(0)).params
    # PyTorch's fan-in of a transposed convolution is its output's.
    for name, bound in (("dense", 1 / (9 * 32) ** 0.5), ("conv_1", 1 / (9 * 16) ** 0.5)):
        kernel = np.asarray(params[name]["kernel"])
        assert 0.95 * bound < np.abs(kernel).max() <= bound
        assert abs(kernel.std() * 3**0.5 / bound - 1) < 0.05
    params = jax.jit(lambda k: disc.init(k, SHAPE))(jax.random.key(0)).params
    kernel = np.asarray(params["conv_2"]["kernel"])
    assert 0.95 / (9 * 16) ** 0.5 < np.abs(kernel).max() <= 1 / (9 * 16) ** 0.5
    normal = jax.jit(lambda k: StridedDiscriminator(widths=(16, 32)).init(k, SHAPE))(jax.random.key(0)).params
    assert np.abs(normal["conv_1"]["kernel"]).max() <= 0.0401 / 0.87  # cut at two of its standard deviations


def test_they_train_packed_too(key):
    gen, disc = small()
    experiment = tiny_stacked(
        generator=Generator(network=gen, latent_dim=8), discriminator=Discriminator(network=Packed(network=disc, num=2))
    )
    experiment = dataclasses.replace(experiment, batch_size=8)
    dataset = experiment.data.load()
    state = jax.jit(init)(experiment, key)
    after, metrics = jax.jit(train_step)(experiment, dataset, state)
    assert bool(jnp.isfinite(metrics["generator_loss"]))
    before, after = (jax.tree.leaves(s.generator.variables.params) for s in (state, after))
    assert all(bool(jnp.any(a != b)) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("shape", [(8, 8, 3), (28, 14, 3), (2,)])
def test_other_data_are_refused(shape):
    for network in (StridedGenerator(), StridedDiscriminator()):
        with pytest.raises(ValueError, match=r"need at least 16 pixels along a side; the data are") as caught:
            network.check(shape)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="widths is empty"):
        StridedGenerator(widths=())
