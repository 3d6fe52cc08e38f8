"""Execution strategies: ways to run a stack of sweep members as one compiled program, on one device or several.

    map        one member after another inside one program; equal to single runs, bit for bit
    vmap       all members at once, as batched products
    pmap-map   members are distributed over devices, and each device runs its own one after another
    pmap-vmap  members are distributed over devices, and each device runs its own at once

All give the same numbers up to the order of sums in float32. Which one is fastest depends on the device and the
networks; `fastest_strategy` measures it.
"""

from __future__ import annotations

import functools
import math
import os
import statistics
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import stack
from gan_jax.scaling.mapping import device_mapping, over_devices
from gan_jax.scaling.programs import compiler_options, has_small_networks
from gan_jax.training.chunks import Advance, Chunk, ChunkSpec, guarded_chunk
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.state import TrainState

STRATEGIES = ("map", "vmap", "pmap-map", "pmap-vmap")
MEMBER_AXIS = "members"


class Stack(NamedTuple):
    """Members that run together on the devices of a strategy.

    Attributes:
        experiments: their experiments, stacked: leaves [devices, members of a device, ...].
        states: their states, stacked in the same way.
        num: number of members; beyond it the last one is repeated, so that all devices have equally many.
    """

    experiments: Experiment
    states: TrainState
    num: int


class Strategy:
    """Runs a stack of members on some devices.

    Args:
        name: one of `STRATEGIES`.
        devices: devices of this process over which the pmap strategies distribute members; the others use the first.

    Raises:
        ValueError: for an unknown name.
    """

    def __init__(self, name: str, devices: Sequence[jax.Device] | None = None) -> None:
        if name not in STRATEGIES:
            raise ValueError(unknown_name("no strategy", name, STRATEGIES))
        devices = tuple(jax.local_devices() if devices is None else devices)
        self.name = name
        self.devices = devices if name.startswith("pmap") else devices[:1]
        self._mesh = Mesh(np.array(self.devices), (MEMBER_AXIS,))
        self._members_key: Any = None
        self._programs: dict[tuple[ChunkSpec, int], Any] = {}

    def describe(self) -> str:
        return self.name if len(self.devices) == 1 else f"{self.name} over {len(self.devices)} devices"

    def place_resources(self, resources: LoadedData) -> LoadedData:
        """The data on every device, once."""
        return jax.device_put(resources, NamedSharding(self._mesh, PartitionSpec()))

    def place(self, experiments: Sequence[Experiment], states: Sequence[TrainState] | TrainState) -> Stack:
        """Stacks members and places them on the devices.

        Args:
            experiments: one for each member, all of one structure.
            states: one for each member, or a state whose leaves have a leading axis of members.
        """
        num, across = len(experiments), len(self.devices)
        each = -(-num // across)
        order = np.minimum(np.arange(across * each), num - 1)
        if not isinstance(states, TrainState):
            states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)

        def deal(leaf: Any) -> Any:
            leaf = leaf[order] if across * each > num else leaf
            return leaf.reshape(across, each, *leaf.shape[1:])

        sharding = NamedSharding(self._mesh, PartitionSpec(MEMBER_AXIS))
        dealt = jax.tree.map(deal, (stack(list(experiments)), states))
        placed = jax.device_put(dealt, sharding)
        return Stack(placed[0], placed[1], num)

    def gather(self, tree: Any, num: int) -> Any:
        """Leaves [devices, members of a device, ...] as [num, ...], on the host (keys: on the default device)."""

        def leaf(value: Any) -> Any:
            if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
                data = leaf(jax.random.key_data(value))
                return jax.random.wrap_key_data(jnp.asarray(data), impl=jax.random.key_impl(value))
            return np.asarray(value).reshape(math.prod(value.shape[:2]), *value.shape[2:])[:num]

        return jax.tree.map(leaf, tree)

    def compile(self, members: Stack, resources: LoadedData, spec: ChunkSpec, num_samples: int = 0) -> Any:
        """The program of a chunk for these members, compiled: (experiments, resources, states) -> Chunk.

        Its results have the leading axes of a `Stack`, and the states that it is given are donated. Members whose
        values are no longer finite are left unchanged.

        Args:
            members: whose shapes and structure it is compiled for.
            resources: as `place_resources` returns them.
            spec: the static part of the chunk.
            num_samples: how many samples of an evaluation are kept.

        Returns:
            The compiled program; the same one for the same members and spec.
        """
        arguments = (members.experiments, resources, members.states)
        leaves, structure = jax.tree.flatten(arguments)
        members_key = structure, tuple((leaf.shape, leaf.dtype) for leaf in leaves)
        if members_key != self._members_key:  # programs of another group or batch would only take memory
            self._members_key = members_key
            self._programs = {}
        key = spec, num_samples
        if key not in self._programs:
            small = has_small_networks(members.experiments)
            program = _program(self.name, self.devices, small, device_mapping())
            self._programs[key] = program.lower(*arguments, spec, num_samples).compile()
        return self._programs[key]

    def advance(self, num_samples: int = 0) -> Advance:
        """The chunk of stacked members as a way to advance: experiments and states are those of a `Stack`.

        Args:
            num_samples: how many samples of an evaluation are kept.
        """

        def advance(experiment: Experiment, resources: LoadedData, state: TrainState, spec: ChunkSpec) -> Chunk:
            program = self.compile(Stack(experiment, state, 0), resources, spec, num_samples)
            return program(experiment, resources, state)

        return advance


