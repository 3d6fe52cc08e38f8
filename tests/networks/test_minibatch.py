"""Layers over the batch: minibatch discrimination and deviation, packs of samples, and self-attention."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks.attention import SelfAttention
from gan_jax.networks.dcgan import DCGANDiscriminator
from gan_jax.networks.minibatch import MinibatchDiscrimination, MinibatchLayer, MinibatchStddev
from gan_jax.networks.mlp import MLPDiscriminator
from gan_jax.networks.packing import Packed, pack_size
from gan_jax.networks.spectral import SpectralNorm


def test_minibatch_discrimination_is_the_sum_over_pairs(key):
    layer = MinibatchDiscrimination(num_kernels=3, kernel_dim=2)
    assert isinstance(layer, MinibatchLayer)
    module, x = layer.module("minibatch", None), jax.random.normal(key, (5, 4))
    variables = module.init(key, x)
    rows = (np.asarray(x, np.float64) @ np.asarray(variables["params"]["kernel"])).reshape(5, 3, 2)
    wanted = np.zeros((5, 3))
    for i in range(5):
        for j in range(5):
            if i != j:
                wanted[i] += np.exp(-np.abs(rows[i] - rows[j]).sum(axis=1))
    out = module.apply(variables, x)
    np.testing.assert_array_equal(out[:, :4], x)
    np.testing.assert_allclose(out[:, 4:], wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(module.apply(variables, x[:1])[:, 4:], np.zeros((1, 3)))
    # A batch that has collapsed: each sample is at distance 0 from the four others.
    np.testing.assert_allclose(module.apply(variables, jnp.ones((5, 4)))[:, 4:], np.full((5, 3), 4.0), rtol=1e-6)


def test_minibatch_deviation_is_the_mean_of_the_features_deviations(key):
    module, x = MinibatchStddev().module("minibatch", None), 3 * jax.random.normal(key, (6, 4)) + 100
    out = module.apply({}, x)
    np.testing.assert_array_equal(out[:, :4], x)
    np.testing.assert_allclose(out[:, 4], np.full(6, np.std(np.asarray(x), axis=0).mean()), rtol=1e-4)
    slope = jax.grad(lambda x: module.apply({}, x)[0, 4])(jnp.ones((3, 2)))
    np.testing.assert_array_equal(slope, np.zeros((3, 2)))


@pytest.mark.parametrize("layer", [MinibatchDiscrimination(num_kernels=2), MinibatchStddev()], ids=["pairs", "stddev"])
@pytest.mark.parametrize(
    ("kind", "settings", "shape"),
    [
        (MLPDiscriminator, {"widths": (8,), "init_name": "normal"}, (3,)),
        (DCGANDiscriminator, {"width": 2}, (16, 16, 1)),
    ],
    ids=["mlp", "dcgan"],
)
def test_scores_depend_on_the_batch_only_with_the_layer(layer, kind, settings, shape, key):
    plain, seeing = kind(**settings), kind(**settings, minibatch=layer)
    samples = jax.random.normal(key, (4, *shape))
    variables, extended = jax.jit(lambda key: (plain.init(key, shape), seeing.init(key, shape)))(key)
    shared = {name: value for name, value in extended.params.items() if name in variables.params and name != "output"}
    for name, value in shared.items():
        jax.tree.map(np.testing.assert_array_equal, value, variables.params[name])

    @jax.jit
    def run(variables, extended):
        parts = samples, samples[:1]
        seen = [seeing.apply(extended, part, train=False)[0] for part in parts]
        return seen, [plain.apply(variables, part, train=False)[0] for part in parts]

    (together, apart), (whole, alone) = run(variables, extended)
    assert abs(float(together[0] - apart[0])) > 1e-4
    np.testing.assert_allclose(whole[:1], alone, rtol=1e-4, atol=1e-6)


def test_dcgan_adds_a_linear_map_of_what_the_layer_appends(key):
    plain, seeing = DCGANDiscriminator(width=2), DCGANDiscriminator(width=2, minibatch=MinibatchStddev())
    samples = jax.random.normal(key, (4, 16, 16, 1))

    @jax.jit
    def run(key):
        variables = seeing.init(key, (16, 16, 1))
        params = dict(variables.params)
        weight = params.pop("minibatch_output")["kernel"][0, 0]
        base, _ = plain.apply(variables._replace(params=params), samples, train=False)
        return *seeing.features(variables, samples, train=False), weight, base

    scores, features, weight, base = run(key)
    deviation = np.sqrt(np.var(np.asarray(features["block_1"]).reshape(4, -1), axis=0) + 1e-8).mean()
    np.testing.assert_allclose(scores, base + weight * deviation, rtol=1e-4, atol=1e-6)


def test_packs_are_of_consecutive_samples():
    vectors = jnp.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(Packed(network=MLPDiscriminator(), num=3)._pack(vectors), vectors.reshape(2, 6))
    images = jnp.arange(4 * 2 * 2 * 3.0).reshape(4, 2, 2, 3)
    packs = Packed(network=MLPDiscriminator(), num=2)._pack(images)
    assert packs.shape == (2, 2, 2, 6)
    np.testing.assert_array_equal(packs[1], np.concatenate([images[2], images[3]], axis=-1))


def test_a_pack_of_one_is_the_network_itself(key):
    network, samples = DCGANDiscriminator(width=2), jax.random.normal(key, (3, 16, 16, 1))
    packed = Packed(network=network, num=1)

    def run(network):
        def initialised_and_applied(key):
            variables = network.init(key, (16, 16, 1))
            return variables, network.apply(variables, samples, train=True)

        return jax.jit(initialised_and_applied)(key)

    jax.tree.map(np.testing.assert_array_equal, run(packed), run(network))


def test_a_batch_must_divide_into_packs(key):
    packed = Packed(network=MLPDiscriminator(widths=(4,)), num=3)
    packed.check_batch(6)
    with pytest.raises(
        ValueError, match=r"a batch of 64 does not divide into packs of 3: set a multiple of 3 .like 63"
    ):
        packed.check_batch(64)
    with pytest.raises(ValueError, match="a batch of 4"):
        jax.eval_shape(lambda: packed.apply(packed.init(key, (2,)), jnp.zeros((4, 2)), train=True))
    assert pack_size(SpectralNorm(network=packed)) == 3
    with pytest.raises(ValueError, match=r"Packed.num is 0, and must be at least 1"):
        Packed(network=MLPDiscriminator(), num=0)
    with pytest.raises(ValueError, match="DCGANDiscriminator is for images of 16, 28, 32, 64 pixels"):
        Packed(network=DCGANDiscriminator()).check((20, 20, 1))


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("pool", [False, True])
def test_self_attention_starts_as_the_identity_and_is_the_weighted_mean(pool, key):
    module, x = SelfAttention(reduction=2, pool=pool), jax.random.normal(key, (2, 4, 6, 4))
    variables = module.init(key, x)
    np.testing.assert_array_equal(module.apply(variables, x), x)
    params = {**variables["params"], "gamma": jnp.float32(1.0)}
    weight = {name: np.asarray(params[name]["kernel"], np.float64) for name in "fghv"}
    flat = np.asarray(x, np.float64).reshape(2, 24, 4)
    f, g, h = (flat @ weight[name] for name in "fgh")
    if pool:
        f, h = (a.reshape(2, 2, 2, 3, 2, 2).max(axis=(2, 4)).reshape(2, 6, 2) for a in (f, h))
    wanted = np.zeros_like(flat)
    for b in range(2):
        for j in range(24):
            beta = softmax(np.array([f[b, i] @ g[b, j] for i in range(f.shape[1])]))
            wanted[b, j] = flat[b, j] + (beta @ h[b]) @ weight["v"]
    np.testing.assert_allclose(module.apply({"params": params}, x).reshape(2, 24, 4), wanted, rtol=1e-4, atol=1e-5)


def test_odd_maps_cannot_be_pooled(key):
    with pytest.raises(ValueError, match="maps of 7 x 7 cannot be pooled in 2x2 blocks: set pool=False"):
        SelfAttention(pool=True).init(key, jnp.zeros((1, 7, 7, 8)))
