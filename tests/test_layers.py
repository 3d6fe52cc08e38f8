"""The layers of the package: an import never points upwards."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gan_jax

ROOT = Path(gan_jax.__file__).parent
LAYERS = ["components", "game", "train", "many", "lab", "cli"]
MEMBERS = {
    "game": ("game", "looks", "rollout", "steps"),
    "train": ("train",),
    "many": ("sweep", "strategy", "parallel", "ensemble"),
    "lab": ("lab",),
    "cli": ("cli",),
}


def layer(module: str) -> int:
    """The layer of a module below gan_jax; whatever is not named elsewhere is a component."""
    top = module.split(".")[1] if "." in module else ""
    return next((LAYERS.index(name) for name, members in MEMBERS.items() if top in members), 0)


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    froms = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    return froms | {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}


FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "testing.py" and "configs" not in path.parts)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    module = ".".join(["gan_jax", *path.relative_to(ROOT).with_suffix("").parts])
    for imported in imports(path):
        if imported.startswith("gan_jax."):
            assert layer(imported) <= layer(module), f"{module} imports {imported}"
        if imported.split(".")[0] == "flax":
            assert module.startswith("gan_jax.networks."), f"{module} imports flax"
