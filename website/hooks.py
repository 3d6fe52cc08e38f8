"""Hooks that mkdocs calls while it builds the site: they add the generated pages, and leave out missing ones.

Nothing generated is committed. `mkdocs build --strict` reads mkdocs.yml, which names this file.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mkdocs.structure.files import File, Files  # noqa: E402

from website import equations, reference, tables, tutorials  # noqa: E402


@functools.cache
def generated() -> dict[str, str | bytes]:
    """The content of every generated file, by its path below docs/."""
    return {**reference.pages(), **tables.pages(), **tutorials.pages()}


def on_config(config: Any) -> Any:
    """Adds the equations to the Markdown extensions, and completes the navigation."""
    config.markdown_extensions.append("website.equations")
    config.mdx_configs["pymdownx.superfences"] = {
        "custom_fences": [{"name": "math", "class": "math", "format": equations.block}]
    }
    there = {path.relative_to(config.docs_dir).as_posix() for path in Path(config.docs_dir).rglob("*.md")}
    there |= {path for path in generated() if path.endswith(".md")}
    config.nav = [found for entry in config.nav if (found := completed(entry, there))]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Adds the generated pages."""
    for path, content in generated().items():
        files.append(File.generated(config, path, content=content))
    return files


def completed(entry: Any, there: set[str]) -> Any:
    """An entry of the navigation without missing pages; "FOLDER/*.md" is replaced by the pages of that folder."""
    if isinstance(entry, str):
        return entry if entry in there else None
    ((title, inside),) = entry.items()
    if isinstance(inside, str):
        return entry if inside in there else None
    listed: list[Any] = []
    for part in inside:
        if isinstance(part, str) and part.endswith("/*.md"):
            listed += sorted(path for path in there if path.startswith(part.removesuffix("*.md")))
        else:
            listed += filter(None, [completed(part, there)])
    return {title: listed} if listed else None
