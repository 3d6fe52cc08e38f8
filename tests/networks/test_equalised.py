"""Run-time weight scales, pixel norm, and the batch's spread as a feature, each against its equation."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.equalised import HE_GAIN, EqualisedConv, EqualisedDense, MinibatchStddevChannel, pixel_norm

LAYERS = [(EqualisedDense, (40,), 40), (EqualisedConv, (5, 5, 20), 180)]


def test_pixel_norm_gives_unit_root_mean_square(key):
    x = 7.0 * jax.random.normal(key, (3, 4, 4, 5))
    normed = pixel_norm(x)
    np.testing.assert_allclose(jnp.sqrt(jnp.mean(normed**2, -1)), jnp.ones((3, 4, 4)), rtol=1e-5)
    np.testing.assert_allclose(normed * jnp.sqrt(jnp.mean(x**2, -1, keepdims=True)), x, rtol=1e-5)
    assert pixel_norm(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    gradient = jax.grad(lambda x: jnp.sum(pixel_norm(x)))(jnp.zeros((2, 3)))
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("gain", [HE_GAIN, 1.0])
@pytest.mark.parametrize(("layer", "shape", "fan_in"), LAYERS)
def test_the_run_time_scale_is_the_gain_over_the_root_of_the_fan_in(layer, shape, fan_in, gain, key):
    x = jax.random.normal(key, (2, *shape))
    equalised, plain = layer(8, gain=gain), layer(8, gain=gain, equalised=False)
    params = equalised.init(key, x)["params"]
    bias = jnp.arange(8.0)
    scaled = {"kernel": np.float32(gain / math.sqrt(fan_in)) * params["kernel"], "bias": bias}
    out = equalised.apply({"params": params | {"bias": bias}}, x)
    np.testing.assert_array_equal(out, plain.apply({"params": scaled}, x))
    # The same draw, so that the two start as the same function.
    drawn = plain.init(key, x)["params"]["kernel"]
    np.testing.assert_allclose(drawn, scaled["kernel"], rtol=1e-6)
    assert not np.any(params["bias"])


@pytest.mark.parametrize(("layer", "shape", "fan_in"), LAYERS)
def test_he_variance_at_initialisation(layer, shape, fan_in, key):
    keys = jax.random.split(key)
    x = jax.random.normal(keys[0], (64, *shape))
    for equalised in (True, False):
        module = layer(256, equalised=equalised)
        params = module.init(keys[1], x)["params"]
        stddev = 1.0 if equalised else math.sqrt(2 / fan_in)
        size = params["kernel"].size
        assert abs(float(jnp.std(params["kernel"])) - stddev) < 4 * stddev / math.sqrt(2 * size)  # 4 standard errors
        out = module.apply({"params": params}, x)
        inside = out if out.ndim == 2 else out[:, 1:-1, 1:-1]
        # Inputs of variance 1: outputs of variance 2. A unit's is 2 |w|^2 / fan_in, with 256 units: 4 standard errors.
        assert abs(float(jnp.var(inside)) - 2) < 4 * 2 * math.sqrt(2 / (256 * fan_in) + 2 / (64 * fan_in))


def test_convolution_is_that_of_lax(key):
    x = jax.random.normal(key, (2, 6, 6, 3))
    for implementation in ("native", "matmul"):
        module = EqualisedConv(4, implementation=implementation)
        variables = module.init(key, x)
        kernel = variables["params"]["kernel"] * math.sqrt(2 / 27)
        wanted = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        np.testing.assert_allclose(module.apply(variables, x), wanted, rtol=1e-4, atol=1e-5)


def test_minibatch_stddev_is_that_of_numpy(key):
    x = 3.0 + jax.random.normal(key, (6, 4, 4, 5))
    out = MinibatchStddevChannel().apply({}, x)
    assert out.shape == (6, 4, 4, 6)
    np.testing.assert_array_equal(out[..., :5], x)
    np.testing.assert_allclose(out[..., 5], np.full((6, 4, 4), np.std(np.asarray(x), axis=0).mean()), rtol=1e-5)


def test_minibatch_stddev_over_devices_is_that_of_the_joined_batch(key):
    x = jax.random.normal(key, (6, 2, 2, 3)) * jnp.arange(1.0, 7.0).reshape(6, 1, 1, 1)
    weight = jnp.cos(jnp.arange(6 * 2 * 2 * 4.0)).reshape(6, 2, 2, 4)

    def loss(x, weight, axis_name=None):
        out = MinibatchStddevChannel(axis_name).apply({}, x)
        return jnp.sum(weight * out), out

    (_, expected), expected_gradient = jax.value_and_grad(loss, has_aux=True)(x, weight)
    run = jax.pmap(
        jax.value_and_grad(functools.partial(loss, axis_name="devices"), has_aux=True),
        "devices",
        devices=jax.devices()[:2],
    )
    (_, out), gradient = run(x.reshape(2, 3, 2, 2, 3), weight.reshape(2, 3, 2, 2, 4))
    np.testing.assert_allclose(out.reshape(expected.shape), expected, rtol=1e-5)
    np.testing.assert_allclose(gradient.reshape(x.shape), expected_gradient, rtol=1e-4, atol=1e-6)


def test_equal_samples_have_finite_derivatives_twice():
    x = jnp.ones((3, 2, 2, 2))

    def spread(x):
        return jnp.sum(MinibatchStddevChannel().apply({}, x)[..., -1])

    np.testing.assert_allclose(spread(x), 12 * 1e-4, rtol=1e-5)
    assert not np.any(jax.grad(spread)(x))
    assert np.isfinite(jax.jvp(jax.grad(spread), (x,), (jnp.arange(24.0).reshape(x.shape),))[1]).all()
