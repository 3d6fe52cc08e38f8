"""Data parallelism: one run on several devices, each with its shard of every batch, by `jax.pmap` (see `mapping`).

The state is the same on all devices, and no leaf of it has an axis for them. Every device draws the whole batch from
the same key and keeps its shard (`StepContext.shard`); raw scores are gathered, so that losses and label noise are of
the whole batch (`player_losses.score`); batch norm takes its statistics over all devices; gradients are averaged. n
devices then compute what one device computes on the whole batch, up to the order of sums. With
`Experiment.device_statistics="local"` batch norm uses each device's shard instead.

Under `pmap`, `jax.grad` sums the cotangents that the devices send each other. A device's gradient of the whole batch's
loss is therefore n times what its shard contributes, and the mean over devices is the gradient.

In several processes (`jax.distributed`), every process makes the same calls with the same values.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.experiment.experiment import Experiment
from gan_jax.scaling.mapping import device_mapping, over_devices
from gan_jax.scaling.programs import compiler_options, has_small_networks
from gan_jax.training.chunks import Advance, Chunk, ChunkSpec, chunk
from gan_jax.training.evaluations import LoadedData, short_batch
from gan_jax.training.state import TrainState

DEVICE_AXIS = "devices"
"""The mapped axis's name."""

Devices = Sequence[jax.Device]


def check_split(experiment: Experiment, resources: LoadedData, num_devices: int) -> None:
    """Checks that all batches of the run divide evenly over the devices.

    Args:
        experiment: the settings.
        resources: its data.
        num_devices: over which batches are split.

    Raises:
        ValueError: if a batch does not divide evenly.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> check_split(tiny_ring(batch_size=30), LoadedData((), ()), 8)
        Traceback (most recent call last):
        ValueError: batch_size is 30, which 8 devices cannot share evenly: set it to 24 or 32, or use 6 devices
    """

    def fewer(size: int) -> str:
        fits = next(num for num in range(num_devices, 0, -1) if size % num == 0)
        return f"{fits} device{'s' if fits > 1 else ''}"

    size = experiment.batch_size
    if size % num_devices:
        below, above = size // num_devices * num_devices, -(-size // num_devices) * num_devices
        sizes = f"{below} or {above}" if below else f"{above}"
        raise ValueError(
            f"batch_size is {size}, which {num_devices} devices cannot share evenly: set it to {sizes}, or use "
            f"{fewer(size)}"
        )
    short = short_batch(experiment, resources)
    if short is not None and short % num_devices:
        num = resources.dataset.images.shape[0]
        raise ValueError(
            f"the epoch's last batch has {short} of {num} examples, which {num_devices} devices cannot share evenly: "
            f"set data.last_batch='wrap', or data.num_examples={num - short % num_devices}, or use {fewer(short)}"
        )


def replicate(tree: Any, devices: Devices | None = None) -> Any:
    """A pytree with a copy of every leaf on each device; a pytree that is replicated already is returned unchanged.

    A chunk replicates arguments that are not, at every call, so replicate the resources once. On the device that held a
    leaf the copy may be the leaf itself: after its replicas are donated, the given state cannot be used either.

    Args:
        tree: a state, resources.
        devices: None takes all. With several processes, each uses its own devices.
    """
    everywhere = NamedSharding(_local_mesh(_all_devices(devices)), PartitionSpec())
    leaves = jax.tree.leaves(tree)
    if all(isinstance(leaf, Array) and leaf.sharding == everywhere for leaf in leaves):
        return tree
    return jax.device_put(tree, everywhere)


def make_parallel_chunk(devices: Devices | None = None) -> Advance:
    """A chunk on several devices: the arguments and results of `compiled_chunk`, the state donated.

    It compiles once for each structure of the experiment and each spec.

    Args:
        devices: the devices, in the same order in all processes. None takes all devices of all processes.

    Example:
        >>> import jax
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> from gan_jax.scaling.programs import compiled_init
        >>> experiment = tiny_ring()
        >>> advance = make_parallel_chunk(jax.devices()[:1])
        >>> state = compiled_init(experiment, jax.random.key(0))
        >>> result = advance(experiment, LoadedData(), state, ChunkSpec(num_steps=3))
        >>> int(result.state.step), replicas_agree(result.state)
        (3, True)
    """
    mapped = _all_devices(devices)
    axis = _axis(mapped)

    def advance(experiment: Experiment, resources: LoadedData, state: TrainState, spec: ChunkSpec) -> Chunk:
        check_split(experiment, resources, len(mapped))
        program = parallel_program(mapped, spec, small=has_small_networks(experiment), mapping=device_mapping())
        resources, state = replicate(resources, mapped), replicate(state, mapped)
        if jax.process_count() > 1:
            experiment = _on_all_processes(experiment, mapped)
        return program(axis, experiment, resources, state)

    return advance


