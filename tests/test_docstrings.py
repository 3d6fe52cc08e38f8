"""Docstrings: a public function of three or more arguments has the sections Args, Returns (or Yields) and Raises.

`python tests/test_docstrings.py` lists what is missing in every room, and how many there are.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1] / "gan_jax"
ROOMS_DONE = {
    "cli",
    "data",
    "diagnostics",
    "experiment",
    "losses",
    "metrics",
    "networks",
    "reports",
    "runs",
    "scaling",
    "training",
    "unroll",
}
MIN_ARGUMENTS = 3

Function = ast.FunctionDef | ast.AsyncFunctionDef


class Missing(NamedTuple):
    """A section that a docstring lacks."""

    room: str
    where: str
    section: str


def room_of(path: Path) -> str:
    """The folder of a module, or the name of a module at the top of the package."""
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def is_protocol(node: ast.ClassDef) -> bool:
    names = [base.value if isinstance(base, ast.Subscript) else base for base in node.bases]
    return any(isinstance(base, ast.Name) and base.id == "Protocol" for base in names)


def methods(node: ast.ClassDef) -> Iterator[Function]:
    yield from (child for child in node.body if isinstance(child, Function))


def arguments(function: Function, *, method: bool) -> list[str]:
    """Names of a function's arguments, without `self` or `cls`."""
    args = function.args
    names = [a.arg for a in (*args.posonlyargs, *args.args)]
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in function.decorator_list)
    names = names[1:] if method and not static else names
    names += [a.arg for a in args.kwonlyargs]
    return names + [a.arg for a in (args.vararg, args.kwarg) if a is not None]


def own_nodes(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function's body, without those of functions, lambdas and classes inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*Function.__args__, ast.Lambda, ast.ClassDef)):
            waiting += list(ast.iter_child_nodes(node))


def returns_value(function: Function) -> bool:
    """Whether the annotation, or else a `return`, says that there is a value."""
    if function.returns is not None:
        text = ast.unparse(function.returns)
        return text not in ("None", "NoReturn", "'None'", "'NoReturn'")
    return any(isinstance(node, ast.Return) and node.value is not None for node in own_nodes(function))


def raises_error(function: Function) -> bool:
    """Whether the function's own body raises an error; a bare `raise` and `raise SystemExit` are none."""
    for node in own_nodes(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            name = raised.attr if isinstance(raised, ast.Attribute) else getattr(raised, "id", "")
            if name.endswith("Error") and name != "AssertionError":
                return True
    return False


def wanted_sections(function: Function) -> list[str]:
    generator = any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in own_nodes(function))
    wanted = ["Args:"]
    if generator:
        wanted.append("Yields:")
    elif returns_value(function):
        wanted.append("Returns:")
    return wanted + (["Raises:"] if raises_error(function) else [])


def protocol_methods() -> set[tuple[str, tuple[str, ...]]]:
    """(name, arguments) of the methods of all Protocol classes, which their implementations need not describe again."""
    return {
        (function.name, tuple(arguments(function, method=True)))
        for _, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and is_protocol(node)
        for function in methods(node)
    }


def functions_to_check() -> Iterator[tuple[Path, str, Function]]:
    documented_elsewhere = protocol_methods()
    for path, tree in trees():
        for node in tree.body:
            if isinstance(node, Function) and not node.name.startswith("_"):
                if len(arguments(node, method=False)) >= MIN_ARGUMENTS:
                    yield path, node.name, node
            elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                for function in methods(node):
                    names = arguments(function, method=True)
                    implements = (function.name, tuple(names)) in documented_elsewhere and not is_protocol(node)
                    if function.name.startswith("_") or len(names) < MIN_ARGUMENTS or implements:
                        continue
                    yield path, f"{node.name}.{function.name}", function


@functools.cache
def missing_sections() -> list[Missing]:
    found = []
    for path, name, function in functions_to_check():
        text = ast.get_docstring(function) or ""
        for section in wanted_sections(function):
            if not re.search(rf"^{section}$", text, flags=re.MULTILINE):
                found.append(Missing(room_of(path), f"{path.relative_to(ROOT)}:{function.lineno} {name}", section))
    return found


def rooms() -> list[str]:
    return sorted({room_of(path) for path, _ in trees()})


def test_the_rooms_that_are_done_exist():
    assert set(rooms()) >= ROOMS_DONE


@pytest.mark.parametrize("room", sorted(ROOMS_DONE))
def test_public_functions_have_args_returns_and_raises(room):
    assert [f"{m.where}: {m.section}" for m in missing_sections() if m.room == room] == []


def test_the_lint_sees_what_is_missing():
    tree = ast.parse(
        "def f(a, b, c) -> int:\n    if a:\n        raise ValueError(a)\n    return b\n"
        "def g(a, b, c) -> None:\n    def inner():\n        raise ValueError(a)\n"
        "def h(a, *, b, **c):\n    yield a\n"
    )
    wanted = [wanted_sections(node) for node in tree.body if isinstance(node, Function)]
    assert wanted == [["Args:", "Returns:", "Raises:"], ["Args:"], ["Args:", "Yields:"]]
    assert [len(arguments(node, method=False)) for node in tree.body if isinstance(node, Function)] == [3, 3, 3]


def main() -> None:
    missing = missing_sections()
    checked = [(room_of(path), name) for path, name, _ in functions_to_check()]
    rooms_wanted = sys.argv[1:] or rooms()
    print(f"{'room':14} {'functions':>9} {'incomplete':>10} {'sections missing':>16}")
    for room in rooms_wanted:
        ours = [m for m in missing if m.room == room]
        print(f"{room:14} {sum(r == room for r, _ in checked):9} {len({m.where for m in ours}):10} {len(ours):16}")
    ours = [m for m in missing if m.room in rooms_wanted]
    print(f"{'all':14} {len(checked):9} {len({m.where for m in ours}):10} {len(ours):16}")
    for m in ours:
        print(f"{m.where}: {m.section}")


if __name__ == "__main__":
    main()
