"""The plan of a sweep: its data sets, the strategy of each group of members, and batches that fit into memory."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from gan_jax.data.images import fingerprint
from gan_jax.data.stacked import ImageData
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Member, Sweep
from gan_jax.metrics.sample_evaluation import make_measure
from gan_jax.networks.convolution import default_implementation
from gan_jax.runs.files import set_aside
from gan_jax.runs.folders import RunError
from gan_jax.runs.runner import Draw, Measure
from gan_jax.runs.sweep_directory import GroupPlan, SweepDirectory
from gan_jax.scaling import hosts
from gan_jax.scaling.memory_check import MemoryNeedError, check_training_memory, free_bytes, state_bytes
from gan_jax.scaling.programs import compiled_init
from gan_jax.scaling.strategies import (
    STRATEGIES,
    Strategy,
    device_bytes,
    fastest_strategy,
    make_strategy,
    members_that_fit,
    program_bytes,
)
from gan_jax.training.chunks import ChunkSpec, plan
from gan_jax.training.evaluations import LoadedData, load_data
from gan_jax.training.state import TrainState

_MEMORY_SHARE = 0.85  # share of a device's memory that a plan fills; fragments and the program take the rest


@dataclasses.dataclass(frozen=True)
class SweepOptions:
    """What the host does beside training.

    Attributes:
        strategy: one of `gan_jax.scaling.strategies.STRATEGIES`, or "auto".
        max_members: most members that run at once; None runs as many as fit into memory.
        memory_bytes: memory of each device; None takes what the device reports.
        num_pictures: pictures of each member over its run; the last evaluation always has one.
        progress: whether to report progress on standard error.
        stop_at_collapse: whether a batch of members ends once each of them has an onset (or is not finite): at the
            evaluation that fills the window of the last one.
        draw: writes a picture of samples, as in `HostOptions`.
        metrics: names of metrics, with commas, or "all", that measure the samples of each evaluation of every member
            beside those of the detector; None measures none. Their values are the "samples" of a row of metrics.jsonl.
        restart: whether members that cannot be continued are trained anew; their old files are then set aside.
        checkpoint_seconds: least time between checkpoints; a resumed sweep trains the steps after the last one again.
            0 saves at every evaluation.
        stops: called with the step after every evaluation but the last; if it returns True, the sweep saves and stops.
    """

    strategy: str = "auto"
    max_members: int | None = None
    memory_bytes: float | None = None
    num_pictures: int = 4
    progress: bool = True
    stop_at_collapse: bool = False
    draw: Draw | None = None
    metrics: str | None = None
    restart: bool = False
    checkpoint_seconds: float = 0.0
    stops: Callable[[int], bool] | None = None


class StoppedSweepError(RunError):
    """A sweep was told to stop before its end. Its state is saved, and it can be resumed."""


class Library:
    """The data sets of a sweep, each read once.

    Args:
        location: the folder of the data; None searches the default places.
    """

    def __init__(self, location: str | None) -> None:
        self._location = Path(location) if location else None
        self._loaded: dict[Any, LoadedData] = {}
        self._measures: dict[Any, Measure] = {}
        self.fingerprints: dict[str, str] = {}

    def resources(self, experiment: Experiment) -> LoadedData:
        """The loaded data of an experiment, with the reference of its detector.

        Raises:
            RunError: if the folder of the data does not exist.
        """
        if not isinstance(experiment.data, ImageData):
            return load_data(experiment, self._location)
        if self._location is not None and not self._location.exists():
            raise RunError(f"--data {self._location} does not exist: give the folder of a data set, or leave it out")
        # The reference of an image detector depends on all settings of the detector.
        key = (experiment.data, experiment.detector)
        if key not in self._loaded:
            self._loaded[key] = load_data(experiment, self._location)
            self.fingerprints[data_name(experiment)] = fingerprint(self._loaded[key].dataset)
        return self._loaded[key]

    def measure(self, experiment: Experiment, metrics: str) -> Measure:
        """Measures the samples of an evaluation of an experiment: `make_measure`, made once for each kind of data.

        Raises:
            SampleError: for a metric that is not known, or that the data or the number of samples do not allow.
        """
        key = experiment.data, experiment.detector.num_samples, metrics
        if key not in self._measures:
            self._measures[key] = make_measure(
                experiment.data, self.resources(experiment).dataset, metrics, experiment.detector.num_samples
            )
        return self._measures[key]


def check_sweep_memory(sweep: Sweep, library: Library, options: SweepOptions) -> None:
    """Checks that the states of all members fit into memory together, and each of the largest arms by itself.

    Args:
        sweep: arms and seeds.
        library: the data sets of the sweep.
        options: the options of the host.

    Raises:
        MemoryNeedError: if they do not fit; the message says what is needed and what fits.
    """
    arms = [arm.experiment for arm in sweep.arms]
    counts = collections.Counter(map(jax.tree.structure, arms))
    kinds = {jax.tree.structure(arm): arm for arm in arms}
    sizes = {structure: state_bytes(arm) for structure, arm in kinds.items()}
    largest = max(sizes, key=lambda structure: sizes[structure])
    most_samples = max(arms, key=lambda arm: arm.detector.num_samples)
    suspects = (kinds[largest], max(arms, key=lambda arm: arm.batch_size), most_samples)
    for arm in {jax.tree.structure(arm): arm for arm in suspects}.values():
        check_training_memory(arm, library.resources(arm))
    for (
        structure,
        each,
    ) in sizes.items():  # members of one structure start together, and all their states are made first
        members = counts[structure] * len(sweep.seeds)
        fits = free_bytes() // (2 * each)  # before and after a chunk
        if min(members, options.max_members or members) > fits:
            raise MemoryNeedError(
                f"{members:,} members with states of {each:,} bytes do not fit into memory together, but {fits:,} do: "
                f"give fewer --seeds, or --max-members {max(fits, 1)}, which runs so many at a time"
            )


def data_name(experiment: Experiment) -> str:
    """A name that tells the data sets of a sweep apart, such as "mnist, 28 pixels"; "" for data made from settings."""
    data = experiment.data
    if not isinstance(data, ImageData):
        return ""
    first = getattr(data, "num_examples", None)
    return f"{data.name}, {data.image_size} pixels" + (f", first {first:,}" if first else "")


def stored_plans(
    directory: SweepDirectory | None,
    groups: Sequence[Sequence[int]],
    restart: bool,
    say: Callable[[str], None],
) -> list[GroupPlan]:
    """The plans that a sweep was started with; its checkpoints hold the batches of these plans.

    Args:
        directory: the directory of the sweep; None has no plans.
        groups: numbers of the members of each structure.
        restart: whether a sweep with damaged plans is started anew; its old files are then set aside.
        say: called with each line of progress.

    Returns:
        One plan per group, for the groups that have one.

    Raises:
        RunError: if plans are damaged, or missing for a group that has begun, and `restart` is not given.
    """
    if directory is None:
        return []
    try:
        plans = directory.read_plans()
        for number, group in enumerate(groups):
            if number >= len(plans):
                lost = directory.batch_path(number, 0).exists()
            else:
                batches = [member for batch in plans[number].batches for member in batch]
                lost = batches != list(group) or plans[number].strategy not in STRATEGIES
            if lost:
                raise RunError(
                    f"{directory.plan_path} lacks the batches of members {group[0]} to {group[-1]}, which have begun: "
                    f"{directory.plan_remedy}"
                )
    except RunError as error:
        if not restart:
            raise
        place = set_aside(directory.path, directory.written())
        say(f"gan-jax: {str(error).partition(':')[0]}: all members start anew; the old files were moved to {place}")
        return []
    return plans


def make_plan(
    members: Sequence[Member],
    group: list[int],
    resources: LoadedData,
    options: SweepOptions,
    say: Callable[[str], None],
) -> GroupPlan:
    """Chooses the fastest strategy by timing, and cuts the group into batches that fit into memory.

    With a given strategy that trains members side by side, convolutions that are set to "auto" are matrix products.

    Args:
        members: the members of the sweep.
        group: numbers of the members of one structure.
        resources: their data.
        options: the options of the host.
        say: called with each line of progress.

    Returns:
        The plan.
    """
    mine = [group[i] for i in hosts.shard(len(group))]
    if options.max_members is not None:
        mine = mine[: max(1, options.max_members // hosts.num_hosts())]
    experiments, states = [members[i].arm.experiment for i in mine], first_states(members, mine)
    first = experiments[0]
    say(f"{len(group)} members share a compiled program: {first.num_steps:,} steps at batch size {first.batch_size}")
    spec = next(plan(first, resources))
    timings: dict[str, float] = {}
    name, convolution, at_once = options.strategy, None, len(mine)
    if name == "auto":
        best = 0.0
        for way in convolutions(first):
            variants = [with_convolution(experiment, way) for experiment in experiments]
            for timing in fastest_strategy(variants, resources, states, budget=_budget(options)):
                label = timing.strategy + (f", {way} convolutions" if way else "")
                timings[label] = round(timing.member_steps_per_second, 2)
                rate = f"{timing.member_steps_per_second:,.3g} steps/s over {timing.num_members} members"
                say(f"timed strategy {label}: {rate}, {timing.compile_seconds:.0f} s to compile")
                if timing.member_steps_per_second > best:
                    best, name, convolution = timing.member_steps_per_second, timing.strategy, way
        name = "map" if name == "auto" else name
    elif name.endswith("vmap") and len(mine) > 1:
        convolution = convolutions(first)[-1]
    experiments = [with_convolution(experiment, convolution) for experiment in experiments]
    at_once = _fitting(make_strategy(name), experiments, resources, states, spec, options)
    # Each process has timed the strategies by itself, but all must take the same one.
    name, convolution, at_once, timings = hosts.from_leader(lambda: (name, convolution, at_once, timings))
    size = at_once * hosts.num_hosts()
    batches = [group[i : i + size] for i in range(0, len(group), size)]
    several = f", {hosts.num_hosts()} processes" if hosts.num_hosts() > 1 else ""
    say(f"using strategy {make_strategy(name).describe()}{several}")
    if len(batches) > 1:
        why = "as --max-members asks" if at_once == len(mine) else "more do not fit into the memory of a device"
        say(f"the members are trained in {len(batches)} batches of up to {size}, one after another: {why}")
    return GroupPlan(name, hosts.num_hosts() * len(make_strategy(name).devices), batches, timings, convolution)


def convolutions(experiment: Experiment) -> list[str | None]:
    """The implementations of convolutions to time; None is the networks' own.

    Under `vmap`, native convolutions become one grouped convolution, whose gradients are slow, while matrix products
    become one batched product. On a CPU the networks use matrix products anyway.
    """
    free = any(getattr(network, "convolution", None) == "auto" for network in _networks(experiment))
    return [None, "matmul"] if free and default_implementation() == "native" else [None]


def with_convolution(experiment: Experiment, implementation: str | None) -> Experiment:
    """The experiment with this implementation for convolutions that are set to "auto". Parameters are the same."""
    for player, network in zip(("generator", "discriminator"), _networks(experiment), strict=True):
        if implementation is not None and getattr(network, "convolution", None) == "auto":
            experiment = override(experiment, f"{player}.network.convolution", implementation)
    return experiment


def _networks(experiment: Experiment) -> tuple[Any, Any]:
    return experiment.generator.network, experiment.discriminator.network


def _fitting(
    strategy: Strategy,
    experiments: Sequence[Experiment],
    resources: LoadedData,
    states: Sequence[TrainState],
    spec: ChunkSpec,
    options: SweepOptions,
) -> int:
    """The number of these members that a strategy can hold at once, from XLA's memory analysis of the chunk."""
    stack, placed = strategy.place(experiments, states), strategy.place_resources(resources)
    used = program_bytes(strategy.compile(stack, placed, spec, num_kept(experiments[0], options)))
    if used <= _budget(options):
        return len(experiments)
    each = -(-len(experiments) // len(strategy.devices))
    fixed = sum(leaf.nbytes for leaf in jax.tree.leaves(resources))
    return members_that_fit(used, fixed, each, _budget(options)) * len(strategy.devices)


def _budget(options: SweepOptions) -> float:
    """Bytes of a device that a program may use."""
    return options.memory_bytes or _MEMORY_SHARE * min(map(device_bytes, jax.local_devices()))


def num_kept(experiment: Experiment, options: SweepOptions) -> int:
    """Samples of each evaluation that are brought to the host, for pictures or for the chosen metrics."""
    return num_pictured(experiment) if options.metrics is None else int(experiment.detector.num_samples)


def num_pictured(experiment: Experiment) -> int:
    """Samples of each evaluation that a picture shows."""
    return 64 if len(experiment.data.shape) == 3 else 1500


def first_states(members: Sequence[Member], which: Sequence[int]) -> list[TrainState]:
    """The states of some members before their first step."""
    # One by one, not under vmap: a batched factorisation gives orthogonal matrices that differ in the last bits.
    return [compiled_init(members[i].arm.experiment, jax.random.key(members[i].seed)) for i in which]
