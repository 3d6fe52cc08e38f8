"""How many pairs does evolution need to estimate a generator's unrolled gradient?

    python benchmarks/evolution.py [--cases 16,64,256,1024,4096] [--inner-steps 5] [--steps 0,2000] [--out FILE]

On the ring of the unrolled-GAN paper, at its initial parameters and after some steps of training: the cosine between
the exact gradient through K updates of D and its estimates from N pairs of opposite perturbations, as in
`Unroll(gradient=Evolution(num_pairs=N))`, and beside them the first-order gradient, which ignores those updates.
A row for every number of pairs and place: the cosine's mean over eight keys and its standard error; `expected` is
sqrt(N / (N + d + 1)), the value for a linear function of d parameters.
"""

from __future__ import annotations

import argparse

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from benchmarks.harness import arguments, emit, mean_and_error
from gan_jax.bench.programs import Training
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.experiment.settings import override
from gan_jax.training.batches import sample_latent
from gan_jax.training.context import StepContext
from gan_jax.training.evaluations import load_data
from gan_jax.training.evolution import evolution_gradient
from gan_jax.training.state import TrainState
from gan_jax.training.steps import generator_objective, make_draws
from gan_jax.unroll import Exact, FirstOrder

NUM_KEYS = 8


def objective_of(experiment: Experiment, state: TrainState, key: jax.Array):
    """G's loss as a function of its parameters on one batch, (loss, None)."""
    source = experiment.data.source(())
    context = StepContext(experiment, state.step, source, None)
    key_real, key_latent, key = jax.random.split(key, 3)
    real = source.sample(key_real, experiment.batch_size)
    latent = sample_latent(experiment, key_latent, experiment.batch_size)
    loss = generator_objective(context, state, make_draws(real, latent, key, key))
    return lambda params: (loss(params)[0], None)


def cosine(a: jax.Array, b: jax.Array) -> jax.Array:
    """Of two vectors [d]."""
    return jnp.vdot(a, b) / jnp.linalg.norm(a) / jnp.linalg.norm(b)


def measured(base: Experiment, state: TrainState, num_steps: int, pairs: list[int], std: float) -> list[dict]:
    """The rows of one place.

    Args:
        base: the game.
        state: where gradients are compared.
        num_steps: K, updates of D.
        pairs: numbers of pairs.
        std: of the perturbations.
    """

    def gradient(rule: object, key: jax.Array) -> jax.Array:
        experiment = override(base, "generator.unroll", Unroll(num_steps=num_steps, gradient=rule))
        objective = objective_of(experiment, state, key)
        return ravel_pytree(jax.grad(objective, has_aux=True)(state.generator.variables.params)[0])[0]

    exact, first_order = (jax.jit(lambda key, rule=rule: gradient(rule, key)) for rule in (Exact(), FirstOrder()))
    dims = ravel_pytree(state.generator.variables.params)[0].size
    keys = [jax.random.key(seed) for seed in range(NUM_KEYS)]
    truth = [exact(key) for key in keys]
    mean, error = mean_and_error([float(cosine(first_order(key), true)) for key, true in zip(keys, truth, strict=True)])
    rows = [{"estimate": "first order", "pairs": None, "cosine": mean, "cosine_se": error, "parameters": dims}]
    unrolled = override(base, "generator.unroll", Unroll(num_steps=num_steps))
    for num in pairs:

        @jax.jit
        def estimate(key: jax.Array, num: int = num) -> jax.Array:
            objective, own = objective_of(unrolled, state, key), jax.random.fold_in(key, 1)
            params = state.generator.variables.params
            return ravel_pytree(evolution_gradient(objective, params, own, std=std, num_pairs=num)[1])[0]

        found = [float(cosine(estimate(key), true)) for key, true in zip(keys, truth, strict=True)]
        mean, error = mean_and_error(found)
        expected = float(np.sqrt(num / (num + dims + 1)))
        rows.append({"estimate": "evolution", "pairs": num, "cosine": mean, "cosine_se": error, "parameters": dims})
        rows[-1]["expected"] = expected
    return rows


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__)
    parser.add_argument("--cases", default="16,64,256,1024,4096", help="numbers of pairs")
    parser.add_argument("--config", default="ring_unrolled")
    parser.add_argument("--inner-steps", type=int, default=5, help="K, updates of D")
    parser.add_argument("--steps", default="0,2000", help="steps of training before gradients are compared")
    parser.add_argument("--std", type=float, default=0.01, help="of the perturbations")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    base = load(options.config)
    pairs = [int(text) for text in options.cases.split(",")]
    for steps in map(int, options.steps.split(",")):
        training = Training(base, load_data(base), max(steps, 1))
        if steps:
            training.round()
        for row in measured(base, training.state, options.inner_steps, pairs, options.std):
            row |= {"inner_steps": options.inner_steps, "std": options.std, "steps": steps}
            emit("evolution", options.config, row, options.out)


if __name__ == "__main__":
    main()
