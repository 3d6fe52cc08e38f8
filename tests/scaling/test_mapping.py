"""`jax.shard_map` in place of `jax.pmap`, by one switch: the same numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.experiment import Unroll
from gan_jax.experiment.settings import override
from gan_jax.scaling.data_parallel import make_parallel_chunk, replicas_agree, replicate
from gan_jax.scaling.mapping import MAPPINGS, SWITCH, device_mapping, over_devices
from gan_jax.scaling.programs import compiled_init
from gan_jax.scaling.strategies import Strategy
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.evaluations import LoadedData

SPEC = ChunkSpec(3)


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def test_a_mapped_function_is_the_same_by_both():
    def function(shard, shared):
        return shard * shared + jax.lax.pmean(jnp.sum(shard), "d"), jax.lax.axis_index("d")

    devices = jax.devices()[:2]
    arguments = jnp.arange(6.0).reshape(2, 3), jnp.float32(2)
    found = [
        over_devices(function, "d", in_axes=(0, None), out_axes=0, devices=devices, mapping=mapping)(*arguments)
        for mapping in MAPPINGS
    ]
    for a, b in zip(*map(leaves, found), strict=True):
        np.testing.assert_array_equal(a, b)
    assert found[0][1].tolist() == [0, 1]


@pytest.mark.parametrize("unrolled", [False, True], ids=["plain", "unrolled"])
def test_a_run_on_two_devices_is_the_same_by_both(unrolled, monkeypatch):
    experiment = tiny_ring(batch_size=32)
    if unrolled:
        experiment = override(experiment, "generator.unroll", Unroll(num_steps=2))
    devices, found = jax.devices()[:2], []
    for mapping in MAPPINGS:
        monkeypatch.setenv(SWITCH, mapping)
        state = replicate(compiled_init(experiment, jax.random.key(0)), devices)
        result = make_parallel_chunk(devices)(experiment, LoadedData(), state, SPEC)
        assert replicas_agree(result.state, devices)
        found.append(leaves((result.state.generator, result.state.discriminator, result.metrics)))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_a_sweep_dealt_out_to_two_devices_is_the_same_by_both(monkeypatch):
    experiments, found = [tiny_ring()] * 3, []
    for mapping in MAPPINGS:
        monkeypatch.setenv(SWITCH, mapping)
        strategy = Strategy("pmap-vmap", jax.devices()[:2])
        states = [compiled_init(experiment, jax.random.key(seed)) for seed, experiment in enumerate(experiments)]
        stack, resources = strategy.place(experiments, states), strategy.place_resources(LoadedData())
        result = strategy.compile(stack, resources, SPEC)(stack.experiments, resources, stack.states)
        found.append(leaves(strategy.gather(result.state.generator.variables, stack.num)))
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_an_unknown_mapping_is_refused(monkeypatch):
    monkeypatch.setenv(SWITCH, "shard-map")
    with pytest.raises(ValueError, match="GAN_JAX_DEVICE_MAPPING: no mapping 'shard-map'; did you mean 'shard_map'"):
        device_mapping()
    monkeypatch.delenv(SWITCH)
    assert device_mapping() == "pmap"
