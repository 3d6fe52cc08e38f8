"""The game's field: what plain simultaneous descent follows, and what unrolling changes in it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from gan_jax.diagnostics.state.game_jacobian import GamePosition, fixed_batches, game_field
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.experiment import Unroll
from gan_jax.experiment.settings import override
from gan_jax.scaling.programs import compiled_init


@pytest.fixture(scope="module")
def position():
    experiment = tiny_ring()
    state = compiled_init(experiment, jax.random.key(0))
    batches = fixed_batches(experiment, (), jax.random.key(1), jnp.float32)
    at = ravel_pytree((state.generator.variables.params, state.discriminator.variables.params))[0]
    return at, GamePosition(experiment, (), state, batches)


def test_the_field_is_what_plain_simultaneous_descent_follows(position):
    """A batch of it: one step of SGD on that batch moves both players by the learning rate times the field."""
    at, data = position
    real, latent, keys = data.batches
    assert real.shape == (1024 // 32, 32, 2)
    one = data._replace(batches=(real[:1], latent[:1], keys[:1]))
    field = jax.jit(game_field)(at, one)
    experiment, state = data.experiment, data.state

    def losses(gen_params, disc_params):
        gen = experiment.generator.network.apply(
            state.generator.variables._replace(params=gen_params), latent[0], (2,), train=True
        )[0]
        disc = state.discriminator.variables._replace(params=disc_params)
        scores = [experiment.discriminator.network.apply(disc, x, train=True)[0] for x in (real[0], gen)]
        return (
            jnp.mean(jax.nn.softplus(-scores[1])),
            jnp.mean(jax.nn.softplus(-scores[0])) + jnp.mean(jax.nn.softplus(scores[1])),
        )

    params = state.generator.variables.params, state.discriminator.variables.params
    wanted = ravel_pytree(
        (jax.grad(lambda p: losses(p, params[1])[0])(params[0]), jax.grad(lambda p: losses(params[0], p)[1])(params[1]))
    )[0]
    np.testing.assert_allclose(field, -wanted, atol=1e-6)
    every = jax.jit(game_field)(at, data)
    assert float(jnp.linalg.norm(every - field)) > 1e-3


def test_unrolling_changes_the_generators_part_alone(position):
    at, data = position
    unrolled = override(data.experiment, "generator.unroll", Unroll(num_steps=1))
    num_gen = ravel_pytree(data.state.generator.variables.params)[0].shape[0]
    plain, other = (jax.jit(game_field)(at, data._replace(experiment=e)) for e in (data.experiment, unrolled))
    np.testing.assert_allclose(plain[num_gen:], other[num_gen:], atol=1e-6)
    assert float(jnp.max(jnp.abs(plain[:num_gen] - other[:num_gen]))) > 1e-5
