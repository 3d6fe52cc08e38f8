"""`train`: a whole run, from the initial weights to the verdict, as one pure function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Key

from gan_jax.diagnostics.verdict import VerdictArrays, verdict_arrays
from gan_jax.experiment.experiment import Experiment
from gan_jax.training.chunks import Chunk, ChunkSpec, Probe, guarded_chunk, plan
from gan_jax.training.evaluations import (
    LoadedData,
    as_loaded,
    evaluated_variables,
    latent_bank,
    sample_modes,
    short_batch,
)
from gan_jax.training.growth import at_stage, at_step
from gan_jax.training.probes import ProbeValues
from gan_jax.training.state import TrainState, init
from gan_jax.training.steps import Metrics, train_step

MOST_PROGRAMS = 48
"""Greatest number of different chunks in one traced run; each is compiled separately."""
NUM_REAL = 512
"""Greatest number of real examples in a `Result`."""


class Evaluations(NamedTuple):
    """Results of all evaluations of a run.

    Attributes:
        step: int32 [n], steps done at each.
        metrics: by mode of G's batch norm ("batch", "running"), the detector's metrics, each [n, ...].
        label: int32 [n], index into `gan_jax.diagnostics.detector.LABELS`.
    """

    step: Array
    metrics: dict[str, Any]
    label: Array


class Result(NamedTuple):
    """A finished run. All leaves are arrays; `vmap` puts an axis of runs in front.

    Attributes:
        metrics: training metrics by name, each [steps]: losses (nats for the log losses), scores, gradient norms.
        evaluations: measurements of the detector, each [n, ...].
        verdict: outcome, onset and cause as arrays; `verdict.sentence()`, or `verdict.sentences()` of several runs.
        samples: [num_samples, *shape], G's samples at the last state, which the detector measures.
        real: [at most 512, *shape], real examples for comparison.
        state: the last state.
        recorded: values of the experiment's recorder by name, each [probes]; None without one.
        probes: values of the probe, leaves [probes, ...]; None without one.

    Example:
        Eight seeds of a run, as arrays::

            keys = jax.random.split(jax.random.key(0), 8)
            result = jax.jit(jax.vmap(gan_jax.train, in_axes=(None, None, 0)))(experiment, data, keys)
            result.metrics["generator_loss"].shape     # (8, num_steps)
            result.evaluations.step[0]                 # steps of the evaluations
            result.verdict.sentences()                 # a sentence a run
    """

    metrics: Metrics
    evaluations: Evaluations
    verdict: VerdictArrays
    samples: Array
    real: Array
    state: TrainState
    recorded: ProbeValues | None = None
    probes: Any = None


def train(
    experiment: Experiment,
    data: Any,
    key: Key[Array, ""],
    *,
    probe: Probe | None = None,
    probe_every: int | None = None,
) -> Result:
    """A whole run: init, all steps, all evaluations, the verdict. Pure and traceable from end to end.

    Compile it: `jax.jit(gan_jax.train)(experiment, data, key)`; many seeds are `jax.jit(jax.vmap(gan_jax.train,
    in_axes=(None, None, 0)))`, many settings a `vmap` over `gan_jax.stack([...])`. It works under `pmap`, `jax.export`
    and inside another function's `jit`, and `jax.grad` goes through it. A run whose values are no longer finite
    keeps its state.

    Args:
        experiment: the settings. Its floats are traced; everything else determines the program.
        data: from `gan_jax.load_data(experiment)`; () for mixtures.
        key: typed PRNG key. All randomness of the run follows from it.
        probe: called as `probe(experiment, data, state)` inside the program; returns a pytree of arrays. None disables
            it. Under `jit` both are static: `jax.jit(gan_jax.train, static_argnames=("probe", "probe_every"))`.
        probe_every: full steps between two calls; required with a probe. It must divide the full steps of every chunk,
            which end at evaluations, at stages of growth, at the recorder's probes and before a short last batch.

    Returns:
        The run's results, with [steps] and [evaluations] as leading axes of the series.

    Raises:
        ValueError: if only one of `probe` and `probe_every` is given, if `probe_every` does not divide the steps, or if
            the run has too many chunks of different kinds; the message names the setting to change.

    Example:
        >>> import jax
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> result = jax.jit(train)(tiny_ring(), (), jax.random.key(0))
        >>> result.metrics["generator_loss"].shape, result.evaluations.step.tolist()
        ((20,), [10, 20])
        >>> result.verdict.sentence()
        'never formed in 20 steps (samples unlike the data)'
    """
    if (probe is None) != (probe_every is None):
        raise ValueError("probe and probe_every belong together: give both, or neither")
    resources = as_loaded(data)
    state = init(experiment, key)
    parts: list[_Outputs] = []
    for specs, repeats in _segments(list(plan(experiment, resources))):

        def body(state: TrainState, _: None, specs: Sequence[ChunkSpec] = specs) -> tuple[TrainState, _Outputs]:
            outputs = []
            for spec in specs:
                result = guarded_chunk(experiment, resources, state, spec, probe=probe, probe_every=probe_every)
                state = result.state
                outputs.append(_outputs(result))
            return state, _concatenated(outputs)

        if repeats == 1:
            state, outputs = body(state, None)
        else:
            state, outputs = jax.lax.scan(body, state, length=repeats)
            outputs = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), outputs)
        parts.append(outputs)
    series = _concatenated(parts)
    detector = experiment.detector
    return Result(
        metrics=series.metrics,
        evaluations=series.evaluations,
        verdict=verdict_arrays(state.detector, state.step, state.nonfinite_step, detector.window),
        samples=_last_samples(experiment, resources, state),
        real=_real_examples(experiment, resources),
        state=state,
        recorded=series.recorded,
        probes=series.probes,
    )


def step(experiment: Experiment, data: Any, state: TrainState) -> tuple[TrainState, Metrics]:
    """One training step: the updates of D and of G. Pure and traceable. A recorder is not called.

    Args:
        experiment: the settings.
        data: from `gan_jax.load_data(experiment)`; () for mixtures.
        state: from `gan_jax.init`, or from an earlier step.

    Returns:
        (the next state, metrics: scalars by name; losses in nats for the log losses, scores, gradient norms).

    Raises:
        ValueError: for an experiment that grows, or whose epochs end in a short batch: `chunk` trains these.

    Example:
        >>> import jax
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> experiment = tiny_ring()
        >>> state, metrics = jax.jit(step)(experiment, (), jax.jit(init)(experiment, jax.random.key(0)))
        >>> int(state.step), sorted(metrics)[:2]
        (1, ['discriminator_grad_norm', 'discriminator_loss'])
    """
    resources = as_loaded(data)
    if experiment.growth is not None or short_batch(experiment, resources) is not None:
        raise ValueError(
            "a single step knows neither the stage of growth nor the epoch's short last batch: use gan_jax.chunk with "
            "the specs of gan_jax.plan(experiment, data), or set data.last_batch='wrap'"
        )
    return train_step(experiment, resources.dataset, state)


class _Outputs(NamedTuple):
    """Series of one chunk or of several in a row."""

    metrics: Metrics
    evaluations: Any
    recorded: Any
    probes: Any


def _outputs(result: Chunk) -> _Outputs:
    evaluations = None
    if result.evaluation is not None:
        found = Evaluations(result.state.step, result.evaluation.metrics, result.state.detector.label)
        evaluations = jax.tree.map(lambda leaf: leaf[None], found)
    return _Outputs(result.metrics, evaluations, result.signals, result.probes)


def _concatenated(parts: Sequence[_Outputs]) -> _Outputs:
    """The parts' series, concatenated; a part may lack some (no evaluation, no probe)."""

    def joined(name: str) -> Any:
        present = [getattr(part, name) for part in parts if getattr(part, name) is not None]
        if len(present) <= 1:
            return present[0] if present else None
        return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *present)

    return _Outputs(*(joined(name) for name in _Outputs._fields))


