"""Data parallelism: n devices are one device on the whole batch, whatever is trained, and hold the same bits."""

from __future__ import annotations

import functools
import itertools
import json
import os
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.experiment.component import component
from gan_jax.experiment.examples import tiny_dcgan, tiny_images, tiny_ring
from gan_jax.experiment.experiment import Discriminator
from gan_jax.experiment.settings import override
from gan_jax.losses.objectives import OBJECTIVES, BoundaryEquilibrium, Criterion, EnergyMargin, Minimax
from gan_jax.losses.transforms import TRANSFORMS, ExactFlips
from gan_jax.networks.mlp import MLPDiscriminator
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.scaling.data_parallel import (
    DEVICE_AXIS,
    assert_replicas,
    check_split,
    make_parallel_chunk,
    replicas_agree,
    replicate,
)
from gan_jax.scaling.programs import compiled_chunk
from gan_jax.training.batches import generate
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.context import StepContext
from gan_jax.training.dynamics import DYNAMICS, Competitive, Consensus, Simultaneous
from gan_jax.training.evaluations import LoadedData, sample_modes
from gan_jax.unroll import Exact, FirstOrder, Implicit, Truncated
from tests.helpers import (
    assert_close,
    assert_parallel,
    dcgan,
    initial_state,
    plain,
    resources_of,
    small_ring,
    steps_on,
    trained_leaves,
    unrolled,
)


@component
class AverageRelative:
    """Each side's scores less the other's mean: an objective whose losses are not a sum over examples."""

    def criterion(self):
        return Criterion(
            real=lambda score, key, step: jax.nn.softplus(-score),
            fake=lambda score, key, step: jax.nn.softplus(score),
            generator=lambda score, key, step: jax.nn.softplus(-score),
            generator_real=lambda score, key, step: jax.nn.softplus(score),
            relate=lambda real, fake: (real - jnp.mean(fake), fake - jnp.mean(real)),
        )


@component
class FlipCounter:
    """D pays 1 for each flipped label and 0 for the others."""

    def criterion(self):
        return Criterion(
            real=lambda score, key, step: 0 * score,
            fake=lambda score, key, step: 0 * score + 1,
            generator=lambda score, key, step: score,
        )


# Every objective once, every transform at least once; all pairs in the slow suite.
# Energies have no labels to flip, and a D of their own.
SCORED = tuple(o for o in (*OBJECTIVES, AverageRelative) if o not in (EnergyMargin, BoundaryEquilibrium))
PAIRS = list(zip(SCORED, itertools.cycle(TRANSFORMS), strict=False))
REST = [pair for pair in itertools.product(SCORED, TRANSFORMS) if pair not in PAIRS]


def named(pair):
    return "-".join(part.__name__ for part in pair)


@pytest.mark.parametrize("pair", PAIRS + [pytest.param(p, marks=pytest.mark.slow) for p in REST], ids=named)
def test_every_objective_and_transform(pair):
    objective, transform = pair
    assert_parallel(small_ring(objective=objective(), discriminator__transforms=(transform(0.3),)))


def test_the_table_has_them_all():
    assert set(itertools.chain(*PAIRS)) >= {*SCORED, *TRANSFORMS}


RULES = {rule.__name__: rule() for rule in DYNAMICS} | {
    "Consensus": Consensus(0.5),
    "Competitive": Competitive(num_iterations=2, solver="cg"),
    "Competitive, gmres": Competitive(),
    "Competitive, bicgstab": Competitive(solver="bicgstab"),
}
# Alternating is in all other tables, Simultaneous in that of unrolled players.
SLOW_RULES = ("Alternating", "Simultaneous", "Competitive, gmres", "Competitive, bicgstab")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW_RULES else n for n in RULES])
def test_every_dynamics(name):
    assert_parallel(small_ring(objective=Minimax(), dynamics=RULES[name]), num_devices=2)


