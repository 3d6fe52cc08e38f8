"""The residual networks: shapes, sizes worked out by hand, the contract of networks, and D under spectral norm."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork
from gan_jax.networks.resnet import ResNetDiscriminator, ResNetGenerator
from gan_jax.networks.spectral import SpectralNorm

SHAPE = (16, 16, 1)
GENERATOR, DISCRIMINATOR = ResNetGenerator(width=8), ResNetDiscriminator(width=8)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def variables():
    init = jax.jit(lambda k: (GENERATOR.init(k, 5, SHAPE), DISCRIMINATOR.init(k, SHAPE)))
    return init(jax.random.key(1))


def test_parameter_counts_of_the_published_nets():
    shape = (32, 32, 3)
    gen = jax.eval_shape(lambda k: ResNetGenerator().init(k, 128, shape), jax.random.key(0))
    disc = jax.eval_shape(lambda k: ResNetDiscriminator().init(k, shape), jax.random.key(0))
    w, norm = 256, 2 * 256
    assert count(gen.params) == 129 * 16 * w + 3 * (2 * 9 * w * w + w * w + 2 * norm) + norm + 9 * w * 3 + 3
    assert count(gen.statistics) == 7 * norm
    w, conv = 128, 9 * 128 * 128 + 128
    assert count(disc.params) == (9 * 3 * w + w) + 7 * conv + (4 * w) + (w * w + w) + w + 1
    assert not disc.statistics


@pytest.mark.parametrize(
    ("size", "up", "down"),
    [(16, (8, 16), (8, 8, 8)), (28, (14, 28), (14, 7, 7, 7)), (32, (8, 16, 32), (16, 8, 8, 8)),
     (64, (8, 16, 32, 64), (32, 16, 8, 8, 8))],
)  # fmt: skip
def test_shapes_and_features(size, up, down):
    shape = (size, size, 3)
    assert isinstance(GENERATOR, GeneratorNetwork)
    assert isinstance(DISCRIMINATOR, DiscriminatorNetwork)

    def both(latent):
        gen_variables = GENERATOR.init(jax.random.key(0), 5, shape)
        samples, gen_features = GENERATOR.features(gen_variables, latent, shape, train=True)
        disc_variables = DISCRIMINATOR.init(jax.random.key(0), shape)
        return samples, gen_features, *DISCRIMINATOR.features(disc_variables, samples, train=True)

    samples, gen_features, scores, disc_features = jax.eval_shape(both, jnp.zeros((3, 5)))
    assert (samples.shape, samples.dtype) == ((3, *shape), jnp.float32)
    assert (scores.shape, scores.dtype) == ((3,), jnp.float32)
    for features, maps in ((gen_features, up), (disc_features, down)):
        expected = {f"block_{i}": (3, m, m, 8) for i, m in enumerate(maps)}
        assert {name: h.shape for name, h in features.items()} == expected


def test_jit_is_eager_and_two_devices_are_one():
    gen, disc = variables()
    latent = jax.random.normal(jax.random.key(2), (4, 5))

    def both(latent, axis_name=None):
        samples, statistics = GENERATOR.apply(gen, latent, SHAPE, train=True, axis_name=axis_name)
        return samples, DISCRIMINATOR.apply(disc, samples, train=True, axis_name=axis_name)[0], statistics

    samples, scores, statistics = jax.jit(both)(latent)
    assert np.abs(samples).max() < 1
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), both(latent)[:2], (samples, scores)
    )
    split = jax.pmap(lambda z: both(z, "devices"), "devices", devices=jax.devices()[:2])(latent.reshape(2, 2, 5))
    np.testing.assert_allclose(split[0].reshape(samples.shape), samples, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(split[1].reshape(4), scores, rtol=1e-3, atol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-3, atol=1e-4), split[2], statistics)


def test_vmap_over_parameters_is_a_loop():
    gen, disc = variables()
    latent = jax.random.normal(jax.random.key(2), (4, 5))

    def both(gen_params, disc_params):
        samples, _ = GENERATOR.apply(gen._replace(params=gen_params), latent, SHAPE, train=True)
        return DISCRIMINATOR.apply(disc._replace(params=disc_params), samples, train=True)[0]

    members = [jax.tree.map(lambda p, c=c: p + 0.01 * c, (gen.params, disc.params)) for c in range(2)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    together, single = jax.jit(jax.vmap(both))(*stacked), jax.jit(both)
    for out, member in zip(together, members, strict=True):
        np.testing.assert_allclose(out, single(*member), rtol=1e-3, atol=1e-4)


def test_spectral_norm_wraps_it_and_second_derivatives_are_finite(key):
    network = SpectralNorm(network=DISCRIMINATOR)
    state = network.init(key, SHAPE)
    samples = jax.random.normal(key, (4, *SHAPE))

    def penalty(params, samples):
        def total(x):
            return jnp.sum(network.apply(state._replace(params=params), x, train=True)[0])

        return jnp.mean(jnp.sum(jax.grad(total)(samples) ** 2, axis=(1, 2, 3)))

    gradient = jax.jit(jax.grad(penalty))(state.params, samples)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert np.any(gradient["conv_0_0"]["kernel"])
    # Scores no longer depend on the size of a kernel.
    run = jax.jit(lambda p: network.apply(state._replace(params=p), samples, train=True)[0])
    grown = jax.tree.map(lambda p: 7 * p if p.ndim > 1 else p, state.params)
    np.testing.assert_allclose(run(grown), run(state.params), rtol=1e-3, atol=1e-4)


def test_compute_dtype_leaves_parameters_samples_and_scores_in_float32():
    gen, disc = (net(width=8, compute_dtype="bfloat16") for net in (ResNetGenerator, ResNetDiscriminator))
    states = jax.eval_shape(lambda k: (gen.init(k, 5, SHAPE), disc.init(k, SHAPE)), jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(states)} == {jnp.dtype("float32")}
    samples = jax.eval_shape(lambda v, z: gen.apply(v, z, SHAPE, train=True)[0], states[0], jnp.zeros((2, 5)))
    scores = jax.eval_shape(lambda v, x: disc.apply(v, x, train=True)[0], states[1], samples)
    assert samples.dtype == scores.dtype == jnp.float32


@pytest.mark.parametrize("shape", [(48, 48, 3), (32, 28, 1), (2,)])
def test_other_data_are_refused(shape):
    for network in (GENERATOR, DISCRIMINATOR):
        with pytest.raises(ValueError, match="16, 28, 32, 64 pixels and the data are") as caught:
            network.check(shape)
        assert "\n" not in str(caught.value)