def _segments(specs: list[ChunkSpec]) -> list[tuple[tuple[ChunkSpec, ...], int]]:
    """The chunks as repeated groups (group, repeats), so that as little as possible is compiled.

    Example:
        >>> a, b = ChunkSpec(10), ChunkSpec(5, 3)
        >>> [(len(group), repeats) for group, repeats in _segments([a, b, a, b, a, b, a])]
        [(2, 3), (1, 1)]
    """
    found: list[tuple[tuple[ChunkSpec, ...], int]] = []
    begin = 0
    while begin < len(specs):
        best = 1, 1
        for period in range(1, min(MOST_PROGRAMS, (len(specs) - begin) // 2) + 1):
            group, repeats = specs[begin : begin + period], 1
            while specs[begin + repeats * period : begin + (repeats + 1) * period] == group:
                repeats += 1
            if repeats > 1 and repeats * period > best[0] * best[1]:
                best = period, repeats
        period, repeats = best
        found.append((tuple(specs[begin : begin + period]), repeats))
        begin += period * repeats
    programs = sum(len(group) for group, _ in found)
    if programs > MOST_PROGRAMS:
        raise ValueError(
            f"this run has {programs} chunks of different kinds, more than {MOST_PROGRAMS}, since evaluations, stages "
            "of growth and the epochs' short last batches do not fall together: set data.last_batch='wrap', or make "
            "eval_every_steps divide growth.stage_steps; or use gan-jax train, which compiles a chunk at a time"
        )
    return found


def _last_samples(experiment: Experiment, resources: LoadedData, state: TrainState) -> Array:
    """The samples that the detector watches, of the last state, by the networks of the plan's last stage."""
    last = list(plan(experiment, resources, experiment.num_steps - 1))[-1]
    at = at_step(at_stage(experiment, last.stage), state.step)
    modes = sample_modes(at, evaluated_variables(at, state), latent_bank(at, state, at.detector.num_samples))
    return modes["batch" if "batch" in modes else "running"]


def _real_examples(experiment: Experiment, resources: LoadedData) -> Array:
    source: Any = experiment.data.source(resources.dataset)
    return source.sample(jax.random.key(0), min(NUM_REAL, experiment.detector.num_samples))