NOISE = {"discriminator__transforms": (ExactFlips(0.1),)}
LOOKING = {
    "exact, shared, fresh": unrolled(
        base=small_ring(dynamics=Simultaneous(), objective=Minimax(), **NOISE), num_steps=2, inner_data="fresh"
    ),
    "truncated, fresh reals": unrolled(num_steps=3, gradient=Truncated(2), inner_data="fresh_real"),
    "implicit": unrolled(num_steps=2, gradient=Implicit(num_iterations=3)),
    "discriminator, fresh": unrolled("discriminator", num_steps=2, inner_data="fresh"),
}
MORE_LOOKING = {
    f"{type(gradient).__name__}, {data}, {player}": unrolled(player, num_steps=3, gradient=gradient, inner_data=data)
    for gradient in (Exact(), FirstOrder(), Truncated(1), Implicit(num_iterations=3))
    for data in ("same", "fresh_real", "fresh")
    for player in ("generator", "discriminator")
} | {
    "Neumann": unrolled(num_steps=2, gradient=Implicit(solver="neumann")),
    "forward mode": unrolled(num_steps=2, mode="forward"),
    "blocks": unrolled(num_steps=5, memory="sqrt"),
    "consensus": unrolled(base=small_ring(dynamics=Consensus(0.5), objective=Minimax()), num_steps=2),
    "competitive": unrolled(base=small_ring(dynamics=Competitive(), objective=Minimax()), num_steps=2),
    "relative": unrolled(base=small_ring(objective=AverageRelative()), num_steps=3),
}


@pytest.mark.parametrize("case", [*LOOKING, *(pytest.param(c, marks=pytest.mark.slow) for c in MORE_LOOKING)])
def test_unrolled_players(case):
    assert_parallel({**LOOKING, **MORE_LOOKING}[case])


def test_several_updates_a_moving_average_and_spectral_norm():
    spectral = Discriminator(network=SpectralNorm(network=MLPDiscriminator((8,))), updates_per_step=2)
    experiment = plain(small_ring(discriminator=spectral, generator__average_decay=0.5))
    assert_parallel(experiment, num_devices=2)


JOINT = {"discriminator__batch_statistics": "joint"}
NETS = {
    "unrolled, joint batch norm": (unrolled(base=dcgan(**JOINT), num_steps=2, memory="all"), {}),
}
MORE_NETS = {
    "batch norm apart": (dcgan(), {}),
    "joint": (dcgan(**JOINT), {}),
    "unrolled": (unrolled(base=dcgan(), num_steps=2, inner_data="fresh"), {}),
    "shared": (unrolled(base=dcgan(dynamics=Simultaneous(), **JOINT), num_steps=2), {}),
    "short": (dcgan(data__last_batch="short", **NOISE), {"count": 8}),
    "local, without batch norm": (small_ring(device_statistics="local"), {}),
    "2 devices": (dcgan(), {"num_devices": 2}),
    "Adam": (tiny_dcgan(), {}),
    "Adam, unrolled": (unrolled(base=tiny_dcgan(), num_steps=2), {}),
    "Adam, ring": (tiny_ring(), {"num_devices": 2}),
} | {
    f"float32, {name}": (experiment, {"x64": False, "tolerance": 1e-6, "num_devices": num})
    for name, experiment, num in (
        ("ring", small_ring(), 2),
        ("ring, unrolled", unrolled(num_steps=3), 8),
        ("joint batch norm", dcgan(**JOINT), 8),
    )
}


@pytest.mark.parametrize("case", [*NETS, *(pytest.param(c, marks=pytest.mark.slow) for c in MORE_NETS)])
def test_networks(case):
    experiment, options = {**NETS, **MORE_NETS}[case]
    assert_parallel(experiment, **options)


def test_flips_are_counted_in_the_whole_batch():
    """One of 16 labels: of the 2 examples that a device has, its own rule would flip none."""
    experiment = small_ring(objective=FlipCounter(), **NOISE)
    _, metrics = steps_on(experiment, 8, x64=False, num_steps=1)
    assert float(metrics["discriminator_loss_real"]) * 16 == 1
    assert (1 - float(metrics["discriminator_loss_fake"])) * 16 == 1


def compilations():
    """A list that grows by one with every program that is compiled."""
    seen = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: seen.append(event) if event.endswith("backend_compile_duration") else None
    )
    return seen


CHUNKS = {
    "ring": (small_ring(), None, True),
    "dcgan": (dcgan(data__last_batch="short"), 8, False),
    "dcgan, evaluated": (dcgan(data__last_batch="short"), 8, True),
}


