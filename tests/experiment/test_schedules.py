"""Schedules: their values, and that they reach every setting of a player."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.schedules import Cosine, HalfLife, Linear, values_at
from gan_jax.experiment.settings import override, override_all, replace
from gan_jax.losses.penalties import R1, R2
from gan_jax.training.optimizers import Adam, optimizer_of
from gan_jax.training.state import init
from gan_jax.training.steps import train_step

_step = jax.jit(train_step)


def test_a_cosine_starts_and_ends_flat_and_halves_in_the_middle():
    schedule = Cosine(start=0.9, stop=0.99, duration_steps=100.0, begin_step=50.0)
    values = [float(schedule(jnp.int32(step))) for step in (0, 50, 100, 150, 1000)]
    np.testing.assert_allclose(values, [0.9, 0.9, 0.945, 0.99, 0.99], rtol=1e-6)
    assert float(schedule(jnp.int32(51))) - 0.9 < 0.09 / 100


def test_an_average_forgets_half_in_its_half_life():
    decay = HalfLife(start=0.0, stop=8.0, duration_steps=4.0)
    assert float(decay(jnp.int32(0))) == 0.0
    assert float(decay(jnp.int32(100))) ** 8 == pytest.approx(0.5)
    assert decay.extremes() == pytest.approx((0.0, 0.5**0.125))


@pytest.mark.parametrize(
    ("path", "schedule", "first", "later"),
    [
        ("discriminator.optimizer.b2", Cosine(start=0.9, stop=0.99, duration_steps=2.0), 0.9, 0.99),
        ("generator.learning_rate", Linear(start=1e-2, stop=1e-3, duration_steps=2.0), 1e-2, 1e-3),
        ("discriminator.penalties.0.weight", Cosine(start=1.0, stop=0.1, duration_steps=2.0), 1.0, 0.1),
        ("generator.average_decay", HalfLife(start=0.0, stop=4.0, duration_steps=2.0), 0.0, 0.5**0.25),
    ],
)
def test_a_scheduled_setting_acts_at_each_step_as_its_value_there(path, schedule, first, later):
    """Step 0 is that of a constant at the first value, and step 2 that of a constant at the last one."""
    base = override_all(
        tiny_ring(), {"discriminator.penalties": (R1(1.0), R2(1.0)), "generator.average_decay": 0.9}.items()
    )
    scheduled, dataset = override(base, path, schedule), base.data.load()
    start = jax.jit(init)(scheduled, jax.random.key(0))
    state = _step(scheduled, dataset, _step(scheduled, dataset, start)[0])[0]
    for at, value in ((start, first), (state, later)):
        expected, _ = _step(override(base, path, value), dataset, at)
        found, _ = _step(scheduled, dataset, at)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-7), found[:3], expected[:3])
    other, _ = _step(override(base, path, first), dataset, state)
    assert any(
        not np.allclose(a, b, rtol=1e-6) for a, b in zip(*map(jax.tree.leaves, (found[:3], other[:3])), strict=True)
    )


def test_a_scheduled_rate_does_not_change_the_optimisers_state():
    plain, scheduled = (
        jax.eval_shape(init, experiment, jax.random.key(0)).generator.opt_state
        for experiment in (
            tiny_ring(),
            override(tiny_ring(), "generator.learning_rate", Linear(start=1.0, stop=0.1, duration_steps=5.0)),
        )
    )
    assert jax.tree.structure(plain) == jax.tree.structure(scheduled)


def test_an_optimiser_refuses_a_schedule_that_is_no_value_yet():
    player = override(tiny_ring(), "generator.learning_rate", Linear(start=1.0, stop=0.1, duration_steps=5.0)).generator
    with pytest.raises(TypeError, match="use at_step"):
        optimizer_of(player)
    assert optimizer_of(values_at(player, jnp.int32(0))).init({"w": jnp.zeros(2)})


def test_schedules_stay_within_the_bounds_of_their_setting():
    with pytest.raises(ValueError, match="b2"):
        Adam(b2=Cosine(start=0.9, stop=1.0, duration_steps=10.0))
    with pytest.raises(ValueError, match="learning_rate"):
        override(tiny_ring(), "generator.learning_rate", Linear(start=1e-3, stop=-1e-3, duration_steps=10.0))


def test_a_schedule_ends_where_a_sweep_says():
    """Its numbers are leaves: one program serves every end."""
    base = override(tiny_ring(), "discriminator.optimizer.b2", Cosine(start=0.9, stop=0.99, duration_steps=100.0))
    other = replace(base, "discriminator.optimizer.b2.stop", 0.95)
    assert jax.tree.structure(base) == jax.tree.structure(other)
