"""Normalisations of the generators, maxout, and the parameters of the nets without either."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.settings import override_all
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks.layers import SelfModulation
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.virtual_batch_norm import VirtualBatchNorm

IMAGE = (16, 16, 1)
GENERATORS = [(MLPGenerator, {"widths": (6, 5), "init_name": "normal"}, (3,)), (DCGANGenerator, {"width": 2}, IMAGE)]


def names(tree):
    return {jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in jax.tree.leaves_with_path(tree)}


def test_without_options_parameters_are_what_they_were(key):
    mlp = {"dense_0/kernel", "dense_0/bias", "output/kernel", "output/bias"}
    convolutions = {f"conv_{i}/kernel" for i in range(3)}
    assert names(jax.eval_shape(lambda key: MLPGenerator(widths=(4,)).init(key, 2, (3,)).params, key)) == mlp
    assert names(jax.eval_shape(lambda key: MLPDiscriminator(widths=(4,)).init(key, (3,)).params, key)) == mlp
    gen, disc = jax.eval_shape(
        lambda key: (DCGANGenerator(width=1).init(key, 2, IMAGE), DCGANDiscriminator(width=1).init(key, IMAGE)), key
    )
    assert names(gen.params) == convolutions | {f"norm_{i}/{name}" for i in range(2) for name in ("scale", "bias")}
    assert names(disc.params) == convolutions | {"norm_1/scale", "norm_1/bias"}


@pytest.mark.parametrize(("kind", "settings", "shape"), GENERATORS, ids=["mlp", "dcgan"])
@pytest.mark.parametrize("norm", ["none", "batch", "pixel", "virtual", "self_modulated"])
def test_only_batch_norm_mixes_the_samples_of_a_batch(kind, settings, shape, norm, key):
    network = kind(**settings, norm=norm, num_reference=4)
    variables = jax.jit(lambda key: network.init(key, 2, shape))(key)
    latent = jax.random.normal(key, (3, 2))
    # Initial images are close to 0: larger kernels, so that a difference is one.
    larger = jax.tree.map(lambda p: 3 * p, variables.params)
    variables = variables._replace(params=larger)
    run = jax.jit(lambda latent: network.apply(variables, latent, shape, train=True)[0])
    together, apart = run(latent), jnp.concatenate([run(one) for one in latent[:, None]])
    assert together.shape == (3, *shape)
    if norm in ("batch", "self_modulated"):
        assert np.max(np.abs(together - apart)) > 1e-3
    else:
        np.testing.assert_allclose(together, apart, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("kind", "settings", "shape"), GENERATORS, ids=["mlp", "dcgan"])
def test_norms_have_the_parameters_and_statistics_they_need(kind, settings, shape, key):
    def variables(norm):
        return jax.eval_shape(lambda key: kind(**settings, norm=norm, num_reference=7).init(key, 2, shape), key)

    first = "dense_0" if kind is MLPGenerator else "conv_0"
    for norm in ("none", "pixel"):
        assert "norm_0" not in variables(norm).params
        assert "bias" in variables(norm).params[first]
        assert variables(norm).statistics == {}
    for norm in ("batch", "virtual"):
        assert variables(norm).params["norm_0"].keys() == {"scale", "bias"}
    for norm in ("batch", "virtual", "self_modulated"):
        assert "bias" not in variables(norm).params[first]
    assert variables("self_modulated").statistics.keys() == {"batch_stats"}
    assert variables("batch").statistics.keys() == {"batch_stats"}
    assert jax.tree.map(jnp.shape, variables("virtual").statistics) == {"reference": {"latent": (7, 2)}}


@pytest.mark.parametrize("positions", [(), (2, 3)], ids=["vectors", "maps"])
def test_self_modulation_scales_and_shifts_by_the_latent(positions, key):
    layer = SelfModulation()
    x, latent = 5 + 2 * jax.random.normal(key, (64, *positions, 3)), jax.random.normal(jax.random.key(1), (64, 4))
    variables = layer.init(key, x, latent, train=True)
    params = jax.tree.map(lambda leaf: leaf, variables["params"])
    for name in ("scale_output", "bias_output"):
        params[name]["kernel"] = jnp.zeros_like(params[name]["kernel"])
    run = jax.jit(lambda params: layer.apply({**variables, "params": params}, x, latent, train=True, mutable=True)[0])
    start = run(params)  # gamma = 1 and beta = 0: batch norm
    axes = tuple(range(start.ndim - 1))
    np.testing.assert_allclose(jnp.mean(start, axes), 0, atol=1e-5)
    np.testing.assert_allclose(jnp.var(start, axes), 1, rtol=1e-4)
    full = variables["params"]
    relu = [jnp.maximum(latent @ full[f"{name}_hidden"]["kernel"], 0) for name in ("scale", "bias")]
    gamma, beta = (h @ full[f"{n}_output"]["kernel"] for h, n in zip(relu, ("scale", "bias"), strict=True))
    shape = (64, *(1,) * len(positions), 3)
    expected = (1 + gamma).reshape(shape) * start + beta.reshape(shape)
    np.testing.assert_allclose(run(full), expected, rtol=1e-4, atol=1e-5)


def test_the_reference_batch_stays_as_it_was_drawn(key):
    network = MLPGenerator(widths=(4,), norm="virtual", num_reference=5)
    variables = network.init(key, 2, (3,))
    _, statistics = network.apply(variables, jnp.ones((2, 2)), (3,), train=True)
    jax.tree.map(np.testing.assert_array_equal, statistics, variables.statistics)
    assert np.std(statistics["reference"]["latent"]) > 0.3


@pytest.mark.parametrize("positions", [(), (2, 3)], ids=["vectors", "maps"])
def test_virtual_batch_norm_takes_the_statistics_of_the_reference_and_the_sample_together(positions, key):
    num, batch = 4, 3
    x = 2 * jax.random.normal(key, (num + batch, *positions, 2)) + 1
    params = {"scale": np.float32([2.0, 0.5]), "bias": np.float32([-1.0, 3.0])}
    out = VirtualBatchNorm(num).apply({"params": params}, x)
    data = np.asarray(x, np.float64)
    axes = tuple(range(data.ndim - 1))
    for row in range(num + batch):
        seen = data[:num] if row < num else np.concatenate([data[:num], data[row : row + 1]])
        normed = (data[row] - seen.mean(axes)) / np.sqrt(seen.var(axes) + 1e-5)
        np.testing.assert_allclose(out[row], normed * params["scale"] + params["bias"], rtol=1e-4, atol=1e-5)


def test_pixel_norm_is_a_division_by_the_root_mean_square(key):
    network = MLPGenerator(widths=(4,), norm="pixel", init_name="normal")
    variables, latent = network.init(key, 2, (3,)), jax.random.normal(key, (5, 2))
    p = jax.tree.map(np.asarray, variables.params)
    hidden = np.maximum(np.asarray(latent) @ p["dense_0"]["kernel"] + p["dense_0"]["bias"], 0)
    hidden /= np.sqrt((hidden**2).mean(axis=1, keepdims=True) + 1e-8)
    wanted = hidden @ p["output"]["kernel"] + p["output"]["bias"]
    np.testing.assert_allclose(network.apply(variables, latent, (3,), train=True)[0], wanted, rtol=1e-4, atol=1e-6)


def test_maxout_is_the_largest_of_its_pieces(key):
    network = MLPDiscriminator(widths=(4, 3), activation="maxout", pieces=2, init_name="normal")
    variables, samples = network.init(key, (2,)), jax.random.normal(key, (6, 2))
    leaves, treedef = jax.tree.flatten(variables.params)
    shifted = [leaf + 0.1 * np.cos(np.arange(leaf.size)).reshape(leaf.shape) for leaf in leaves]
    params = jax.tree.map(np.asarray, jax.tree.unflatten(treedef, shifted))
    scores, features = network.features(variables._replace(params=params), samples, train=True)
    h = np.asarray(samples)
    for i, width in enumerate((4, 3)):
        layer = params[f"dense_{i}"]
        pieces = [h @ layer["kernel"][:, k::2] + layer["bias"][k::2] for k in range(2)]
        h = np.maximum(*pieces)
        assert h.shape == (6, width)
        np.testing.assert_allclose(features[f"hidden_{i}"], h, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        scores, (h @ params["output"]["kernel"] + params["output"]["bias"])[:, 0], rtol=1e-4, atol=1e-6
    )


def test_attention_changes_nothing_before_its_gain_moves(key):
    def images_of(attention):
        network = DCGANGenerator(width=4, attention=attention)
        return jax.jit(lambda variables: network.apply(variables, latent, IMAGE, train=False)[0])

    plain, attending = images_of(False), images_of(True)
    latent = jax.random.normal(key, (2, 3))
    variables = jax.jit(lambda key: DCGANGenerator(width=4, attention=True).init(key, 3, IMAGE))(key)
    params = dict(variables.params)
    assert params.pop("attention").keys() == {"f", "g", "h", "v", "gamma"}
    images = attending(variables)
    np.testing.assert_allclose(images, plain(variables._replace(params=params)), rtol=1e-5, atol=1e-9)
    variables.params["attention"]["gamma"] = jnp.float32(1.0)
    assert np.max(np.abs(images - attending(variables))) > 1e-3 * np.max(np.abs(images))
    disc = DCGANDiscriminator(width=4, attention=True)
    variables = jax.eval_shape(lambda key: disc.init(key, (64, 64, 1)), key)
    assert variables.params["attention"]["f"]["kernel"].shape == (8, 1)


def test_wrong_options_are_told(key):
    with pytest.raises(ValueError, match=r"MLPGenerator.norm is 'layer', and must be one of 'none', 'batch', 'pixel'"):
        MLPGenerator(norm="layer")
    with pytest.raises(ValueError, match=r"MLPGenerator.activation is 'maxout'"):
        MLPGenerator(activation="maxout")
    with pytest.raises(
        ValueError, match=r"MLPDiscriminator.minibatch is 3, and must be one of MinibatchDiscrimination"
    ):
        MLPDiscriminator(minibatch=3)


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_torch_default_weights_are_uniform_by_the_number_of_inputs(gain, key):
    gen = MLPGenerator(widths=(400, 300), init_name="torch_default", gain=gain)
    disc = MLPDiscriminator(widths=(400, 300), init_name="torch_default", gain=gain)
    for network, num_inputs, arguments in ((gen, 50, (50, (80,))), (disc, 80, ((80,),))):
        params = network.init(key, *arguments).params
        for layer, fan_in in (("dense_0", num_inputs), ("dense_1", 400), ("output", 300)):
            bound = gain / np.sqrt(fan_in)
            for values in params[layer].values():
                size = values.size
                assert np.max(np.abs(values)) <= bound
                assert np.max(np.abs(values)) >= bound * (1 - 12 / size) or size < 20
                # Of a uniform distribution: variance bound^2 / 3, its standard error 2 / sqrt(5 n) of it.
                if size > 100:
                    variance = gain**2 / (3 * fan_in)
                    assert np.var(values) == pytest.approx(variance, rel=5 * 2 / np.sqrt(5 * size))
                    assert np.mean(values) == pytest.approx(0, abs=5 * np.sqrt(variance / size))
        assert not np.array_equal(params["dense_0"]["bias"][:80], params["dense_1"]["bias"][:80])


def test_other_weights_begin_without_bias(key):
    params = MLPGenerator(widths=(4,), init_name="lecun_normal").init(key, 2, (3,)).params
    assert not any(np.any(layer["bias"]) for layer in params.values())


def test_the_output_of_a_generator_is_linear_or_its_tanh(key):
    linear = MLPGenerator(widths=(6,), init_name="torch_default", output_scale=2.0)
    squashed = MLPGenerator(widths=(6,), init_name="torch_default", output_scale=2.0, output="tanh")
    variables, latent = linear.init(key, 2, (3,)), 9 * jax.random.normal(key, (5, 2))
    expected, _ = linear.apply(variables, latent, (3,), train=True)
    for found in (
        squashed.apply(variables, latent, (3,), train=True),
        squashed.features(variables, latent, (3,), train=True),
    ):
        np.testing.assert_allclose(found[0], 2 * np.tanh(expected / 2), rtol=1e-6)
    with pytest.raises(ValueError, match="output"):
        MLPGenerator(output="sigmoid")


def test_output_and_weights_are_options():
    experiment = override_all(
        tiny_ring(), [("generator.network.output", "tanh"), ("discriminator.network.init_name", "torch_default")]
    )
    assert experiment.generator.network.output == "tanh"
    assert experiment.discriminator.network.init_name == "torch_default"
