"""Which rule gets nearer to the equilibrium for the same number of gradients? Bilinear game, Dirac-GAN, and the ring.

    python benchmarks/dynamics.py [--evaluations 2000] [--learning-rate R] [--out FILE] [--table] [--plot FILE.png]
    python benchmarks/dynamics.py --ring [--ring-evaluations 3000] [--learning-rate R] [--sgd-rate 0.1] [--seeds 1]

A row a rule and game: the distance from the equilibrium (0, 0) relative to the start, after an equal budget of gradient
evaluations and after the config's own number of steps; the factor by which it changes in a step (the slope of its
logarithm over the second half of the budget) and in an evaluation; and the closed form of that factor, for the
Dirac-GAN at the equilibrium. The players are those of the configs, trained by the package's own step in float64.

Cost. The unit is one evaluation of both players' gradients, `gradient_evaluations` of `gan_jax.training.dynamics`. An
unrolled step adds half an evaluation (one player's gradient) for each of D's K updates, except for the first under
simultaneous play, which D makes anyway; and 1 for each update that is differentiated through (a product of the
transposed Jacobian with a vector counts 2, and D's half of it 1). At K = 1 and 5 that is 2 and 8 for the exact
gradient, 1 and 3 for the first-order one. Rows with "cost" compare it, on the networks of configs, with two counts of
floating-point operations relative to those of a simultaneous step: XLA's own of the compiled step, which is complete
only where loops run once; and the matrix products of the traced step, for unrolled steps, where nothing is traced
twice.

The ring is `ring_unrolled` without unrolling, at its learning rate of 1e-4 unless another is given. It takes more steps
than a small budget buys: within 3,000 evaluations no rule settles on a mode, nor within 5,000 at 1e-3 (seed 0).
"""

from __future__ import annotations

import argparse
import cmath
import itertools
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness import SCHEMA, arguments, emit
from benchmarks.programs import compile_timed, evaluations, matmul_flops, start, train_with_probe
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.experiment.settings import override
from gan_jax.scaling.programs import compiler_options, init_shapes
from gan_jax.training.dynamics import (
    Alternating,
    Competitive,
    Consensus,
    Dynamics,
    Extragradient,
    Simultaneous,
    SymplecticAdjustment,
)
from gan_jax.training.evaluations import load_data
from gan_jax.training.optimizers import SGD, Adam, OptimisticAdam, OptimisticSGD, Optimizer
from gan_jax.training.state import TrainState
from gan_jax.training.steps import is_unrolled, shares_first_update, train_step
from gan_jax.unroll import FirstOrder

COUPLINGS = {"bilinear": 1.0, "dirac": 0.5}
"""The mixed derivative of D's loss at the equilibrium: the game there is rotation at this speed."""


class Contender(NamedTuple):
    """A rule, the optimiser that takes its directions, and by what it changes the distance in a step.

    `factor` is of the learning rate r, the same for both players, and the coupling m.
    """

    dynamics: Dynamics
    factor: Callable[[float, float], float]
    optimizer: Optimizer = SGD()
    unroll: Unroll | None = None


def optimistic(r: float, m: float) -> float:
    """The larger root of z^2 - (1 - 2 i r m) z - i r m, of w_(t+1) = w_t - r (2 F_t - F_(t-1)) with F_t = i m w_t."""
    half = (1 - 2j * r * m) / 2
    root = cmath.sqrt(half**2 + 1j * r * m)
    return max(abs(half + root), abs(half - root))


def unrolled(answers: int) -> Callable[[float, float], float]:
    """The spectral radius of [[1 - answers (r m)^2, r m], [-r m, 1]], with answers = K and what is differentiated."""

    def factor(r: float, m: float) -> float:
        x = r * m
        return float(np.abs(np.linalg.eigvals([[1 - answers * x**2, x], [-x, 1]])).max())

    return factor


def pulled(weight: float) -> Callable[[float, float], float]:
    """Of consensus and symplectic adjustment, which are one where the game is pure rotation."""
    return lambda r, m: math.hypot(1 - weight * r * m**2, r * m)


def competitive(r: float, m: float) -> float:
    return 1 / math.hypot(1, r * m)


