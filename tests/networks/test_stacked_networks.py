"""The Stacked MNIST nets: shapes, sizes worked out by hand, and the same with native convolutions and products."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.convolution import Conv, ConvTranspose, conv, conv_transpose, same_padding
from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork
from gan_jax.networks.stacked_networks import StackedDiscriminator, StackedGenerator
from tests.helpers import numpy_norm

SHAPE = (28, 28, 3)
GENERATOR = StackedGenerator()


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def generator_variables(network=GENERATOR, latent_dim=256):
    return jax.eval_shape(lambda key: network.init(key, latent_dim, SHAPE), jax.random.key(0))


def discriminator_variables(network):
    return jax.eval_shape(lambda key: network.init(key, SHAPE), jax.random.key(0))


def hand_set(variables):
    """Parameters that are no initialiser's, of a size that keeps activations near 1; fresh running statistics."""
    leaves, treedef = jax.tree.flatten(variables.params)
    values = [np.cos(np.arange(leaf.size) * (1.1 + i)).reshape(leaf.shape) for i, leaf in enumerate(leaves)]
    statistics = jax.tree.map_with_path(
        lambda path, leaf: (jnp.ones if path[-1].key == "var" else jnp.zeros)(leaf.shape), variables.statistics
    )
    return variables._replace(params=jax.tree.unflatten(treedef, values), statistics=statistics)


def test_parameter_counts_by_hand():
    # Kernels 3x3 without biases, a scale and a bias a channel in each batch norm; a bias at either end.
    dense, output = 256 * 4 * 4 * 64, 9 * 8 * 3 + 3
    kernels, norms = 9 * (64 * 32 + 32 * 16 + 16 * 8), 2 * (64 + 32 + 16 + 8)
    assert count(generator_variables().params) == dense + kernels + norms + output == 286_795
    for width, expected in ((2, 571), (4, 1_861)):
        kernels = 9 * (3 * width + width * 2 * width + 2 * width * 4 * width)
        norms, linear = 2 * 7 * width, 4 * 4 * 4 * width + 1
        variables = discriminator_variables(StackedDiscriminator(width=width))
        assert count(variables.params) == kernels + norms + linear == expected
        assert count(variables.statistics) == 2 * 7 * width


def test_maps_and_features():
    gen, disc = StackedGenerator(), StackedDiscriminator(width=4)
    assert isinstance(gen, GeneratorNetwork)
    assert isinstance(disc, DiscriminatorNetwork)

    def run(latent):
        samples, _ = gen.apply(gen.init(jax.random.key(0), 6, SHAPE), latent, SHAPE, train=True)
        variables = disc.init(jax.random.key(1), SHAPE)
        scores, features = disc.features(variables, samples, train=True)
        return samples, scores, features, disc.apply(variables, samples, train=True)[0]

    samples, scores, features, again = jax.eval_shape(run, jnp.zeros((5, 6)))
    assert samples.shape == (5, 28, 28, 3)
    assert scores.shape == again.shape == (5,)
    assert scores.dtype == jnp.float32
    shapes = {name: value.shape for name, value in features.items()}
    assert shapes == {"block_0": (5, 14, 14, 4), "block_1": (5, 7, 7, 8), "block_2": (5, 4, 4, 16)}


