"""The notebooks of examples/ as pages: with results if `python -m website.notebooks` has run, else text and code."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "examples").glob("[0-9]*.py"))
"""Sources of the notebooks: Python files of jupytext's percent format."""
EXECUTED = ROOT / "build" / "notebooks"
"""Where `website.notebooks` leaves the executed pages, as Markdown with pictures."""


def pages() -> dict[str, str | bytes]:
    """The pages and their pictures, by path below docs/."""
    made: dict[str, str | bytes] = {}
    for source in NOTEBOOKS:
        folder = EXECUTED / source.stem
        page = folder / "page.md"
        made[f"tutorials/{source.stem}.md"] = (
            page.read_text(encoding="utf-8") if page.is_file() else plain(source.read_text(encoding="utf-8"))
        )
        for picture in sorted(folder.glob("*.png")):
            made[f"tutorials/{source.stem}/{picture.name}"] = picture.read_bytes()
    return made


def plain(source: str) -> str:
    """The text and the code of a notebook that was not executed."""
    parts = []
    for cell in source.split("# %%")[1:]:
        head, _, body = cell.partition("\n")
        lines = body.strip("\n").splitlines()
        if "[markdown]" in head:
            parts.append("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines))
        else:
            parts.append("```python\n" + "\n".join(lines) + "\n```")
    note = "!!! note\n    This page was built without running its code. `python -m website.notebooks` runs it."
    title, *rest = parts
    head, _, body = title.partition("\n")
    return "\n\n".join([head, note, body, *rest]) + "\n"
