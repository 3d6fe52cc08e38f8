"""Counts of the programs that a run is made of: where they lower to, what they hold, how often they are traced.

`tests/test_door.py` has the same of `gan_jax.train`.
"""

from __future__ import annotations

import functools
import itertools
import re

import chex
import jax
import jax.numpy as jnp
import pytest
from jax import export

from gan_jax.bench.flops import matmul_flops, step_flops
from gan_jax.experiment.examples import tiny_dcgan, tiny_images, tiny_ring
from gan_jax.experiment.experiment import Unroll
from gan_jax.experiment.settings import override, stack
from gan_jax.scaling.programs import chunk_program, compiled_init
from gan_jax.training.chunks import ChunkSpec, chunk
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.state import init
from gan_jax.training.steps import train_step

TINY = tiny_ring(num_steps=4, eval_every_steps=2)
UNROLLED = override(TINY, "generator.unroll", Unroll(num_steps=3))
PLATFORMS = ("tpu", "cuda")


def state_of(experiment):
    return jax.eval_shape(init, experiment, jax.random.key(0))


def step(state, experiment):
    return train_step(experiment, (), state)


def members(states, experiments):
    return jax.vmap(lambda e, s: chunk(e, (), s, ChunkSpec(2)))(experiments, states)


def exported(function, *args):
    """The program for accelerators, as text."""
    return export.export(jax.jit(function), platforms=PLATFORMS)(*args).mlir_module()


@pytest.mark.parametrize("name", ["step", "unrolled step", "sweep"])
def test_the_programs_lower_for_accelerators_without_float64(name):
    stacked = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((3, *leaf.shape), leaf.dtype), state_of(TINY))
    text = {
        "step": lambda: exported(functools.partial(step, experiment=TINY), state_of(TINY)),
        "unrolled step": lambda: exported(functools.partial(step, experiment=UNROLLED), state_of(UNROLLED)),
        "sweep": lambda: exported(functools.partial(members, experiments=stack([TINY] * 3)), stacked),
    }[name]()
    assert "stablehlo" in text
    assert not re.search(r"tensor<[^>]*xf64>|tensor<f64>", text)


def primitives(jaxpr, found=None):
    """Equations of a program, by name, with those inside loops and calls."""
    found = {} if found is None else found
    for equation in jaxpr.eqns:
        found.setdefault(equation.primitive.name, []).append(equation)
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                primitives(inner, found)
    return found


def dcgan_step(convolution):
    experiment = tiny_dcgan()
    for player in ("generator", "discriminator"):
        experiment = override(experiment, f"{player}.network.convolution", convolution)
    data = tiny_images()
    return experiment, data, state_of(experiment)


def test_members_side_by_side_have_no_grouped_convolution_where_convolutions_are_products():
    groups = {}
    for convolution in ("winograd", "matmul", "native"):
        experiment, data, state = dcgan_step(convolution)
        stacked = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), state)
        advance = jax.vmap(lambda s, e=experiment, d=data: train_step(e, d, s))
        found = primitives(jax.make_jaxpr(advance)(stacked).jaxpr).get("conv_general_dilated", [])
        groups[convolution] = [e.params["feature_group_count"] * e.params["batch_group_count"] for e in found]
    assert groups["winograd"] == groups["matmul"] == []
    assert max(groups["native"]) == 2  # what the product avoids


def test_a_step_does_the_products_that_it_needs_and_makes_the_fakes_once_more():
    experiment = TINY
    counted = matmul_flops(functools.partial(step, experiment=experiment), state_of(experiment))
    variables, latent = (
        state_of(experiment).generator.variables,
        (experiment.batch_size, experiment.generator.latent_dim),
    )
    network = experiment.generator.network
    generator = matmul_flops(
        lambda v, z: network.apply(v, z, experiment.data.shape, train=True)[0], variables, jnp.zeros(latent)
    )
    # The jaxpr has G's forward pass for both players, which XLA merges, and D's gradient in its first layer's weights
    # but not in its inputs, which the count by hand has.
    excess = counted - step_flops(experiment)
    first = 2 * experiment.batch_size * experiment.data.shape[0] * experiment.discriminator.network.widths[0]
    first_of_generator = 2 * experiment.batch_size * latent[1] * network.widths[0]
    assert excess == generator - 2 * first - first_of_generator


def test_an_unrolled_step_costs_what_its_updates_cost():
    counts = [
        matmul_flops(functools.partial(step, experiment=e), state_of(e))
        for e in (override(UNROLLED, "generator.unroll.num_steps", num) for num in (2, 3, 4, 6))
    ]
    steps = [b - a for a, b in itertools.pairwise(counts)]
    assert steps[0] == steps[1] == steps[2] / 2 > 0


def test_a_chunk_is_traced_once_for_all_values_and_donates_its_state():
    traced = chex.assert_max_traces(chunk, n=1)
    jitted = jax.jit(traced, static_argnums=3, donate_argnums=2)
    spec = ChunkSpec(2, evaluates=False)
    state = compiled_init(TINY, jax.random.key(0))
    first = jitted(TINY, LoadedData(), state, spec)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.generator))
    faster = override(TINY, "generator.learning_rate", 0.5)
    second = jitted(faster, LoadedData(), first.state, spec)
    assert int(second.state.step) == 4
    program = jitted.lower(TINY, LoadedData(), second.state, spec).compile().memory_analysis()
    assert program.alias_size_in_bytes > 0.9 * sum(leaf.nbytes for leaf in jax.tree.leaves(second.state.generator))


def test_longer_chunks_and_members_one_after_another_need_no_more_temporary_memory():
    state = state_of(TINY)

    def bytes_of(function, *args):
        return jax.jit(function, donate_argnums=0).lower(*args).compile().memory_analysis().temp_size_in_bytes

    def steps(num):
        return functools.partial(chunk, TINY, (), spec=ChunkSpec(num, evaluates=False))

    short, long = (bytes_of(steps(num), state) for num in (4, 256))
    # A second copy of the metrics of 252 more steps, float32.
    num_metrics = len(jax.eval_shape(steps(4), state).metrics)
    assert long - short <= 2 * 4 * 252 * num_metrics
    states = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((8, *leaf.shape), leaf.dtype), state)
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state._replace(key=None)))
    assert bytes_of(functools.partial(jax.lax.map, steps(4)), states) <= short + 2 * 8 * size


def test_nothing_is_transferred_inside_a_chunk():
    program = chunk_program(small=True)
    experiment = jax.device_put(TINY)
    state = compiled_init(TINY, jax.random.key(0))
    spec = ChunkSpec(2, evaluates=False)
    program(experiment, LoadedData(), init_state := state, spec)  # compiles, with its constants
    del init_state
    state = compiled_init(TINY, jax.random.key(0))
    with jax.transfer_guard("disallow"):
        jax.block_until_ready(program(experiment, LoadedData(), state, spec).state.step)
