"""Sweeps: arms (experiments) crossed with seeds, and which members can run as one program.

`gan_jax.scaling.strategies` runs members together. `gan-jax sweep` adds a folder, checkpoints and a report.
"""

from __future__ import annotations

import itertools
import math
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from gan_jax.data.stacked import ImageData
from gan_jax.experiment.component import is_component
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override_all


class Arm(NamedTuple):
    """One experiment of a sweep.

    Attributes:
        name: a label such as "rate=0.05".
        experiment: the experiment that the arm runs.
        settings: the values, by dotted path, in which the arm differs from others.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> rate = {"generator.learning_rate": 0.01}
        >>> Arm("rate=0.01", override_all(tiny_ring(), rate.items()), rate).experiment.generator.learning_rate
        0.01
    """

    name: str
    experiment: Experiment
    settings: Mapping[str, Any]


class NumericSetting(NamedTuple):
    """The one setting in which arms differ, if it is a number.

    Attributes:
        path: its dotted path.
        values: its value by the name of the arm.
        unit: a twentieth of the range of the values, rounded to one digit.

    Example:
        >>> NumericSetting("rate", {"rate=0.0": 0.0, "rate=0.2": 0.2}, 0.01).unit
        0.01
    """

    path: str
    values: dict[str, float]
    unit: float


def numeric_setting(arms: Mapping[str, Mapping[str, Any]]) -> NumericSetting | None:
    """The setting in which all arms differ, if it is only one and a number.

    Args:
        arms: by the name of the arm its settings, as in `Arm.settings`.

    Returns:
        The setting; None if there is none.

    Example:
        >>> numeric_setting({"plain": {"rate": 0.0}, "flips": {"rate": "0.2"}}).values
        {'plain': 0.0, 'flips': 0.2}
        >>> numeric_setting({"plain": {}, "flips": {"rate": 0.2}})
    """
    paths = {path for settings in arms.values() for path in settings}
    if len(paths) != 1 or len(arms) < 2:
        return None
    path = paths.pop()
    try:
        values = {name: float(settings[path]) for name, settings in arms.items()}
    except (KeyError, TypeError, ValueError):  # an arm may not set it
        return None
    span = max(values.values()) - min(values.values())
    return NumericSetting(path, values, float(f"{span / 20:.0e}")) if 0 < span < math.inf else None


class Member(NamedTuple):
    """One run of a sweep.

    Attributes:
        arm: the experiment and its name.
        seed: the seed of the run's key.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> member = Member(Arm("plain", tiny_ring(), {}), seed=3)
        >>> member.arm.name, member.seed
        ('plain', 3)
    """

    arm: Arm
    seed: int


class Sweep(NamedTuple):
    """Arms crossed with seeds; `grid` and `variations` make one.

    Attributes:
        arms: the experiments, each with its name.
        seeds: each arm runs once with each of them.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> study = Sweep((Arm("plain", tiny_ring(), {}), Arm("long", tiny_ring(num_steps=40), {})), seeds=(0, 1))
        >>> [(member.arm.name, member.seed) for member in study.members()]
        [('plain', 0), ('long', 0), ('plain', 1), ('long', 1)]
    """

    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]

    def members(self) -> list[Member]:
        """All runs, with seeds in the outer loop, so that an interrupted sweep is balanced over arms."""
        return [Member(arm, seed) for seed in self.seeds for arm in self.arms]


_MOST_ARMS = 10_000
_MOST_SEEDS = 100_000


