"""The decorator that makes a class of settings a pytree: an experiment is one.

A component is a frozen dataclass. Each of its fields is either

* a *leaf* (typed `float`, another component, a tuple of components, or one of these or None), which `jit` traces and
  `vmap` can stack, or
* *structure* (typed `int`, `str`, `bool`, a `Literal`, or a tuple of these), which is part of the treedef.

A jitted function of a component compiles once per structure, and changing a float does not recompile it. No code may
branch on a leaf: a feature is switched off by its absence (`penalty=None`), not by a weight of 0.

Stacking, files, differences and command-line overrides of components are in `gan_jax.experiment.settings`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeVar, Union

import jax
import numpy as np

_C = TypeVar("_C")
_STRUCTURE = (int, str, bool, type(None))
_ARRAYS = (jax.Array, np.ndarray, jax.ShapeDtypeStruct)
_INT32_MAX = 2**31 - 1


def setting(
    default: Any = dataclasses.MISSING,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    choices: tuple[type, ...] = (),
    doc: str = "",
    measures: bool = False,
) -> Any:
    """A field of a component, with its bounds and a line of documentation.

    Args:
        default: the value when none is given; a field without a default is required.
        at_least: lower bound, checked when the component is made; traced values are not checked. A bound applies to
            every number that the field holds, also inside a tuple.
        above: strict lower bound.
        at_most: upper bound.
        below: strict upper bound.
        choices: the component classes that this field takes by name on the command line. Python code may give any
            other object with the right methods.
        doc: meaning, unit and range, shown by `--help` and in error messages.
        measures: for a detector's setting: whether it changes the metrics themselves, so that stored metrics cannot be
            classified again with another value (`gan-jax thresholds`).

    Returns:
        A dataclass field whose metadata hold the bounds, the choices and the documentation.

    Example:
        >>> @component
        ... class Noise:
        ...     rate: float = setting(default=0.1, at_least=0, below=1, doc="share of labels flipped")
        >>> Noise(rate=1.0)
        Traceback (most recent call last):
        ...
        ValueError: Noise.rate is 1.0, and must be below 1 (share of labels flipped)
    """
    bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    kept = {name: bound for name, bound in bounds.items() if bound is not None}
    metadata = {"bounds": kept, "choices": choices, "doc": doc, "measures": measures}
    return dataclasses.field(default=default, metadata=metadata)


@typing.dataclass_transform(frozen_default=True, field_specifiers=(setting,))
def component(cls: type[_C]) -> type[_C]:
    """Makes a class a component: a frozen, validated dataclass that is a pytree.

    The class may define `validate(self)`, which raises `ValueError` for settings that cannot work together. It runs
    after the checks of type and bounds, and only if all values are concrete. `jit`, `vmap` and `grad` rebuild a
    component from traced leaves without any check.

    Args:
        cls: a class whose annotated attributes are its fields, made by `setting` or plain defaults.

    Returns:
        The same class, now a frozen dataclass that is registered as a pytree.

    Raises:
        TypeError: if a field is neither a leaf nor structure (a list, a dict, a bare array).

    Example:
        >>> import jax
        >>> @component
        ... class Noise:
        ...     rate: float = setting(default=0.1, at_least=0, at_most=1, doc="share of labels flipped")
        ...     side: str = "both"
        >>> jax.tree.leaves(Noise(rate=0.2))
        [0.2]
        >>> Noise(rate=1.5)
        Traceback (most recent call last):
        ...
        ValueError: Noise.rate is 1.5, and must be at most 1 (share of labels flipped)
    """
    cls = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    hints: dict[str, Any] = {}

    def annotations() -> dict[str, Any]:
        if not hints:
            hints.update(typing.get_type_hints(cls))
        return hints

    original_init = cls.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        unknown = kwargs.keys() - {field.name for field in fields}
        if unknown:
            raise ValueError(unknown_name(f"{cls.__name__} has no setting", min(unknown), [f.name for f in fields]))
        original_init(self, *args, **kwargs)
        concrete = True
        for field in fields:
            value = check_setting(cls.__name__, field, annotations()[field.name], getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            concrete &= not any(isinstance(leaf, _ARRAYS) for leaf in jax.tree.leaves(value))
        if concrete and hasattr(self, "validate"):
            self.validate()

    cls.__init__ = __init__  # type: ignore[method-assign]
    cls.__component_annotations__ = staticmethod(annotations)  # type: ignore[attr-defined]
    split: list[tuple[str, ...]] = []

    def names() -> tuple[tuple[str, ...], tuple[str, ...]]:
        # Resolved at the first flattening, not at decoration, so that annotations may name classes defined below.
        if not split:
            structural = tuple(f.name for f in fields if is_structure(annotations()[f.name]))
            split.append(tuple(f.name for f in fields if f.name not in structural))
            split.append(structural)
        return split[0], split[1]

    def flatten_with_keys(self: Any) -> tuple[Any, Any]:
        leaves, structure = names()
        keyed = tuple((jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in leaves)
        return keyed, tuple(getattr(self, name) for name in structure)

    def flatten(self: Any) -> tuple[Any, Any]:
        leaves, structure = names()
        return tuple(getattr(self, n) for n in leaves), tuple(getattr(self, n) for n in structure)

    def unflatten(static: tuple[Any, ...], children: tuple[Any, ...]) -> Any:
        leaves, structure = names()
        self = object.__new__(cls)
        for name, value in (*zip(leaves, children, strict=True), *zip(structure, static, strict=True)):
            object.__setattr__(self, name, value)
        return self

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)  # type: ignore[arg-type]
    return cls


def is_component(value: Any) -> bool:
    """Whether a value (or a class) is a component."""
    return hasattr(value, "__component_annotations__")


def annotations_of(value: Any) -> dict[str, Any]:
    """The resolved annotation of every field of a component."""
    return value.__component_annotations__()


def is_structure(annotation: Any) -> bool:
    """Whether a field of this type is part of the treedef rather than a leaf."""
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return True
    if origin in (Union, types.UnionType, tuple):
        return all(is_structure(a) for a in typing.get_args(annotation) if a is not Ellipsis)
    if annotation in (list, dict, set, np.ndarray) or origin in (list, dict, set):
        raise TypeError(f"a component cannot have a field of type {annotation}: use a tuple, or a component")
    return annotation in _STRUCTURE


def check_setting(owner: str, field: dataclasses.Field[Any], annotation: Any, value: Any) -> Any:
    """Checks one setting's type and bounds; whole numbers given for floats become floats.

    Every number that the value holds is checked, also inside a tuple: it is finite and within the field's bounds, and a
    whole number fits int32 unless the field's own upper bound is larger. Arrays are not checked.

    Args:
        owner: the component's name, for messages.
        field: the dataclass field, made by `setting`.
        annotation: the field's resolved type.
        value: what the field was given.

    Returns:
        The value, of the annotated type.

    Raises:
        ValueError: naming the field, the value and what it must be.
    """
    name = f"{owner}.{field.name}"
    doc = field.metadata.get("doc", "")
    about = f" ({doc})" if doc else ""
    if isinstance(value, np.generic):
        value = value.item()
    fits, value = _fit(annotation, value)
    if not fits:
        raise ValueError(f"{name} is {value!r}, and must be {describe(field, annotation)}{about}")
    bounds = dict(field.metadata.get("bounds", {}))
    for number in _numbers(value):
        shown = f"{name} is {number!r}" if number is value else f"{name} is {_shown(value)}, which holds {number!r}"
        if isinstance(number, float) and not math.isfinite(number):
            raise ValueError(f"{shown}, and must be a finite number{about}")
        for bound, limit in bounds.items():
            if not _within(number, bound, limit):
                raise ValueError(f"{shown}, and must be {bound} {limit}{about}")
        largest = max(_INT32_MAX, bounds.get("at most", 0), bounds.get("below", 0))
        if isinstance(number, int) and abs(number) > largest:
            raise ValueError(f"{shown}, and must fit 32 bits: at most {_INT32_MAX} in absolute value{about}")
    return value


def _numbers(value: Any) -> Iterator[float]:
    """The numbers that a setting holds. A schedule holds its extremes, which obey the bounds of the setting."""
    if isinstance(value, tuple):
        for part in value:
            yield from _numbers(part)
    elif is_component(value):
        extremes = value.extremes() if hasattr(value, "extremes") else ()
        yield from (number for number in extremes if isinstance(number, float))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value


def _shown(value: Any) -> str:
    return type(value).__name__ if is_component(value) else repr(value)


def unknown_name(problem: str, name: str, known: Iterable[str]) -> str:
    """The message for a name that is not known: it proposes the nearest names, or lists all.

    Args:
        problem: the start of the message, such as "no config".
        name: the unknown name.
        known: the names that exist.

    Returns:
        The message, in one line.

    Example:
        >>> unknown_name("no mode", "hinj", ["hinge", "minimax"])
        "no mode 'hinj'; did you mean 'hinge'?"
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    near = near or [k for k in known if k.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]][:3]
    if near:
        return f"{problem} {name!r}; did you mean {' or '.join(repr(n) for n in near)}?"
    return f"{problem} {name!r}; there is {', '.join(k for k in known if '.' not in k)}"


