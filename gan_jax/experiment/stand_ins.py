"""Stand-ins for a user's own components in a record whose code is not executed; they have a name and settings only."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from gan_jax.experiment.component import is_component, setting


class StandIn:
    """A component of which only the name and the settings are known."""

    RECORD_NAME: ClassVar[str]


@functools.cache
def stand_in(name: str, settings: tuple[str, ...]) -> type[StandIn]:
    """The class of a stand-in.

    Args:
        name: of the component in the record.
        settings: names of its fields.

    Returns:
        A class for `unchecked`, whose instances `walk` and `to_json` accept.

    Raises:
        ValueError: if a setting's name is not a valid field name.
    """
    try:
        cls = dataclasses.make_dataclass(
            name.rpartition(":")[2].rpartition(".")[2],
            [(field, Any, setting(default=None)) for field in settings],
            bases=(StandIn,),
            init=False,
            repr=False,
            eq=False,
        )
    except TypeError as error:
        raise ValueError(f"component {name!r} has a setting whose name is not valid: {error}") from error
    made: Any = cls
    made.RECORD_NAME = name
    made.__component_annotations__ = staticmethod(lambda: dict.fromkeys(settings, Any))
    return made


def holds_stand_in(values: Iterable[Any]) -> bool:
    """Whether any of the values is or contains a stand-in, or is the class of one."""
    return any(next(stand_ins(value), None) is not None for value in values)


def stand_ins(value: Any) -> Iterator[type[StandIn]]:
    """The classes of all stand-ins in a value."""
    cls = value if isinstance(value, type) else type(value)
    if issubclass(cls, StandIn):
        yield cls
    if isinstance(value, tuple):
        for part in value:
            yield from stand_ins(part)
    elif is_component(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from stand_ins(getattr(value, field.name))


def unchecked(cls: Any, settings: Mapping[str, Any]) -> Any:
    """A component that contains stand-ins, with its settings unchecked.

    Raises:
        ValueError: if a setting without a default is not given.
    """
    made = object.__new__(cls)
    for field in dataclasses.fields(cls):
        value = settings.get(field.name, field.default)
        if value is dataclasses.MISSING:
            raise ValueError(f"{cls.__name__} needs a setting {field.name!r}")
        object.__setattr__(made, field.name, value)
    return made