@pytest.mark.parametrize("case", ["ring", "dcgan", pytest.param("dcgan, evaluated", marks=pytest.mark.slow)])
def test_a_chunk_is_that_of_one_device_and_compiles_once(case):
    """In float32, with a short batch or an evaluation at its end; the second call has another learning rate."""
    experiment, short, evaluates = CHUNKS[case]
    shared, parallel = resources_of(experiment), make_parallel_chunk()
    spec = ChunkSpec(3, short, evaluates)
    one = compiled_chunk(experiment, shared, initial_state(experiment), spec)
    given = replicate(initial_state(experiment))
    result = parallel(experiment, shared, given, spec)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((given.generator, given.discriminator, given.key)))
    assert_close(result.state, one.state, 1e-6)
    assert_replicas(result)
    assert int(result.state.step) == 3 + (short is not None)
    assert jax.tree.structure(result) == jax.tree.structure(one)
    for a, b in zip(jax.tree.leaves(result[1:]), jax.tree.leaves(one[1:]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    shared, seen = replicate(shared), compilations()
    other = override(experiment, "generator.learning_rate", 0.01)
    again = make_parallel_chunk()(other, shared, result.state, spec)
    assert int(again.state.step) == 2 * int(one.state.step)
    assert not seen


@pytest.mark.parametrize("num_devices", [2, 3])
def test_samples_of_an_evaluation_are_those_of_one_device(num_devices):
    """Made in 4 batches, which 2 devices share and 3 cannot."""
    experiment = dcgan()
    variables = initial_state(experiment).generator.variables
    latent = jax.random.normal(jax.random.key(1), (64, 8))
    one = jax.jit(functools.partial(sample_modes, experiment, variables))(latent)

    def on_device(_, latent):
        return sample_modes(experiment, variables, latent, axis_name=DEVICE_AXIS)

    mapped = jax.pmap(on_device, DEVICE_AXIS, in_axes=(0, None), out_axes=None, devices=jax.devices()[:num_devices])
    many = mapped(np.zeros(num_devices), latent)
    assert set(many) == {"batch", "running"}
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6), many, one)
    assert replicas_agree(many)


def test_local_statistics_are_each_devices_own_and_their_mean_is_kept():
    variables = initial_state(dcgan()).generator.variables
    latent = jax.random.normal(jax.random.key(1), (4, 4, 8))

    def on_devices(kind):
        context = StepContext(dcgan(device_statistics=kind), jnp.int32(0), axis_name=DEVICE_AXIS)
        forward = functools.partial(generate, context, variables, train=True)
        return jax.pmap(forward, DEVICE_AXIS, out_axes=(0, None), devices=jax.devices()[:4])(latent)

    samples, kept = on_devices("local")
    context = StepContext(dcgan(), jnp.int32(0))
    alone = jax.jit(lambda shares: jax.lax.map(lambda z: generate(context, variables, z, train=True), shares))
    wanted, statistics = alone(latent)
    np.testing.assert_allclose(samples, wanted, atol=1e-6)
    for mean, each in zip(jax.tree.leaves(kept), jax.tree.leaves(statistics), strict=True):
        np.testing.assert_allclose(mean, np.mean(each, axis=0), atol=1e-6)
    assert replicas_agree(kept)
    assert float(jnp.max(jnp.abs(on_devices("joint")[0] - samples))) > 1e-3


@pytest.mark.slow
def test_local_statistics_keep_the_replicas_together_and_change_the_run():
    local, _ = steps_on(dcgan(device_statistics="local"), 8, x64=False)
    joint, _ = steps_on(dcgan(), 8, x64=False)
    assert_replicas(local)
    moved = [
        float(np.max(np.abs(np.subtract(a, b))))
        for a, b in zip(trained_leaves(local), trained_leaves(joint), strict=True)
    ]
    assert max(moved) > 1e-3


def forked(array, other):
    """An array that jax takes for replicated, whose second of four copies is another."""
    devices = jax.devices()[:4]
    mesh = Mesh(np.array(devices), (DEVICE_AXIS,))
    copies = [jax.device_put(other if i == 1 else array, device) for i, device in enumerate(devices)]
    return jax.make_array_from_single_device_arrays(array.shape, NamedSharding(mesh, PartitionSpec()), copies)


