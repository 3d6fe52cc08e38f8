"""Operations on components: stack and group them, write and read them, compare and change them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.experiment.component import annotations_of, is_component, unknown_name
from gan_jax.experiment.parsing import IncompleteError, element_type, parse_setting
from gan_jax.experiment.stand_ins import StandIn, holds_stand_in, unchecked

_C = TypeVar("_C")
CONFIG_MODULE = "gan_jax_config_"
"""Prefix of the names of the modules as which configs are executed."""
OWN = "__config__"
"""The place in a record of components that a config defines; it does not depend on the config's name and folder."""


class Setting(typing.NamedTuple):
    """One field of an experiment: its dotted path, value, annotation, and the dataclass field that declares it."""

    path: str
    value: Any
    annotation: Any
    field: dataclasses.Field[Any]


def walk(component: Any, prefix: str = "") -> Iterator[Setting]:
    """Yields every setting of a component, parents before children, in order of declaration.

    Example:
        >>> from gan_jax.data.mixtures import Ring
        >>> [s.path for s in walk(Ring())][:3]
        ['num_modes', 'radius', 'std']
    """
    annotations = annotations_of(component)
    for field in dataclasses.fields(component):
        value, path = getattr(component, field.name), prefix + field.name
        yield Setting(path, value, annotations[field.name], field)
        parts = value if isinstance(value, tuple) else (value,)
        for index, part in enumerate(parts):
            if is_component(part):
                inner = f"{path}.{index}." if isinstance(value, tuple) else f"{path}."
                yield from walk(part, inner)


# --- Stacking ---------------------------------------------------------------------------------------------------------


def stack(components: Sequence[_C]) -> _C:
    """Stacks components of one structure: the result is a component whose leaves have a leading axis, for `vmap`.

    Args:
        components: at least one; only the values of their leaves may differ.

    Returns:
        A component of the same structure. Each leaf is an array [len(components), ...].

    Raises:
        ValueError: if they differ in structure; the message lists the differences.

    Example:
        >>> from gan_jax.data.mixtures import Ring
        >>> rings = stack([Ring(std=0.01), Ring(std=0.02)])
        >>> rings.std.shape, rings.num_modes
        ((2,), 8)
    """
    if not components:
        raise ValueError("there is nothing to stack: give at least one component")
    first = jax.tree.structure(components[0])
    for other in components[1:]:
        if jax.tree.structure(other) != first:  # type: ignore[operator]
            raise ValueError(
                "only components of one structure can be stacked, and these differ in: "
                + "; ".join(diff(components[0], other))
                + ". Group them first (gan_jax.group)."
            )
    return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *components)


def group(components: Sequence[_C]) -> list[tuple[list[int], _C]]:
    """Groups components by structure, and stacks each group.

    Args:
        components: of any structures.

    Returns:
        For each structure, in order of appearance, (indices into `components`, the stacked component).

    Example:
        >>> from gan_jax.data.mixtures import Ring
        >>> [(indices, ring.num_modes) for indices, ring in group([Ring(), Ring(num_modes=6), Ring(std=0.1)])]
        [([0, 2], 8), ([1], 6)]
    """
    members: dict[Any, list[int]] = {}
    for index, member in enumerate(components):
        members.setdefault(jax.tree.structure(member), []).append(index)
    return [(indices, stack([components[i] for i in indices])) for indices in members.values()]


# --- Files ------------------------------------------------------------------------------------------------------------


def to_json(value: Any) -> Any:
    """A component as dicts, lists and numbers for JSON. `from_json(to_json(x)) == x` exactly, floats included."""
    if is_component(value):
        cls = type(value)
        fields = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"component": component_name(cls), **fields}
    if isinstance(value, tuple):
        return [to_json(part) for part in value]
    if isinstance(value, (jax.Array, np.ndarray, np.generic)):
        return np.asarray(value).tolist()
    return value


def component_name(cls: type) -> str:
    """The name of a component in a record: a public one by its name alone, a user's own by "place:name".

    The place is `OWN` for the config itself, or the name of a module that it imports. So a component keeps its name
    when its file moves, and older records stay readable.
    """
    if issubclass(cls, StandIn):
        return cls.RECORD_NAME
    if cls.__module__.startswith("gan_jax."):
        return cls.__qualname__
    return f"{OWN if cls.__module__.startswith(CONFIG_MODULE) else cls.__module__}:{cls.__qualname__}"