CONTENDERS = {
    "simultaneous": Contender(Simultaneous(), lambda r, m: math.hypot(1, r * m)),
    "alternating": Contender(Alternating(), lambda r, m: 1.0),
    "extragradient": Contender(Extragradient(), lambda r, m: math.hypot(1 - (r * m) ** 2, r * m)),
    "optimistic": Contender(Simultaneous(), optimistic, OptimisticSGD()),
    # The paper's weight of 10 happens to make the factor on the bilinear game 0.1 at the configs' learning rate of 0.1.
    "consensus, weight 1": Contender(Consensus(weight=1.0), pulled(1.0)),
    "symplectic adjustment": Contender(SymplecticAdjustment(), pulled(1.0)),
    # With one parameter a player one iteration solves the system.
    "competitive, cg, 1 iteration": Contender(Competitive(num_iterations=1, solver="cg"), competitive),
    "competitive": Contender(Competitive(), competitive),
    "unrolled 1, first order": Contender(
        Simultaneous(), unrolled(1), unroll=Unroll(num_steps=1, gradient=FirstOrder())
    ),
    "unrolled 1": Contender(Simultaneous(), unrolled(2), unroll=Unroll(num_steps=1)),
    "unrolled 5, first order": Contender(
        Simultaneous(), unrolled(5), unroll=Unroll(num_steps=5, gradient=FirstOrder())
    ),
    "unrolled 5": Contender(Simultaneous(), unrolled(10), unroll=Unroll(num_steps=5)),
}


def contend(experiment: Experiment, contender: Contender, optimizer: Optimizer | None = None) -> Experiment:
    """The experiment by a contender's rule; by its optimiser too, unless another is given."""
    experiment = override(experiment, "dynamics", Simultaneous())
    for player in ("generator", "discriminator"):
        experiment = override(experiment, f"{player}.optimizer", optimizer or contender.optimizer)
    experiment = override(experiment, "generator.unroll", contender.unroll)
    return override(experiment, "dynamics", contender.dynamics)


def gradient_evaluations(experiment: Experiment) -> float:
    """Cost of a step by the convention above; K is the generator's."""
    cost = float(experiment.dynamics.gradient_evaluations)
    unroll = experiment.generator.unroll
    if unroll is not None and is_unrolled(experiment.generator):
        cost += (unroll.num_steps - shares_first_update(experiment)) / 2
        cost += unroll.gradient.last_steps(unroll.num_steps)
    return cost


# ---- Two numbers a game ----------------------------------------------------------------------------------------------


@jax.jit
def distances(experiment: Experiment, state: TrainState) -> Any:
    """[num_steps + 1]: of (theta, psi) from (0, 0), before the first step and after each."""

    def distance(state: TrainState) -> Any:
        players = (state.generator.variables.params["point"], state.discriminator.variables.params["direction"])
        return jnp.linalg.norm(jnp.concatenate(players))

    def probe(experiment: Experiment, data: Any, state: TrainState) -> Any:
        return distance(state)

    return jnp.append(distance(state), train_with_probe(experiment, (), state, probe, every=1).probes)


