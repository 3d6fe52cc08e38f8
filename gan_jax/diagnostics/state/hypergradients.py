"""Checks of the unrolled gradient of G at a training state: exactness, agreement of its estimators, and cost.

Derivatives are compared in float64; costs are measured in the experiment's own precision.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jax.flatten_util import ravel_pytree

from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.experiment.settings import override
from gan_jax.training.batches import sample_latent
from gan_jax.training.context import StepContext
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.state import TrainState, init
from gan_jax.training.steps import Draws, generator_objective, train_step
from gan_jax.unroll import Exact, FirstOrder, Gradient, Implicit, MemoryPolicy, Truncated

STEP_SIZES = (1e-3, 1e-4, 1e-5, 1e-6)
"""Step sizes of the central differences along a direction of length 1; the one with the smallest error counts."""

UnrolledLoss = Callable[..., Array]
"""(G's parameters, state, real, latent) -> G's loss."""


class EstimatorAccuracy(NamedTuple):
    """Derivatives of G's loss through K updates of D, compared along random directions in float64.

    Attributes:
        num_steps: K.
        gradient_norm: of the exact gradient.
        difference_error: largest |<gradient, d> - central difference| / |gradient| over directions d, at the best step
            size of each. It includes the effect of kinks of ReLUs between the two points of a difference.
        forward_error: the same for forward mode in place of the difference.
        cosine: cosine to the exact gradient, by estimator.
        norm_ratio: length relative to the exact gradient, by estimator.
        finite: whether the exact gradient is finite in float32.
    """

    num_steps: int
    gradient_norm: float
    difference_error: float
    forward_error: float
    cosine: dict[str, float]
    norm_ratio: dict[str, float]
    finite: bool


class GradientCost(NamedTuple):
    """Cost of a gradient of G.

    Attributes:
        num_steps: K.
        memory: the option, see `gan_jax.unroll.unroll`.
        seconds: median time of a compiled evaluation; None if it was only compiled.
        compile_seconds: time to compile the program.
        temporary_mb: XLA's temporary buffers by its own analysis, in 10^6 bytes.
        difference: from the gradient of the first memory option, relative to its length; None if only compiled.
    """

    num_steps: int
    memory: str
    seconds: float | None
    compile_seconds: float
    temporary_mb: float
    difference: float | None


def check_hypergradient(
    experiment: Experiment,
    resources: LoadedData,
    state: TrainState,
    *,
    num_steps: Sequence[int] = (1, 5, 10),
    memories: Sequence[str] = ("all", "step", "sqrt"),
    num_directions: int = 3,
    num_rounds: int = 5,
    compiler_options: dict[str, Any] | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Checks and measures the unrolled gradient of G at a state.

    Args:
        experiment: its `generator.unroll`, or the default `Unroll`, is varied in `num_steps` and estimator.
        resources: its data.
        state: at which the gradient is taken.
        num_steps: values of K, each at least 1.
        memories: memory options to time; an empty sequence skips the timing.
        num_directions: directions along which derivatives are compared; 0 skips the comparison.
        num_rounds: timed evaluations of each program; 0 only compiles them, which gives their memory.
        compiler_options: XLA options of the timed programs; None for the defaults.
        progress: is called with a line of text before each measurement.

    Returns:
        JSON-ready: "accuracy" and "cost", a list of rows each, and the conditions of the measurement.

    Raises:
        ValueError: for a K below 1, an unknown memory option, or an experiment that unrolls D.
    """
    for k in num_steps:
        if k < 1:
            raise ValueError(f"K is {k}, and must be at least 1: with K = 0 nothing is unrolled")
    for memory in memories:
        if memory not in get_args(MemoryPolicy):
            raise ValueError(unknown_name("no memory option", memory, get_args(MemoryPolicy)))
    if experiment.generator.unroll is None and experiment.discriminator.unroll is not None:
        raise ValueError(
            "the experiment unrolls the discriminator, and only an unrolled generator can be diagnosed: give "
            "--discriminator.unroll none, or a config that unrolls the generator"
        )
    base = experiment.generator.unroll or Unroll()
    source = experiment.data.source(resources.dataset)
    key_real, key_latent, key, key_inner = jax.random.split(jax.random.fold_in(state.key, state.step), 4)
    real = source.sample(key_real, experiment.batch_size)
    latent = sample_latent(experiment, key_latent, experiment.batch_size)

    def loss_with(**settings: Any) -> UnrolledLoss:
        changed = override(experiment, "generator.unroll", base)
        for name, value in settings.items():
            changed = override(changed, f"generator.unroll.{name}", value)

        def loss(params: Any, state: TrainState, real: Array, latent: Array) -> Array:
            context = StepContext(changed, state.step, source)
            return generator_objective(context, state, Draws(real, latent, key, key_inner))(params)[0]

        return loss

    at = (state.generator.variables.params, state, real, latent)
    accuracy, cost = [], []
    for k in num_steps:
        if num_directions:
            progress(f"K = {k}: derivatives in float64")
            exact = jax.jit(jax.grad(loss_with(num_steps=k, gradient=Exact())))(*at)
            finite = bool(jnp.isfinite(optax.tree.norm(exact)))
            with jax.enable_x64(True):
                losses = {name: loss_with(num_steps=k, gradient=g) for name, g in estimators(k).items()}
                accuracy.append(compare_estimators(k, losses, in_float64(at), num_directions, finite))
        reference = None
        for memory in memories:
            progress(f"K = {k}, memory {memory}: time")
            gradient = jax.grad(loss_with(num_steps=k, memory=memory, gradient=Exact()))
            row, flat = gradient_cost(k, memory, gradient, at, num_rounds, reference, compiler_options)
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
    """The estimators of the gradient that are compared, by name, the exact one first."""
    shorter = {f"last {j}": Truncated(num_steps=j) for j in sorted({1, (num_steps + 1) // 2}) if j < num_steps}
    return {"exact": Exact(), "first order": FirstOrder(), **shorter, "implicit": Implicit()}


def warm_state(experiment: Experiment, resources: LoadedData, seed: int, num_steps: int) -> TrainState:
    """A state after some steps of the game without unrolling, so that the optimisers have moments.

    Args:
        experiment: of the game.
        resources: its data.
        seed: of the initial state.
        num_steps: training steps.

    Returns:
        The state.
    """
    plain = override(override(experiment, "generator.unroll", None), "discriminator.unroll", None)

    @functools.partial(jax.jit, static_argnums=2)
    def steps(experiment: Experiment, state: TrainState, length: int) -> TrainState:
        step = functools.partial(train_step, experiment, resources.dataset)
        return jax.lax.scan(lambda carry, _: (step(carry)[0], None), state, length=length)[0]

    return steps(plain, jax.jit(init)(experiment, jax.random.key(seed)), num_steps)


def compare_estimators(
    num_steps: int, losses: dict[str, UnrolledLoss], at: Any, num_directions: int, finite: bool
) -> EstimatorAccuracy:
    """Estimators of a gradient against the exact one, and the exact one against central differences.

    Args:
        num_steps: K, for the result.
        losses: by estimator, "exact" among them; differentiating each gives its gradient.
        at: (parameters, *other arguments of the losses).
        num_directions: directions of the differences; the first is the gradient's own.
        finite: whether the exact gradient is finite in float32, for the result.

    Returns:
        The comparison.
    """
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

    # The gradient itself is one direction: in many dimensions random directions are nearly orthogonal to it.
    directions = [exact / norm, *(unit(seed) for seed in range(num_directions - 1))]
    difference_errors, forward_errors = [], []
    for direction in directions:
        slope = exact @ direction
        slopes = [(value(flat + h * direction, rest) - value(flat - h * direction, rest)) / (2 * h) for h in STEP_SIZES]
        difference_errors.append(min(float(abs(s - slope) / norm) for s in slopes))
        forward_errors.append(float(abs(forward(direction, rest) - slope) / norm))
    others = {name: g for name, g in gradients.items() if name != "exact"}
    return EstimatorAccuracy(
        num_steps=num_steps,
        gradient_norm=float(norm),
        difference_error=max(difference_errors),
        forward_error=max(forward_errors),
        cosine={name: float(g @ exact / (jnp.linalg.norm(g) * norm)) for name, g in others.items()},
        norm_ratio={name: float(jnp.linalg.norm(g) / norm) for name, g in others.items()},
        finite=finite,
    )


def gradient_cost(
    num_steps: int,
    memory: str,
    gradient: Callable[..., Any],
    at: Any,
    num_rounds: int,
    reference: Array | None,
    compiler_options: dict[str, Any] | None,
) -> tuple[GradientCost, Array | None]:
    """Compiles a gradient, times it and compares it with a reference.

    Args:
        num_steps: K, for the result.
        memory: the option, for the result.
        gradient: the function.
        at: its arguments.
        num_rounds: timed evaluations; 0 only compiles.
        reference: gradient to compare with, flat; None compares it with itself.
        compiler_options: XLA options; None for the defaults.

    Returns:
        (the cost, the gradient, flat, or the reference if it was only compiled).
    """
    began = time.perf_counter()
    program = jax.jit(gradient, compiler_options=compiler_options).lower(*at).compile()
    compile_seconds = time.perf_counter() - began
    seconds, flat = [], reference
    for index in range(num_rounds + 1 if num_rounds else 0):
        began = time.perf_counter()
        result = jax.block_until_ready(program(*at))
        if index:  # the first evaluation warms caches
            seconds.append(time.perf_counter() - began)
        flat = ravel_pytree(result)[0]
    reference = flat if reference is None else reference
    analysis = program.memory_analysis()
    row = GradientCost(
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


def in_float64(tree: Any) -> Any:
    """A pytree with its floating-point arrays in float64."""
    return jax.tree.map(lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)