def from_json(value: Any, components: Mapping[str, type]) -> Any:
    """The component that `to_json` wrote. Settings missing from the record (an older file) take their defaults.

    Nothing is imported: names are looked up among the given components and nowhere else.

    Args:
        value: the result of `to_json`.
        components: by name: the public ones, `gan_jax.experiment.records.public_components()`, and perhaps others.

    Returns:
        The component; lists become tuples, numbers and strings are unchanged.

    Raises:
        ValueError: for an unknown component, an unknown field, or a value that the component refuses.
    """
    if isinstance(value, list):
        return tuple(from_json(part, components) for part in value)
    if not isinstance(value, dict):
        return value
    if "component" not in value:
        raise ValueError(f"not a component: there is no entry 'component' among {', '.join(value) or 'no entries'}")
    cls = _component_class(str(value["component"]), components)
    known = {f.name for f in dataclasses.fields(cls)}
    renamed: Mapping[str, str] = getattr(cls, "RENAMED", {})
    fields: dict[str, Any] = {renamed.get(name, name): part for name, part in value.items() if name != "component"}
    for field in fields.keys() - known:
        raise ValueError(unknown_name(f"{cls.__name__} has no setting", field, known))
    parts = {name: from_json(part, components) for name, part in fields.items()}
    return unchecked(cls, parts) if holds_stand_in((cls, *parts.values())) else cls(**parts)


def _component_class(name: str, components: Mapping[str, type]) -> Any:
    module, _, own = name.rpartition(":")
    public = own if module.startswith("gan_jax.") else name  # records of version 0.1.0 name the module too
    if public not in components:
        raise ValueError(unknown_name("unknown component", public, [known for known in components if ":" not in known]))
    return components[public]


# --- Differences ------------------------------------------------------------------------------------------------------


def diff(old: Any, new: Any) -> list[str]:
    """The differences between two components, one line each.

    Args:
        old: a component.
        new: another one, of the same class or not.

    Returns:
        Lines "path: old value -> new value", without those below a component whose class changed; [] if none differ.

    Example:
        >>> from gan_jax.data.mixtures import Ring
        >>> diff(Ring(std=0.02), Ring(std=0.01))
        ['std: 0.02 -> 0.01']
    """
    before = {s.path: s.value for s in walk(old)}
    after = {s.path: s.value for s in walk(new)}
    lines: list[str] = []
    replaced: list[str] = []
    for path in [*before, *(p for p in after if p not in before)]:
        if any(path.startswith(parent + ".") for parent in replaced):
            continue
        a, b = before.get(path), after.get(path)
        if _shape_of(a) != _shape_of(b):
            replaced.append(path)
            lines.append(f"{path}: {_short(a)} -> {_short(b)}")
        elif not any(is_component(part) for part in (a if isinstance(a, tuple) else (a,))) and not _same(a, b):
            lines.append(f"{path}: {_short(a)} -> {_short(b)}")
    return lines


def _shape_of(value: Any) -> Any:
    """The names of the components in a value; the settings below are compared only if these agree."""
    if isinstance(value, tuple):
        return tuple(_shape_of(part) for part in value if is_component(part))
    return component_name(type(value)) if is_component(value) else None


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(np.all(a == b)) if a is not None and b is not None else a is b


def _short(value: Any) -> str:
    if isinstance(value, tuple) and any(is_component(part) for part in value):
        return "(" + ", ".join(_short(part) for part in value) + ")"
    return type(value).__name__ if is_component(value) else repr(value)


# --- Changes ----------------------------------------------------------------------------------------------------------


def replace(component: _C, path: str | Mapping[str, Any], value: Any = dataclasses.MISSING) -> _C:
    """The component with one or several settings changed; strings are not parsed.

    Several changes are applied together and checked once, so their order does not matter where they have to agree.
    Values may be traced: `replace(experiment, "generator.learning_rate", rate)` works inside `jit` and `grad`.

    Args:
        component: where to change it, such as an experiment.
        path: dotted, with dashes or underscores, such as `discriminator.transforms.0.rate`; or values by path.
        value: a number, a string, a tuple, a component or an array; only for a single path.

    Returns:
        A new component; the given one is not changed.

    Raises:
        ValueError: for a path that does not exist (the message lists the nearest ones), or a value that does not fit.

    Example:
        >>> from gan_jax.data.mixtures import Ring
        >>> replace(Ring(), "num_modes", 6).num_modes
        6
        >>> replace(Ring(), {"num_modes": 2, "weights": (1.0, 3.0)}).weights
        (1.0, 3.0)
    """
    single = isinstance(path, str)
    if single == (value is dataclasses.MISSING):
        raise ValueError("replace takes a path and a value, or a mapping of values by path")
    changes = {path: value} if isinstance(path, str) else path
    return _changed(component, changes.items(), parse=False)


