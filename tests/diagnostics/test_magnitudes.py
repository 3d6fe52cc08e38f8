"""Magnitudes by layer, and singular values against NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.diagnostics.magnitudes import (
    init_vectors,
    kernels,
    layer_rms,
    relative_change,
    rms,
    top_singular_values,
)
from gan_jax.networks.dcgan import DCGANDiscriminator
from gan_jax.networks.mlp import MLPDiscriminator


def test_rms_of_a_layer_is_over_all_its_entries(key):
    params = {"a": {"kernel": jax.random.normal(key, (3, 4)), "bias": jnp.arange(4.0)}, "b": {"scale": jnp.ones(2)}}
    entries = np.concatenate([np.asarray(params["a"][name]).ravel() for name in ("kernel", "bias")])
    found = layer_rms(params)
    np.testing.assert_allclose(found["a"], np.sqrt(np.mean(entries**2)), rtol=1e-6)
    assert float(found["b"]) == 1.0
    assert set(found) == {"a", "b"}
    np.testing.assert_allclose(rms(jnp.array([3.0, 4.0])), np.sqrt(12.5), rtol=1e-6)


def test_nested_layers_and_bare_parameters_have_names():
    params = {"head": {"dense_0": {"kernel": jnp.ones((2, 2))}}, "direction": jnp.full(3, 2.0)}
    assert {name: float(value) for name, value in layer_rms(params).items()} == {"head/dense_0": 1.0, "direction": 2.0}


def test_relative_change_is_a_ratio_of_lengths():
    before = {"w": jnp.array([3.0, 0.0]), "b": jnp.array([4.0])}
    after = {"w": jnp.array([3.0, 1.0]), "b": jnp.array([4.0])}
    np.testing.assert_allclose(relative_change(before, after), 0.2, rtol=1e-6)
    zero = jax.tree.map(jnp.zeros_like, before)
    assert float(relative_change(zero, zero)) == 0.0


@pytest.mark.parametrize(
    ("network", "shape"), [(MLPDiscriminator(widths=(32, 16)), (2,)), (DCGANDiscriminator(width=4), (16, 16, 1))]
)
def test_singular_values_are_numpys(network, shape, key):
    params = network.init(key, shape).params
    values, _ = jax.jit(top_singular_values, static_argnums=2)(params, init_vectors(params, key), 200)
    matrices = kernels(params)
    assert set(values) == set(matrices) != set()
    for name, matrix in matrices.items():
        np.testing.assert_allclose(values[name], np.linalg.svd(np.asarray(matrix))[1][0], rtol=1e-3)


def test_rounds_go_on_from_the_last_vectors(key):
    params = {"dense": {"kernel": jax.random.normal(key, (40, 30))}}
    true = np.linalg.svd(np.asarray(params["dense"]["kernel"]))[1][0]
    vectors, last = init_vectors(params, key), 0.0
    for _ in range(60):
        values, vectors = top_singular_values(params, vectors, 1)
        assert last - 1e-4 <= float(values["dense"]) <= true + 1e-4  # from below, and never back
        last = float(values["dense"])
    np.testing.assert_allclose(last, true, rtol=1e-3)


def test_a_layer_of_zeros_has_singular_value_zero(key):
    params = {"dense": {"kernel": jnp.zeros((3, 2))}}
    values, vectors = top_singular_values(params, init_vectors(params, key), 3)
    assert float(values["dense"]) == 0.0
    assert np.all(np.isfinite(vectors["dense"]))
