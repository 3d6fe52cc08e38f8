"""`gan-jax diagnose game RUN`: eigenvalues of the game's Jacobian, rotation against attraction.

The field is v = (-grad_G L_G, -grad_D L_D) at a checkpoint, the mean over fixed training batches with fixed draws: what
plain descent of both players at once follows, without the optimisers' scaling, and the players' learning rates left
out. Penalties, label noise and unrolling are part of the losses; batch norm is in training mode.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from gan_jax.diagnostics.geometry import (
    blocks,
    jacobian_product,
    make_field,
    mean_field,
    spectrum,
    summary,
)
from gan_jax.diagnostics.state.scores import staged
from gan_jax.experiment.experiment import Experiment
from gan_jax.reports.drawing import aligned, rounded
from gan_jax.reports.game_figure import figure as figure
from gan_jax.runs.run_directory import RunError
from gan_jax.runs.run_states import RunStates, chosen_steps, open_states
from gan_jax.runs.runner import state_template
from gan_jax.scaling.programs import compiler_options
from gan_jax.training.batches import make_batch, sample_latent
from gan_jax.training.context import step_context
from gan_jax.training.player_losses import discriminator_loss
from gan_jax.training.rollout import unrolled_generator
from gan_jax.training.state import Player, TrainState
from gan_jax.training.steps import Draws, generator_objective

NUM_EXAMPLES = {"vectors": 1024, "images": 256}
"""Real examples, and fakes, that the field is the mean over, in training batches; at least one."""
TOLERANCE = 1e-4
"""Of an eigenvalue, over the largest magnitude."""
MEMORY = 2**30
"""Bytes for the vectors of the search."""


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Eigenvalues at the checkpoints; of image runs at the newest only, unless `--step` says which.

    Raises:
        RunError: if the run does not suffice, or values there are not finite.
    """
    if options.values < 4:
        raise RunError(
            f"--values is {options.values}, and must be at least 4: half of them by size, a quarter each way"
        )
    states = open_states(Path(options.run), options.data)
    images = len(states.experiment.data.shape) > 1
    steps = chosen_steps(states, options)
    if images and options.step is None and len(steps) > 1:
        say(f"at the newest of {len(steps)} checkpoints, since images take minutes each: --step for another")
        steps = steps[-1:]
    rows, template = [], state_template(states.experiment)
    for step in steps:
        say(f"step {step:,}")
        rows.append(_row(states, step, options))
    result = {
        "players": {"generator": _size(template.generator), "discriminator": _size(template.discriminator)},
        "num_examples": _num_batches(states.experiment) * states.experiment.batch_size,
        "objective": type(states.experiment.objective).__name__,
        "sought": options.values,
        "onset": (states.verdict or {}).get("onset_step"),
        "rows": rows,
    }
    return {**result, "sentence": sentence(result)}


