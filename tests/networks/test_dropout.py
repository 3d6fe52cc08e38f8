"""Dropout without a key: what it drops, how its stream goes on, and that networks without it are what they were."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.examples import tiny_ring
from gan_jax.networks.committee import Committee
from gan_jax.networks.dcgan import DCGANDiscriminator
from gan_jax.networks.dropout import Dropout, _after, _number
from gan_jax.networks.mlp import MLPDiscriminator
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.scaling.programs import compiled_chunk, compiled_init
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.evaluations import load_data
from gan_jax.training.steps import train_step

AXIS = "devices"
NETWORKS = [(MLPDiscriminator(widths=(8, 8)), (3,)), (DCGANDiscriminator(width=2), (16, 16, 1))]


def leaves_equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def layer(rate, key):
    module = Dropout(rate)
    return module, dict(module.init(key, jnp.ones((1, 4)), train=False))


def test_a_share_is_dropped_and_the_mean_is_kept(key):
    module, statistics = layer(0.3, key)
    x = jnp.ones((100, 100))
    y, after = module.apply(statistics, x, train=True, mutable=["dropout"])
    kept = float(jnp.mean(y > 0))
    # 10,000 draws: 4 standard errors.
    assert kept == pytest.approx(0.7, abs=4 * (0.21 / 10_000) ** 0.5)
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.7], rtol=1e-6)
    other, _ = module.apply(after, x, train=True, mutable=["dropout"])
    # Two independent masks agree on 0.7^2 + 0.3^2 of the places.
    agree = float(jnp.mean((y > 0) == (other > 0)))
    assert agree == pytest.approx(0.58, abs=4 * (0.58 * 0.42 / 10_000) ** 0.5)


def test_a_rate_of_0_and_evaluation_are_the_identity(key):
    x = jax.random.normal(key, (5, 4))
    module, statistics = layer(0.0, key)
    assert np.array_equal(module.apply(statistics, x, train=True, mutable=["dropout"])[0], x)
    module, statistics = layer(0.9, key)
    assert np.array_equal(module.apply(statistics, x, train=False), x)


def test_passes_are_counted_past_what_float32_can_count_in_ones():
    digits = jnp.array([300.0, 2.0**16 - 1])
    assert int(_number(digits)) == 300 * 2**16 + 2**16 - 1 > 2**24
    assert int(_number(_after(digits))) == 301 * 2**16
    assert int(_number(_after(_after(digits)))) == 301 * 2**16 + 1


def test_every_network_draws_its_own_seed():
    seeds = [layer(0.5, jax.random.key(seed))[1]["dropout"]["seed"] for seed in range(20)]
    assert len({tuple(np.asarray(seed).tolist()) for seed in seeds}) == 20


@pytest.mark.parametrize(("network", "shape"), NETWORKS, ids=["mlp", "dcgan"])
def test_networks_without_it_are_what_they_were(network, shape, key):
    make = jax.jit(lambda network: network.init(key, shape))
    plain, dropping = make(network), make(dataclasses.replace(network, dropout_rate=0.5))
    assert "dropout" not in plain.statistics
    assert leaves_equal(plain.params, dropping.params)
    assert leaves_equal(plain.statistics, {k: v for k, v in dropping.statistics.items() if k != "dropout"})
    x = jax.random.normal(key, (4, *shape))
    score = jax.jit(lambda network, variables: network.apply(variables, x, train=False)[0])
    half = dataclasses.replace(network, dropout_rate=0.5)
    assert np.array_equal(score(network, plain), score(half, dropping))
    names = {str(e.primitive) for e in jax.make_jaxpr(lambda v: network.apply(v, x, train=True))(plain).eqns}
    assert "random_bits" not in names


@pytest.mark.parametrize(("network", "shape"), NETWORKS, ids=["mlp", "dcgan"])
def test_two_devices_drop_what_one_does(network, shape, key):
    network = dataclasses.replace(network, dropout_rate=0.5)
    variables = jax.jit(lambda key: network.init(key, shape))(key)
    x = jax.random.normal(key, (8, *shape))
    one, statistics = jax.jit(lambda x: network.apply(variables, x, train=True))(x)
    two = jax.pmap(lambda x: network.apply(variables, x, train=True, axis_name=AXIS), AXIS, devices=jax.devices()[:2])
    scores, both = two(x.reshape(2, 4, *shape))
    np.testing.assert_allclose(scores.reshape(-1), one, rtol=1e-4, atol=1e-5)
    for own in zip(*jax.tree.leaves(both["dropout"]), strict=False):
        assert leaves_equal(list(own), statistics["dropout"])


def test_training_passes_advance_the_stream_and_the_mean_over_devices_keeps_it(key):
    network = MLPDiscriminator(widths=(8,), dropout_rate=0.5)
    variables = network.init(key, (3,))
    _, statistics = network.apply(variables, jnp.ones((2, 3)), train=True)
    passes = statistics["dropout"]["dropout_0"]["passes"]
    assert passes.tolist() == [0, 1]
    mean = jax.pmap(lambda _: jax.lax.pmean(statistics["dropout"], AXIS), AXIS, devices=jax.devices()[:3])(jnp.zeros(3))
    assert leaves_equal(jax.tree.map(lambda leaf: leaf[1], mean), statistics["dropout"])


def test_a_run_with_dropout_goes_on_bit_for_bit():
    experiment = tiny_ring(num_steps=8, eval_every_steps=4)
    network = SpectralNorm(network=dataclasses.replace(experiment.discriminator.network, dropout_rate=0.4))
    experiment = dataclasses.replace(
        experiment, discriminator=dataclasses.replace(experiment.discriminator, network=network)
    )
    resources = load_data(experiment)

    def train(state, num_steps):
        return compiled_chunk(experiment, resources, state, ChunkSpec(num_steps, evaluates=False)).state

    whole = train(compiled_init(experiment, jax.random.key(0)), 8)
    half = train(compiled_init(experiment, jax.random.key(0)), 4)
    # Two parts, of which the second starts from copies on the host.
    copied = jax.tree.map(lambda leaf: leaf if leaf.dtype == half.key.dtype else jnp.asarray(np.asarray(leaf)), half)
    rest = train(copied, 4)
    assert leaves_equal(whole.discriminator, rest.discriminator)
    assert leaves_equal(whole.generator, rest.generator)
    stream = whole.discriminator.variables.statistics["network"]["dropout"]["dropout_0"]
    assert stream["passes"].tolist() == [0, 16]  # real and fake, eight times; G's passes do not count


def test_members_of_a_committee_drop_apart(key):
    network = Committee(network=MLPDiscriminator(widths=(64,), dropout_rate=0.5), num=3)
    variables = network.init(key, (3,))
    same = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf[:1], leaf.shape), variables.params)
    x = jnp.ones((1, 3))
    scores, _ = network.apply(variables._replace(params=same), x, train=True)
    assert len(set(np.asarray(scores).tolist())) == 3
    scores, _ = network.apply(variables._replace(params=same), x, train=False)
    np.testing.assert_allclose(scores, np.broadcast_to(scores[:1], 3), rtol=1e-6)


def test_the_rate_is_a_leaf(key):
    experiment = tiny_ring()
    traces = []

    @jax.jit
    def step(experiment, state):
        traces.append(1)
        return train_step(experiment, (), state)[1]["discriminator_loss"]

    losses = []
    for rate in (0.1, 0.6):
        disc = dataclasses.replace(
            experiment.discriminator, network=dataclasses.replace(experiment.discriminator.network, dropout_rate=rate)
        )
        changed = dataclasses.replace(experiment, discriminator=disc)
        losses.append(float(step(changed, compiled_init(changed, key))))
    assert len(traces) == 1
    assert losses[0] != losses[1]


def test_wrong_rates_are_refused():
    with pytest.raises(ValueError, match=r"dropout_rate is 1\.0, and must be below 1"):
        MLPDiscriminator(dropout_rate=1.0)
    with pytest.raises(ValueError, match="must be at least 0"):
        DCGANDiscriminator(dropout_rate=-0.1)
