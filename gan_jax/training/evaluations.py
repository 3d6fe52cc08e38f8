"""Data for training, and evaluations: G's samples, their metrics, and the detector's next state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array
from jaxtyping import Float

from gan_jax.data.images import Images
from gan_jax.data.stacked import ImageData
from gan_jax.diagnostics.detector import DetectorState, update_detector
from gan_jax.experiment.experiment import Experiment
from gan_jax.networks.network import Variables
from gan_jax.networks.packing import pack_size
from gan_jax.training.batches import generate, sample_latent
from gan_jax.training.context import StepContext, step_context
from gan_jax.training.precision import in_precision
from gan_jax.training.state import BANK, TrainState


class LoadedData(NamedTuple):
    """The data of a run, which it never changes.

    Attributes:
        dataset: from `experiment.data.load`; () for data made from settings.
        reference: from `experiment.detector.reference`: a classifier and statistics of real data, or ().

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> load_data(tiny_ring()).dataset  # a mixture is made from its settings
        ()
    """

    dataset: Any = ()
    reference: Any = ()


def as_loaded(data: Any) -> LoadedData:
    """The given data as `LoadedData`: the result of `load_data`, or () for an experiment that needs no data."""
    return data if isinstance(data, LoadedData) else LoadedData(*data)


class Evaluation(NamedTuple):
    """Results of an evaluation.

    Attributes:
        metrics: by mode of G's batch norm, "batch" (training batches, as sample grids are published) and "running"
            (running statistics); a G without statistics has "running" only.
        samples: [num_samples, *shape] of the mode that the detector measures: "batch" if there is one.
        detector: the detector's state after this evaluation.

    Example:
        Of a state in the middle of a run::

            measured = jax.jit(gan_jax.evaluate)(experiment, data, state)
            measured.metrics["running"].modes  # modes captured
            measured.samples.shape             # (detector.num_samples, 2)
    """

    metrics: dict[str, Any]
    samples: Array
    detector: DetectorState


def load_data(experiment: Experiment, location: Any = None) -> LoadedData:
    """Reads the data of an experiment and makes the detector's reference, once, on the host.

    Args:
        experiment: the settings.
        location: folder of the data; None searches the default places. Mixtures take no data.

    Returns:
        The `data` of `train`, `chunk`, `step` and `evaluate`.

    Raises:
        ValueError: if the data are missing or damaged, or smaller than a batch; the message says what to do.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> load_data(tiny_ring())
        LoadedData(dataset=(), reference=())
    """
    dataset = experiment.data.load(location)
    if isinstance(experiment.data, ImageData):
        num_examples = experiment.data.epoch_size(dataset)
        if num_examples is not None and experiment.batch_size > num_examples:
            raise ValueError(
                f"batch_size is {experiment.batch_size}, more than the {num_examples} training examples of "
                f"{experiment.data.name}: choose a smaller batch"
            )
    resources = LoadedData(dataset, experiment.detector.reference(experiment.data, dataset))
    count = short_batch(experiment, resources)
    packs = pack_size(experiment.discriminator.network)
    if count is not None and count % packs:
        raise ValueError(
            f"the epoch's last batch has {count} examples, which do not divide into packs of {packs}: set "
            "data.last_batch='wrap'"
        )
    return resources


def short_batch(experiment: Experiment, resources: LoadedData) -> int | None:
    """Examples in an epoch's last batch, if it is smaller than the others; None if all batches are equal."""
    if not isinstance(experiment.data, Images) or experiment.data.last_batch == "wrap":
        return None
    return resources.dataset.images.shape[0] % experiment.batch_size or None


def latent_bank(experiment: Experiment, state: TrainState, num: int) -> Float[Array, "n latent_dim"]:
    """The run's fixed latents, the same at every evaluation.

    Args:
        experiment: the settings.
        state: of the run; its key determines the latents.
        num: number of latents.

    Returns:
        [num, latent_dim].
    """
    return sample_latent(experiment, jax.random.fold_in(state.key, BANK), num)


def evaluated_variables(experiment: Experiment, state: TrainState) -> Variables:
    """The G that is evaluated: the current one, or its moving average."""
    if experiment.generator.evaluated == "current":
        return state.generator.variables
    return state.generator.variables._replace(params=state.average)


def sample_modes(
    experiment: Experiment, variables: Variables, latent: Float[Array, "n latent_dim"], *, axis_name: str | None = None
) -> dict[str, Float[Array, "n *shape"]]:
    """G's samples by mode of its batch norm: see `Evaluation.metrics`.

    "batch" mode normalises each training-sized batch by its own statistics, if n is a multiple of it. With an axis,
    each device makes its shard of the batches if they divide evenly, and every device gets all samples.

    Args:
        experiment: the settings, with the networks' schedules already replaced by values.
        variables: of G.
        latent: [n, latent_dim].
        axis_name: the mapped axis, if any.

    Returns:
        By mode, [n, *shape].
    """
    context = StepContext(experiment, step=jax.numpy.int32(0), axis_name=axis_name)
    alone = StepContext(experiment, step=jax.numpy.int32(0))  # a device's batches are normalised by themselves

    def blocks(train: bool) -> Array:
        size = experiment.batch_size if latent.shape[0] % experiment.batch_size == 0 else latent.shape[0]
        parts = latent.reshape(-1, size, latent.shape[-1])

        def over(parts: Array) -> Array:
            return jax.lax.map(lambda z: generate(alone, variables, z, train=train)[0], parts)

        samples = _divided(context, over, parts)
        return samples.reshape(latent.shape[0], *experiment.data.shape)

    if not jax.tree.leaves(variables.statistics):
        return {"running": _divided(context, lambda z: generate(alone, variables, z, train=False)[0], latent)}
    return {"batch": blocks(train=True), "running": blocks(train=False)}


def _divided(context: StepContext, function: Callable[[Array], Array], inputs: Array) -> Array:
    """A function along the leading axis, of which each device computes its shard if the axis divides evenly."""
    if context.axis_name is None or inputs.shape[0] % context.axis_size:
        return function(inputs)
    return context.gather(function(context.shard(inputs)))


@in_precision
def evaluate(
    experiment: Experiment, data: LoadedData | tuple[()], state: TrainState, *, axis_name: str | None = None
) -> Evaluation:
    """Samples from G, measures the samples, and advances the detector. Pure and traceable.

    Args:
        experiment: the settings; networks that grow are at their stage.
        data: from `load_data`; () for mixtures.
        state: to evaluate.
        axis_name: the mapped axis, if any.

    Returns:
        Metrics, samples, and the detector's next state, which the caller puts into the state.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> from gan_jax.training.state import init
        >>> state = jax.eval_shape(init, tiny_ring(), jax.random.key(0))
        >>> evaluation = jax.eval_shape(evaluate, tiny_ring(), (), state)
        >>> list(evaluation.metrics), evaluation.samples.shape
        (['running'], (256, 2))
    """
    resources = as_loaded(data)
    context = step_context(experiment, resources.dataset, state.step, axis_name=axis_name)
    experiment, detector = context.experiment, context.experiment.detector
    latent = latent_bank(experiment, state, detector.num_samples)
    modes = sample_modes(experiment, evaluated_variables(experiment, state), latent, axis_name=axis_name)
    metrics = {mode: detector.measure(context.source, resources.reference, samples) for mode, samples in modes.items()}
    watched = "batch" if "batch" in modes else "running"
    observation = detector.observe(context.source, resources.reference, metrics[watched])
    return Evaluation(metrics, modes[watched], update_detector(detector, state.detector, observation, state.step))