class Position(NamedTuple):
    """What the field depends on beside the parameters.

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
    """Training batches that stay the same, and keys of all that the losses draw; see `Position`."""
    num, size = _num_batches(experiment), experiment.batch_size
    key_real, key_latent, key_draws = jax.random.split(key, 3)
    real = experiment.data.source(dataset).sample(key_real, num * size).astype(dtype)
    latent = sample_latent(experiment, key_latent, num * size).astype(dtype)
    shape = experiment.data.shape
    return real.reshape(num, size, *shape), latent.reshape(num, size, -1), jax.random.split(key_draws, num)


def game_field(at: Array, data: Position) -> Array:
    """The field at both players' parameters as one vector, G's first: [n] -> [n]."""
    state = data.state
    context = step_context(data.experiment, data.dataset, state.step)
    gen, disc = state.generator, state.discriminator

    def of_generator(gen_params: Any, disc_params: Any, batch: Any) -> Array:
        real, latent, keys = _split(batch)
        opponent = disc._replace(variables=disc.variables._replace(params=disc_params))
        facing = state._replace(discriminator=opponent)
        loss = generator_objective(context, facing, Draws(real, latent, *keys))
        return loss(gen_params)[0]

    def of_discriminator(gen_params: Any, disc_params: Any, batch: Any) -> Array:
        real, latent, keys = _split(batch)
        own = disc.variables._replace(params=disc_params)
        facing = gen.variables._replace(params=gen_params)
        opponent = unrolled_generator(context, facing, gen.opt_state, own, (real, latent), keys[1])
        inputs, _ = make_batch(context, opponent, real, latent)
        return discriminator_loss(context, own, inputs, keys[1])[0]

    field, _ = make_field(of_generator, of_discriminator, gen.variables.params, disc.variables.params)
    return mean_field(field)(at, data.batches)


def _split(batch: Any) -> tuple[Array, Array, tuple[Array, Array]]:
    real, latent, key = batch
    key_disc, key_gen = jax.random.split(key)
    return real, latent, (key_gen, key_disc)


def _row(states: RunStates, step: int, options: argparse.Namespace) -> dict[str, Any]:
    experiment, state = staged(states.experiment, step), states.restore(step)
    key = jax.random.key(options.seed)
    # Vectors in float64: their networks are small, and rounding of the largest eigenvalue may hide the others.
    double = len(experiment.data.shape) == 1
    with jax.enable_x64(double):
        if double:
            state = jax.tree.map(lambda x: x.astype(jnp.float64) if _is_float32(x) else x, state)
        players = state.generator.variables.params, state.discriminator.variables.params
        at, _ = ravel_pytree(players)
        batches = fixed_batches(experiment, states.resources.dataset, key, at.dtype)
        position = Position(experiment, states.resources.dataset, state, batches)
        product = jacobian_product(game_field, at, position, compiler_options() if double else None)
        speed = float(jnp.linalg.norm(_speed(at, position)))
        try:
            found = spectrum(
                product,
                at.shape[0],
                num_values=options.values,
                seed=options.seed,
                tolerance=TOLERANCE,
                max_products=max(30, min(8 * options.values, MEMORY // (8 * at.shape[0]))),
            )
            made_of = blocks(product, _size(state.generator), at.shape[0], seed=options.seed)
        except ValueError as error:
            raise RunError(f"step {step:,}: {error}") from error
    if not len(found.values):
        raise RunError(
            f"step {step:,}: no eigenvalue converged in {found.num_products} products: seek fewer with --values"
        )
    return {
        "step": step,
        "speed": speed,
        "values": [[float(f"{part:.6g}") for part in (value.real, value.imag)] for value in found.values],
        "complete": found.complete,
        "missing": found.missing,
        "num_products": found.num_products,
        **summary(found.values),
        "blocks": rounded(made_of._asdict(), 4),
    }


_speed = jax.jit(game_field)


def _is_float32(leaf: Any) -> bool:
    return leaf.dtype == jnp.float32


def _num_batches(experiment: Experiment) -> int:
    kind = "vectors" if len(experiment.data.shape) == 1 else "images"
    return max(1, NUM_EXAMPLES[kind] // experiment.batch_size)


def _size(player: Player) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(player.variables.params))


def sentence(result: dict[str, Any]) -> str:
    """What the last checkpoint says."""
    row = result["rows"][-1]
    which = "all" if row["complete"] else "the outermost"
    (right, _), (real, imaginary) = row["rightmost"], row["largest"]
    told = (
        f"At step {row['step']:,} {row['share_complex']:.0%} of {which} {row['num']} eigenvalues are complex, and "
        f"{row['rotation']:.0%} of their length is rotation, {row['attraction']:.0%} attraction; the largest is "
        f"{_complex(real, imaginary)}"
    )
    if right > 1e-6 * np.hypot(real, imaginary):
        told += f", and {row['share_repelling']:.0%} repel, with real parts up to {right:.3g}"
    elif row["largest_step"] is None:
        told += f", and none repels, nor do all attract: the most positive real part is {right:.3g}"
    else:
        told += f", and all attract: plain descent of both players at once holds here with steps below {_largest(row)}"
    own, between = _curvature(row)
    return f"{told}. The players' own curvature has the norm {own:.3g}, their interaction {between:.3g}."


def _largest(row: dict[str, Any]) -> str:
    return f"{row['largest_step']:.3g}"


def _curvature(row: dict[str, Any]) -> tuple[float, float]:
    """Norms of the diagonal and of the other blocks."""
    norms = np.array(row["blocks"]["norms"])
    return float(np.hypot(*np.diag(norms))), float(np.hypot(norms[0, 1], norms[1, 0]))


def table(result: dict[str, Any]) -> str:
    """A row a checkpoint."""
    head = [
        "step",
        "|v|",
        "values",
        "largest",
        "rightmost",
        "fastest",
        "complex",
        "rotation",
        "attraction",
        "repelling",
    ]
    rows = [[*head, "G by G", "G by D", "D by G", "D by D", "antisymmetric"]]
    for row in result["rows"]:
        made_of = row["blocks"]
        norms, errors = (np.array(made_of[name]).reshape(-1) for name in ("norms", "norm_errors"))
        rows.append(
            [
                f"{row['step']:,}",
                f"{row['speed']:.3g}",
                f"{row['num']}" + (" (all)" if row["complete"] else ""),
                *(_complex(*row[name]) for name in ("largest", "rightmost", "fastest")),
                *(f"{row[name]:.0%}" for name in ("share_complex", "rotation", "attraction", "share_repelling")),
                *(f"{norm:.3g} ± {error:.1g}" for norm, error in zip(norms, errors, strict=True)),
                f"{made_of['rotation']:.2f} ± {made_of['rotation_error']:.2f}",
            ]
        )
    size = result["players"]
    notes = [
        f"{result['objective']}; {size['generator']:,} parameters of G, {size['discriminator']:,} of D; mean over "
        f"{result['num_examples']:,} examples; without learning rates and the optimisers' scaling",
        "complex, rotation (mean |Im| / |lambda|), attraction (mean -Re / |lambda|), repelling (Re > 0): of the "
        "eigenvalues found, but those that are 0",
        "G by D: norm of the block of J that says how G's descent changes with D's parameters; estimated, ± its error",
        "antisymmetric: share of the squared norm of J",
    ]
    for row in result["rows"]:
        if row["missing"]:
            notes.append(f"step {row['step']:,}: {row['missing']} more were sought and did not converge")
    return "\n".join([*aligned(rows), *notes])


def _complex(real: float, imaginary: float) -> str:
    return f"{real:.3g}" + (f" ± {imaginary:.3g}i" if imaginary else "")