def play(game: str, name: str, budget: int, learning_rate: float | None) -> tuple[dict[str, Any], np.ndarray]:
    """(the figures, the distances relative to the start that the budget buys).

    Args:
        game: a config with two parameters.
        name: of the contender.
        budget: gradient evaluations.
        learning_rate: of both players. None: the config's.
    """
    contender = CONTENDERS[name]
    experiment = contend(load(game), contender)
    if learning_rate is not None:
        for player in ("generator", "discriminator"):
            experiment = override(experiment, f"{player}.learning_rate", learning_rate)
    cost = gradient_evaluations(experiment)
    bought = int(budget // cost)
    longer = override(experiment, "num_steps", max(bought, experiment.num_steps))
    with jax.enable_x64(True):
        curve = np.asarray(distances(longer, start(longer, 0)))
    curve = curve / curve[0]
    later = np.arange(bought // 2, bought + 1)
    rate = math.exp(np.polyfit(later, np.log(curve[later]), 1)[0])
    theory = contender.factor(experiment.generator.learning_rate, COUPLINGS[game])
    row = {
        "game": game,
        "rule": name,
        "learning_rate": experiment.generator.learning_rate,
        "gradient_evaluations": cost,
        "evaluations": budget,
        "num_steps": bought,
        "ratio": float(f"{curve[bought]:.4g}"),
        "config_steps": experiment.num_steps,
        "ratio_at_config_steps": float(f"{curve[experiment.num_steps]:.4g}"),
        "rate": round(rate, 6),
        "theory": round(theory, 6),
        "rate_per_evaluation": round(rate ** (1 / cost), 6),
        "theory_per_evaluation": round(theory ** (1 / cost), 6),
    }
    return row, curve[: bought + 1]


# ---- What a step costs -----------------------------------------------------------------------------------------------


def measured_costs(config: str) -> Iterator[dict[str, Any]]:
    """Rows of operations relative to the simultaneous step, on a config's networks and batch, all with plain SGD."""
    base = contend(load(config), CONTENDERS["simultaneous"])
    state = init_shapes(base, jax.random.key(0))

    def traced(experiment: Experiment) -> int:
        return matmul_flops(lambda state: train_step(experiment, (), state), state)

    def compiled(experiment: Experiment) -> float:
        step = jax.jit(lambda state: train_step(experiment, (), state), compiler_options=compiler_options())
        return compile_timed(step, state).flops or math.nan

    unit, compiled_unit = traced(base) - traced_twice(base, state), compiled(base)
    for name, contender in CONTENDERS.items():
        if name in ("simultaneous", "optimistic", "competitive"):  # the unit, twice; and a loop that runs five times
            continue
        experiment = contend(base, contender)
        k = 0 if contender.unroll is None else contender.unroll.num_steps
        keeping = override(experiment, "generator.unroll.memory", "all") if k else experiment
        yield {
            "cost": config,
            "rule": name,
            "gradient_evaluations": gradient_evaluations(experiment),
            "compiled": round(compiled(experiment) / compiled_unit, 2) if k <= 1 else None,
            "traced": round(traced(experiment) / unit, 2) if k else None,
            "traced_memory_all": round(traced(keeping) / unit, 2) if k else None,
        }


def traced_twice(experiment: Experiment, state: Any) -> int:
    """What is traced once a player and done once by a simultaneous step: G's samples, and what G's loss has D score."""
    gen, disc, size = experiment.generator, experiment.discriminator.network, experiment.batch_size
    shape = experiment.data.shape
    num_scored = 1 if experiment.objective.criterion().generator_real is None else 2
    samples, latent = jnp.zeros((size, *shape)), jnp.zeros((size, gen.latent_dim))

    def generate(state: TrainState) -> Any:
        return gen.network.apply(state.generator.variables, latent, shape, train=True)[0]

    def score(state: TrainState) -> Any:
        return disc.apply(state.discriminator.variables, samples, train=True)[0]

    return matmul_flops(generate, state) + num_scored * matmul_flops(score, state)


# ---- The ring --------------------------------------------------------------------------------------------------------


def ring_contenders(learning_rate: float | None, sgd_rate: float) -> dict[str, Experiment]:
    """Every rule on the ring of the unrolled-GAN paper, with its Adam; competitive descent by SGD, and a peer.

    Weight 0.1 for consensus: by Adam, the paper's 10 would leave nothing of the gradient beside the pull on its size.
    """
    base = load("ring_unrolled")
    rules: dict[str, tuple[Contender, Optimizer]] = {
        "simultaneous": (CONTENDERS["simultaneous"], Adam()),
        "alternating": (CONTENDERS["alternating"], Adam()),
        "extragradient": (CONTENDERS["extragradient"], Adam()),
        "optimistic": (CONTENDERS["simultaneous"], OptimisticAdam()),
        "consensus, weight 0.1": (CONTENDERS["consensus, weight 1"]._replace(dynamics=Consensus(weight=0.1)), Adam()),
        "symplectic adjustment": (CONTENDERS["symplectic adjustment"], Adam()),
        "simultaneous, SGD": (CONTENDERS["simultaneous"], SGD()),
        "competitive, SGD": (CONTENDERS["competitive"], SGD()),
    }
    experiments = {}
    for name, (contender, optimizer) in rules.items():
        experiment = contend(base, contender, optimizer)
        rate = sgd_rate if isinstance(optimizer, SGD) else learning_rate or base.generator.learning_rate
        for player in ("generator", "discriminator"):
            experiment = override(experiment, f"{player}.learning_rate", rate)
        experiments[name] = experiment
    return experiments


def train_ring(name: str, experiment: Experiment, budget: int, seed: int) -> dict[str, Any]:
    """The figures: modes and high-quality share at ten evaluations of the run, the last when the budget is spent.

    Args:
        name: of the rule.
        experiment: by that rule.
        budget: gradient evaluations.
        seed: of the run.
    """
    every = max(1, int(budget / gradient_evaluations(experiment)) // 10)
    for setting, value in (("num_steps", 10 * every), ("eval_every_steps", every)):
        experiment = override(experiment, setting, value)
    began, curve = time.perf_counter(), []
    for state, evaluation in evaluations(experiment, load_data(experiment), seed):
        seen = evaluation.metrics["running"]
        curve.append([int(state.step), int(seen.modes), round(float(seen.high_quality), 4)])
    return {
        "game": "ring",
        "rule": name,
        "seed": seed,
        "learning_rate": experiment.generator.learning_rate,
        "gradient_evaluations": gradient_evaluations(experiment),
        "evaluations": budget,
        "num_steps": 10 * every,
        "modes": curve[-1][1],
        "high_quality": curve[-1][2],
        "curve": curve,
        "finite": int(state.nonfinite_step) < 0,
        "seconds": round(time.perf_counter() - began, 1),
    }


# ---- What is shown ---------------------------------------------------------------------------------------------------


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as Markdown, a table for each set of columns."""
    lines: list[str] = []
    heads: list[str] = []
    for row in rows:
        cells = {name: value for name, value in row.items() if name not in (*SCHEMA, "curve")}
        if list(cells) != heads:
            heads = list(cells)
            lines += ["", "| " + " | ".join(head.replace("_", " ") for head in heads) + " |", "|---" * len(heads) + "|"]
        lines.append("| " + " | ".join("" if cell is None else str(cell) for cell in cells.values()) + " |")
    return "\n".join(lines)


def plot(curves: dict[tuple[str, str], tuple[float, np.ndarray]], path: Path) -> None:
    """Distance over evaluations, by game; the lowest part is left out."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    styles = {name: (f"C{index}", "-") for index, name in enumerate(n for n in CONTENDERS if "," not in n)}
    styles["consensus, weight 1"] = ("C9", "-")
    for name in CONTENDERS:
        if name not in styles:
            styles[name] = (styles[name.split(",")[0]][0], "--")
    covered = ("alternating", "extragradient")  # by the curves of "unrolled 1" and its first order
    for axis, game, limits in zip(axes, COUPLINGS, ((1e-8, 1e5), (1e-4, 5)), strict=True):
        for name, (colour, style) in styles.items():
            cost, curve = curves[game, name]
            axis.semilogy(
                cost * np.arange(len(curve)), curve, style, color=colour, label=name, lw=4 if name in covered else 1.6
            )
        axis.set(title=game, xlabel="gradient evaluations", ylim=limits)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("distance from the equilibrium, relative to the start")
    handles, labels = axes[0].get_legend_handles_labels()
    order = [labels.index(name) for name in CONTENDERS]
    figure.legend([handles[i] for i in order], [labels[i] for i in order], loc="outside right center", frameon=False)
    figure.savefig(path, dpi=110)


def make_parser() -> argparse.ArgumentParser:
    """The script's arguments."""
    parser = arguments(__doc__, seeds=1)
    parser.add_argument("--evaluations", type=int, default=2000, help="budget of each rule in the two games")
    parser.add_argument(
        "--learning-rate", type=float, help="of both players (by Adam on the ring); the configs' by default"
    )
    parser.add_argument(
        "--costs", default="ring_unrolled_notebook,ring", help="configs to count operations on, or none"
    )
    parser.add_argument("--ring", action="store_true", help="the ring, over --seeds, instead of the games")
    parser.add_argument("--ring-evaluations", type=int, default=3000, help="budget of each rule on the ring")
    parser.add_argument("--sgd-rate", type=float, default=0.1, help="learning rate where the ring is played by SGD")
    parser.add_argument("--table", action="store_true", help="print the rows as Markdown too")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="file for a plot of the games")
    return parser


def main() -> None:
    options = make_parser().parse_args()
    rows: list[dict[str, Any]] = []
    curves = {}
    if options.ring:
        for seed in range(options.seeds):
            for name, experiment in ring_contenders(options.learning_rate, options.sgd_rate).items():
                figures = train_ring(name, experiment, options.ring_evaluations, seed)
                rows.append(emit("dynamics on the ring", name, figures, options.out))
    else:
        for game, name in itertools.product(COUPLINGS, CONTENDERS):
            figures, curve = play(game, name, options.evaluations, options.learning_rate)
            curves[game, name] = (figures["gradient_evaluations"], curve)
            rows.append(emit(f"dynamics of {game}", name, figures, options.out))
        for config in options.costs.split(",") if options.costs != "none" else ():
            for figures in measured_costs(config):
                rows.append(emit("cost of dynamics", figures["rule"], figures, options.out))
    if options.table:
        print(table(rows))
    if options.plot and curves:
        plot(curves, options.plot)


if __name__ == "__main__":
    main()
