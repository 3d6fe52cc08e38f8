"""Chunks: steps in one scan, then an evaluation. Every run is a sequence of chunks.

`chunk` is the pure function. `plan` says which chunks make a run, and `chunks` is the loop over them that the runner,
sweeps, replays and benchmarks share: each has its own way to compute a chunk (`Advance`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import chex
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool

from gan_jax.experiment.experiment import Experiment
from gan_jax.training.evaluations import Evaluation, LoadedData, as_loaded, evaluate, short_batch
from gan_jax.training.growth import at_stage, num_stages
from gan_jax.training.precision import in_precision
from gan_jax.training.probes import ProbeValues, record
from gan_jax.training.state import TrainState
from gan_jax.training.steps import Metrics, train_step

Probe = Callable[[Experiment, Any, TrainState], Any]
"""A measurement of a state: (experiment, data, state) -> a pytree of arrays."""


class ChunkSpec(NamedTuple):
    """The static part of a chunk.

    Attributes:
        num_steps: full steps; may be 0.
        short_count: examples in a last, short batch; None if there is none.
        evaluates: whether the chunk ends in an evaluation.
        stage: of an experiment that grows; None for the last one.
        steps_per_iteration: steps in the body of the compiled loop. More of them save the loop's overhead on a device
            where a step takes microseconds, and take longer to compile.

    Example:
        >>> ChunkSpec(num_steps=4, short_count=3).length
        5
    """

    num_steps: int
    short_count: int | None = None
    evaluates: bool = True
    stage: int | None = None
    steps_per_iteration: int = 1

    @property
    def length(self) -> int:
        """Steps of the chunk, the short one included."""
        return self.num_steps + (self.short_count is not None)


class Chunk(NamedTuple):
    """Results of a chunk.

    Attributes:
        state: after the chunk.
        metrics: training metrics by name, each [steps].
        evaluation: at its end; None if the chunk does not end in one.
        signals: values of the recorder by name, each [probes], at equal distances with the last after all full steps;
            None without a recorder, or without full steps.
        probes: values of the caller's probe, leaves [probes, ...]; None without one.

    Example:
        The chunks of a run, one after another::

            for spec in gan_jax.plan(experiment):
                state, metrics, evaluation, *_ = gan_jax.chunk(experiment, data, state, spec)
                print(int(state.step), float(metrics["generator_loss"].mean()))
    """

    state: TrainState
    metrics: Metrics
    evaluation: Evaluation | None
    signals: ProbeValues | None = None
    probes: Any = None


class Advance(Protocol):
    """A way to compute a chunk: compiled for one device, over several, for many members, as a replay."""

    def __call__(self, experiment: Experiment, resources: LoadedData, state: TrainState, spec: ChunkSpec) -> Chunk:
        """The chunk's results; `state` may be donated."""
        ...


@in_precision
def chunk(
    experiment: Experiment,
    data: LoadedData | tuple[()],
    state: TrainState,
    spec: ChunkSpec,
    *,
    probe: Probe | None = None,
    probe_every: int | None = None,
    axis_name: str | None = None,
) -> Chunk:
    """Full steps in one scan, then the epoch's short step if any, then an evaluation. Pure and traceable.

    Args:
        experiment: its structure decides the program; its floats are traced.
        data: from `load_data`; () for mixtures.
        state: where to start.
        spec: static: how many steps, and what ends them.
        probe: called with (experiment, data, state) after every `probe_every` full steps. None disables it.
        probe_every: steps between two calls; it must divide the chunk's full steps, and with a recorder the steps
            between two of its probes.
        axis_name: mapped axis over whose devices batches are split; None for one device.

    Returns:
        The state after the chunk, and all measurements.

    Raises:
        ValueError: if `probe_every` does not divide the steps.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> from gan_jax.training.state import init
        >>> state = jax.eval_shape(init, tiny_ring(), jax.random.key(0))
        >>> four_steps = functools.partial(chunk, spec=ChunkSpec(num_steps=4))
        >>> jax.eval_shape(four_steps, tiny_ring(), (), state).metrics["generator_loss"].shape
        (4,)
    """
    experiment, resources = at_stage(experiment, spec.stage), as_loaded(data)
    step = functools.partial(train_step, experiment, resources.dataset, axis_name=axis_name)
    measure = None if probe is None else functools.partial(probe, experiment, resources)
    state, metrics, signals, probes = _scanned(experiment, resources, step, state, spec, measure, probe_every)
    if spec.short_count is not None:
        state, last = step(state, count=spec.short_count)
        metrics = jax.tree.map(lambda series, value: jnp.append(series, value), metrics, last)
    if not spec.evaluates:
        return Chunk(state, metrics, None, signals, probes)
    evaluation = evaluate(experiment, resources, state, axis_name=axis_name)
    return Chunk(state._replace(detector=evaluation.detector), metrics, evaluation, signals, probes)