make_strategy = functools.cache(Strategy)
"""`Strategy`, made once for the same arguments, so that its programs stay compiled from batch to batch."""


@functools.cache
def _program(name: str, devices: tuple[jax.Device, ...], small: bool, mapping: str) -> Any:
    def program(
        experiments: Experiment, resources: LoadedData, states: TrainState, spec: ChunkSpec, num_samples: int
    ) -> Any:
        def member(pair: tuple[Experiment, TrainState], shared: LoadedData) -> Chunk:
            result = guarded_chunk(pair[0], shared, pair[1], spec)
            if result.evaluation is None:
                return result
            samples = result.evaluation.samples[:num_samples]
            return result._replace(evaluation=result.evaluation._replace(samples=samples))

        def block(experiments: Experiment, shared: LoadedData, states: TrainState) -> Chunk:
            if name.endswith("vmap"):
                return jax.vmap(member, in_axes=(0, None))((experiments, states), shared)
            return jax.lax.map(lambda pair: member(pair, shared), (experiments, states))

        if name.startswith("pmap"):
            axes: Any = {"in_axes": (0, None, 0), "out_axes": 0}
            dealt = over_devices(block, MEMBER_AXIS, **axes, devices=devices, mapping=mapping)
            return dealt(experiments, resources, states)
        first = jax.tree.map(lambda leaf: leaf[0], (experiments, states))
        return jax.tree.map(lambda leaf: leaf[None], block(first[0], resources, first[1]))

    return jax.jit(
        program,
        static_argnums=(3, 4),
        donate_argnums=2,
        compiler_options=compiler_options() if small else None,
    )


class Timing(NamedTuple):
    """How fast a strategy ran some members: steps of all of them in a second, and seconds to compile."""

    strategy: str
    num_members: int
    member_steps_per_second: float
    compile_seconds: float


