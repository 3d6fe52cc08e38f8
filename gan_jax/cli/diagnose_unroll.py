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

from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.experiment.settings import override
from gan_jax.reports.drawing import aligned
from gan_jax.scaling.programs import compiled_init, compiler_options
from gan_jax.training.batches import sample_latent
from gan_jax.training.context import StepContext
from gan_jax.training.evaluations import Resources
from gan_jax.training.state import TrainState
from gan_jax.training.steps import Draws, generator_objective, train_step
from gan_jax.unroll import Exact, FirstOrder, Gradient, Implicit, MemoryPolicy, Truncated

STEP_SIZES = (1e-3, 1e-4, 1e-5, 1e-6)
"""Of the central differences, along a direction of length 1; the best of them counts."""


Objective = Callable[..., Array]
"""(G's parameters, state, real, latent) -> G's loss."""


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
        difference: of the gradient from that of the first memory option, relative to its length.
    """

    num_steps: int
    memory: str
    seconds: float | None
    compile_seconds: float
    temporary_mb: float
    difference: float | None


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
        num_directions: along which derivatives are compared; 0: they are not.
        num_rounds: timed evaluations of each program; 0: they are only compiled, which says what memory they need.
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
        if memory not in get_args(MemoryPolicy):
            raise ValueError(unknown_name("no memory option", memory, get_args(MemoryPolicy)))
    if experiment.generator.unroll is None and experiment.discriminator.unroll is not None:
        raise ValueError(
            "only an unrolled generator is diagnosed, and here the discriminator is the one that is unrolled"
        )
    base = experiment.generator.unroll or Unroll()
    source = experiment.data.source(resources.dataset)
    key_real, key_latent, key, key_inner = jax.random.split(jax.random.fold_in(state.key, state.step), 4)
    real = source.sample(key_real, experiment.batch_size)
    latent = sample_latent(experiment, key_latent, experiment.batch_size)

    def looking(num_steps: int, **settings: Any) -> Experiment:
        changed = override(experiment, "generator.unroll", base)
        for name, value in {"num_steps": num_steps, **settings}.items():
            changed = override(changed, f"generator.unroll.{name}", value)
        return changed

    def objective(settings: Experiment) -> Objective:
        def loss(params: Any, state: TrainState, real: Array, latent: Array) -> Array:
            context = StepContext(settings, state.step, source)
            return generator_objective(context, state, Draws(real, latent, key, key_inner))(params)[0]

        return loss

    at = (params_of(state), state, real, latent)
    options = compiler_options() if len(experiment.data.shape) == 1 else None  # as training is compiled
    accuracy, cost = [], []
    for k in num_steps:
        if num_directions:
            say(f"K = {k}: derivatives in float64")
            finite = bool(
                jnp.isfinite(optax.tree.norm(jax.jit(jax.grad(objective(looking(k, gradient=Exact()))))(*at)))
            )
            with jax.enable_x64(True):
                losses = {name: objective(looking(k, gradient=g)) for name, g in estimators(k).items()}
                accuracy.append(compare(k, losses, in_float64(at), num_directions, finite))
        reference = None
        for memory in memories:
            say(f"K = {k}, memory {memory}: time")
            gradient = jax.grad(objective(looking(k, memory=memory, gradient=Exact())))
            row, flat = measure(k, memory, gradient, at, num_rounds, reference, options)
            reference = flat if reference is None else reference
            cost.append(row)
    return {
        "step": int(state.step),
        "accuracy": [row._asdict() for row in accuracy],
        "cost": [row._asdict() for row in cost],
        "num_directions": num_directions,
        "num_rounds": num_rounds,
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
    }


def estimators(num_steps: int) -> dict[str, Gradient]:
    """The estimators that are compared, by name; the exact one first."""
    shorter = {f"last {j}": Truncated(num_steps=j) for j in sorted({1, (num_steps + 1) // 2}) if j < num_steps}
    return {"exact": Exact(), "first order": FirstOrder(), **shorter, "implicit": Implicit()}


def warm_state(experiment: Experiment, resources: Resources, seed: int, num_steps: int) -> TrainState:
    """The state after some steps of the plain game: its optimisers have moments, and its players have met."""
    plain = override(override(experiment, "generator.unroll", None), "discriminator.unroll", None)

    @functools.partial(jax.jit, static_argnums=2)
    def steps(experiment: Experiment, state: TrainState, length: int) -> TrainState:
        step = functools.partial(train_step, experiment, resources.dataset)
        return jax.lax.scan(lambda carry, _: (step(carry)[0], None), state, length=length)[0]

    return steps(plain, compiled_init(experiment, jax.random.key(seed)), num_steps)


def compare(num_steps: int, losses: dict[str, Objective], at: Any, num_directions: int, finite: bool) -> Accuracy:
    """The estimators of a gradient against the exact one, and the exact one against differences; see `Accuracy`."""
    params, *rest = at
    flat, unravel = ravel_pytree(params)
    gradients = {name: ravel_pytree(jax.jit(jax.grad(loss))(*at))[0] for name, loss in losses.items()}
    exact = gradients["exact"]
    norm = jnp.linalg.norm(exact)
    # The batch is an argument: as a constant it would be folded into the program, which takes XLA seconds.
    value = jax.jit(lambda flat, rest: losses["exact"](unravel(flat), *rest))
    forward = jax.jit(lambda direction, rest: jax.jvp(lambda f: value(f, rest), (flat,), (direction,))[1])

    def unit(seed: int) -> Array:
        direction = jax.random.normal(jax.random.key(seed), flat.shape, flat.dtype)
        return direction / jnp.linalg.norm(direction)

    # Along the gradient itself too: random directions see little of it in many dimensions.
    directions = [exact / norm, *(unit(seed) for seed in range(num_directions - 1))]
    difference_errors, forward_errors = [], []
    for direction in directions:
        slope = exact @ direction
        slopes = [(value(flat + h * direction, rest) - value(flat - h * direction, rest)) / (2 * h) for h in STEP_SIZES]
        difference_errors.append(min(float(abs(s - slope) / norm) for s in slopes))
        forward_errors.append(float(abs(forward(direction, rest) - slope) / norm))
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


def measure(
    num_steps: int,
    memory: str,
    gradient: Callable[..., Any],
    at: Any,
    num_rounds: int,
    reference: Array | None,
    options: dict[str, Any] | None,
) -> tuple[Cost, Array | None]:
    """Compiles a gradient, times it and compares it; the gradient, flat, comes back too."""
    began = time.perf_counter()
    program = jax.jit(gradient, compiler_options=options).lower(*at).compile()
    compile_seconds = time.perf_counter() - began
    seconds, flat = [], reference
    for index in range(num_rounds + 1 if num_rounds else 0):
        began = time.perf_counter()
        result = jax.block_until_ready(program(*at))
        if index:  # the first warms caches
            seconds.append(time.perf_counter() - began)
        flat = ravel_pytree(result)[0]
    reference = flat if reference is None else reference
    analysis = program.memory_analysis()
    row = Cost(
        num_steps=num_steps,
        memory=memory,
        seconds=statistics.median(seconds) if seconds else None,
        compile_seconds=round(compile_seconds, 2),
        temporary_mb=analysis.temp_size_in_bytes / 1e6 if analysis is not None else float("nan"),
        difference=None if flat is None or reference is None else _relative(flat, reference),
    )
    return row, flat


def _relative(value: Array, reference: Array) -> float:
    return float(jnp.linalg.norm(value - reference) / jnp.linalg.norm(reference))


def params_of(state: TrainState) -> Any:
    """G's parameters."""
    return state.generator.variables.params


