"""Is the unrolled gradient right, which part of it matters, and what does it cost? For an experiment's own state.

Behind `gan-jax diagnose unroll`. Derivatives are compared in float64, costs in the experiment's own precision.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from gan_jax.component import unknown_name
from gan_jax.experiment import Experiment, Unroll
from gan_jax.game import sample_latent
from gan_jax.settings import override
from gan_jax.steps import TrainState, generator_objective, train_step
from gan_jax.train import Resources, init
from gan_jax.unroll import Exact, FirstOrder, Implicit, Memory, Truncated

STEP_SIZES = (1e-3, 1e-4, 1e-5, 1e-6)
"""Of the central differences, along a direction of length 1; the best of them counts."""


class Accuracy(NamedTuple):
    """Derivatives of G's loss through K updates of D, compared along random directions in float64.

    Attributes:
        num_steps: K.
        gradient_norm: of the exact gradient.
        difference_error: largest |<gradient, d> - central difference| / |gradient| over directions d, at the best step
            size for each. Kinks of ReLUs that a difference straddles count as error.
        forward_error: the same for forward mode in place of the difference.
        cosine: by estimator, cosine to the exact gradient.
        norm_ratio: by estimator, length relative to the exact gradient.
        finite: whether the exact gradient is finite in float32.
    """

    num_steps: int
    gradient_norm: float
    difference_error: float
    forward_error: float
    cosine: dict[str, float]
    norm_ratio: dict[str, float]
    finite: bool


class Cost(NamedTuple):
    """What a gradient of G costs.

    Attributes:
        num_steps: K.
        memory: the option, see `gan_jax.unroll.unroll`.
        seconds: median of a compiled evaluation.
        compile_seconds: for the program.
        temporary_mb: XLA's temporaries, 10^6 bytes, from its own analysis.
    """

    num_steps: int
    memory: str
    seconds: float
    compile_seconds: float
    temporary_mb: float


def diagnose_unroll(
    experiment: Experiment,
    resources: Resources,
    state: TrainState,
    *,
    num_steps: Sequence[int] = (1, 5, 10),
    memories: Sequence[str] = ("all", "step", "sqrt"),
    num_directions: int = 3,
    num_rounds: int = 5,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Checks and measures the unrolled gradient of G at a state.

    Args:
        experiment: its `generator.unroll`, or the defaults of one, with `num_steps` and estimators varied.
        resources: its data.
        state: where to look.
        num_steps: values of K, each at least 1.
        memories: memory options to be timed; none: no timing.
        num_directions: along which derivatives are compared.
        num_rounds: timed evaluations of each program.
        say: told of progress.

    Returns:
        JSON-ready: "accuracy" and "cost", a list of rows each, and what they were measured on.

    Raises:
        ValueError: for a K below 1 or an unknown memory option.
    """
    for k in num_steps:
        if k < 1:
            raise ValueError(f"K is {k}, and must be at least 1: there is nothing to unroll")
    for memory in memories:
        if memory not in get_args(Memory):
            raise ValueError(unknown_name("no memory option", memory, get_args(Memory)))
    base = experiment.generator.unroll or Unroll()
    source = experiment.data.source(resources.dataset)
    key = jax.random.fold_in(state.key, state.step)
    real, latent = source.sample(key, experiment.batch_size), sample_latent(experiment, key, experiment.batch_size)

    def looking(num_steps: int, **settings: Any) -> Experiment:
        changed = override(experiment, "generator.unroll", base)
        for name, value in {"num_steps": num_steps, **settings}.items():
            changed = override(changed, f"generator.unroll.{name}", value)
        return changed

    def objective(settings: Experiment, state: TrainState, real: Array, latent: Array) -> Callable[[Any], Array]:
        loss = generator_objective(settings, state, real, latent, key, inner_key=key, source=source)
        return lambda params: loss(params)[0]

    accuracy, cost = [], []
    for k in num_steps:
        say(f"K = {k}: derivatives in float64")
        finite = all_finite(jax.jit(jax.grad(objective(looking(k), state, real, latent)))(params_of(state)))
        with jax.enable_x64(True):
            wide = tuple(in_float64(part) for part in (state, real, latent))
            losses = {
                name: objective(looking(k, gradient=gradient), *wide)
                for name, gradient in {
                    "exact": Exact(),
                    "first order": FirstOrder(),
                    **{f"last {j}": Truncated(num_steps=j) for j in sorted({1, (k + 1) // 2}) if j < k},
                    "implicit": Implicit(),
                }.items()
            }
            accuracy.append(compare(k, losses, params_of(wide[0]), num_directions, finite))
        for memory in memories:
            say(f"K = {k}, memory {memory}: time")
            loss = objective(looking(k, memory=memory), state, real, latent)
            cost.append(measure(k, memory, jax.grad(loss), params_of(state), num_rounds))
    return {
        "step": int(state.step),
        "accuracy": [row._asdict() for row in accuracy],
        "cost": [row._asdict() for row in cost],
        "num_directions": num_directions,
        "num_rounds": num_rounds,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
    }


def warm_state(experiment: Experiment, resources: Resources, seed: int, num_steps: int) -> TrainState:
    """The state after some steps of the plain game: its optimisers have moments, and its players have met."""
    plain = override(override(experiment, "generator.unroll", None), "discriminator.unroll", None)

    @functools.partial(jax.jit, static_argnums=2)
    def steps(experiment: Experiment, state: TrainState, length: int) -> TrainState:
        step = functools.partial(train_step, experiment, resources.dataset)
        return jax.lax.scan(lambda carry, _: (step(carry)[0], None), state, length=length)[0]

    return steps(plain, init(experiment, jax.random.key(seed)), num_steps)


def compare(
    num_steps: int, losses: dict[str, Callable[[Any], Array]], params: Any, num_directions: int, finite: bool
) -> Accuracy:
    """The estimators of a gradient against the exact one, and the exact one against differences; see `Accuracy`."""
    flat, unravel = ravel_pytree(params)
    gradients = {name: ravel_pytree(jax.jit(jax.grad(loss))(params))[0] for name, loss in losses.items()}
    exact = gradients["exact"]
    norm = jnp.linalg.norm(exact)
    value = jax.jit(lambda at: losses["exact"](unravel(at)))
    forward = jax.jit(lambda direction: jax.jvp(value, (flat,), (direction,))[1])

    def unit(seed: int) -> Array:
        direction = jax.random.normal(jax.random.key(seed), flat.shape, flat.dtype)
        return direction / jnp.linalg.norm(direction)

    # Along the gradient itself too: random directions see little of it in many dimensions.
    directions = [exact / norm, *(unit(seed) for seed in range(num_directions - 1))]
    difference_errors, forward_errors = [], []
    for direction in directions:
        slope = exact @ direction
        slopes = [(value(flat + h * direction) - value(flat - h * direction)) / (2 * h) for h in STEP_SIZES]
        difference_errors.append(min(float(abs(s - slope) / norm) for s in slopes))
        forward_errors.append(float(abs(forward(direction) - slope) / norm))
    others = {name: g for name, g in gradients.items() if name != "exact"}
    return Accuracy(
        num_steps=num_steps,
        gradient_norm=float(norm),
        difference_error=max(difference_errors),
        forward_error=max(forward_errors),
        cosine={name: float(g @ exact / (jnp.linalg.norm(g) * norm)) for name, g in others.items()},
        norm_ratio={name: float(jnp.linalg.norm(g) / norm) for name, g in others.items()},
        finite=finite,
    )


def measure(num_steps: int, memory: str, gradient: Callable[[Any], Any], params: Any, num_rounds: int) -> Cost:
    """Compiles a gradient and times it."""
    began = time.perf_counter()
    program = jax.jit(gradient).lower(params).compile()
    compile_seconds = time.perf_counter() - began
    jax.block_until_ready(program(params))
    seconds = []
    for _ in range(num_rounds):
        began = time.perf_counter()
        jax.block_until_ready(program(params))
        seconds.append(time.perf_counter() - began)
    analysis = program.memory_analysis()
    return Cost(
        num_steps=num_steps,
        memory=memory,
        seconds=statistics.median(seconds),
        compile_seconds=round(compile_seconds, 2),
        temporary_mb=analysis.temp_size_in_bytes / 1e6 if analysis is not None else float("nan"),
    )


def params_of(state: TrainState) -> Any:
    """G's parameters."""
    return state.generator.variables.params


def in_float64(tree: Any) -> Any:
    """A pytree with its floating-point arrays in float64."""
    return jax.tree.map(lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def all_finite(tree: Any) -> bool:
    return bool(jnp.isfinite(optax.tree.norm(tree)))


def table(result: dict[str, Any]) -> str:
    """The result of `diagnose_unroll` as text."""
    lines = [f"at step {result['step']:,}, on {result['device']}, jax {result['jax']}", "", "derivatives, in float64"]
    estimators = list(dict.fromkeys(name for row in result["accuracy"] for name in row["cosine"]))
    rows = [["K", "|gradient|", "central differences", "forward mode", "finite in float32", *estimators]]
    for row in result["accuracy"]:
        shown = [
            f"{row['cosine'][name]:+.4f} x{row['norm_ratio'][name]:.3f}" if name in row["cosine"] else "-"
            for name in estimators
        ]
        numbers = [f"{row[name]:.2e}" for name in ("gradient_norm", "difference_error", "forward_error")]
        rows.append([str(row["num_steps"]), *numbers, "yes" if row["finite"] else "NO", *shown])
    lines += aligned(rows)
    lines.append("errors relative to |gradient|; estimators: cosine to the exact gradient, and relative length")
    if result["cost"]:
        lines += ["", f"cost of a gradient, median of {result['num_rounds']}"]
        rows = [["K", "memory", "ms", "temporaries, MB", "compile, s"]]
        rows += [
            [
                str(row["num_steps"]),
                row["memory"],
                f"{1e3 * row['seconds']:.1f}",
                f"{row['temporary_mb']:.1f}",
                f"{row['compile_seconds']:.1f}",
            ]
            for row in result["cost"]
        ]
        lines += aligned(rows)
    return "\n".join(lines)


def aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def plot(result: dict[str, Any], path: Path) -> None:
    """Cosine to the exact gradient, memory and time against K."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    cosine, memory, seconds = figure.subplots(1, 3)
    for name in dict.fromkeys(name for row in result["accuracy"] for name in row["cosine"]):
        points = [(row["num_steps"], row["cosine"][name]) for row in result["accuracy"] if name in row["cosine"]]
        cosine.plot(*zip(*points, strict=True), "o-", label=name)
    cosine.set(title="cosine to the exact gradient", ylim=(None, 1.05))
    for option in dict.fromkeys(row["memory"] for row in result["cost"]):
        rows = [row for row in result["cost"] if row["memory"] == option]
        ks = [row["num_steps"] for row in rows]
        memory.plot(ks, [row["temporary_mb"] for row in rows], "o-", label=option)
        seconds.plot(ks, [1e3 * row["seconds"] for row in rows], "o-", label=option)
    memory.set(title="temporaries, MB", ylim=(0, None))
    seconds.set(title="a gradient, ms", ylim=(0, None))
    for axes in (cosine, memory, seconds):
        axes.set_xlabel("K, unrolled updates of D")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)