@pytest.mark.parametrize(("size", "padding"), [(28, (0, 1)), (14, (0, 1)), (7, (1, 1))])
def test_same_padding_is_that_of_lax(size, padding):
    assert same_padding(size, 3, 2) == padding
    x, kernel = jnp.zeros((1, size, size, 2)), jnp.zeros((3, 3, 2, 1))
    expected = jax.lax.padtype_to_pads((size, size), (3, 3), (2, 2), "SAME")
    assert [padding, padding] == [tuple(pads) for pads in expected]
    halved = jax.eval_shape(lambda x: conv(x, kernel, stride=2, padding=padding), x)
    assert halved.shape[1] == -(-size // 2)
    kernel = jnp.zeros((3, 3, 1, 2))
    assert jax.eval_shape(lambda h: conv_transpose(h, kernel, stride=2, padding=padding), halved).shape == x.shape


@pytest.mark.parametrize("size", [6, 7])
def test_uneven_padding_is_the_published_one_in_native_and_matmul(size):
    with jax.enable_x64(True):
        key_x, key_kernel = jax.random.split(jax.random.key(0))
        x = jax.random.normal(key_x, (2, size, size, 3), jnp.float64)
        kernel = jax.random.normal(key_kernel, (3, 3, 3, 4), jnp.float64)
        padding = same_padding(size, 3, 2)
        expected = jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        weight = jnp.cos(jnp.arange(expected.size)).reshape(expected.shape)

        @jax.jit
        def both(x, kernel):
            results = []
            for name in ("native", "matmul"):
                out, pull = jax.vjp(
                    lambda x, k, n=name: conv(x, k, stride=2, padding=padding, implementation=n), x, kernel
                )
                flipped = kernel.swapaxes(2, 3)

                def up(h, k, n=name):
                    return conv_transpose(h, k, stride=2, padding=padding, implementation=n)

                back, pull_up = jax.vjp(up, weight, flipped)
                results.append((out, *pull(weight), back, *pull_up(x)))
            return results

        native, matmul = both(x, kernel)
        np.testing.assert_allclose(native[0], expected, atol=1e-12)
        # TensorFlow's conv2d_transpose is the gradient of its convolution in the input.
        np.testing.assert_allclose(native[3], native[1], atol=1e-12)
        for a, b in zip(matmul, native, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("wrong", [(0, -1), (-1, 0)])
def test_negative_padding_is_refused(wrong):
    x, kernel = jnp.zeros((1, 6, 6, 1)), jnp.zeros((3, 3, 1, 1))
    for function in (conv, conv_transpose):
        with pytest.raises(ValueError, match="at least 1 and 0"):
            function(x, kernel, padding=wrong)


def test_native_and_matmul_nets_agree_in_value_and_gradient():
    latent = jax.random.normal(jax.random.key(0), (4, 6))
    gen_variables = hand_set(generator_variables(latent_dim=6))
    disc_variables = hand_set(discriminator_variables(StackedDiscriminator()))

    @jax.jit
    def both(gen_variables, disc_variables):
        results = []
        for name in ("native", "matmul"):
            gen, disc = StackedGenerator(convolution=name), StackedDiscriminator(convolution=name)

            def loss(gen_params, disc_params, gen=gen, disc=disc):
                samples, statistics = gen.apply(gen_variables._replace(params=gen_params), latent, SHAPE, train=True)
                scores, _ = disc.apply(disc_variables._replace(params=disc_params), samples, train=True)
                return jnp.sum(jax.nn.softplus(-scores)), (samples, scores, statistics)

            results.append(jax.value_and_grad(loss, (0, 1), has_aux=True)(gen_variables.params, disc_variables.params))
        return results

    native, matmul = both(gen_variables, disc_variables)
    for a, b in zip(jax.tree.leaves(matmul), jax.tree.leaves(native), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3 * max(1e-3, float(np.abs(b).max())))


def test_discriminator_is_the_numpy_one():
    with jax.enable_x64(True):
        network = StackedDiscriminator(width=2)
        x = jax.random.normal(jax.random.key(0), (3, *SHAPE), jnp.float64)
        variables = hand_set(discriminator_variables(network))
        scores, _ = jax.jit(lambda v, x: network.apply(v, x, train=True))(variables, x)
        h = np.asarray(x)
        for i, (before, after) in enumerate([(0, 1), (0, 1), (1, 1)]):
            kernel = np.asarray(variables.params[f"conv_{i}"]["kernel"], np.float64)
            h = np.pad(h, ((0, 0), (before, after), (before, after), (0, 0)))
            windows = np.lib.stride_tricks.sliding_window_view(h, (3, 3), axis=(1, 2))[:, ::2, ::2]
            h = np.einsum("bijcuv,uvco->bijo", windows, kernel)
            h, _, _ = numpy_norm(h, variables.params[f"norm_{i}"])
            h = np.where(h > 0, h, 0.3 * h)
        output = variables.params["output"]
        expected = h.reshape(3, -1) @ output["kernel"][:, 0] + output["bias"][0]
        np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-6)


def test_initial_weights():
    network = StackedGenerator()
    params = jax.jit(lambda key: network.init(key, 256, SHAPE))(jax.random.key(3)).params
    assert params["dense"].keys() == {"kernel"}
    assert params["output"].keys() == {"kernel", "bias"}
    for name in ("dense", "conv_1"):
        kernel = np.asarray(params[name]["kernel"])
        assert abs(kernel.std() - 0.02) < 4 * 0.02 / np.sqrt(2 * kernel.size)  # 4 standard errors
    assert np.abs(params["output"]["kernel"]).max() <= 0.04  # cut at two standard deviations, as in TensorFlow
    assert not np.any(params["output"]["bias"])


def test_compute_dtype_leaves_parameters_samples_and_scores_in_float32():
    gen, disc = StackedGenerator(compute_dtype="bfloat16"), StackedDiscriminator(compute_dtype="bfloat16")
    gen_variables, disc_variables = generator_variables(gen), discriminator_variables(disc)
    assert {leaf.dtype for leaf in jax.tree.leaves((gen_variables, disc_variables))} == {jnp.dtype("float32")}
    samples = jax.eval_shape(lambda v, z: gen.apply(v, z, SHAPE, train=True)[0], gen_variables, jnp.zeros((2, 256)))
    assert samples.dtype == jnp.float32
    scores = jax.eval_shape(lambda v, x: disc.apply(v, x, train=True)[0], disc_variables, samples)
    assert scores.dtype == jnp.float32


def test_layers_take_uneven_padding():
    x = jnp.ones((1, 6, 6, 2))
    for layer, size in ((Conv, 3), (ConvTranspose, 12)):
        module = layer(4, (3, 3), 2, (0, 1))
        shape = jax.eval_shape(lambda x, m=module: m.init_with_output(jax.random.key(0), x)[0], x).shape
        assert shape == (1, size, size, 4)


@pytest.mark.parametrize("shape", [(32, 32, 3), (28, 14, 3), (2,)])
def test_other_data_are_refused(shape):
    for network in (StackedGenerator(), StackedDiscriminator()):
        with pytest.raises(ValueError, match="28 x 28 pixels and the data are") as caught:
            network.check(shape)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="width is 0, and must be at least 1"):
        StackedDiscriminator(width=0)
