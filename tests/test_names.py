"""One name for one thing: no public function, class or constant of one name is defined in two rooms.

`python tests/test_names.py` lists the names that are.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "gan_jax"

# Every module of a kind has these: a figure, a table and a sentence of each diagnosis.
PROTOCOL_NAMES = {"diagnose", "table", "figure", "sentence"}

# To be removed: each entry is a name that two rooms still share.
# In these rooms a name is not shared by two modules of the room either.
ROOMS_DONE = {"experiment", "data", "networks", "losses", "metrics", "unroll"}


def room_of(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def assigned(target: ast.expr) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            yield from assigned(element)


def public_names(tree: ast.Module) -> Iterator[str]:
    """Names that a module defines at its top level; imports define none."""
    for node in tree.body:
        names: list[str] = []
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [name for target in node.targets for name in assigned(target)]
        elif isinstance(node, ast.AnnAssign):
            names = list(assigned(node.target))
        yield from (name for name in names if not name.startswith("_"))


def shared_names() -> dict[str, list[str]]:
    """Modules by name, for names that are defined in two rooms, or in two modules of a room that is done."""
    places: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(ROOT.rglob("*.py")):
        if path.name in ("__init__.py", "__main__.py"):  # they name what other modules define
            continue
        for name in public_names(ast.parse(path.read_text())):
            places[name].append(path)
    return {
        name: [str(path.relative_to(ROOT)) for path in paths]
        for name, paths in places.items()
        if len({room_of(path) for path in paths}) > 1 or (len(paths) > 1 and room_of(paths[0]) in ROOMS_DONE)
    }


def test_no_public_name_is_defined_in_two_rooms():
    shared = shared_names()
    assert {name: paths for name, paths in shared.items() if name not in PROTOCOL_NAMES} == {}


if __name__ == "__main__":
    for name, paths in sorted(shared_names().items()):
        print(f"{name:24} {', '.join(paths)}")
