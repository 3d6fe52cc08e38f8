"""Maps a function over devices, by `jax.pmap` or by `jax.shard_map` on a mesh.

The environment variable GAN_JAX_DEVICE_MAPPING selects one: `pmap` (the default) or `shard_map`. Both run the same body
with the same named axis and give the same numbers. If jax drops `pmap`, only the default has to change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from gan_jax.experiment.component import unknown_name

MAPPINGS = ("pmap", "shard_map")
SWITCH = "GAN_JAX_DEVICE_MAPPING"


def device_mapping() -> str:
    """The mapping that the environment asks for.

    Raises:
        ValueError: if it is unknown, or if several processes ask for `shard_map`, which needs global arrays.
    """
    name = os.environ.get(SWITCH) or "pmap"
    if name not in MAPPINGS:
        raise ValueError(unknown_name(f"{SWITCH}: no mapping", name, MAPPINGS))
    if name == "shard_map" and jax.process_count() > 1:
        raise ValueError(f"{SWITCH} is shard_map, which runs in one process: unset it for several")
    return name


def over_devices(
    function: Callable[..., Any],
    axis_name: str,
    *,
    in_axes: Sequence[int | None],
    out_axes: int | None,
    devices: Sequence[jax.Device],
    donate_argnums: int | tuple[int, ...] = (),
    mapping: str = "pmap",
) -> Any:
    """A function mapped over an axis of devices; arguments and results are those of `jax.pmap`.

    Args:
        function: a function of one device's part of each argument.
        axis_name: name of the mapped axis.
        in_axes: for each argument, 0 if its leading axis is over devices, None if every device gets all of it.
        out_axes: 0 if results get a leading axis over devices, None if they are the same on all.
        devices: the devices to map over.
        donate_argnums: arguments whose memory the results may reuse.
        mapping: one of `MAPPINGS`.

    Returns:
        The function, compiled when it is called or lowered.
    """
    if mapping == "pmap":
        return jax.pmap(
            function,
            axis_name,
            in_axes=tuple(in_axes),
            out_axes=out_axes,
            devices=list(devices),
            donate_argnums=donate_argnums,
        )

    def shard(*args: Any) -> Any:
        own = [
            jax.tree.map(lambda leaf: leaf[0], arg) if axis == 0 else arg
            for arg, axis in zip(args, in_axes, strict=True)
        ]
        result = function(*own)
        return jax.tree.map(lambda leaf: leaf[None], result) if out_axes == 0 else result

    def spec(axis: int | None) -> PartitionSpec:
        return PartitionSpec(axis_name) if axis == 0 else PartitionSpec()

    # With check_vma the gradients of replicated parameters are summed already, and their mean is n times too large.
    mapped = jax.shard_map(
        shard,
        mesh=Mesh(np.array(devices), (axis_name,)),
        in_specs=tuple(spec(axis) for axis in in_axes),
        out_specs=spec(out_axes),
        check_vma=False,
    )
    return jax.jit(mapped, donate_argnums=donate_argnums)
