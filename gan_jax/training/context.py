"""The context of a step: experiment, step number, source of examples, and the devices that share the batch."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
from jax import Array
from jaxtyping import Int

from gan_jax.experiment.experiment import Experiment
from gan_jax.training.growth import at_step
from gan_jax.training.precision import with_compute_dtype


@dataclasses.dataclass(frozen=True)
class StepContext:
    """Shared inputs of a step's losses and updates. It lives inside one trace and is never part of the state.

    Attributes:
        experiment: its players' schedules are already values.
        step: int32 scalar, steps done before this one; schedules of losses read it.
        source: sampler of real examples; None where no fresh examples are drawn.
        axis_name: mapped axis over whose devices each batch is split; None on one device.
    """

    experiment: Experiment
    step: Array
    source: Any = None
    axis_name: str | None = None

    @property
    def axis_size(self) -> int:
        """Devices of the mapped axis; 1 without one."""
        return 1 if self.axis_name is None else jax.lax.axis_size(self.axis_name)

    @property
    def statistics_axis(self) -> str | None:
        """The axis over which batch norm takes its statistics: all devices, or None for this device's shard alone."""
        return self.axis_name if self.experiment.device_statistics == "joint" else None

    def shard(self, batch: Array) -> Array:
        """This device's part of a batch [n, ...] that every device has drawn whole; all of it without an axis.

        All devices draw from the same key, so that the random numbers are those of one device. Shards are in the order
        of the batch.

        Raises:
            ValueError: while tracing, if the batch does not divide evenly.
        """
        if self.axis_name is None:
            return batch
        if batch.shape[0] % self.axis_size:
            raise ValueError(f"a batch of {batch.shape[0]} does not divide evenly over {self.axis_size} devices")
        size = batch.shape[0] // self.axis_size
        return jax.lax.dynamic_slice_in_dim(batch, jax.lax.axis_index(self.axis_name) * size, size)

    def gather(self, shard: Array, axis: int = 0) -> Array:
        """The whole batch, in order, from every device's shard. The array's axis `axis` is that of the examples."""
        if self.axis_name is None:
            return shard
        return jax.lax.all_gather(shard, self.axis_name, axis=axis, tiled=True)

    def mean(self, tree: Any) -> Any:
        """The mean of every leaf over the devices; the tree itself without an axis."""
        return tree if self.axis_name is None else jax.lax.pmean(tree, self.axis_name)

    def replace(self, experiment: Experiment) -> StepContext:
        """The same context for another experiment."""
        return dataclasses.replace(self, experiment=experiment)


def step_context(
    experiment: Experiment,
    dataset: Any,
    step: Int[Array, ""],
    *,
    axis_name: str | None = None,
    draws: bool = True,
) -> StepContext:
    """The context of a step of an experiment.

    Args:
        experiment: the settings; networks that grow are already at their stage.
        dataset: what `experiment.data.load` returned.
        step: int32 scalar, steps done.
        axis_name: mapped axis over whose devices batches are split; None for one device.
        draws: whether the step may draw real examples; without, no source is made and `dataset` is ignored.

    Returns:
        The context, its networks in the experiment's precision and its players' schedules evaluated at the step.
    """
    source = experiment.data.source(dataset) if draws else None
    return StepContext(at_step(with_compute_dtype(experiment), step), step, source, axis_name)
