"""Sweeps: which members there are, and that every strategy gives each of them the run it would be alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.mixtures import Grid
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.diagnostics.state.hypergradients import in_float64
from gan_jax.experiment.examples import tiny_dcgan, tiny_images, tiny_ring
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import grid, groups
from gan_jax.losses.transforms import BernoulliFlips, ExactFlips
from gan_jax.runs.checkpoint import to_host, tree_hash
from gan_jax.scaling.programs import compiled_chunk, compiled_init
from gan_jax.scaling.strategies import Strategy, fastest_strategy, members_that_fit, program_bytes
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.evaluations import LoadedData, load_data

RATE = "discriminator.transforms.0.rate"
PART = ChunkSpec(4, None, evaluates=False)


def noisy(experiment):
    return override(experiment, "discriminator.transforms", (ExactFlips(rate=0.0),))


def dcgan_resources():
    return LoadedData(tiny_images(), ())


def start(members, x64=False):
    states = [compiled_init(member.arm.experiment, jax.random.key(member.seed)) for member in members]
    return in_float64(states) if x64 else states


def run_engine(name, members, resources, part=PART, devices=None, x64=False, states=None, num_samples=0):
    strategy = Strategy(name, devices)
    experiments = [member.arm.experiment for member in members]
    stack = strategy.place(experiments, start(members, x64) if states is None else states)
    placed = strategy.place_resources(resources)
    result = strategy.compile(stack, placed, part, num_samples)(stack.experiments, placed, stack.states)
    return strategy.gather(result, stack.num)


def of_member(tree, index):
    return jax.tree.map(lambda leaf: leaf[index], tree)


def distance(one, other):
    """The largest difference of any leaf, relative to the largest entry of all parameters."""
    parts = [(np.asarray(a), np.asarray(b)) for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True)]
    scale = max(np.max(np.abs(a)) for a, _ in parts)
    return max(np.max(np.abs(a - b)) for a, b in parts) / scale


CASES = {
    "ring": (lambda: noisy(tiny_ring()), lambda: LoadedData((), ())),
    "dcgan": (lambda: noisy(tiny_dcgan()), dcgan_resources),
}


# --- Members ----------------------------------------------------------------------------------------------------------


def test_a_grid_is_the_product_of_its_axes_by_seeds():
    study = grid(noisy(tiny_ring()), {RATE: (0.0, 0.1), "data.std": ("0.01", 0.02)}, seeds=(3, 5))
    assert [arm.name for arm in study.arms] == [
        "rate=0.0, std=0.01",
        "rate=0.0, std=0.02",
        "rate=0.1, std=0.01",
        "rate=0.1, std=0.02",
    ]
    assert [(m.seed, m.arm.settings["data.std"]) for m in study.members()][:5] == [
        (3, "0.01"),
        (3, 0.02),
        (3, "0.01"),
        (3, 0.02),
        (5, "0.01"),
    ]
    assert study.arms[3].experiment.discriminator.transforms[0].rate == 0.1
    assert study.arms[0].experiment.data.std == 0.01


def test_axes_may_replace_a_component_and_then_set_it():
    axes = {"discriminator.transforms.0": ("exact-flips", "bernoulli-flips"), RATE: (0.05, 0.2)}
    arms = grid(noisy(tiny_ring()), axes, seeds=1).arms
    assert [type(arm.experiment.discriminator.transforms[0]) for arm in arms] == [ExactFlips] * 2 + [BernoulliFlips] * 2
    assert [arm.experiment.discriminator.transforms[0].rate for arm in arms] == [0.05, 0.2, 0.05, 0.2]


def test_names_are_as_long_as_it_takes():
    axes = {"generator.learning_rate": (1e-3,), "discriminator.learning_rate": (1e-4,)}
    arm = grid(tiny_ring(), axes, seeds=1).arms[0]
    assert arm.name == "generator.learning_rate=0.001, discriminator.learning_rate=0.0001"


@pytest.mark.parametrize(
    ("axes", "seeds", "message"),
    [
        ({"data.sdt": (0.1,)}, 1, "did you mean 'data.std'"),
        ({"data.std": ()}, 1, "at least one"),
        ({"data.std": "0.1"}, 1, "must be a list or tuple"),
        ({"data.std": (-1.0,)}, 1, "must be above 0"),
        ({"data.std": (0.1, 0.1)}, 1, "occurs more than once"),
        ({}, 0, "give a count of at least 1"),
        ({}, (1, 1), "distinct seeds"),
        ({}, (-1,), "distinct seeds"),
    ],
)
def test_wrong_sweeps_are_refused(axes, seeds, message):
    with pytest.raises(ValueError, match=message):
        grid(tiny_ring(), axes, seeds)


def test_groups_share_a_structure():
    axes = {"generator.network.widths": ("16,16", "8"), "data.std": (0.01, 0.02)}
    members = grid(tiny_ring(), axes, seeds=2).members()
    assert groups(members) == [[0, 1, 4, 5], [2, 3, 6, 7]]
    mixed = [*grid(tiny_ring(), {}, 1).members(), *grid(tiny_ring(data=Grid()), {}, 1).members()]
    assert groups(mixed) == [[0], [1]]


def test_groups_of_images_share_their_detector():
    # Its reference of real images is made once for the group, from all its floats.
    base = tiny_dcgan(detector=ImageDetector(num_samples=64))
    members = grid(base, {"detector.confidence": (0.6, 0.9), "generator.learning_rate": (1e-3, 1e-4)}, 1).members()
    assert groups(members) == [[0, 1], [2, 3]]
    ring = grid(tiny_ring(), {"detector.window": (2.0, 5.0)}, 1).members()
    assert groups(ring) == [[0, 1]]


# --- Strategies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "strategy"),
    [
        ("ring", "map"),
        ("ring", "pmap-map"),
        ("dcgan", "map"),
        pytest.param("dcgan", "pmap-map", marks=pytest.mark.slow),
    ],
)
def test_map_gives_the_single_runs_bit_for_bit(case, strategy):
    experiment, resources = (make() for make in CASES[case])
    members = grid(experiment, {RATE: (0.0, 0.25), "generator.learning_rate": (1e-3, 2e-3)}, seeds=(0,)).members()[:3]
    got = run_engine(strategy, members, resources, devices=jax.devices()[:2])
    for index, member in enumerate(members):
        alone = compiled_chunk(member.arm.experiment, resources, start([member])[0], PART)
        assert tree_hash(to_host(alone.state)) == tree_hash(to_host(of_member(got.state, index)))
        for name, series in alone.metrics.items():
            np.testing.assert_array_equal(np.asarray(series), got.metrics[name][index])


@pytest.mark.parametrize(
    ("case", "strategy", "x64"),
    [
        ("ring", "vmap", True),
        ("ring", "pmap-vmap", True),
        ("dcgan", "vmap", True),
        ("ring", "vmap", False),
        ("dcgan", "vmap", False),
        pytest.param("dcgan", "pmap-vmap", True, marks=pytest.mark.slow),
        pytest.param("ring", "pmap-vmap", False, marks=pytest.mark.slow),
        pytest.param("dcgan", "pmap-vmap", False, marks=pytest.mark.slow),
    ],
)
def test_vmap_gives_the_single_runs_up_to_rounding(case, strategy, x64):
    # Four steps: a GAN is chaotic, and a batched product adds up in another order.
    experiment, resources = (make() for make in CASES[case])
    with jax.enable_x64(x64):
        members = grid(experiment, {RATE: (0.0, 0.25)}, seeds=(1,)).members()
        got = run_engine(strategy, members, resources, devices=jax.devices()[:2], x64=x64)
        for index, member in enumerate(members):
            alone = compiled_chunk(member.arm.experiment, resources, start([member], x64)[0], PART)
            for player in ("generator", "discriminator"):
                one, other = (getattr(s, player).variables for s in (alone.state, of_member(got.state, index)))
                assert distance(one, other) < (1e-10 if x64 else 1e-4)


def test_uneven_members_fill_the_devices():
    members = grid(noisy(tiny_ring()), {RATE: (0.0, 0.1, 0.2)}, seeds=1).members()
    resources = LoadedData((), ())
    whole = run_engine("map", members, resources)
    dealt = run_engine("pmap-map", members, resources, devices=jax.devices()[:2])
    assert tree_hash(to_host(whole.state)) == tree_hash(to_host(dealt.state))


def test_a_chunk_may_continue_on_other_devices():
    members = grid(noisy(tiny_ring()), {RATE: (0.0, 0.1, 0.2)}, seeds=1).members()
    resources = LoadedData((), ())
    once = run_engine("map", members, resources, ChunkSpec(8, None, evaluates=False))
    half = run_engine("pmap-map", members, resources, devices=jax.devices()[:2])
    again = run_engine("pmap-map", members, resources, devices=jax.devices()[:1], states=half.state)
    assert tree_hash(to_host(once.state)) == tree_hash(to_host(again.state))


def test_a_member_that_breaks_stays_where_it_broke_and_stops_no_other():
    base = tiny_ring()
    members = grid(base, {"generator.learning_rate": (1e-3, 1e30)}, seeds=1).members()
    resources = load_data(base)
    part = ChunkSpec(10, None, evaluates=True)
    first = run_engine("vmap", members, resources, part, num_samples=5)
    assert first.evaluation.samples.shape == (2, 5, 2)
    broken = int(first.state.nonfinite_step[1])
    assert first.state.nonfinite_step[0] == -1
    assert 0 <= broken <= 10
    second = run_engine("vmap", members, resources, part, states=first.state)
    assert second.state.step.tolist() == [20, 10]
    frozen = [tree_hash(to_host(of_member(chunk.state, 1))) for chunk in (first, second)]
    assert frozen[0] == frozen[1]
    healthy = run_engine("vmap", members[:1], resources, part)
    healthy = run_engine("vmap", members[:1], resources, part, states=healthy.state)
    assert distance(healthy.state.generator.variables, of_member(second.state, slice(0, 1)).generator.variables) < 1e-3
    assert np.all(np.isfinite(second.metrics["generator_loss"][0]))


def test_values_that_break_after_the_last_loss_are_noticed():
    # The last update of a chunk can break the parameters with every loss still finite.
    members = grid(tiny_ring(), {"discriminator.learning_rate": (1e-3,)}, seeds=1).members()
    state = start(members)[0]
    params = state.generator.variables.params
    params = jax.tree.map(lambda leaf: leaf.at[(0,) * leaf.ndim].set(jnp.inf), params)
    state = state._replace(
        generator=state.generator._replace(variables=state.generator.variables._replace(params=params))
    )
    result = run_engine("map", members, LoadedData((), ()), ChunkSpec(0, None, evaluates=False), states=[state])
    assert result.state.nonfinite_step.tolist() == [0]


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="did you mean 'pmap-map'"):
        Strategy("pmapmap")


def test_the_fastest_strategy_is_measured():
    members = grid(tiny_ring(), {"data.std": (0.01, 0.02)}, seeds=1).members()
    experiments, states = [m.arm.experiment for m in members], start(members)
    resources = LoadedData((), ())
    several = fastest_strategy(experiments, resources, states, jax.devices()[:2])
    assert {t.strategy for t in several} == {"pmap-map", "pmap-vmap"}
    assert several[0].member_steps_per_second >= several[1].member_steps_per_second > 0
    assert {t.strategy for t in fastest_strategy(experiments, resources, states, jax.devices()[:1])} == {"map", "vmap"}


# --- Memory -----------------------------------------------------------------------------------------------------------


def test_a_budget_halves_the_members_until_they_fit():
    members = grid(tiny_ring(), {}, seeds=8).members()
    experiments, states = [m.arm.experiment for m in members], start(members)
    resources, devices = LoadedData((), ()), jax.devices()[:1]
    sizes = {}
    for num in (2, 8):
        strategy = Strategy("vmap", devices)
        stack = strategy.place(experiments[:num], states[:num])
        program = strategy.compile(stack, resources, ChunkSpec(50, None, evaluates=False))
        sizes[num] = program_bytes(program)
    assert sizes[8] > 2 * sizes[2]
    timed = fastest_strategy(experiments, resources, states, devices, budget=1.05 * sizes[2])
    assert {t.strategy: t.num_members for t in timed}["vmap"] == 2 if len(timed) == 2 else timed[0].strategy == "map"
    assert fastest_strategy(experiments, resources, states, devices, budget=1.0) == []


@pytest.mark.parametrize(("budget", "fits"), [(2000, 10), (1000, 9), (600, 5), (150, 1), (1, 1)])
def test_members_that_fit_is_linear(budget, fits):
    assert members_that_fit(used=1100, fixed=100, num=10, budget=budget) == fits
