"""A run: initial state, compiled chunks of steps that end in an evaluation, and the loop over them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.data.images import Images
from gan_jax.data.stacked import ImageData
from gan_jax.diagnostics.detector import DetectorState, init_detector, update_detector
from gan_jax.experiment.experiment import Experiment
from gan_jax.networks.network import Variables
from gan_jax.networks.packing import pack_size
from gan_jax.training.growth import at_stage, at_step, num_stages
from gan_jax.training.player_losses import generate, init_memory, num_devices, sample_latent, shard
from gan_jax.training.probes import ProbeValues, init_probe_state, look
from gan_jax.training.steps import BANK, INIT, Metrics, Player, TrainState, train_step


class Resources(NamedTuple):
    """What a run needs beside its experiment and key; never changed by it.

    Attributes:
        dataset: what `experiment.data.load` returned.
        reference: what `experiment.detector.reference` made of it.
    """

    dataset: Any
    reference: Any


class Evaluation(NamedTuple):
    """What an evaluation saw.

    Attributes:
        metrics: by mode of G's batch norm, "batch" (training batches, as sample grids are published) and "running"
            (running statistics); a G without statistics has "running" only.
        samples: [num_samples, *shape] of the mode that the detector looks at: "batch" where there is one.
        detector: the detector's memory after this evaluation.
    """

    metrics: dict[str, Any]
    samples: Array
    detector: DetectorState


class Chunk(NamedTuple):
    """What the host sees of a chunk.

    Attributes:
        state: after the chunk.
        metrics: training metrics, each [steps].
        evaluation: at its end; None if the chunk does not end in one.
        signals: of the recorder's looks, each [looks]: one after every so many full steps, the last after all of them;
            None without a recorder, or without full steps.
    """

    state: TrainState
    metrics: Metrics
    evaluation: Evaluation | None
    signals: ProbeValues | None = None


def load_resources(experiment: Experiment, location: Any = None) -> Resources:
    """Reads the data and makes the detector's reference.

    Raises:
        ValueError: if the data are missing or broken (with the remedy), or smaller than a batch.
    """
    dataset = experiment.data.load(location)
    if isinstance(experiment.data, ImageData):
        num_examples = experiment.data.epoch_size(dataset)
        if num_examples is not None and experiment.batch_size > num_examples:
            raise ValueError(
                f"batch_size is {experiment.batch_size}, more than the {num_examples} training examples of "
                f"{experiment.data.name}: choose a smaller batch"
            )
    resources = Resources(dataset, experiment.detector.reference(experiment.data, dataset))
    count = short_batch(experiment, resources)
    packs = pack_size(experiment.discriminator.network)
    if count is not None and count % packs:
        raise ValueError(
            f"the epoch's last batch has {count} examples, which do not divide into packs of {packs}: set "
            "data.last_batch='wrap'"
        )
    return resources


# Compiled without optimisation: drawing the weights of a DCGAN takes 20 s to compile on a CPU with it, 2 s without, and
# runs once.
@functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
def init(experiment: Experiment, key: Array) -> TrainState:
    """The state before the first step. Everything random in the run follows from `key`."""
    key_gen, key_disc = jax.random.split(jax.random.fold_in(key, INIT))
    gen, disc, shape = experiment.generator, experiment.discriminator, experiment.data.shape
    gen_variables = gen.network.init(key_gen, gen.latent_dim, shape)
    disc_variables = disc.network.init(key_disc, experiment.discriminator_input_shape)
    memories = init_memory(experiment, gen_variables, disc_variables)
    gen_variables, disc_variables = (
        variables._replace(memory=memory)
        for variables, memory in zip((gen_variables, disc_variables), memories, strict=True)
    )

    def player(settings: Any, variables: Variables) -> Player:
        return Player(variables, settings.optimizer.make(settings.learning_rate).init(variables.params))

    return TrainState(
        generator=player(gen, gen_variables),
        discriminator=player(disc, disc_variables),
        average=None if gen.average_decay is None else gen_variables.params,
        detector=init_detector(),
        key=key,
        step=jnp.int32(0),
        nonfinite_step=jnp.int32(-1),
        probe_state=init_probe_state(experiment, gen_variables, disc_variables),
    )


def latent_bank(experiment: Experiment, state: TrainState, num: int) -> Array:
    """The run's fixed latents, the same at every evaluation. [num, latent_dim]."""
    return sample_latent(experiment, jax.random.fold_in(state.key, BANK), num)