def time_strategies(
    strategies: Sequence[Strategy],
    experiments: Sequence[Experiment],
    resources: LoadedData,
    states: Sequence[TrainState],
    budget: float = math.inf,
) -> list[Timing]:
    """Times training steps of these members, without evaluations, on each strategy that can hold them.

    The strategies take turns, so that other load on the machine affects all of them equally. A strategy whose program
    would use more than `budget` bytes of a device is left out.

    Args:
        strategies: those to time.
        experiments: one for each member, all of one structure.
        resources: their data.
        states: one for each member.
        budget: bytes of a device that a program may use.

    Returns:
        Medians, the fastest strategy first.
    """
    spec = ChunkSpec(50 if has_small_networks(experiments[0]) else 4, evaluates=False)
    rounds, compiled = {}, {}
    for strategy in strategies:
        members, placed = strategy.place(experiments, states), strategy.place_resources(resources)
        began = time.perf_counter()
        program = strategy.compile(members, placed, spec)
        compiled[strategy.name] = time.perf_counter() - began
        if program_bytes(program) <= budget:
            first = jax.block_until_ready(program(members.experiments, placed, members.states))
            rounds[strategy.name] = functools.partial(program, members.experiments, placed), first.state
    seconds: dict[str, list[float]] = {name: [] for name in rounds}
    began = time.perf_counter()
    while rounds and (time.perf_counter() - began < 2.0 or len(seconds[next(iter(rounds))]) < 3):
        for name, (advance, current) in rounds.items():
            start = time.perf_counter()
            rounds[name] = advance, jax.block_until_ready(advance(current)).state
            seconds[name].append(time.perf_counter() - start)
    num = len(experiments)
    timings = [
        Timing(name, num, num * spec.num_steps / statistics.median(spent), compiled[name])
        for name, spent in seconds.items()
    ]
    return sorted(timings, key=lambda timing: -timing.member_steps_per_second)


def fastest_strategy(
    experiments: Sequence[Experiment],
    resources: LoadedData,
    states: Sequence[TrainState],
    devices: Sequence[jax.Device] | None = None,
    budget: float = math.inf,
) -> list[Timing]:
    """The timings of all strategies for these members on these devices, the fastest first.

    If no strategy can hold all of them in `budget` bytes of a device, half as many are tried; the list is empty if none
    can hold one.

    Args:
        experiments: one for each member, all of one structure.
        resources: their data.
        states: one for each member.
        devices: on which to run; None takes all of this process.
        budget: bytes of a device that a program may use.

    Returns:
        Timings, the fastest first.
    """
    devices = tuple(jax.local_devices() if devices is None else devices)
    num = len(experiments)
    while True:
        several = len(devices) > 1 and num > 1
        strategies = [Strategy(name, devices) for name in STRATEGIES if name.startswith("pmap") == several]
        timings = time_strategies(strategies, experiments[:num], resources, states[:num], budget)
        if timings or num == 1:
            return timings
        num = -(-num // 2)


# --- Memory -----------------------------------------------------------------------------------------------------------


def program_bytes(program: Any) -> int:
    """What a compiled program needs on each device: arguments, results that are not donated arguments, temporaries."""
    memory = program.memory_analysis()
    if memory is None:
        return 0
    results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return memory.argument_size_in_bytes + max(results, 0) + memory.temp_size_in_bytes


def device_bytes(device: jax.Device) -> int:
    """The memory that a device may use: the allocator's limit; on a CPU the free memory, shared by its devices."""
    stats = device.memory_stats()
    if stats and stats.get("bytes_limit"):
        return int(stats["bytes_limit"])
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    available = pages
    if os.path.exists("/proc/meminfo"):
        with open("/proc/meminfo", encoding="utf-8") as file:
            found = [line.split()[1] for line in file if line.startswith("MemAvailable")]
        available = int(found[0]) * 1024 if found else pages
    return available // jax.local_device_count()


def members_that_fit(used: int, fixed: int, num: int, budget: float) -> int:
    """How many members of a device fit a budget, if `num` of them use `used` bytes, `fixed` of which they share.

    Args:
        used: bytes that `num` members use.
        fixed: bytes of these that they share.
        num: of those members.
        budget: bytes of a device.

    Returns:
        At least 1.

    Example:
        >>> members_that_fit(used=1100, fixed=100, num=10, budget=600)
        5
    """
    each = max(used - fixed, 1) / num
    return int(max(1, min(num, (budget - fixed) // each)))
