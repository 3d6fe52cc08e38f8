"""Spectral norm: the singular value it divides by, and derivatives through the iteration."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.dcgan import DCGANDiscriminator
from gan_jax.networks.mlp import MLPDiscriminator
from gan_jax.networks.spectral import SpectralNorm


@pytest.mark.parametrize(
    ("network", "shape"),
    [(MLPDiscriminator(widths=(16, 8), gain=3.0), (5,)), (DCGANDiscriminator(width=4), (16, 16, 1))],
    ids=["mlp", "dcgan"],
)
def test_kernels_are_divided_by_their_largest_singular_value(key, network, shape):
    normed = SpectralNorm(network=network)
    variables = normed.init(key, shape)
    samples = jax.random.normal(key, (4, *shape))
    apply = jax.jit(lambda v: normed.apply(v, samples, train=True))
    for _ in range(200):
        scores, statistics = apply(variables)
        variables = variables._replace(statistics=statistics)

    def exactly(leaf):
        return leaf if leaf.ndim < 2 else leaf / np.linalg.svd(leaf.reshape(-1, leaf.shape[-1]), compute_uv=False)[0]

    wanted = jax.tree.map(exactly, variables.params)
    got, _ = normed._normalise(variables, False)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6), got.params, wanted)
    direct, _ = network.apply(variables._replace(params=wanted, statistics=got.statistics), samples, train=True)
    np.testing.assert_allclose(scores, direct, rtol=1e-2, atol=1e-4)


def test_outside_training_nothing_advances(key):
    normed = SpectralNorm(network=MLPDiscriminator(widths=(8,)))
    variables = normed.init(key, (2,))
    _, still = normed.apply(variables, jnp.ones((3, 2)), train=False)
    _, advanced = normed.apply(variables, jnp.ones((3, 2)), train=True)
    jax.tree.map(np.testing.assert_array_equal, still, variables.statistics)
    assert not np.array_equal(jax.tree.leaves(advanced)[0], jax.tree.leaves(still)[0])


def test_scores_do_not_depend_on_the_size_of_a_kernel(key):
    normed = SpectralNorm(network=MLPDiscriminator(widths=(8,)), num_iterations=3)
    variables = normed.init(key, (2,))
    samples = jax.random.normal(key, (3, 2))
    scores, _ = normed.apply(variables, samples, train=True)
    larger, _ = normed.apply(
        variables._replace(params=jax.tree.map(lambda p: 7 * p, variables.params)), samples, train=True
    )
    np.testing.assert_allclose(scores, larger, rtol=1e-5)


def test_second_derivatives_are_those_of_what_is_computed(key):
    with jax.enable_x64(True):
        normed = SpectralNorm(network=MLPDiscriminator(widths=(8,), activation="tanh"))
        variables = normed.init(key, (2,))
        variables = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), variables)
        samples = jax.random.normal(key, (6, 2), jnp.float64)

        def loss(params):
            scores, _ = normed.apply(variables._replace(params=params), samples, train=True)
            return jnp.mean(jax.nn.softplus(scores))

        gradient = jax.jit(jax.grad(loss))
        direction = jax.tree.map(lambda p: jax.random.normal(key, p.shape, p.dtype), variables.params)
        product = jax.jvp(gradient, (variables.params,), (direction,))[1]
        step = 1e-5
        ahead, behind = (jax.tree.map(lambda p, d, s=s: p + s * step * d, variables.params, direction) for s in (1, -1))
        wanted = jax.tree.map(lambda a, b: (a - b) / (2 * step), gradient(ahead), gradient(behind))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9), product, wanted)