def evaluated_variables(experiment: Experiment, state: TrainState) -> Variables:
    """The G that evaluations are of: the current one, or its moving average."""
    if experiment.generator.evaluated == "current":
        return state.generator.variables
    return state.generator.variables._replace(params=state.average)


def sample_modes(
    experiment: Experiment, variables: Variables, latent: Array, *, axis_name: str | None = None
) -> dict[str, Array]:
    """G's samples of latents [n, latent_dim], by mode of its batch norm: see `Evaluation.metrics`.

    "batch" mode normalises each training-sized batch by its own statistics and needs n to be a multiple of it. With an
    axis, each device makes its share of the batches where these divide evenly, and all have all samples.
    """

    def blocks(train: bool) -> Array:
        size = experiment.batch_size if latent.shape[0] % experiment.batch_size == 0 else latent.shape[0]
        parts = latent.reshape(-1, size, latent.shape[-1])

        def over(parts: Array) -> Array:
            return jax.lax.map(lambda z: generate(experiment, variables, z, train=train)[0], parts)

        samples = _divided(over, parts, axis_name)
        return samples.reshape(latent.shape[0], *experiment.data.shape)

    if not jax.tree.leaves(variables.statistics):
        return {"running": _divided(lambda z: generate(experiment, variables, z, train=False)[0], latent, axis_name)}
    return {"batch": blocks(train=True), "running": blocks(train=False)}


def _divided(function: Callable[[Array], Array], inputs: Array, axis_name: str | None) -> Array:
    """A function along the leading axis, of which each device does its share where it divides evenly."""
    if axis_name is None or inputs.shape[0] % num_devices(axis_name):
        return function(inputs)
    return jax.lax.all_gather(function(shard(inputs, axis_name)), axis_name, tiled=True)


def evaluate(
    experiment: Experiment, resources: Resources, state: TrainState, *, axis_name: str | None = None
) -> Evaluation:
    """Samples from G, measures them and advances the detector. Pure."""
    experiment = at_step(experiment, state.step)
    detector, source = experiment.detector, experiment.data.source(resources.dataset)
    latent = latent_bank(experiment, state, detector.num_samples)
    modes = sample_modes(experiment, evaluated_variables(experiment, state), latent, axis_name=axis_name)
    metrics = {mode: detector.measure(source, resources.reference, samples) for mode, samples in modes.items()}
    watched = "batch" if "batch" in modes else "running"
    seen = detector.observe(source, resources.reference, metrics[watched])
    return Evaluation(metrics, modes[watched], update_detector(detector, state.detector, seen, state.step))


def chunk(
    experiment: Experiment,
    resources: Resources,
    state: TrainState,
    *,
    num_steps: int,
    short_count: int | None = None,
    evaluates: bool = True,
    stage: int | None = None,
) -> Chunk:
    """`num_steps` full steps in one compiled scan, then the epoch's short step if any, then an evaluation.

    Args:
        experiment: its structure decides the program; its floats are traced.
        resources: from `load_resources`.
        state: donated: use the returned one.
        num_steps: full steps; may be 0.
        short_count: examples in a last, short batch; None for no such step.
        evaluates: whether the chunk ends in an evaluation.
        stage: of an experiment that grows; None for the last one.
    """
    sizes = {"num_steps": num_steps, "short_count": short_count, "evaluates": evaluates, "stage": stage}
    return chunk_program(small=len(experiment.data.shape) == 1)(experiment, resources, state, **sizes)


def run_chunk(
    experiment: Experiment,
    resources: Resources,
    state: TrainState,
    *,
    num_steps: int,
    short_count: int | None = None,
    evaluates: bool = True,
    stage: int | None = None,
    axis_name: str | None = None,
) -> Chunk:
    """`chunk` as a pure function, for whatever compiles it: alone, for many members, over the devices of an axis."""
    experiment = at_stage(experiment, stage)
    step = functools.partial(train_step, experiment, resources.dataset, axis_name=axis_name)
    state, (metrics, signals) = _scan(experiment, resources.dataset, step, state, num_steps)
    if short_count is not None:
        state, last = step(state, count=short_count)
        metrics = jax.tree.map(lambda series, value: jnp.append(series, value), metrics, last)
    if not evaluates:
        return Chunk(state, metrics, None, signals)
    evaluation = evaluate(experiment, resources, state, axis_name=axis_name)
    return Chunk(state._replace(detector=evaluation.detector), metrics, evaluation, signals)


