"""Gradients by evolution strategies, against the gradients that they estimate."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.experiment import Discriminator, Generator, Unroll
from gan_jax.networks.mlp import MLPDiscriminator
from gan_jax.networks.points import PointGenerator
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.batches import sample_latent
from gan_jax.training.dynamics import Consensus
from gan_jax.training.evolution import Evolution, evolution_gradient, init_particles, persistent_gradient
from gan_jax.training.optimizers import SGD
from gan_jax.training.steps import generator_step
from tests.helpers import step_of


def test_of_a_quadratic_the_mean_is_the_gradient(key):
    params = {"a": jnp.array([1.0, -2.0]), "b": jnp.float32(0.5)}

    def objective(p):
        return jnp.sum(p["a"] ** 2) + 3 * p["b"] * p["a"][0], "aux"

    (value, aux), found = evolution_gradient(objective, params, key, std=0.5, num_pairs=40_000)
    expected = jax.grad(lambda p: objective(p)[0])(params)
    assert (float(value), aux) == (float(objective(params)[0]), "aux")
    for name in params:
        np.testing.assert_allclose(found[name], expected[name], atol=0.12)  # five standard errors


def windows(num_windows, length):
    """An inner problem x <- a x + phi, whose loss is the sum of all x: (window function, full loss)."""

    def window(phi, x):
        def step(x, _):
            x = 0.9 * x + phi
            return x, x

        x, seen = jax.lax.scan(step, x, None, length=length)
        return jnp.sum(seen), x

    def full(phi):
        total, x = 0.0, jnp.float32(0.0)
        for _ in range(num_windows):
            loss, x = window(phi, x)
            total += loss
        return total

    return window, full


def test_persistent_windows_sum_to_the_gradient_of_the_whole_problem(key):
    window, full = windows(num_windows=4, length=3)
    phi = jnp.float32(0.7)
    exact = float(jax.grad(full)(phi))
    particles, persistent, truncated, x = init_particles(jnp.float32(0.0), phi, num_pairs=20_000), 0.0, 0.0, 0.0
    for own_key in jax.random.split(key, 4):
        _, slope, particles = persistent_gradient(window, phi, particles, own_key, std=0.1)
        persistent += float(slope)
        _, alone = evolution_gradient(lambda p, x=x: window(p, x), phi, own_key, std=0.1, num_pairs=20_000)
        truncated += float(alone)
        x = window(phi, x)[1]
    assert persistent == pytest.approx(exact, rel=0.06)
    assert truncated < 0.75 * exact  # it ignores what earlier windows did to x


def point_game(gradient):
    """G is a point, so that its gradient has two numbers."""
    return tiny_ring(
        batch_size=16,
        generator=Generator(
            network=PointGenerator(),
            latent_dim=2,
            optimizer=SGD(),
            learning_rate=1.0,
            unroll=Unroll(num_steps=3, gradient=gradient),
        ),
        discriminator=Discriminator(network=MLPDiscriminator(widths=(8,)), learning_rate=0.05, optimizer=SGD()),
    )


def moved(experiment, key):
    state = compiled_init(experiment, jax.random.key(0))
    real = experiment.data.source(()).sample(key, 16)
    latent = sample_latent(experiment, key, 16)
    step = jax.jit(lambda state: step_of(generator_step, experiment)(state, real, latent, key, inner_key=key))
    after, metrics = step(state)
    before, after = (jax.tree.leaves(s.generator.variables.params) for s in (state, after))
    return np.concatenate([np.ravel(b - a) for a, b in zip(before, after, strict=True)]), metrics


def test_a_player_s_step_follows_the_exact_unrolled_gradient(key):
    exact, expected = moved(point_game(Unroll().gradient), key)
    found, metrics = moved(point_game(Evolution(std=0.01, num_pairs=4_000)), key)
    assert float(metrics["generator_loss"]) == pytest.approx(float(expected["generator_loss"]), rel=1e-5)
    cosine = found @ exact / np.linalg.norm(found) / np.linalg.norm(exact)
    assert cosine > 0.98
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(exact), rel=0.1)


def test_rules_that_differentiate_both_losses_refuse_it():
    with pytest.raises(ValueError, match="Consensus takes derivatives"):
        dataclasses.replace(point_game(Evolution()), dynamics=Consensus())