def _scanned(
    experiment: Experiment,
    resources: LoadedData,
    step: Callable[..., tuple[TrainState, Metrics]],
    state: TrainState,
    spec: ChunkSpec,
    measure: Callable[[TrainState], Any] | None,
    probe_every: int | None,
) -> tuple[TrainState, Metrics, ProbeValues | None, Any]:
    """(the state after the chunk's full steps, metrics [steps], the recorder's values, the probe's values)."""
    num_steps = spec.num_steps

    def plain(state: TrainState, length: int) -> tuple[TrainState, tuple[Metrics, Any]]:
        body = spec.steps_per_iteration
        state, metrics = jax.lax.scan(lambda carry, _: step(carry), state, length=length, unroll=body)
        return state, (metrics, None)

    def probed(state: TrainState, length: int) -> tuple[TrainState, tuple[Metrics, Any]]:
        assert measure is not None
        assert probe_every is not None

        def part(state: TrainState, _: None) -> tuple[TrainState, tuple[Metrics, Any]]:
            state, (metrics, _) = plain(state, probe_every)
            return state, (metrics, measure(state))

        return _joined(*jax.lax.scan(part, state, length=length // probe_every), length)

    advance = plain
    num_records = 0 if experiment.recorder is None else experiment.recorder.num_probes(num_steps)
    if measure is not None and num_steps:
        _check_probe_every(probe_every, num_steps, num_steps // max(num_records, 1))
        advance = probed
    if num_records == 0:
        state, (metrics, probes) = advance(state, num_steps)
        return state, metrics, None, probes

    def recorded(state: TrainState, _: None) -> tuple[TrainState, tuple[Metrics, tuple[Any, ProbeValues]]]:
        state, (metrics, probes) = advance(state, num_steps // num_records)
        players = state.generator.variables, state.discriminator.variables
        probe_state, values = record(experiment, resources.dataset, players, state.probe_state, state.key, state.step)
        return state._replace(probe_state=probe_state), (metrics, (probes, values))

    state, (metrics, (probes, values)) = _joined(*jax.lax.scan(recorded, state, length=num_records), num_steps)
    return state, metrics, values, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), probes)


def _joined(state: TrainState, outputs: tuple[Metrics, Any], num_steps: int) -> tuple[TrainState, tuple[Metrics, Any]]:
    """Outputs of a scan over parts, with the metrics [parts, steps of a part] as series [steps]."""
    metrics, values = outputs
    return state, (jax.tree.map(lambda series: series.reshape(num_steps), metrics), values)


def _check_probe_every(probe_every: int | None, num_steps: int, part: int) -> None:
    if probe_every is None or probe_every < 1 or part % probe_every:
        between = f" (the recorder cuts chunks into parts of {part} steps)" if part != num_steps else ""
        raise ValueError(
            f"probe_every is {probe_every}, and must divide the {num_steps} steps of a chunk{between}: change it, or "
            "eval_every_steps"
        )


def guarded_chunk(
    experiment: Experiment, resources: LoadedData, state: TrainState, spec: ChunkSpec, **options: Any
) -> Chunk:
    """`chunk`, except that a run whose values are no longer finite keeps its state; for runs that share a program.

    Args:
        experiment: as in `chunk`.
        resources: as in `chunk`.
        state: as in `chunk`.
        spec: as in `chunk`.
        **options: further arguments of `chunk`.

    Returns:
        The chunk's results. `state.nonfinite_step` is set where a player's variables are not finite at its end.
    """
    result = chunk(experiment, resources, state, spec, **options)
    chex.assert_trees_all_equal_shapes_and_dtypes(state.generator, result.state.generator)
    after, broken = result.state, state.nonfinite_step >= 0
    breaks = (after.nonfinite_step < 0) & ~players_finite(after)
    after = after._replace(nonfinite_step=jnp.where(breaks, after.step, after.nonfinite_step))
    return result._replace(state=jax.tree.map(lambda old, new: jnp.where(broken, old, new), state, after))


def players_finite(state: TrainState) -> Bool[Array, ""]:
    """Whether both players' variables are finite: no loss sees the result of a chunk's last update."""
    leaves = jax.tree.leaves((state.generator.variables, state.discriminator.variables))
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))


