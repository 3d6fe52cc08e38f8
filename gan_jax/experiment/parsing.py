"""Settings as typed on a command line: a string is parsed into a value of the setting's type."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator
from typing import Any, Literal, Union

from gan_jax.experiment.component import describe


class IncompleteError(Exception):
    """The component has a setting without a default, so a command line cannot make it."""


def element_type(annotation: Any) -> Any:
    """The type of a tuple's elements, for a field whose type includes a tuple."""
    options = (
        typing.get_args(annotation) if typing.get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    )
    return next(typing.get_args(option)[0] for option in options if typing.get_origin(option) is tuple)


def parse_setting(text: str, annotation: Any, field: dataclasses.Field[Any], path: str) -> Any:
    """Reads a value typed on a command line by the setting's type.

    Args:
        text: as typed.
        annotation: the setting's resolved type.
        field: the dataclass field, whose choices are the known components.
        path: the setting's dotted path, for messages.

    Returns:
        The value, of the annotated type.

    Raises:
        ValueError: if the text is not a value of that type.
    """
    for parse in _parsers(annotation, field, path):
        try:
            return parse(text)
        except ValueError:
            continue
    raise ValueError(f"{path} is {text!r}, and must be {describe(field, annotation)}")


def _parsers(annotation: Any, field: dataclasses.Field[Any], path: str) -> Iterator[Any]:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        for arg in sorted(args, key=lambda a: a is str):
            yield from _parsers(arg, field, path)
    elif origin is Literal:
        yield lambda text: _choose(text, {str(a): a for a in args})
    elif origin is tuple:
        element = args[0]

        def parse_tuple(text: str) -> Any:
            words = [w for w in re.split(r"[,\s]+", text.strip("()[] ")) if w]
            return tuple(parse_setting(word, element, field, field.name) for word in words)

        yield parse_tuple
    elif annotation is bool:
        yield lambda text: _choose(text.lower(), {"true": True, "false": False, "yes": True, "no": False})
    elif annotation in (int, float, str):
        yield annotation
    elif annotation is type(None):
        yield lambda text: _choose(text.lower(), {"none": None, "null": None})
    else:
        yield lambda text: _make(
            _choose(_plain(text), {_plain(c.__name__): c for c in field.metadata["choices"]}), path
        )


def _make(cls: type, path: str) -> Any:
    required = [f.name for f in dataclasses.fields(cls) if f.default is dataclasses.MISSING]
    if required:
        raise IncompleteError(f"{path}: {cls.__name__} needs {', '.join(required)}, which only a config file can give")
    return cls()


def _choose(text: str, options: dict[str, Any]) -> Any:
    if text not in options:
        raise ValueError(text)
    return options[text]


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "").lower()
