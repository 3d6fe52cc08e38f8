"""The reference: a section for every public name, from its docstring and, for a component, its settings."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import gan_jax as gj
from gan_jax.experiment.component import annotations_of, describe, is_component

ROOT = Path(gj.__file__).parent

PAGES = {
    "experiment": ("Experiments", "What a run is: components, settings, players, configs, remedies, studies."),
    "data": ("Data", "Sources of batches: mixtures of Gaussians and images."),
    "training": ("Training", "From the first weights to the verdict: pure functions of arrays."),
    "optimizers": ("Optimizers, dynamics, replay", "How the players move, and what D is shown besides."),
    "losses": ("Losses", "Objectives, transforms of losses, penalties and auxiliary terms."),
    "networks": ("Networks", "Flax modules and wrappers of them."),
    "unroll": ("Unroll", "Differentiable rollouts of an optimiser, without GANs."),
    "metrics": ("Metrics", "Coverage, fidelity, and statistics of onsets: arrays in, arrays out."),
    "diagnostics": ("Diagnostics", "Detectors of collapse, verdicts, and measurements of why."),
    "runs": ("Runs and figures", "What lies on a disk, read as arrays; figures of it."),
}
"""Title and first line of each page, by its name."""
_OF_MODULE = {
    "training.optimizers": "optimizers",
    "training.growth": "optimizers",
    "training.dynamics": "optimizers",
    "training.evolution": "unroll",
    "training.replay": "optimizers",
    "reports.plot": "runs",
    "experiment": "experiment",
}
"""Pages of modules and folders that have no page under their own name; the longest match counts."""


class Public(NamedTuple):
    """A public name.

    Attributes:
        name: the name as a user writes it, such as "gj.losses.R1".
        place: the full name of the definition, such as "gan_jax.losses.penalties.R1".
        value: the object.
    """

    name: str
    place: str
    value: Any


def public_names() -> list[Public]:
    """Every public name of `gj` and of its subpackages, each object once, in the order of the stubs."""
    places = stub_places(ROOT / "__init__.pyi", "gan_jax")
    found: dict[str, Public] = {}
    for name in gj.__all__:
        value = getattr(gj, name)
        if isinstance(value, ModuleType):
            continue
        found.setdefault(places[name], Public(f"gj.{name}", places[name], value))
    for name in gj.__all__:
        module = getattr(gj, name)
        if isinstance(module, ModuleType):
            for public in of_module(module, f"gj.{name}"):
                found.setdefault(public.place, public)
    return list(found.values())


def of_module(module: ModuleType, prefix: str) -> Iterator[Public]:
    """The public names of a module, or of a subpackage with a stub."""
    stub = Path(module.__file__ or "").with_name("__init__.pyi")
    if hasattr(module, "__path__"):
        for name, place in stub_places(stub, module.__name__).items():
            yield Public(f"{prefix}.{name}", place, getattr(module, name))
        return
    for name, value in vars(module).items():
        defined = inspect.isclass(value) or inspect.isfunction(value)
        if not name.startswith("_") and defined and value.__module__ == module.__name__:
            yield Public(f"{prefix}.{name}", f"{module.__name__}.{name}", value)


def stub_places(stub: Path, package: str) -> dict[str, str]:
    """The full name of each object that a stub imports from a module."""
    lines = re.findall(r"^from \.([\w.]+) import (\w+) as (\w+)$", stub.read_text(encoding="utf-8"), flags=re.M)
    return {name: f"{package}.{module}.{own}" for module, own, name in lines}


def page_of(public: Public) -> str:
    """The page of a public name."""
    module = public.place.removeprefix("gan_jax.").rpartition(".")[0]
    found = [key for key in _OF_MODULE if module == key or module.startswith(f"{key}.")]
    return _OF_MODULE[max(found, key=len)] if found else module.split(".")[0]


def pages() -> dict[str, str]:
    """The Markdown of the reference, by path below docs/."""
    names = public_names()
    made = {"reference/index.md": _index(names)}
    for page, (title, line) in PAGES.items():
        sections = [section(public) for public in names if page_of(public) == page]
        made[f"reference/{page}.md"] = "\n".join([f"# {title}\n\n{line}\n", *sections])
    return made


def section(public: Public) -> str:
    """A section: the docstring, and the settings of a component with their defaults and bounds."""
    text = f"## `{public.name}` {{ #{public.name} }}\n\n::: {public.place}\n"
    if _is_component(public.value):  # its fields are in the table of settings
        return f"{text}    options:\n      members: false\n\n{_settings(public)}"
    return f"{text}\n"


def _is_component(value: Any) -> bool:
    return inspect.isclass(value) and is_component(value)


def _settings(public: Public) -> str:
    annotations = annotations_of(public.value)
    rows = ["| setting | default | takes | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(public.value):
        default = "required" if field.default is dataclasses.MISSING else f"`{_default(field.default)}`"
        bounds = " and ".join(f"{bound} {limit:g}" for bound, limit in field.metadata.get("bounds", {}).items())
        takes = describe(field, annotations[field.name]) + (f", {bounds}" if bounds else "")
        rows.append(f"| `{field.name}` | {default} | {_cell(takes)} | {_cell(field.metadata.get('doc', ''))} |")
    refused = "A value of another kind or outside its bounds is refused with a `ValueError` that names the setting."
    return "\n".join(rows) + f"\n\n{refused}\n\n" + _defaults(public)


def _defaults(public: Public) -> str:
    """An example for a component whose docstring has none: the component with its defaults."""
    if "Example:" in (public.value.__doc__ or ""):
        return ""
    try:
        made = repr(public.value())
    except (TypeError, ValueError):  # something is required
        return ""
    return f"```python\n>>> {public.name}()\n{made}\n```\n\n"


def _default(value: Any) -> str:
    return f"{type(value).__name__}(...)" if dataclasses.is_dataclass(value) else repr(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _index(names: list[Public]) -> str:
    parts = [
        "# Reference\n",
        "`import gan_jax as gj`. Every public name, by page; the text is that of the docstrings. Configs, remedies, "
        "metrics, diagnoses and commands have a page each: [configs](configs.md), [remedies](remedies.md), "
        "[metrics](metric-names.md), [diagnoses](diagnoses.md), [command line](command-line.md).\n",
    ]
    for page, (title, line) in PAGES.items():
        links = [f"[`{p.name}`]({page}.md#{p.name})" for p in names if page_of(p) == page]
        parts.append(f"## [{title}]({page}.md)\n\n{line}\n\n{' · '.join(links)}\n")
    return "\n".join(parts)
