"""Shapes in signatures are checked when tests call a function: `Float[Array, "batch dim"]` and its like, by jaxtyping.

`check_shapes("gan_jax")` has to run before the package is imported. A function or method of it whose signature has such
an annotation is then wrapped; all others stay as they are.
"""

from __future__ import annotations

import importlib.machinery
import inspect
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from beartype import BeartypeConf, beartype
from jaxtyping import jaxtyped

_TYPES = ("Float[", "Int[", "Bool[", "UInt8[", "Key[", "Num[", "Shaped[", "Integer[", "PyTree[")
_typechecked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def has_shapes(function: Any) -> bool:
    """Whether an annotation of the signature, which `from __future__ import annotations` keeps as text, has a shape."""
    annotations = getattr(inspect.unwrap(function), "__annotations__", {}).values()
    return any(name in str(annotation) for annotation in annotations for name in _TYPES)


def _checked(function: Any) -> Any:
    return jaxtyped(function, typechecker=_typechecked) if has_shapes(function) else function


def _wrap_all(namespace: Any, module: str) -> None:
    for name, value in list(vars(namespace).items()):
        if inspect.isclass(value) and value.__module__ == module and not issubclass(value, tuple):
            _wrap_all(value, module)
        elif inspect.isfunction(value) and value.__module__ == module and _checked(value) is not value:
            setattr(namespace, name, _checked(value))


class _Loader(importlib.machinery.SourceFileLoader):
    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _wrap_all(module, module.__name__)


class _Finder(importlib.machinery.PathFinder):
    package = ""

    @classmethod
    def find_spec(cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        if fullname != cls.package and not fullname.startswith(f"{cls.package}."):
            return None
        spec = super().find_spec(fullname, path, target)
        if spec is not None and type(spec.loader) is importlib.machinery.SourceFileLoader:
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def check_shapes(package: str) -> None:
    """Wraps the functions of a package with shapes in their signatures as its modules are imported."""
    _Finder.package = package
    sys.meta_path.insert(0, _Finder)