def _scan(
    experiment: Experiment, dataset: Any, step: Callable[..., Any], state: TrainState, num_steps: int
) -> tuple[TrainState, tuple[Metrics, ProbeValues | None]]:
    """(the state after so many full steps, (metrics [steps], signals [looks]))."""

    def steps(state: TrainState, length: int) -> tuple[TrainState, Metrics]:
        return jax.lax.scan(lambda carry, _: step(carry), state, length=length)

    if experiment.recorder is None or num_steps == 0:
        state, metrics = steps(state, num_steps)
        return state, (metrics, None)
    num_probes = experiment.recorder.num_probes(num_steps)

    def part(state: TrainState, _: None) -> tuple[TrainState, tuple[Metrics, ProbeValues]]:
        state, metrics = steps(state, num_steps // num_probes)
        looks, signals = observe(experiment, dataset, state)
        return state._replace(probe_state=looks), (metrics, signals)

    state, (metrics, signals) = jax.lax.scan(part, state, length=num_probes)
    return state, (jax.tree.map(lambda series: series.reshape(num_steps), metrics), signals)


def observe(experiment: Experiment, dataset: Any, state: TrainState) -> tuple[Any, ProbeValues]:
    """A look at a state's players, for an experiment with a recorder: (what it hands on to the next one, signals)."""
    players = state.generator.variables, state.discriminator.variables
    return look(at_step(experiment, state.step), dataset, *players, state.probe_state, state.key, state.step)


@functools.cache
def chunk_program(*, small: bool) -> Any:
    """`chunk` as a jitted function of the same arguments, to be lowered or inspected; compiled for this backend.

    Args:
        small: whether the networks are as small as those of vector data; see `compiler_options`.
    """
    return jax.jit(
        run_chunk,
        static_argnames=("num_steps", "short_count", "evaluates", "stage"),
        donate_argnames="state",
        compiler_options=compiler_options() if small else None,
    )


def compiler_options() -> dict[str, Any] | None:
    """XLA options that make small products of matrices faster on this backend, or None.

    XLA:CPU hands products to YNNPACK, which is slower than its older library on those of a ring's networks, and faster
    on those of a DCGAN's (docs/unrolling.md). XLA does not promise the option: where it is unknown, we do without.
    """
    if jax.default_backend() != "cpu":
        return None
    options = {"xla_cpu_experimental_ynn_fusion_type": ""}
    try:
        jax.jit(lambda: jnp.zeros(()), compiler_options=options).lower().compile()
    except jax.errors.JaxRuntimeError:
        return None
    return options


class ChunkSpec(NamedTuple):
    """One call of `chunk`: its static arguments."""

    num_steps: int
    short_count: int | None
    evaluates: bool
    stage: int | None = None


def short_batch(experiment: Experiment, resources: Resources) -> int | None:
    """Examples in an epoch's last batch, if that is smaller than the others."""
    if not isinstance(experiment.data, Images) or experiment.data.last_batch == "wrap":
        return None
    return resources.dataset.images.shape[0] % experiment.batch_size or None


def plan(experiment: Experiment, resources: Resources, start: int) -> Iterator[ChunkSpec]:
    """The chunks from a step to the end of the run: cut at evaluations, stages, and epoch ends with a short batch.

    The cuts depend on the step alone, so that a resumed run makes the same chunks as an uninterrupted one.
    """
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


def run(experiment: Experiment, resources: Resources, state: TrainState) -> Iterator[Chunk]:
    """Trains from a state to the experiment's last step, a chunk at a time.

    The state handed in is donated at once. The generator yields after every chunk; stop iterating to stop the run.

    Example:
        >>> import jax
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> experiment = tiny_ring(num_steps=20, eval_every_steps=10)
        >>> state = init(experiment, jax.random.key(0))
        >>> [int(chunk.state.step) for chunk in run(experiment, load_resources(experiment), state)]
        [10, 20]
    """
    for part in plan(experiment, resources, int(state.step)):
        result = chunk(experiment, resources, state, **part._asdict())
        state = result.state
        yield result
