"""What does `eps_root` in D's Adam do to an unrolled generator?

    python benchmarks/eps_root.py [--config ring_unrolled] [--objective wasserstein] [--seeds 6] [--warm-up 50]

A row a value of `eps_root`: of how many seeds the hypergradient of G (K = 5) is finite, from a fresh optimiser and
after some steps of the plain game; and by how much D's next update differs from that of optax's 0 (relative; median
over the seeds).
"""

from __future__ import annotations

import argparse
import functools
import statistics
from typing import Any

import jax
import jax.numpy as jnp
import optax

from benchmarks.harness import arguments, emit, picked, significant
from gan_jax.diagnostics.state.hypergradients import warm_state
from gan_jax.experiment.component import component, setting
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.experiment.settings import override
from gan_jax.training.batches import sample_latent
from gan_jax.training.context import StepContext
from gan_jax.training.evaluations import load_data
from gan_jax.training.state import TrainState
from gan_jax.training.steps import discriminator_step, generator_objective, make_draws

ROOTS = (0.0, 1e-38, 1e-30, 1e-24, 1e-16, 1e-8)


@component
class AnyAdam:
    """Adam with any `eps_root`, 0 included, which the package's own refuses."""

    eps_root: float = setting(default=0.0, at_least=0, doc="inside the root of the second moment")

    def make(self, learning_rate: Any) -> optax.GradientTransformation:
        return optax.adam(learning_rate, b1=0.5, eps_root=self.eps_root)


def with_root(experiment: Experiment, eps_root: float) -> Experiment:
    return override(experiment, "discriminator.optimizer", AnyAdam(eps_root))


@jax.jit
def probe(experiment: Experiment, state: TrainState) -> tuple[Any, Any]:
    """G's hypergradient, and D's next parameters less its present ones."""
    source: Any = experiment.data.source(())
    key_real, key_latent, key = jax.random.split(jax.random.fold_in(state.key, state.step), 3)
    real = source.sample(key_real, experiment.batch_size)
    latent = sample_latent(experiment, key_latent, experiment.batch_size)
    context, draws = StepContext(experiment, state.step, source), make_draws(real, latent, key, inner_key=key)
    loss = generator_objective(context, state, draws)
    gradient = jax.grad(lambda params: loss(params)[0])(state.generator.variables.params)
    after, _ = discriminator_step(context, state, draws)
    before = state.discriminator.variables.params
    return gradient, jax.tree.map(jnp.subtract, after.discriminator.variables.params, before)


def measure(experiment: Experiment, states: dict[int, list[TrainState]], eps_root: float) -> dict[str, Any]:
    """The figures of a value of `eps_root`, over states by their number of steps."""
    figures: dict[str, Any] = {}
    for steps, group in states.items():
        seen = [probe(with_root(experiment, eps_root), state) for state in group]
        plain = [probe(with_root(experiment, 0.0), state)[1] for state in group]
        changes = [
            float(optax.tree.norm(optax.tree.sub(update, wanted)) / optax.tree.norm(wanted))
            for (_, update), wanted in zip(seen, plain, strict=True)
        ]
        finite = sum(bool(jnp.isfinite(optax.tree.norm(gradient))) for gradient, _ in seen)
        figures[f"finite_after_{steps}_steps"] = finite
        figures[f"update_change_after_{steps}_steps"] = significant(statistics.median(changes), 2)
    return figures


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, seeds=6, cases="values of eps_root")
    parser.add_argument("--config", default="ring_unrolled")
    parser.add_argument("--objective", help="another one than the config's: with wasserstein a bias has gradient 0")
    parser.add_argument("--warm-up", type=int, default=50)
    return parser


def main() -> None:
    parser = make_parser()
    options = parser.parse_args()
    experiment = override(load(options.config), "generator.unroll", Unroll(num_steps=5))
    experiment = override(experiment, "objective", options.objective) if options.objective else experiment
    warm = functools.partial(warm_state, with_root(experiment, 1e-30), load_data(experiment))
    states = {steps: [warm(seed, steps) for seed in range(options.seeds)] for steps in (0, options.warm_up)}
    for root in picked(parser, options.cases, map(str, ROOTS)):
        about = {"config": options.config, "objective": type(experiment.objective).__name__}
        about |= {"eps_root": float(root), "seeds": options.seeds}
        emit("eps_root", root, about | measure(experiment, states, float(root)), options.out)


if __name__ == "__main__":
    main()