def plan(experiment: Experiment, resources: LoadedData | tuple[()], start: int = 0) -> Iterator[ChunkSpec]:
    """The chunks from a step to the end of the run: cut at evaluations, stages, and epoch ends with a short batch.

    The cuts depend on the step alone, so that a resumed run makes the same chunks as an uninterrupted one.

    Args:
        experiment: the settings.
        resources: from `load_data`.
        start: steps done before.

    Yields:
        The static part of each chunk.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> [spec.num_steps for spec in plan(tiny_ring(num_steps=25, eval_every_steps=10), LoadedData())]
        [10, 10, 5]
    """
    resources = as_loaded(resources)
    short_count = short_batch(experiment, resources)
    short_every = None if short_count is None else -(-resources.dataset.images.shape[0] // experiment.batch_size)
    step = start
    while step < experiment.num_steps:
        next_eval = min(experiment.num_steps, (step // experiment.eval_every_steps + 1) * experiment.eval_every_steps)
        stop = next_eval if short_every is None else min(next_eval, (step // short_every + 1) * short_every)
        stage = None
        if experiment.growth is not None:
            stage = experiment.growth.stage(step, num_stages(experiment))
            if stage < num_stages(experiment) - 1:
                stop = min(stop, (stage + 1) * experiment.growth.stage_steps)
        ends_short = short_every is not None and stop % short_every == 0
        yield ChunkSpec(stop - step - int(ends_short), short_count if ends_short else None, stop == next_eval, stage)
        step = stop


def chunks(
    advance: Advance,
    experiment: Experiment,
    resources: Any,
    state: TrainState,
    specs: Iterable[ChunkSpec] | None = None,
) -> Iterator[tuple[ChunkSpec, Chunk]]:
    """The loop over a run's chunks on the host: a generator, which computes a chunk when it is asked for it.

    Args:
        advance: computes a chunk.
        experiment: of the run, or stacked experiments.
        resources: from `load_data`.
        state: where to start; it may be donated. Use the state of the last chunk.
        specs: the chunks; None takes `plan` from the state's step to the end.

    Yields:
        (the chunk's static part, its results).

    Example:
        >>> import jax
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> from gan_jax.training.state import init
        >>> experiment = tiny_ring(num_steps=20, eval_every_steps=10)
        >>> state = jax.jit(init)(experiment, jax.random.key(0))
        >>> compiled = jax.jit(chunk, static_argnums=3)
        >>> [int(result.state.step) for _, result in chunks(compiled, experiment, LoadedData(), state)]
        [10, 20]
    """
    for spec in plan(experiment, resources, int(state.step)) if specs is None else specs:
        result = advance(experiment, resources, state, spec)
        state = result.state
        yield spec, result
