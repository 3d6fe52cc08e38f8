"""Changes of components: one or several settings, by value or by the text of a command line; and numbers in tuples."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.mixtures import Grid, RandomRing, Ring, Temperatures
from gan_jax.data.weighted import Weighted
from gan_jax.experiment.component import component, setting
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.schedules import Linear
from gan_jax.experiment.settings import override, override_all, replace, stack
from gan_jax.experiment.sweep import grid, variations
from gan_jax.losses.objectives import Hinge
from gan_jax.losses.transforms import ExactFlips, OneSidedSmoothing
from gan_jax.training.growth import Growth


@component
class Holder:
    shares: tuple[float, ...] = setting(default=(0.5,), at_least=0, at_most=1, doc="shares")
    counts: tuple[int, ...] = setting(default=(1,), at_least=1, doc="counts")
    num: int = setting(default=1, doc="of things")
    seed: int = setting(default=0, at_least=0, below=2**32, doc="a seed")
    factor: float = 1.0
    growth: Growth | None = setting(default=None, choices=(Growth,))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Holder(shares=(0.5, math.nan)), "Holder.shares is (0.5, nan), which holds nan, and must be a finite"),
        (lambda: Holder(shares=(math.inf,)), "a finite number (shares)"),
        (lambda: Holder(shares=(0.5, 1.5)), "which holds 1.5, and must be at most 1 (shares)"),
        (lambda: Holder(counts=(3, 0)), "Holder.counts is (3, 0), which holds 0, and must be at least 1"),
        (lambda: Holder(counts=(2**31,)), "must fit 32 bits"),
        (lambda: Holder(num=2**31), "Holder.num is 2147483648, and must fit 32 bits: at most 2147483647 in absolute"),
        (lambda: Holder(num=-(2**31)), "must fit 32 bits"),
        (lambda: Holder(seed=2**32), "must be below 4294967296"),
        (lambda: Holder(factor=-math.inf), "Holder.factor is -inf, and must be a finite number"),
        (lambda: Holder(factor=10**400), "must be a number"),
        (lambda: Ring(num_modes=2, weights=(1.0, math.nan)), "Ring.weights"),
        (lambda: ExactFlips(rate=Linear(start=0.0, stop=1.5, duration_steps=1.0)), "at most 1"),
    ],
)
def test_numbers_are_finite_and_bounded_wherever_they_stand(make, words):
    with pytest.raises(ValueError) as error:
        make()
    assert words in str(error.value)


def test_numbers_at_their_bounds_are_taken():
    made = Holder(shares=(0, 1), counts=(1, 2**31 - 1), num=-(2**31) + 1, seed=2**32 - 1, factor=1e308)
    assert made.shares == (0.0, 1.0)
    assert [type(share) for share in made.shares] == [float, float]
    assert RandomRing(weights_seed=2**32 - 1).source(()).weights.shape == (8,)
    assert Weighted(Ring(), num_points=2, points_seed=2**32 - 1).load().points.shape == (2, 2)


@pytest.mark.parametrize("order", [0, 1])
def test_settings_that_have_to_agree_come_in_either_order(order):
    pairs = [("growth.stage_steps", "12"), ("growth.fade_steps", "6")]
    made = override_all(Holder(growth=Growth()), pairs[::-1] if order else pairs)
    assert made.growth == Growth(stage_steps=12, fade_steps=6)
    apart = [("cold", 40.0), ("hot", 50.0)]
    assert replace(Temperatures(), dict(apart[::-1] if order else apart)) == Temperatures(cold=40.0, hot=50.0)
    with pytest.raises(ValueError, match=r"Growth.fade_steps is 500.0, longer than a stage of 12"):
        override_all(Holder(growth=Growth()), pairs[:1])


def test_several_overrides_are_those_one_after_another():
    pairs = [
        ("data", "grid"),
        ("data.std", "0.1"),
        ("discriminator.transforms", "exact-flips,one-sided-smoothing"),
        ("discriminator.transforms.0.rate", "0.2"),
        ("generator.network.widths", "8,8"),
    ]
    expected = tiny_ring()
    for path, value in pairs:
        expected = override(expected, path, value)
    assert override_all(tiny_ring(), pairs) == expected
    assert override_all(tiny_ring(), []) == tiny_ring()


def test_what_is_wrong_in_the_end_is_refused():
    with pytest.raises(ValueError, match=r"batch_size is 0, and must be at least 1"):
        override_all(tiny_ring(), [("num_steps", "30"), ("batch_size", "0")])
    with pytest.raises(ValueError, match=r"no setting 'data.spacing'"):
        override_all(tiny_ring(), [("data.spacing", "1")])
    with pytest.raises(ValueError, match=r"Images data and MixtureDetector do not go together"):
        override(tiny_ring(), "data", "images")


def test_replace_takes_values_as_they_are():
    experiment = tiny_ring()
    changed = replace(experiment, {"generator.learning_rate": 0.5, "batch-size": 8, "objective": Hinge()})
    assert (changed.generator.learning_rate, changed.batch_size, changed.objective) == (0.5, 8, Hinge())
    assert experiment == tiny_ring()
    assert replace(experiment, "generator.network.activation", "tanh").generator.network.activation == "tanh"
    noisy = replace(experiment, "discriminator.transforms", (ExactFlips(), OneSidedSmoothing()))
    assert replace(noisy, "discriminator.transforms.1.amount", 0.3).discriminator.transforms[1].amount == 0.3
    for path, text in (("objective", "hinge"), ("batch_size", "8"), ("generator.learning_rate", "0.5")):
        with pytest.raises(ValueError, match="must be"):
            replace(experiment, path, text)


@pytest.mark.parametrize("arguments", [("batch_size",), ({"batch_size": 8}, 8)])
def test_replace_wants_a_value_with_a_path_and_none_with_several(arguments):
    with pytest.raises(ValueError, match="a path and a value, or a mapping"):
        replace(tiny_ring(), *arguments)


def test_replace_may_set_none():
    with_average = replace(tiny_ring(), "generator.average_decay", 0.9)
    assert replace(with_average, "generator.average_decay", None) == tiny_ring()


def test_replace_takes_arrays_and_traced_values():
    def loss(rate):
        changed = replace(tiny_ring(), {"generator.learning_rate": rate, "data.std": 2 * rate})
        return changed.generator.learning_rate**2 + changed.data.std

    assert float(jax.jit(jax.grad(loss))(3.0)) == 8.0
    rates = jnp.array([0.1, 0.2])
    for array in (rates, np.asarray(rates)):
        assert replace(tiny_ring(), "generator.learning_rate", array).generator.learning_rate.shape == (2,)
    stacked = stack([Ring(std=0.1), Ring(std=0.2)])
    assert replace(stacked, "radius", 3.0).std.tolist() == pytest.approx([0.1, 0.2])
    # Where a component has arrays, what would compare them is left out: the bounds of `cold` against `hot`.
    assert replace(Temperatures(), "cold", np.array([50.0, 60.0])).cold.shape == (2,)


def test_a_sweep_checks_an_arm_once_all_its_settings_are_there():
    base = tiny_ring(data=Temperatures())
    settings = {"data.cold": 40.0, "data.hot": 50.0}
    for order in itertools.permutations(settings.items()):
        assert variations(base, {"warm": dict(order)}, 1).arms[0].experiment.data == Temperatures(cold=40.0, hot=50.0)
        arms = grid(base, {path: (value,) for path, value in order}, 1).arms
        assert arms[0].experiment.data == Temperatures(cold=40.0, hot=50.0)
    assert grid(tiny_ring(), {"data": (Grid(),), "data.std": (0.1,)}, 1).arms[0].settings == {
        "data": "Grid",
        "data.std": 0.1,
    }
