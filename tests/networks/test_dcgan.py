from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANDiscriminatorModule, DCGANGeneratorModule
from gan_jax.networks.layers import BatchNorm
from tests.helpers import numpy_norm


def count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def shapes(module, *args):
    return jax.eval_shape(lambda key: module.init(key, *args, train=True), jax.random.key(0))


def test_parameter_counts_of_the_published_nets():
    # G: 16 (100*512 + 512*256 + 256*128 + 128*64 + 64) + 2 (512 + 256 + 128 + 64)
    # D: 16 (64 + 64*128 + 128*256 + 256*512 + 512) + 2 (128 + 256 + 512)
    generator = shapes(DCGANGeneratorModule(64, 1), jnp.zeros((2, 100)))
    discriminator = shapes(DCGANDiscriminatorModule(64), jnp.zeros((2, 64, 64, 1)))
    assert count(generator["params"]) == 3_572_736 + 1_920 == 3_574_656
    assert count(discriminator["params"]) == 2_761_728 + 1_792 == 2_763_520
    assert count(generator["batch_stats"]) == 1_920
    assert generator["params"]["conv_0"]["kernel"].shape == (4, 4, 100, 512)
    assert discriminator["params"]["conv_4"]["kernel"].shape == (4, 4, 512, 1)


@pytest.mark.parametrize(("size", "maps"), [(16, (4, 8)), (28, (7, 14)), (32, (4, 8, 16)), (64, (4, 8, 16, 32))])
def test_shapes_and_features(size, maps):
    generator = DCGANGeneratorModule(size, 3, width=2)
    discriminator = DCGANDiscriminatorModule(size, width=2)
    latent = jnp.zeros((3, 5))

    def run(latent):
        gen = generator.init(jax.random.key(1), latent, train=True)
        images, gen_out = generator.apply(gen, latent, train=True, mutable=["batch_stats", "features"])
        disc = discriminator.init(jax.random.key(2), images, train=True)
        assert gen.keys() == disc.keys() == {"params", "batch_stats"}
        scores, disc_out = discriminator.apply(disc, images, train=True, mutable=["batch_stats", "features"])
        return images, scores, gen_out["features"], disc_out["features"]

    images, scores, gen_features, disc_features = jax.eval_shape(run, latent)
    assert images.shape == (3, size, size, 3)
    assert scores.shape == (3,)
    assert scores.dtype == jnp.float32
    widths = [2 * size // (4 if size != 28 else 7) // 2 // 2**i for i in range(len(maps))]
    expected = {f"block_{i}": (3, m, m, w) for i, (m, w) in enumerate(zip(maps, widths, strict=True))}
    assert {name: value[0].shape for name, value in gen_features.items()} == expected
    mirrored = zip(reversed(maps), reversed(widths), strict=True)
    expected = {f"block_{i}": (3, m, m, w) for i, (m, w) in enumerate(mirrored)}
    assert {name: value[0].shape for name, value in disc_features.items()} == expected


def numpy_conv(x, kernel, stride, padding):
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    k = kernel.shape[0]
    size = (x.shape[1] - k) // stride + 1
    out = np.zeros((x.shape[0], size, size, kernel.shape[3]))
    for i in range(size):
        for j in range(size):
            out[:, i, j] = np.tensordot(x[:, i * stride : i * stride + k, j * stride : j * stride + k], kernel, 3)
    return out


def numpy_conv_transpose(x, kernel, stride, padding):
    k, size = kernel.shape[0], x.shape[1]
    full = (size - 1) * stride + k
    out = np.zeros((x.shape[0], full, full, kernel.shape[3]))
    for i in range(size):
        for j in range(size):
            patch = np.einsum("bc,uvco->buvo", x[:, i, j], kernel)
            out[:, i * stride : i * stride + k, j * stride : j * stride + k] += patch
    return out[:, padding : full - padding, padding : full - padding]


def apply_in_training(module, variables, *args):
    return jax.jit(lambda v: module.apply(v, *args, train=True, mutable=["batch_stats"]))(variables)


def hand_set(module, *args):
    """Variables that are no initialiser's: cosines, different for every parameter; fresh running statistics."""
    variables = shapes(module, *args)
    leaves, treedef = jax.tree.flatten(variables["params"])
    values = [np.cos(np.arange(leaf.size) * (1.1 + i)).reshape(leaf.shape) for i, leaf in enumerate(leaves)]
    params = jax.tree.unflatten(treedef, [value.astype(np.float32) for value in values])
    fresh = {"mean": np.zeros, "var": np.ones}
    stats = jax.tree.map_with_path(
        lambda path, leaf: fresh[path[-1].key](leaf.shape, np.float32), variables.get("batch_stats", {})
    )
    return {"params": params, "batch_stats": stats}


@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_generator_is_the_numpy_one(activation):
    with jax.enable_x64(True):
        module = DCGANGeneratorModule(16, 2, width=2, activation=activation, dtype=jnp.float64)
        latent = jax.random.normal(jax.random.key(0), (3, 5), jnp.float64)
        variables = hand_set(module, latent)
        images, updates = apply_in_training(module, variables, latent)
        p = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"])
        h = np.asarray(latent).reshape(3, 1, 1, 5)
        for i, (stride, padding) in enumerate([(1, 0), (2, 1)]):
            h = numpy_conv_transpose(h, p[f"conv_{i}"]["kernel"], stride, padding)
            h, mean, var = numpy_norm(h, p[f"norm_{i}"])
            stats = updates["batch_stats"][f"norm_{i}"]
            np.testing.assert_allclose(stats["mean"], 0.1 * mean, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(stats["var"], 0.9 + 0.1 * var, rtol=1e-5)
            h = np.maximum(h, 0) if activation == "relu" else h
        expected = np.tanh(numpy_conv_transpose(h, p["conv_2"]["kernel"], 2, 1))
        np.testing.assert_allclose(images, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_discriminator_is_the_numpy_one(norm):
    with jax.enable_x64(True):
        module = DCGANDiscriminatorModule(16, width=2, dtype=jnp.float64, norm=norm)
        x = jax.random.normal(jax.random.key(0), (3, 16, 16, 2), jnp.float64)
        variables = hand_set(module, x)
        scores, _ = apply_in_training(module, variables, x)
        p = jax.tree.map(lambda a: np.asarray(a, np.float64), variables["params"])
        assert ("bias" in p["conv_0"]) == ("bias" in p["conv_1"]) == (norm == "none")
        h = numpy_conv(np.asarray(x), p["conv_0"]["kernel"], 2, 1) + p["conv_0"].get("bias", 0)
        h = np.where(h > 0, h, 0.2 * h)
        h = numpy_conv(h, p["conv_1"]["kernel"], 2, 1) + p["conv_1"].get("bias", 0)
        h = numpy_norm(h, p["norm_1"])[0] if norm == "batch" else h
        h = np.where(h > 0, h, 0.2 * h)
        expected = numpy_conv(h, p["conv_2"]["kernel"], 1, 0).reshape(3)
        np.testing.assert_allclose(scores, expected, rtol=1e-6)  # the score is float32


def test_the_discriminator_without_norm_has_biases_and_no_statistics():
    network = DCGANDiscriminator(width=2, norm="none")
    variables = jax.eval_shape(lambda: network.init(jax.random.key(0), (16, 16, 1)))
    layers = {name: set(layer) for name, layer in variables.params.items()}
    assert layers == {"conv_0": {"kernel", "bias"}, "conv_1": {"kernel", "bias"}, "conv_2": {"kernel"}}
    assert not variables.statistics


def test_initialisers():
    module = DCGANGeneratorModule(16, 1, width=32)
    init = jax.jit(lambda key: module.init(key, jnp.zeros((1, 8)), train=True))
    params = init(jax.random.key(3))["params"]
    params = jax.tree.map(np.asarray, params)
    kernel, scale = params["conv_1"]["kernel"], params["norm_0"]["scale"]
    assert params.keys() == {"conv_0", "conv_1", "conv_2", "norm_0", "norm_1"}
    assert all(params[f"conv_{i}"].keys() == {"kernel"} for i in range(3))
    # 4 standard errors: sd / sqrt(2 n) for a standard deviation, sd / sqrt(n) for a mean.
    assert abs(kernel.std() - 0.02) < 4 * 0.02 / np.sqrt(2 * kernel.size)
    assert abs(scale.mean() - 1) < 4 * 0.02 / np.sqrt(scale.size)
    assert 0.01 < scale.std() < 0.03
    assert not np.any(params["norm_0"]["bias"])


def test_running_statistics_are_used_when_not_training():
    module = DCGANDiscriminatorModule(16, width=2)
    x = jax.random.normal(jax.random.key(0), (4, 16, 16, 1))
    variables = hand_set(module, x)
    score = jax.jit(lambda x: module.apply(variables, x, train=False))
    whole, halves = score(x), [score(half) for half in (x[:2], x[2:])]
    np.testing.assert_allclose(whole, np.concatenate(halves), rtol=1e-4, atol=1e-6)


def test_synchronised_batch_norm_is_that_of_the_joined_batch():
    x = jax.random.normal(jax.random.key(0), (6, 2, 2, 3)) * 2 + 1
    alone, together = BatchNorm(), BatchNorm(axis_name="members")
    variables = hand_set(alone, x)
    expected, stats = apply_in_training(alone, variables, x)
    run = jax.vmap(lambda x: together.apply(variables, x, train=True, mutable=["batch_stats"]), axis_name="members")
    out, synchronised = run(x.reshape(2, 3, 2, 2, 3))
    np.testing.assert_allclose(out.reshape(expected.shape), expected, rtol=1e-5, atol=1e-6)
    for name in ("mean", "var"):
        for member in synchronised["batch_stats"][name]:
            np.testing.assert_allclose(member, stats["batch_stats"][name], rtol=1e-5, atol=1e-6)


def test_compute_dtype_leaves_parameters_and_scores_in_float32():
    generator = DCGANGeneratorModule(16, 1, width=2, dtype=jnp.bfloat16)
    discriminator = DCGANDiscriminatorModule(16, width=2, dtype=jnp.bfloat16)
    gen = shapes(generator, jnp.ones((2, 3)))
    disc = shapes(discriminator, jnp.ones((2, 16, 16, 1)))
    assert {leaf.dtype for leaf in jax.tree.leaves((gen, disc))} == {jnp.dtype("float32")}
    images = jax.eval_shape(lambda v: generator.apply(v, jnp.ones((2, 3)), train=False), gen)
    assert images.dtype == jnp.bfloat16
    score = jax.eval_shape(lambda v, x: discriminator.apply(v, x, train=False), disc, images)
    assert score.dtype == jnp.float32


def test_errors():
    with pytest.raises(ValueError, match=r"image_size is 48.*16, 28, 32, 64"):
        shapes(DCGANGeneratorModule(48, 1), jnp.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"image_size is 48.*16, 28, 32, 64"):
        shapes(DCGANDiscriminatorModule(48), jnp.zeros((1, 48, 48, 1)))
    with pytest.raises(ValueError, match=r"is not \[batch, 16, 16"):
        shapes(DCGANDiscriminatorModule(16), jnp.zeros((1, 32, 32, 1)))
    with pytest.raises(ValueError, match=r"'gelu'.*relu, identity"):
        shapes(DCGANGeneratorModule(16, 1, activation="gelu"), jnp.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"norm is 'layer'.*batch, none"):
        shapes(DCGANDiscriminatorModule(16, norm="layer"), jnp.zeros((1, 16, 16, 1)))
    with pytest.raises(ValueError, match=r"'fft'.*auto, native, matmul, winograd"):
        shapes(DCGANGeneratorModule(16, 1, convolution="fft"), jnp.zeros((1, 4)))
