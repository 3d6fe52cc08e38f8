from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_jax.data.mixtures import Grid, Ring
from gan_jax.experiment.component import component, setting, unknown_name
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.records import read_component
from gan_jax.experiment.settings import diff, group, override, stack, to_json, walk
from gan_jax.losses.aggregation import AGGREGATIONS
from gan_jax.losses.auxiliary import GENERATOR_PENALTIES
from gan_jax.losses.inference import INFERENCES
from gan_jax.losses.objectives import OBJECTIVES
from gan_jax.losses.penalties import DISCRIMINATOR_PENALTIES
from gan_jax.losses.transforms import GENERATOR_TRANSFORMS, TRANSFORMS, ExactFlips, OneSidedSmoothing
from gan_jax.training.replay import REPLAYS


@component
class Inner:
    rate: float = setting(default=0.5, at_least=0, at_most=1, doc="a share")


@component
class Outer:
    inner: Inner = setting(default=Inner(), choices=(Inner,))
    maybe: float | None = None
    several: tuple[Inner, ...] = setting(default=(), choices=(Inner,))
    numbers: tuple[float, ...] = (1.0, 2.0)
    widths: tuple[int, ...] = (3, 4)
    mode: Literal["a", "b"] = "a"
    flag: bool = False


def test_floats_and_components_are_leaves_and_the_rest_is_structure():
    outer = Outer(maybe=0.25, several=(Inner(0.1), Inner(0.2)))
    assert jax.tree.leaves(outer) == [0.5, 0.25, 0.1, 0.2, 1.0, 2.0]
    same = Outer(maybe=0.75, several=(Inner(0.3), Inner(0.4)))
    assert jax.tree.structure(outer) == jax.tree.structure(same)
    for other in (Outer(mode="b"), Outer(flag=True), Outer(widths=(3,)), Outer(maybe=None, several=(Inner(),))):
        assert jax.tree.structure(outer) != jax.tree.structure(other)


def test_changing_any_float_recompiles_nothing():
    traces = 0

    @jax.jit
    def total(experiment):
        nonlocal traces
        traces += 1
        return sum(jnp.sum(jnp.asarray(leaf)) for leaf in jax.tree.leaves(experiment))

    experiment = tiny_ring()
    floats = [s.path for s in walk(experiment) if isinstance(s.value, float)]
    assert len(floats) > 15
    for path in floats:
        value = {s.path: s.value for s in walk(experiment)}[path]
        total(override(experiment, path, value * 0.999))
    assert traces == 1
    total(override(experiment, "batch_size", 16))
    assert traces == 2


def test_rebuilding_from_traced_or_placeholder_leaves_checks_nothing():
    doubled = jax.tree.map(lambda x: x * 10, Outer())  # 5.0 is beyond the bound of a rate
    assert doubled.inner.rate == 5.0
    axes = jax.tree.map(lambda _: 0, stack([Inner(0.1), Inner(0.2)]))
    assert jax.vmap(lambda i: i.rate * 2, in_axes=(axes,))(stack([Inner(0.1), Inner(0.2)])).shape == (2,)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Inner(rate=1.5), "Inner.rate is 1.5, and must be at most 1 (a share)"),
        (lambda: Inner(rate=-0.1), "at least 0"),
        (lambda: Inner(rate=float("nan")), "Inner.rate is nan"),
        (lambda: Inner(rate="high"), "must be a number"),
        (lambda: Inner(rate=True), "must be a number"),
        (lambda: Outer(mode="c"), "must be one of 'a', 'b'"),
        (lambda: Outer(widths=(1.5,)), "Outer.widths"),
        (lambda: Outer(flag=1), "True or False"),
        (lambda: Outer(inner=3), "Outer.inner is 3, and must be one of Inner"),
        (lambda: Outer(iner=Inner()), "Outer has no setting 'iner'; did you mean 'inner'?"),
        (lambda: Ring(std=-1), "Ring.std is -1.0, and must be above 0"),
    ],
)
def test_wrong_values_are_named_with_their_remedy(make, words):
    with pytest.raises(ValueError) as error:
        make()
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_ints_given_for_floats_become_floats():
    assert type(Inner(rate=1).rate) is float


def test_json_round_trip_is_exact():
    experiment = tiny_ring(data=Ring(std=0.1 + 0.2, weights=tuple(float(k) for k in range(1, 9))))
    experiment = override(experiment, "discriminator.transforms", (ExactFlips(1 / 3), OneSidedSmoothing()))
    assert read_component(to_json(experiment)) == experiment