@functools.cache
def parallel_program(devices: tuple[jax.Device, ...], spec: ChunkSpec, *, small: bool, mapping: str = "pmap") -> Any:
    """The compiled function behind a chunk: (an array with an axis over devices, experiment, resources, state).

    Args:
        devices: which.
        spec: the static part of the chunk.
        small: whether the networks are small; see `compiler_options`.
        mapping: as in `over_devices`.

    Returns:
        The compiled function.
    """

    def mapped(_: Array, experiment: Experiment, resources: LoadedData, state: TrainState) -> Chunk:
        return chunk(experiment, resources, state, spec, axis_name=DEVICE_AXIS)

    # pmap wants one mapped argument.
    program = over_devices(
        mapped,
        DEVICE_AXIS,
        in_axes=(0, None, None, None),
        out_axes=None,
        devices=devices,
        donate_argnums=3,
        mapping=mapping,
    )
    options = compiler_options() if small else None
    # A mapped function takes no compiler options, and a jit around it cannot use other processes' devices.
    if options is None or jax.process_count() > 1:
        return program
    return jax.jit(program, compiler_options=options, donate_argnums=3)


def replicas_agree(state: Any, devices: Devices | None = None) -> bool:
    """Whether every device holds the same bits in every leaf of a state (or of any replicated pytree).

    jax does not check this: an output of `pmap` that is declared the same on all devices may differ and still count as
    replicated. Here the devices compare their bits, and the copies of this process are also compared on the host.

    Args:
        state: from a parallel chunk, or `replicate`.
        devices: None takes those that hold the state; with several processes, all.
    """
    return _forked_leaf(state, devices) is None


def assert_replicas(state: Any, devices: Devices | None = None) -> None:
    """Raises RuntimeError, naming the first leaf that differs between devices; see `replicas_agree`."""
    name = _forked_leaf(state, devices)
    if name is not None:
        raise RuntimeError(
            f"state{name} differs between devices, which should all hold the same: what updates it is not averaged "
            "over the axis, or gives other results on another device"
        )


def _forked_leaf(tree: Any, devices: Devices | None) -> str | None:
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
    leaves = [_without_key(leaf) for leaf in jax.tree.leaves(tree)]
    if devices is None and leaves and jax.process_count() == 1:
        held = leaves[0].sharding
        devices = list(held.mesh.devices.flat) if isinstance(held, NamedSharding) else list(held.device_set)
    mapped = _all_devices(devices)
    agree = np.asarray(_comparison(mapped, device_mapping())(_axis(mapped), leaves))
    for path, leaf, same in zip(paths, leaves, agree, strict=True):
        copies = {np.asarray(shard.data).tobytes() for shard in leaf.addressable_shards}
        if not same or len(copies) > 1:
            return path
    return None


@functools.cache
def _comparison(devices: tuple[jax.Device, ...], mapping: str) -> Any:
    def same(leaf: Array) -> Array:
        # Compared as integers, so that NaN equals itself and -0 differs from 0.
        bits = leaf.astype(jnp.uint8) if leaf.dtype == bool else jax.lax.bitcast_convert_type(leaf, _bits_type(leaf))
        return jnp.all(jax.lax.pmin(bits, DEVICE_AXIS) == jax.lax.pmax(bits, DEVICE_AXIS))

    def compare(_: Array, leaves: list[Array]) -> Array:
        return jnp.stack([same(leaf) for leaf in leaves])

    return over_devices(compare, DEVICE_AXIS, in_axes=(0, None), out_axes=None, devices=devices, mapping=mapping)


def _bits_type(leaf: Array) -> Any:
    return {1: jnp.uint8, 2: jnp.uint16}.get(leaf.dtype.itemsize, jnp.uint32)


def _without_key(leaf: Array) -> Array:
    return jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf


def _all_devices(devices: Devices | None) -> tuple[jax.Device, ...]:
    return tuple(jax.devices() if devices is None else devices)


def _local_mesh(devices: tuple[jax.Device, ...]) -> Mesh:
    # A plain Mesh, as pmap's own: arrays on one with explicit axes (`jax.make_mesh`) would compile a second time.
    return Mesh(np.array([device for device in devices if device.process_index == jax.process_index()]), (DEVICE_AXIS,))


def _on_all_processes(experiment: Experiment, devices: tuple[jax.Device, ...]) -> Experiment:
    """The floats as arrays that keep to the other operand's type, as Python's do; pmap's own would widen bfloat16."""
    everywhere = NamedSharding(Mesh(np.array(devices), (DEVICE_AXIS,)), PartitionSpec())
    return jax.jit(lambda floats: floats, out_shardings=everywhere)(experiment)


def _axis(devices: tuple[jax.Device, ...]) -> Array:
    """The mapped argument of pmap: one element for each device."""
    mesh = _local_mesh(devices)
    return jax.device_put(np.zeros(mesh.size, np.uint8), NamedSharding(mesh, PartitionSpec(DEVICE_AXIS)))
