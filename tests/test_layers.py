"""The rooms of the package and the imports between them: every module is in one room, and every arrow is named here.

`experiment` is drawn as two rooms, since it is both the ground that everything stands on (`settings`: components and
their settings) and what names all parts (`experiment`). So is `training`: the rules that an experiment names (dynamics,
optimisers, replay, growth) lie below it. Measurements of a training state stand above training.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import gan_jax

ROOT = Path(gan_jax.__file__).parent

ROOMS: dict[str, tuple[str, ...]] = {
    "settings": (
        "experiment.component",
        "experiment.parsing",
        "experiment.schedules",
        "experiment.settings",
        "experiment.stand_ins",
    ),
    "unroll": ("unroll",),
    "data": ("data.*",),
    "networks": ("networks.*",),
    "losses": ("losses.*",),
    "rules": ("training.dynamics", "training.evolution", "training.growth", "training.optimizers", "training.replay"),
    "metrics": ("metrics.*",),
    "diagnostics": ("diagnostics.*",),
    "experiment": ("experiment.*",),
    "training": ("training.*",),
    "state": ("diagnostics.state.*",),
    "scaling": ("scaling.*",),
    "runs": ("runs.*",),
    "bench": ("bench.*",),
    "reports": ("reports.*",),
    "cli": ("cli.*", "__main__"),
}
"""By room, its modules; the longest pattern decides."""

BELOW_EXPERIMENT = {"settings", "unroll", "data", "networks", "losses", "rules", "metrics", "diagnostics"}
MAY_IMPORT: dict[str, set[str]] = {
    "settings": set(),
    "unroll": {"settings"},
    "data": {"settings"},
    "networks": {"settings"},
    "losses": {"settings", "networks"},
    "rules": {"settings"},
    "metrics": {"settings", "data", "networks"},
    "diagnostics": {"settings", "data", "losses", "metrics"},
    "experiment": BELOW_EXPERIMENT,
    "training": BELOW_EXPERIMENT | {"experiment"},
    "state": BELOW_EXPERIMENT | {"experiment", "training"},
    "scaling": BELOW_EXPERIMENT | {"experiment", "training"},
    "runs": BELOW_EXPERIMENT | {"experiment", "training", "state", "scaling"},
    "bench": BELOW_EXPERIMENT | {"experiment", "training", "scaling", "runs"},
    "reports": BELOW_EXPERIMENT | {"experiment", "training", "state", "scaling", "runs"},
    "cli": BELOW_EXPERIMENT | {"experiment", "training", "state", "scaling", "runs", "bench", "reports"},
}
"""By room, those that it may import beside itself. What is not named here is refused."""

MODULES = sorted(
    path.relative_to(ROOT)
    for path in ROOT.rglob("*.py")
    if path.name != "__init__.py" and "configs" not in path.relative_to(ROOT).parts[:1]
)


def name_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


def room_of(module: str) -> str | None:
    """The room of a module below gan_jax; None for one that no room has."""
    found = [
        (len(pattern), room)
        for room, patterns in ROOMS.items()
        for pattern in patterns
        if module == pattern or (pattern.endswith(".*") and module.startswith(pattern[:-1]))
    ]
    return max(found)[1] if found else None


def imported(path: Path) -> set[str]:
    """Modules of gan_jax that a file imports, anywhere in it."""
    tree, found = ast.parse((ROOT / path).read_text(encoding="utf-8")), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    known = {name_of(module) for module in MODULES}
    return {name.removeprefix("gan_jax.") for name in found if name.removeprefix("gan_jax.") in known}


def test_every_module_and_every_folder_is_in_a_room():
    assert [str(path) for path in MODULES if room_of(name_of(path)) is None] == []
    folders = {str(path.parent.relative_to(ROOT)) for path in ROOT.rglob("*.py")} - {"."}
    known = {"diagnostics/state", *(pattern[:-2] for room in ROOMS.values() for pattern in room if "*" in pattern)}
    assert {folder for folder in folders if not folder.startswith("configs")} <= known | {"experiment"}


def test_the_hallway_is_empty():
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py", "unroll.py"}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_only_what_its_room_may(path):
    room = room_of(name_of(path))
    assert room is not None, f"{path} is in no room: name it in ROOMS"
    for module in imported(path):
        other = room_of(module)
        assert other == room or other in MAY_IMPORT[room], f"{path} ({room}) imports {module} ({other})"


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_flax_is_known_to_networks_alone_and_pmap_to_scaling(path):
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    if path.parts[0] != "networks":
        assert not [name for name in names if name.split(".")[0] == "flax"], path
    if path.parts[0] != "scaling":
        calls = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert "pmap" not in calls, path


def test_the_arrows_make_no_circle():
    """Rooms can be put in an order in which each imports only rooms before it."""
    order: list[str] = []
    while len(order) < len(ROOMS):
        ready = [room for room in ROOMS if room not in order and MAY_IMPORT[room] <= set(order)]
        assert ready, f"a circle among {sorted(set(ROOMS) - set(order))}"
        order += ready


def test_unroll_knows_no_gan():
    text = (ROOT / "unroll.py").read_text(encoding="utf-8").lower()
    assert "discriminator" not in text
    assert "generator" not in text