def describe(field: dataclasses.Field[Any], annotation: Any) -> str:
    """The values that a field takes, in words: "a number", "one of 'relu', 'tanh'", "one of NonSaturating, Minimax"."""
    choices = field.metadata.get("choices", ())
    if choices:
        number = "a number, or " if float in typing.get_args(annotation) else ""
        return f"{number}one of " + ", ".join(choice.__name__ for choice in choices)
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return "one of " + ", ".join(repr(a) for a in typing.get_args(annotation))
    if origin in (Union, types.UnionType):
        return " or ".join(describe(field, a) for a in typing.get_args(annotation))
    words = {float: "a number", int: "a whole number", str: "a string", bool: "True or False", type(None): "None"}
    if origin is tuple:
        values = [a for a in typing.get_args(annotation) if a is not ...]
        lists = {float: "numbers with commas between them", int: "whole numbers with commas between them"}
        return " and ".join(lists.get(a) or f"a list of {describe(field, a)}" for a in values)
    return words.get(annotation, f"a {getattr(annotation, '__name__', annotation)}")


def _within(value: float, bound: str, limit: float) -> bool:
    return {
        "at least": value >= limit,
        "above": value > limit,
        "at most": value <= limit,
        "below": value < limit,
    }[bound]


def _fit(annotation: Any, value: Any) -> tuple[bool, Any]:
    """(Whether a value is of a type, the value); a whole number given for a float becomes a float."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any:
        return True, value
    if origin in (Union, types.UnionType):
        fitted = [_fit(a, value) for a in sorted(args, key=lambda a: a is float)]
        return next((fit for fit in fitted if fit[0]), (False, value))
    if origin is Literal:
        return value in args, value
    if origin is tuple:
        if not isinstance(value, tuple):
            return False, value
        wanted = args[:1] * len(value) if len(args) == 2 and args[1] is ... else args
        parts = [_fit(a, v) for a, v in zip(wanted, value, strict=False)]
        return len(wanted) == len(value) and all(ok for ok, _ in parts), tuple(v for _, v in parts)
    if annotation is float:
        if isinstance(value, _ARRAYS):
            return True, value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            try:
                return True, float(value)
            except OverflowError:  # a whole number beyond 1.8e308
                return False, value
        return False, value
    if annotation in _STRUCTURE:
        return type(value) is annotation, value
    if isinstance(annotation, type):
        # Components and protocols. JAX may rebuild a tree from placeholders (object(), None): those go through
        # `unflatten`, never through this check.
        return isinstance(value, annotation), value
    return True, value
