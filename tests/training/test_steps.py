"""Training steps: identities of the game, the data they see, and the work they do."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax.experiment.examples import tiny_dcgan, tiny_images, tiny_ring
from gan_jax.experiment.settings import override
from gan_jax.losses.transforms import ExactFlips
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.batches import generate, sample_latent
from gan_jax.training.context import StepContext
from gan_jax.training.dynamics import Alternating, Simultaneous
from gan_jax.training.optimizers import SGD
from gan_jax.training.steps import discriminator_step, generator_step, train_step
from tests.helpers import jit_step, leaves_equal, run_steps, step_of


def test_a_step_with_sgd_is_the_hand_computed_one():
    experiment = tiny_ring()
    experiment = override(override(experiment, "discriminator.optimizer", SGD()), "generator.optimizer", SGD())
    state = compiled_init(experiment, jax.random.key(1))
    key = jax.random.key(2)
    real = experiment.data.source(()).sample(key, 32)
    latent = sample_latent(experiment, key, 32)
    after, _ = step_of(discriminator_step, experiment)(state, real, latent, key)
    disc, gen = experiment.discriminator.network, experiment.generator.network

    def disc_loss(params):
        variables = state.discriminator.variables._replace(params=params)
        fake, _ = gen.apply(state.generator.variables, latent, (2,), train=True)
        score_real, score_fake = (disc.apply(variables, x, train=True)[0] for x in (real, fake))
        return -jnp.mean(jax.nn.log_sigmoid(score_real)) - jnp.mean(jax.nn.log_sigmoid(-score_fake))

    params = state.discriminator.variables.params
    wanted = jax.tree.map(lambda p, g: p - 1e-3 * g, params, jax.grad(disc_loss)(params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7), after.discriminator.variables.params, wanted)
    assert leaves_equal(after.generator, state.generator)

    after, _ = step_of(generator_step, experiment)(state, real, latent, key)

    def gen_loss(params):
        fake, _ = gen.apply(state.generator.variables._replace(params=params), latent, (2,), train=True)
        return -jnp.mean(jax.nn.log_sigmoid(disc.apply(state.discriminator.variables, fake, train=True)[0]))

    params = state.generator.variables.params
    wanted = jax.tree.map(lambda p, g: p - 1e-3 * g, params, jax.grad(gen_loss)(params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-7), after.generator.variables.params, wanted)
    assert leaves_equal(after.discriminator, state.discriminator)


def test_label_noise_of_0_and_1_percent_are_the_same_run_and_5_percent_is_not():
    base = tiny_ring(batch_size=64)

    def noisy(rate):
        return override(base, "discriminator.transforms", (ExactFlips(rate),))

    zero, one, five = (run_steps(noisy(rate), 10)[0] for rate in (0.0, 0.01, 0.05))
    assert leaves_equal(zero, one)
    assert not leaves_equal(zero.generator, five.generator)


def test_steps_use_fresh_data_and_fresh_latents_every_time(key):
    experiment = tiny_ring()
    experiment = override(experiment, "discriminator.learning_rate", 1e-12)
    experiment = override(experiment, "generator.learning_rate", 1e-12)
    state = compiled_init(experiment, key)
    seen = []
    for _ in range(4):
        state, metrics = jit_step(experiment, (), state)
        seen.append((float(metrics["discriminator_loss_real"]), float(metrics["discriminator_loss_fake"])))
    assert len({s[0] for s in seen}) == len({s[1] for s in seen}) == 4


@pytest.mark.parametrize("order", [Alternating(), Simultaneous()], ids=["alternating", "simultaneous"])
def test_update_order(order):
    experiment = tiny_ring(dynamics=order)
    state = compiled_init(experiment, jax.random.key(0))
    # With a D that does not move, the two orders are the same; with one that does, they differ in G.
    still = override(experiment, "discriminator.learning_rate", 1e-30)
    moved, _ = jit_step(experiment, (), state)
    unmoved, _ = jit_step(still, (), state)
    same = leaves_equal(moved.generator, unmoved.generator)
    assert same == isinstance(order, Simultaneous)


def test_several_updates_a_step():
    experiment = tiny_ring()
    experiment = override(override(experiment, "discriminator.updates_per_step", 3), "generator.updates_per_step", 2)
    state, _ = run_steps(experiment, 2)
    counts = [int(optax.tree.get(player.opt_state, "count")) for player in (state.discriminator, state.generator)]
    assert counts == [6, 4]
    assert int(state.step) == 2


def test_the_average_of_g_follows_it():
    experiment = override(tiny_ring(), "generator.average_decay", 0.5)
    before = compiled_init(experiment, jax.random.key(0))
    after, _ = jit_step(experiment, (), before)
    jax.tree.map(
        lambda old, new, average: np.testing.assert_allclose(average, (old + new) / 2, rtol=1e-5, atol=1e-7),
        before.average,
        after.generator.variables.params,
        after.average,
    )


def test_the_first_step_that_is_not_finite_is_remembered():
    experiment = override(tiny_ring(), "generator.learning_rate", 1e30)
    state, _ = run_steps(experiment, 6)
    assert 0 <= int(state.nonfinite_step) < 6
    assert int(run_steps(tiny_ring(), 3)[0].nonfinite_step) == -1


def test_shared_fakes_are_computed_once():
    experiment, dataset = tiny_dcgan(), tiny_images()
    state = compiled_init(experiment, jax.random.key(0))

    def flops(e):
        return jax.jit(train_step).lower(e, dataset, state).compile().cost_analysis()["flops"]

    latent = sample_latent(experiment, jax.random.key(0), experiment.batch_size)
    forward = jax.jit(functools.partial(generate, StepContext(experiment, jnp.int32(0)), train=True))
    once = forward.lower(state.generator.variables, latent).compile().cost_analysis()["flops"]
    saved = flops(override(experiment, "reuse_fakes", False)) - flops(experiment)
    # All of G's forward pass but its last elementwise operations, which XLA may fuse twice.
    assert saved > 0.9 * once


def test_batch_statistics_separate_and_joint():
    experiment, dataset = tiny_dcgan(), tiny_images()
    apart, _ = run_steps(experiment, 1, dataset)
    joint, _ = run_steps(override(experiment, "discriminator.batch_statistics", "joint"), 1, dataset)
    assert not leaves_equal(apart.discriminator.variables.statistics, joint.discriminator.variables.statistics)


def test_gradients_and_statistics_are_averaged_over_an_axis():
    # Two halves under vmap with an axis name give the step of one device on both: the cheap double of pmap.
    experiment = override(tiny_dcgan(), "discriminator.batch_statistics", "joint")
    dataset = tiny_images()
    state = compiled_init(experiment, jax.random.key(0))
    key = jax.random.key(1)
    real = experiment.data.source(dataset).sample(key, 16)
    latent = sample_latent(experiment, key, 16)
    whole, _ = jax.jit(step_of(discriminator_step, experiment))(state, real, latent, key)

    def half(r, z):
        return step_of(discriminator_step, experiment, axis_name="devices")(state, r, z, key)[0]

    halves = jax.jit(jax.vmap(half, axis_name="devices"))(real.reshape(2, 8, *real.shape[1:]), latent.reshape(2, 8, -1))
    for a, b in zip(jax.tree.leaves(halves.discriminator), jax.tree.leaves(whole.discriminator), strict=True):
        # Adam's first step divides a gradient by itself: where it is 0 but for rounding, only the step size is sure.
        np.testing.assert_allclose(a[0], b, atol=2.1e-3)
        np.testing.assert_array_equal(a[0], a[1])
    stats = zip(
        jax.tree.leaves(halves.discriminator.variables.statistics),
        jax.tree.leaves(whole.discriminator.variables.statistics),
        strict=True,
    )
    for a, b in stats:
        np.testing.assert_allclose(a[0], b, rtol=1e-3, atol=1e-5)