@pytest.mark.parametrize(
    ("value", "other"),
    [
        (jnp.ones(3), jnp.ones(3).at[1].set(jnp.nextafter(1.0, 2.0))),
        (jnp.zeros(3), -jnp.zeros(3)),
        (jnp.ones((2, 2), jnp.bfloat16), jnp.zeros((2, 2), jnp.bfloat16)),
        (jnp.int32(-1), jnp.int32(1)),
        (jnp.array([True, False]), jnp.array([True, True])),
    ],
    ids=["one bit", "minus 0", "bfloat16", "int", "bool"],
)
def test_a_forked_replica_is_found(value, other):
    devices = jax.devices()[:4]
    assert replicas_agree({"a": replicate(jnp.full(2, jnp.nan), devices), "b": forked(value, value)})
    state = {"a": replicate(value, devices), "b": forked(value, other)}
    assert not replicas_agree(state)
    with pytest.raises(RuntimeError, match=r"^state\['b'\] differs between devices"):
        assert_replicas(state)


def test_a_forgotten_mean_is_found():
    def step(share, state):
        return state._replace(step=state.step + 1, average=jnp.sum(share))

    state = initial_state(small_ring())
    assert replicas_agree(state)
    mapped = jax.pmap(step, DEVICE_AXIS, in_axes=(0, None), out_axes=None, devices=jax.devices()[:2])
    with pytest.raises(RuntimeError, match=r"^state\.average differs"):
        assert_replicas(mapped(jnp.arange(2.0), state))


def test_uneven_splits_are_refused():
    nothing = LoadedData((), ())
    with pytest.raises(ValueError, match=r"batch_size is 20, which 8 devices .* set it to 16 or 24, or use 5 devices"):
        check_split(tiny_ring(batch_size=20), nothing, 8)
    with pytest.raises(ValueError, match=r"batch_size is 3, .* set it to 8, or use 3 devices"):
        make_parallel_chunk()(tiny_ring(batch_size=3), nothing, None, ChunkSpec(1))
    images = LoadedData(tiny_images(60), ())
    short = dcgan(data__last_batch="short")
    with pytest.raises(
        ValueError, match=r"has 12 of 60 examples, .*last_batch='wrap', or data.num_examples=56, or use"
    ):
        check_split(short, images, 8)
    check_split(short, images, 4)
    check_split(dcgan(), images, 8)
    context = StepContext(tiny_ring(), jnp.int32(0), axis_name=DEVICE_AXIS)
    with pytest.raises(ValueError, match="a batch of 9 does not divide evenly over 2 devices"):
        jax.vmap(lambda _: context.shard(jnp.zeros(9)), axis_name=DEVICE_AXIS)(jnp.zeros(2))


_PROCESS = """
import sys, json, jax, numpy as np
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 2)
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]), initialization_timeout=60)
from gan_jax.scaling.data_parallel import make_parallel_chunk, replicas_agree, replicate
from gan_jax.scaling.programs import compiled_init
from tests.helpers import resources_of, small_ring
experiment = small_ring()
shared, state, chunk = resources_of(experiment), compiled_init(experiment, jax.random.key(0)), make_parallel_chunk()
for _ in range(2):
    state = compiled_chunk(experiment, shared, replicate(state), ChunkSpec(3)).state
kernel = np.asarray(state.generator.variables.params["output"]["kernel"])
print(json.dumps([jax.device_count(), int(state.step), replicas_agree(state), kernel.tolist()]))
"""


@pytest.mark.slow
def test_two_processes_of_two_devices():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _PROCESS, address, str(rank)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    try:
        answers = [json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for process in processes]
    finally:
        for process in processes:
            process.kill()
    experiment = small_ring()
    one = initial_state(experiment)
    for _ in range(2):
        one = compiled_chunk(experiment, resources_of(experiment), one, ChunkSpec(3)).state
    for num_devices, step, agree, kernel in answers:
        assert (num_devices, step, agree) == (4, 6, True)
        np.testing.assert_allclose(kernel, one.generator.variables.params["output"]["kernel"], atol=1e-6)
    assert answers[0] == answers[1]
