"""Public names: each has an example in its docstring, and functions of arrays have shapes in their signatures.

`python tests/test_public_names.py` lists what is missing.
"""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from typing import Any, Protocol

import pytest

ROOT = Path(__file__).parents[1] / "gan_jax"
_BARE = re.compile(r"(?<![\w\[.])(jax\.)?Array\b(?!,)")


def public_names() -> list[tuple[str, Any]]:
    """(full name, object) of all names in the package's `__init__.pyi` files; modules are left out."""
    found = {}
    for stub in sorted(ROOT.rglob("__init__.pyi")):
        module = ".".join(("gan_jax", *stub.parent.relative_to(ROOT).parts))
        for name in re.findall(r"import \w+ as (\w+)$", stub.read_text(encoding="utf-8"), flags=re.MULTILINE):
            value = getattr(importlib.import_module(module), name)
            if not inspect.ismodule(value):
                found.setdefault(id(value) if callable(value) else f"{module}.{name}", (f"{module}.{name}", value))
    return list(found.values())


def needs_example(value: Any) -> bool:
    if inspect.isclass(value):
        return Protocol not in value.__mro__[:2] and not issubclass(value, Exception)
    return callable(value) and hasattr(value, "__name__")


def without_example() -> list[str]:
    return [name for name, value in public_names() if needs_example(value) and "Example" not in (value.__doc__ or "")]


def has_bare_arrays(function: Any) -> bool:
    """Whether a part of the signature is an `Array` without a shape."""
    annotations = getattr(inspect.unwrap(function), "__annotations__", {})
    return any(_BARE.search(str(annotation)) for annotation in annotations.values())


def without_shapes() -> list[str]:
    return [name for name, value in public_names() if inspect.isroutine(value) and has_bare_arrays(value)]


def test_there_are_many_public_names():
    assert len(public_names()) > 250


def test_each_public_name_has_an_example():
    assert without_example() == []


def test_public_functions_of_arrays_have_shapes():
    assert without_shapes() == []


def test_a_bare_array_is_seen_and_a_shape_is_none():
    def bare(x: Array | None) -> float: ...
    def shaped(x: Float[Array, "n d"], keys: dict[str, Float[Array, ""]]) -> Float[jax.Array, ""]: ...

    assert has_bare_arrays(bare)
    assert not has_bare_arrays(shaped)


def test_shapes_are_checked_while_tests_run():
    import jax.numpy as jnp

    from gan_jax.metrics import frechet_distance

    with pytest.raises(Exception, match=r"Expected type: .*m d"):
        frechet_distance(jnp.ones((4, 3)), jnp.ones((5, 2)))


if __name__ == "__main__":
    for title, names in (("no example", without_example()), ("no shapes", without_shapes())):
        print(f"{title}: {len(names)}", *names, sep="\n  ")
