"""R3GAN's residual networks: sizes worked out by hand, the contract of networks, and that they begin as their skips."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork
from gan_jax.networks.norm_free import NormFreeDiscriminator, NormFreeGenerator

GENERATOR, DISCRIMINATOR = NormFreeGenerator(width=4, blocks=1), NormFreeDiscriminator(width=4, blocks=1)


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def test_parameter_counts_of_a_wide_pair():
    shape, w, inner = (32, 32, 3), 768, 1536
    block = (w * inner + inner) + (9 * inner * inner + inner) + inner * w
    gen = jax.eval_shape(lambda k: NormFreeGenerator(width=w).init(k, 64, shape), jax.random.key(0))
    disc = jax.eval_shape(lambda k: NormFreeDiscriminator(width=w).init(k, shape), jax.random.key(0))
    assert count(gen.params) == 64 * w + 16 * w + 4 * 2 * block + 3 * w
    assert count(disc.params) == 3 * w + 4 * 2 * block + 16 * w + w + 1
    assert not gen.statistics
    assert not disc.statistics


@pytest.mark.parametrize(("size", "maps"), [(16, (4, 8, 16)), (28, (7, 14, 28)), (64, (4, 8, 16, 32, 64))])
def test_shapes_and_features(size, maps):
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
    for features, sizes in ((gen_features, maps), (disc_features, maps[::-1])):
        assert {name: h.shape for name, h in features.items()} == {
            f"block_{i}": (3, m, m, 4) for i, m in enumerate(sizes)
        }


@jax.jit
def _outputs(key):
    shape = (16, 16, 1)
    gen, disc = GENERATOR.init(key, 8, shape), DISCRIMINATOR.init(key, shape)
    latent = jax.random.normal(jax.random.key(1), (256, 8))
    samples, features = GENERATOR.features(gen, latent, shape, train=True)
    scores, _ = DISCRIMINATOR.apply(disc, samples, train=True)
    doubled, _ = GENERATOR.apply(gen, 2 * latent, shape, train=True)
    slopes = jax.grad(lambda params: DISCRIMINATOR.apply(disc._replace(params=params), samples, train=True)[0].sum())
    return samples, features, scores, doubled, slopes(disc.params)


def test_it_begins_as_its_skip_connections_which_are_linear():
    samples, features, scores, doubled, slopes = _outputs(jax.random.key(0))
    np.testing.assert_allclose(doubled, 2 * samples, rtol=1e-4, atol=1e-5)
    first = features["block_0"]
    assert 0.1 < float(jnp.std(first)) < 3.0
    np.testing.assert_allclose(features["block_1"].mean((1, 2)), first.mean((1, 2)), rtol=1e-4, atol=1e-5)
    assert np.all(np.isfinite(scores))
    assert all(np.any(np.asarray(slopes[f"join_{i}"]["kernel"]) != 0) for i in range(3))  # and every block can learn


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="NormFreeGenerator is for square images of 16, 28, 32, 64 pixels"):
        GENERATOR.check((20, 20, 1))
    with pytest.raises(ValueError, match="NormFreeDiscriminator"):
        DISCRIMINATOR.check((2,))
