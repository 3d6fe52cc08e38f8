"""Names that modules had in version 0.1.0, for the configs that were written then."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

_FORMER = {
    "augment": ("losses.augmentation",),
    "component": ("experiment.component",),
    "divergences": ("losses.divergences",),
    "dynamics": ("training.dynamics",),
    "growth": ("training.growth",),
    "inference": ("losses.inference",),
    "lab.configs": ("experiment.configs",),
    "mixing": ("losses.aggregation",),
    "networks.stacked": ("networks.stacked_networks",),
    "objectives": ("losses.objectives", "losses.criterion"),
    "optimizers": ("training.optimizers",),
    "penalties": ("losses.penalties", "losses.view"),
    "remedies": ("experiment.remedies",),
    "replay": ("training.replay",),
    "schedules": ("experiment.schedules",),
    "settings": ("experiment.settings",),
    "sweep": ("experiment.sweep",),
    "terms": ("losses.auxiliary",),
    "testing": ("experiment.examples",),
    "transforms": ("losses.transforms",),
}
"""For each former module name, the present ones, all relative to gan_jax."""
_RENAMED = {"load_config": "load"}
_FORMER_EXPERIMENT = ("Data", "Discriminator", "Experiment", "Generator", "Unroll")


class _FormerModule(ModuleType):
    """A module with a former name, whose attributes are looked up in the present modules."""

    def __getattr__(self, name: str) -> Any:
        name = _RENAMED.get(name, name)
        for place in _FORMER[self.__name__.removeprefix("gan_jax.")]:
            module = importlib.import_module(f"gan_jax.{place}")
            if not name.startswith("__") and hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"{self.__name__}, a module of version 0.1.0, has no {name!r}")


def install_former_names() -> None:
    """Makes the former modules importable in this process; existing modules are not replaced."""
    for name in _FORMER:
        sys.modules.setdefault(f"gan_jax.{name}", _FormerModule(f"gan_jax.{name}"))
    package = importlib.import_module("gan_jax.experiment")
    present = importlib.import_module("gan_jax.experiment.experiment")
    for name in _FORMER_EXPERIMENT:
        vars(package).setdefault(name, getattr(present, name))