def override(component: _C, path: str, value: Any) -> _C:
    """The component with one setting changed; a string is parsed as on a command line.

    Args:
        component: where to change it, such as an experiment.
        path: dotted, with dashes or underscores, such as `discriminator.transforms.0.rate`.
        value: of the setting's own type, or a string as typed on a command line: a number, `true`, `none`, `relu`,
            `128,128`, or the name of a known component (`least-squares`), which is then made with its defaults.

    Returns:
        A new component; the given one is not changed.

    Raises:
        ValueError: for a path that does not exist (the message lists the nearest ones), or a value that does not fit.

    Example:
        >>> from gan_jax.data.mixtures import Ring
        >>> override(Ring(), "num-modes", "6").num_modes
        6
    """
    return override_all(component, [(path, value)])


def override_all(component: _C, pairs: Iterable[tuple[str, Any]]) -> _C:
    """The component with several settings changed together, and checked once, at the end.

    They may come in any order: a component is set before the settings inside it, and settings that have to agree, such
    as `growth.stage_steps` and `growth.fade_steps`, are compared at the end. Of two values of one setting the later one
    counts.

    Args:
        component: where to change them, such as an experiment.
        pairs: (path, value), as `override` takes them; a path may be inside what another one sets.

    Returns:
        A new component; the given one is not changed.

    Raises:
        ValueError: for a path that does not exist (the message lists the nearest ones), or a value that does not fit.

    Example:
        >>> from gan_jax.data.mixtures import Temperatures
        >>> override_all(Temperatures(), [("cold", "40"), ("hot", "50")]).cold  # 40 alone is above `hot`
        40.0
    """
    return _changed(component, pairs, parse=True)


def _changed(component: Any, pairs: Iterable[tuple[str, Any]], *, parse: bool) -> Any:
    changed = component
    split = [(path.replace("-", "_").split("."), value) for path, value in pairs]
    try:
        for parts, value in sorted(split, key=lambda change: len(change[0])):  # components before what is inside them
            changed = _set(changed, parts, value, _Target(".".join(parts), changed, parse))
    except IncompleteError as error:
        raise ValueError(str(error)) from None
    return _checked(component, changed)


class _Target(typing.NamedTuple):
    """One change: the full path, the whole component, and whether strings are parsed."""

    path: str
    root: Any
    parse: bool

    def read(self, value: Any, annotation: Any, field: dataclasses.Field[Any]) -> Any:
        return parse_setting(value, annotation, field, self.path) if self.parse and isinstance(value, str) else value


def _set(node: Any, parts: list[str], value: Any, target: _Target, element: Any = None, field: Any = None) -> Any:
    """A copy of a node with one setting below it changed; nothing is checked."""
    head, rest = parts[0], parts[1:]
    if isinstance(node, tuple):
        if not head.isdigit() or int(head) >= len(node):
            raise ValueError(
                f"no setting {target.path!r}: {head!r} is not an index into {_short(node)}, of {len(node)}"
            )
        index = int(head)
        part = _set(node[index], rest, value, target) if rest else target.read(value, element, field)
        return (*node[:index], part, *node[index + 1 :])
    fields = {f.name: f for f in dataclasses.fields(node)} if is_component(node) else {}
    if head not in fields:
        raise ValueError(unknown_name("no setting", target.path, [s.path for s in walk(target.root)]))
    current, annotation = getattr(node, head), annotations_of(node)[head]
    if rest:
        element = element_type(annotation) if isinstance(current, tuple) else None
        part = _set(current, rest, value, target, element, fields[head])
    else:
        part = target.read(value, annotation, fields[head])
    copy = object.__new__(type(node))
    for name in fields:
        object.__setattr__(copy, name, part if name == head else getattr(node, name))
    return copy


def _checked(old: Any, new: Any) -> Any:
    """The new component, made again by its constructors, which check it; unchanged parts are kept."""
    if new is old:
        return new
    if isinstance(new, tuple):
        before = old if isinstance(old, tuple) else ()
        return tuple(_checked(before[i] if i < len(before) else None, part) for i, part in enumerate(new))
    if not is_component(new):
        return new
    fields = {f.name: getattr(new, f.name) for f in dataclasses.fields(new)}
    return type(new)(**{name: _checked(getattr(old, name, None), part) for name, part in fields.items()})