def grid(
    base: Experiment,
    axes: Mapping[str, Sequence[Any]],
    seeds: int | Sequence[int] = 5,
    *,
    shared: Iterable[tuple[str, Any]] = (),
) -> Sweep:
    """A sweep over every combination of some settings' values.

    The settings of an arm are applied together and checked once, so only the complete arm has to be valid.

    Args:
        base: the experiment that all arms share.
        axes: values by dotted path, as `override` takes them; a path may be inside what another one sets.
        seeds: the seeds, or their number n, at least 1, for seeds 0 to n - 1.
        shared: (path, value) of further settings that all arms share; they are not part of the arms' names.

    Returns:
        A sweep with one arm for each combination; the last axis varies fastest.

    Raises:
        ValueError: for an unknown path, a value that does not fit, an axis without values, too many arms or seeds, or
            repeated seeds.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> study = grid(tiny_ring(), {"data.std": (0.01, 0.02), "generator.learning_rate": (1e-3,)}, seeds=3)
        >>> [arm.name for arm in study.arms], len(study.members())
        (['std=0.01, learning_rate=0.001', 'std=0.02, learning_rate=0.001'], 6)
    """
    seeds, shared = _checked(seeds), tuple(shared)
    for path, values in axes.items():
        if isinstance(values, str) or not len(values):
            raise ValueError(f"the values of {path} are {values!r}, and must be a list or tuple of at least one value")
    if (num := math.prod(map(len, axes.values()))) > _MOST_ARMS:
        raise ValueError(f"the grid has {num:,} arms, more than {_MOST_ARMS:,}: give fewer values")
    labels = _short_names(list(axes))
    arms = []
    for values in itertools.product(*axes.values()):
        pairs = dict(zip(axes, values, strict=True))
        experiment = override_all(base, (*shared, *pairs.items()))
        settings = {path: _plain(value) for path, value in pairs.items()}
        name = ", ".join(f"{labels[path]}={value}" for path, value in settings.items())
        arms.append(Arm(name or "base", experiment, settings))
    names = [arm.name for arm in arms]
    if len(set(names)) < len(names):
        raise ValueError(f"two arms of the sweep are equal: {max(names, key=names.count)!r} occurs more than once")
    return Sweep(tuple(arms), seeds)


def variations(base: Experiment, settings: Mapping[str, Mapping[str, Any]], seeds: int | Sequence[int] = 5) -> Sweep:
    """A sweep over named arms, each of which changes some settings of the base.

    Args:
        base: the experiment that the arms change.
        settings: for each arm's name, values by dotted path, as `override` takes them; {} is the base itself.
        seeds: the seeds, or their number n, at least 1, for seeds 0 to n - 1.

    Returns:
        A sweep with the arms in the given order.

    Raises:
        ValueError: for an unknown path, a value that does not fit, or repeated seeds.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> study = variations(tiny_ring(), {"plain": {}, "fast": {"generator.learning_rate": 1e-2}}, seeds=2)
        >>> [arm.name for arm in study.arms], study.seeds
        (['plain', 'fast'], (0, 1))
    """
    arms = []
    for name, changes in settings.items():
        experiment = override_all(base, changes.items())
        arms.append(Arm(name, experiment, {path: _plain(value) for path, value in changes.items()}))
    return Sweep(tuple(arms), _checked(seeds))


def _checked(seeds: int | Sequence[int]) -> tuple[int, ...]:
    given = range(seeds) if isinstance(seeds, int) else seeds
    if len(given) > _MOST_SEEDS:
        raise ValueError(f"the sweep has {len(given):,} seeds, more than {_MOST_SEEDS:,}: give fewer")
    if not given or len(set(given)) < len(given) or not all(0 <= seed < 2**32 for seed in given):
        shown = reprlib.repr(seeds)
        raise ValueError(
            f"the seeds of a sweep are {shown}: give a count of at least 1, or distinct seeds from 0 to 2**32 - 1"
        )
    return tuple(given)


def _plain(value: Any) -> Any:
    """A setting's value for tables and JSON: a component by its name."""
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return type(value).__name__ if is_component(value) else value


def _short_names(paths: list[str]) -> dict[str, str]:
    """For each dotted path, its last parts: as few as make all of them different."""
    for length in itertools.count(1):
        short = {path: ".".join(path.split(".")[-length:]) for path in paths}
        if len(set(short.values())) == len(paths) or length > 20:
            return short
    raise AssertionError


def groups(members: Sequence[Member]) -> list[list[int]]:
    """Indices of members grouped by the structure of their experiments: a group can run as one program."""
    found: dict[Any, list[int]] = {}
    for index, member in enumerate(members):
        experiment = member.arm.experiment
        # An image detector makes its reference from its floats, so the members of a group must share them.
        detector = experiment.detector if isinstance(experiment.data, ImageData) else None
        found.setdefault((jax.tree.structure(experiment), detector), []).append(index)
    return list(found.values())