def in_float64(tree: Any) -> Any:
    """A pytree with its floating-point arrays in float64."""
    return jax.tree.map(lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def table(result: dict[str, Any]) -> str:
    """The result of `diagnose_unroll` as text."""
    lines = [f"at step {result['step']:,}, on {result['device']}, jax {result['jax']}"]
    if result["accuracy"]:
        lines += ["", "derivatives, in float64"]
        names = list(dict.fromkeys(name for row in result["accuracy"] for name in row["cosine"]))
        rows = [["K", "|gradient|", "central differences", "forward mode", "finite in float32", *names]]
        for row in result["accuracy"]:
            shown = [
                f"{row['cosine'][name]:+.4f} x{row['norm_ratio'][name]:.3f}" if name in row["cosine"] else "-"
                for name in names
            ]
            numbers = [f"{row[name]:.2e}" for name in ("gradient_norm", "difference_error", "forward_error")]
            rows.append([str(row["num_steps"]), *numbers, "yes" if row["finite"] else "NO", *shown])
        lines += aligned(rows)
        lines.append("errors relative to |gradient|; estimators: cosine to the exact gradient, and relative length")
    if result["cost"]:
        lines += ["", f"cost of a gradient, median of {result['num_rounds']}"]
        rows = [["K", "memory", "ms", "temporaries, MB", "compile, s", "difference"]]
        rows += [
            [
                str(row["num_steps"]),
                row["memory"],
                "-" if row["seconds"] is None else f"{1e3 * row['seconds']:.1f}",
                f"{row['temporary_mb']:.1f}",
                f"{row['compile_seconds']:.1f}",
                "-" if row["difference"] is None else f"{row['difference']:.0e}",
            ]
            for row in result["cost"]
        ]
        lines += aligned(rows)
    return "\n".join(lines)


def plot(result: dict[str, Any], path: Path) -> None:
    """Cosine to the exact gradient, memory and time against K."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not result["accuracy"] and not result["cost"]:
        raise ValueError("nothing to plot: compare derivatives (--directions) or time memory options (--memory)")
    lines: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for row in result["accuracy"]:
        for name, value in row["cosine"].items():
            lines.setdefault("cosine to the exact gradient", {}).setdefault(name, []).append((row["num_steps"], value))
    for row in result["cost"]:
        lines.setdefault("temporaries, MB", {}).setdefault(row["memory"], []).append(
            (row["num_steps"], row["temporary_mb"])
        )
        if row["seconds"] is not None:
            lines.setdefault("a gradient, ms", {}).setdefault(row["memory"], []).append(
                (row["num_steps"], 1e3 * row["seconds"])
            )
    figure = Figure(figsize=(4.2 * max(len(lines), 1), 3.8), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, curves) in zip(figure.subplots(1, len(lines), squeeze=False)[0], lines.items(), strict=True):
        for name, points in curves.items():
            axes.plot(*zip(*points, strict=True), "o-", markersize=4, label=name)
        axes.set(title=title, xlabel="K, unrolled updates of D", xscale="log")
        heights = [value for points in curves.values() for _, value in points]
        if "cosine" not in title:
            wide = max(heights) > 30 * min(heights)
            axes.set(yscale="log" if wide else "linear", ylim=(None if wide else 0, None))
        ticks = sorted({k for points in curves.values() for k, _ in points})
        axes.set_xticks(ticks, [str(k) for k in ticks])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path)
