"""Players of one vector: their protocols, and the training step on the bilinear game."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.configs import load
from gan_jax.experiment.settings import override
from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork
from gan_jax.networks.points import LinearDiscriminator, PointGenerator
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.steps import train_step


@pytest.mark.parametrize("shape", [(1,), (3,), (2, 2, 1)])
def test_players_satisfy_their_protocols(shape, key):
    gen, disc = PointGenerator(start=2.0), LinearDiscriminator(start=0.5)
    assert isinstance(gen, GeneratorNetwork)
    assert isinstance(disc, DiscriminatorNetwork)
    gen.check(shape)
    disc.check(shape)
    gen_variables, disc_variables = gen.init(key, 5, shape), disc.init(key, shape)
    latent = jax.random.normal(key, (7, 5))
    samples, statistics = gen.apply(gen_variables, latent, shape, train=True)
    np.testing.assert_array_equal(samples, np.full((7, *shape), 2.0))
    assert not statistics
    scores, statistics = disc.apply(disc_variables, samples, train=True)
    np.testing.assert_allclose(scores, np.full(7, 0.5 * 2.0 * np.prod(shape)))
    assert not statistics
    again, features = disc.features(disc_variables, samples, train=False)
    np.testing.assert_array_equal(again, scores)
    assert features == {}


def test_starts_are_leaves(key):
    starts = jnp.array([1.0, 2.0])
    points = jax.vmap(lambda start: PointGenerator(start=start).init(key, 1, (2,)).params["point"])(starts)
    np.testing.assert_array_equal(points, [[1.0, 1.0], [2.0, 2.0]])


@pytest.mark.parametrize("num_dims", [1, 3])
def test_the_training_step_plays_the_bilinear_game(num_dims, key):
    # L_D = <psi, theta> = -L_G, so that theta ascends along psi, and psi descends along theta.
    with jax.enable_x64(True):
        experiment = override(load("bilinear"), "data.num_dims", num_dims)
        state, step = compiled_init(experiment, key), jax.jit(train_step)
        theta, psi = np.ones(num_dims), np.ones(num_dims)
        for _ in range(5):
            state, metrics = step(experiment, (), state)
            assert float(metrics["discriminator_loss"]) == pytest.approx(theta @ psi, rel=1e-12)
            theta, psi = theta + 0.1 * psi, psi - 0.1 * theta
        np.testing.assert_allclose(state.generator.variables.params["point"], theta, rtol=1e-12)
        np.testing.assert_allclose(state.discriminator.variables.params["direction"], psi, rtol=1e-12)
