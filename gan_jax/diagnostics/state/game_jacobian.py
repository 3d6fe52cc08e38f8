"""The game's field and the spectrum of its Jacobian at a training state.

The field is v = (-grad_G L_G, -grad_D L_D), a mean over fixed training batches with fixed random draws. Simultaneous
plain gradient descent of both players follows it; the optimisers' scaling and the players' learning rates are left out.
Penalties, label noise and unrolling are part of the losses; batch norm is in training mode.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.flatten_util import ravel_pytree

from gan_jax.diagnostics.geometry import blocks, jacobian_product, make_field, mean_field, spectrum, spectrum_summary
from gan_jax.diagnostics.state.rounding import rounded
from gan_jax.experiment.experiment import Experiment
from gan_jax.training.batches import make_batch, sample_latent
from gan_jax.training.context import step_context
from gan_jax.training.player_losses import discriminator_loss
from gan_jax.training.rollout import unrolled_generator
from gan_jax.training.state import Player, TrainState
from gan_jax.training.steps import Draws, generator_objective

NUM_EXAMPLES = {"vectors": 1024, "images": 256}
"""Number of real examples, and of fakes, in the mean that is the field; rounded down to whole batches, at least one."""
_TOLERANCE = 1e-4
"""Largest error of an eigenvalue, relative to the largest magnitude."""
_MEMORY = 2**30
"""Largest number of bytes for the vectors of Arnoldi's method."""


class GamePosition(NamedTuple):
    """What the field depends on besides the parameters.

    Attributes:
        experiment: `staged`, if it grows.
        dataset: of the run.
        state: of the checkpoint; its parameters only give the shapes.
        batches: (real [num, batch, *shape], latents [num, batch, latent_dim], keys [num]).
    """

    experiment: Experiment
    dataset: Any
    state: TrainState
    batches: Any


def fixed_batches(experiment: Experiment, dataset: Any, key: Array, dtype: Any) -> Any:
    """Fixed training batches, with fixed keys for the random draws of the losses.

    Args:
        experiment: of the run.
        dataset: of the run.
        key: of the batches.
        dtype: of examples and latents.

    Returns:
        `GamePosition.batches`.
    """
    num, size = num_batches(experiment), experiment.batch_size
    key_real, key_latent, key_draws = jax.random.split(key, 3)
    real = experiment.data.source(dataset).sample(key_real, num * size).astype(dtype)
    latent = sample_latent(experiment, key_latent, num * size).astype(dtype)
    shape = experiment.data.shape
    return real.reshape(num, size, *shape), latent.reshape(num, size, -1), jax.random.split(key_draws, num)


def num_batches(experiment: Experiment) -> int:
    """Number of fixed training batches."""
    kind = "vectors" if len(experiment.data.shape) == 1 else "images"
    return max(1, NUM_EXAMPLES[kind] // experiment.batch_size)


def num_parameters(player: Player) -> int:
    """Number of a player's parameters."""
    return sum(leaf.size for leaf in jax.tree.leaves(player.variables.params))


def game_field(at: Array, data: GamePosition) -> Array:
    """The field at both players' parameters as one vector, G's first: [n] -> [n]."""
    state = data.state
    context = step_context(data.experiment, data.dataset, state.step)
    gen, disc = state.generator, state.discriminator

    def gen_loss(gen_params: Any, disc_params: Any, batch: Any) -> Array:
        real, latent, keys = _split(batch)
        opponent = disc._replace(variables=disc.variables._replace(params=disc_params))
        facing = state._replace(discriminator=opponent)
        return generator_objective(context, facing, Draws(real, latent, *keys))(gen_params)[0]

    def disc_loss(gen_params: Any, disc_params: Any, batch: Any) -> Array:
        real, latent, keys = _split(batch)
        own = disc.variables._replace(params=disc_params)
        facing = gen.variables._replace(params=gen_params)
        unrolled = unrolled_generator(context, facing, gen.opt_state, own, (real, latent), keys[1])
        inputs, _ = make_batch(context, unrolled, real, latent)
        return discriminator_loss(context, own, inputs, keys[1])[0]

    field, _ = make_field(gen_loss, disc_loss, gen.variables.params, disc.variables.params)
    return mean_field(field)(at, data.batches)


def _split(batch: Any) -> tuple[Array, Array, tuple[Array, Array]]:
    real, latent, key = batch
    key_disc, key_gen = jax.random.split(key)
    return real, latent, (key_gen, key_disc)


def game_spectrum(
    experiment: Experiment,
    dataset: Any,
    state: TrainState,
    *,
    num_values: int,
    seed: int,
    compiler_options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Eigenvalues and block norms of the game's Jacobian at a state.

    Games on vectors are computed in float64: their networks are small, and rounding of the largest eigenvalue could
    hide the others.

    Args:
        experiment: `staged`, if it grows.
        dataset: of the run.
        state: of the checkpoint.
        num_values: number of eigenvalues, see `gan_jax.diagnostics.geometry.spectrum`.
        seed: of the batches and of random directions.
        compiler_options: XLA options of the Jacobian's program for games on vectors; None for the defaults.

    Returns:
        JSON-ready: "step", "speed" (the length of the field), "values", "complete", "missing", "num_products", the
        entries of `spectrum_summary`, and "blocks".

    Raises:
        ValueError: if the Jacobian is not finite, or no eigenvalue converges.
    """
    step, key = int(state.step), jax.random.key(seed)
    double = len(experiment.data.shape) == 1
    with jax.enable_x64(double):
        if double:
            state = jax.tree.map(lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x, state)
        players = state.generator.variables.params, state.discriminator.variables.params
        at, _ = ravel_pytree(players)
        position = GamePosition(experiment, dataset, state, fixed_batches(experiment, dataset, key, at.dtype))
        product = jacobian_product(game_field, at, position, compiler_options if double else None)
        speed = float(jnp.linalg.norm(_field(at, position)))
        try:
            found = spectrum(
                product,
                at.shape[0],
                num_values=num_values,
                seed=seed,
                tolerance=_TOLERANCE,
                max_products=max(30, min(8 * num_values, _MEMORY // (8 * at.shape[0]))),
            )
            norms = blocks(product, num_parameters(state.generator), at.shape[0], seed=seed)
        except ValueError as error:
            raise ValueError(f"step {step:,}: {error}") from error
    if not len(found.values):
        raise ValueError(
            f"step {step:,}: no eigenvalue converged in {found.num_products} products: request fewer with --values"
        )
    return {
        "step": step,
        "speed": speed,
        "values": [[float(f"{part:.6g}") for part in (value.real, value.imag)] for value in found.values],
        "complete": found.complete,
        "missing": found.missing,
        "num_products": found.num_products,
        **spectrum_summary(found.values),
        "blocks": rounded(norms._asdict(), 4),
    }


_field = jax.jit(game_field)
