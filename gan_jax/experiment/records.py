"""Experiments from records: the public components by name, found by walking the fields of `Experiment`."""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from gan_jax.experiment.component import annotations_of, is_component
from gan_jax.experiment.config_code import ConfigCode
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import from_json
from gan_jax.experiment.stand_ins import stand_in, stand_ins


@functools.cache
def public_components() -> Mapping[str, type]:
    """Every component that an experiment of this package can hold, by class name.

    Example:
        >>> components = public_components()
        >>> components["Ring"].__name__, "MLPGenerator" in components, "Linear" in components
        ('Ring', True, True)
    """
    found: dict[str, type] = {}
    waiting: list[Any] = [Experiment]
    while waiting:
        cls = waiting.pop()
        if found.setdefault(cls.__name__, cls) is not cls:
            raise TypeError(f"two public components are called {cls.__name__}: {found[cls.__name__]} and {cls}")
        waiting += [part for part in _parts(cls) if found.get(part.__name__) is not part]
    return MappingProxyType(found)


def _parts(cls: Any) -> Iterator[Any]:
    """The component classes that the fields of a component can hold."""
    annotations = annotations_of(cls)
    for name, field in cls.__dataclass_fields__.items():
        candidates = [*field.metadata.get("choices", ()), type(field.default), *_classes(annotations[name])]
        yield from (part for part in candidates if isinstance(part, type) and is_component(part))


def _classes(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in typing.get_args(annotation):
        yield from _classes(argument)


def read_component(value: Any) -> Any:
    """The component that `to_json` wrote, of any public class.

    Args:
        value: the content of a record's JSON.

    Returns:
        The component.

    Raises:
        ValueError: if the record names an unknown component or setting, or holds a value that the component refuses.

    Example:
        >>> from gan_jax.data.mixtures import Ring
        >>> from gan_jax.experiment.settings import to_json
        >>> read_component(to_json(Ring(std=0.05))).std
        0.05
    """
    return from_json(value, public_components())


def read_experiment(value: Any, code: ConfigCode | None = None) -> Experiment:
    """The experiment that `to_json` wrote.

    Args:
        value: the content of a record's JSON.
        code: of the config that defines the components that are not public. None puts stand-ins in their place.

    Returns:
        The experiment. If `missing_components` is not empty, it can be shown but not run.

    Raises:
        ValueError: as `read_component`, and if the record is not an experiment's, or the code lacks a component of it.
    """
    own: dict[str, type] = {}
    for name, settings in own_components(value):
        found = stand_in(name, settings) if code is None else code.component(name)
        if found is None:
            raise ValueError(f"{code.path if code else ''} defines no component {name.rpartition(':')[2]}")
        own[name] = found
    made = from_json(value, {**public_components(), **own})
    if not isinstance(made, Experiment):
        raise ValueError(f"the record holds a component {type(made).__name__}, not an Experiment")
    return made


def own_components(value: Any) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Names of a record's components that are not public, and of their settings.

    Example:
        >>> list(own_components({"component": "Ring", "weights": [{"component": "__config__:Slope", "a": 1.0}]}))
        [('__config__:Slope', ('a',))]
    """
    if isinstance(value, dict):
        name = value.get("component")
        if isinstance(name, str) and ":" in name and not name.startswith("gan_jax."):
            yield name, tuple(str(setting) for setting in value if setting != "component")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from own_components(part)


def missing_components(parts: tuple[Any, ...]) -> list[str]:
    """Names of the classes, in parts of a record's experiment, whose code has not been executed."""
    return list(dict.fromkeys(found.__name__ for found in stand_ins(parts)))