@given(st.floats(min_value=1e-30, max_value=1e30))
def test_json_keeps_every_bit_of_a_float(std):
    import json

    assert read_component(json.loads(json.dumps(to_json(Ring(std=std))))).std == std


def test_json_of_an_older_file_takes_todays_defaults_and_unknown_ones_are_refused():
    data = to_json(Ring())
    del data["closed"]
    assert read_component(data) == Ring()
    with pytest.raises(ValueError, match="no setting 'sdt'; did you mean 'std'"):
        read_component({**to_json(Ring()), "sdt": 1.0})
    with pytest.raises(ValueError, match="unknown component"):
        read_component({"component": "gan_jax.data.mixtures:Rung"})
    with pytest.raises(ValueError, match="unknown component 'os:getcwd'"):
        read_component({"component": "os:getcwd"})


def test_diff_names_what_changed():
    old = tiny_ring()
    new = override(override(old, "discriminator.learning_rate", 2e-4), "batch_size", 64)
    assert diff(old, new) == ["discriminator.learning_rate: 0.001 -> 0.0002", "batch_size: 32 -> 64"]
    assert diff(old, old) == []
    assert diff(old, override(old, "data", Grid())) == ["data: Ring -> Grid"]
    noisy = override(old, "discriminator.transforms", (ExactFlips(),))
    assert diff(old, noisy) == ["discriminator.transforms: () -> (ExactFlips)"]


def test_stack_and_group():
    rings = [Ring(std=0.1), Grid(), Ring(std=0.3), Grid(spacing=1.0)]
    grouped = group(rings)
    assert [indices for indices, _ in grouped] == [[0, 2], [1, 3]]
    assert grouped[0][1].std.tolist() == pytest.approx([0.1, 0.3])
    with pytest.raises(ValueError, match="num_modes: 8 -> 6"):
        stack([Ring(), Ring(num_modes=6)])


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("discriminator.learning-rate", "1e-4", 1e-4),
        ("generator.network.widths", "64,32", (64, 32)),
        ("generator.network.activation", "tanh", "tanh"),
        ("generator.average_decay", "none", None),
        ("generator.average_decay", "0.9", 0.9),
        ("data.closed", "true", True),
        ("data", "grid", Grid()),
        ("discriminator.transforms", "exact-flips,OneSidedSmoothing", (ExactFlips(), OneSidedSmoothing())),
        ("discriminator.transforms", "", ()),
    ],
)
def test_overrides_read_texts_by_the_settings_own_type(path, text, expected):
    changed = override(tiny_ring(), path, text)
    assert {s.path: s.value for s in walk(changed)}[path.replace("-", "_")] == expected


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("discriminator.learnig_rate", "1", "did you mean 'discriminator.learning_rate'"),
        ("learning_rate", "1", "generator.learning_rate"),
        ("batch_size", "many", "batch_size is 'many', and must be a whole number"),
        ("batch_size", "1.5", "whole number"),
        ("objective", "hinj", "must be one of NonSaturating, Minimax"),
        ("discriminator.transforms.0.rate", "0.1", "is not an index"),
        ("data.std.x", "1", "no setting 'data.std.x'"),
    ],
)
def test_wrong_overrides_say_what_there_is(path, text, words):
    with pytest.raises(ValueError) as error:
        override(tiny_ring(), path, text)
    assert words in str(error.value)


def test_unknown_name_lists_all_when_nothing_is_near():
    assert unknown_name("no config", "zzz", ["ring", "grid"]) == "no config 'zzz'; there is grid, ring"


def test_every_choice_can_be_made_with_its_defaults():
    parts = (*OBJECTIVES, *TRANSFORMS, *GENERATOR_TRANSFORMS, *DISCRIMINATOR_PENALTIES, *GENERATOR_PENALTIES)
    for made in [choice() for choice in (*parts, *REPLAYS, *AGGREGATIONS, *INFERENCES)]:
        assert read_component(to_json(made)) == made


def test_lists_and_dicts_are_refused_as_fields():
    @component
    class Wrong:
        values: list[float] = setting(default=None)

    with pytest.raises(TypeError, match="use a tuple"):
        jax.tree.leaves(object.__new__(Wrong))
