"""What the reports are made of: a page without anything from outside, sections, tables, texts to copy.

page.css and page.js are put into every page; page_live.js into those that `gan-jax watch` serves.
"""

from __future__ import annotations

import dataclasses
import html
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_jax.experiment.component import is_component
from gan_jax.experiment.settings import walk

MAX_BYTES = 9_500_000
"""Of a page: below the 10 MB that mail takes."""
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E"
    "%3Ccircle cx='4' cy='4' r='3' fill='%232a78d6'/%3E%3C/svg%3E"
)


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of a page, with its entry in the list of sections.

    Attributes:
        title: also makes its address within the page.
        body: HTML.
    """

    title: str
    body: str

    @property
    def address(self) -> str:
        return slug(self.title)


@dataclasses.dataclass(frozen=True)
class Live:
    """What a page that is served needs to keep itself up to date.

    Attributes:
        version: of the page.
        seconds: between looks at the server.
        ended: whether nothing more is to come.
        said: a line on what the run is doing.
    """

    version: int
    seconds: float
    ended: bool
    said: str


def document(title: str, about: str, sections: Sequence[Section], live: Live | None = None) -> str:
    """The page.

    Args:
        title: its heading.
        about: the line under it.
        sections: in order; those without a body are left out.
        live: of a page that is served; None for a file.
    """
    sections = [section for section in sections if section.body]
    links = "".join(f'<li><a href="#{part.address}">{html.escape(part.title)}</a></li>' for part in sections)
    parts = "\n".join(
        f'<section aria-labelledby="{part.address}"><h2 id="{part.address}">{html.escape(part.title)}</h2>\n'
        f"{part.body}\n</section>"
        for part in sections
    )
    data, said, script = "", "", _asset("page.js")
    if live is not None:
        data = f' data-version="{live.version}" data-seconds="{live.seconds:g}" data-ended="{str(live.ended).lower()}"'
        said = f'<p class="live" id="live" role="status">{html.escape(live.said)}</p>'
        script += _asset("page_live.js")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{html.escape(title)}</title>
<link rel="icon" href="{_ICON}">
<style>
{_asset("page.css")}</style>
</head>
<body{data}>
<a class="skip" href="#main">Skip to the report</a>
<header>
<div><h1>{html.escape(title)}</h1><p class="about">{html.escape(about)}</p>{said}</div>
<button type="button" id="theme" hidden></button>
</header>
<div class="layout">
<nav aria-label="Sections"><ul>{links}</ul></nav>
<main id="main" tabindex="-1">
{parts}
</main>
</div>
<footer>Made by gan-jax. This page is one file and loads nothing from elsewhere.</footer>
<script>
{script}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text()


def slug(text: str) -> str:
    """A text as an id within the page.

    Example:
        >>> slug("High-quality share (%)")
        'high-quality-share'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "", keys: Sequence[str] = ()) -> str:
    """A table in a box of its own, which scrolls where the page is narrow. Texts are escaped.

    Args:
        head: of the columns; empty for a table without.
        rows: the first cell of each names the row; numbers are set to the right.
        caption: said above it.
        keys: HTML before the names of the rows, which then stay in sight when the table scrolls.
    """
    columns = range(len(head))
    numeric = [at > 0 and bool(rows) and all(_is_number(row[at]) for row in rows) for at in columns]
    top = ""
    if head:
        cells = (
            f'<th scope="col"{_kind(number)}>{html.escape(cell)}</th>'
            for cell, number in zip(head, numeric, strict=True)
        )
        top = f"<thead><tr>{''.join(cells)}</tr></thead>"
    lines = []
    for index, (first, *rest) in enumerate(rows):
        key = keys[index] if keys else ""
        cells = (
            f"<td{_kind(bool(head) and numeric[column])}>{html.escape(show(cell))}</td>"
            for column, cell in enumerate(rest, start=1)
        )
        lines.append(f'<tr><th scope="row">{key}{html.escape(show(first))}</th>{"".join(cells)}</tr>')
    said = f'<p class="caption">{html.escape(caption)}</p>' if caption else ""
    label = f' aria-label="{html.escape(caption.split(".")[0])}"' if caption else ""
    body = f"<table{label}>{top}<tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="table{" keyed" if keys else ""}">{said}<div class="scroll">{body}</div></div>'


def _kind(number: bool) -> str:
    return ' class="number"' if number else ""


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def show(value: Any) -> str:
    """A cell of a table: four digits of a number, a dash for none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def settings_table(experiment: Any) -> str:
    """All settings of an experiment with their values and meanings, folded away."""
    rows = []
    for setting in walk(experiment):
        value = setting.value
        if isinstance(value, tuple):
            value = ", ".join(type(v).__name__ if is_component(v) else str(v) for v in value) or "none"
        shown = type(value).__name__ if is_component(value) else str(value)
        rows.append([setting.path, shown, setting.field.metadata.get("doc", "")])
    return folded(f"{len(rows)} settings", table(["setting", "value", "what it is"], rows))


def folded(summary: str, body: str) -> str:
    """A part of the page that is opened by its summary; two of one page need two summaries."""
    return f'<details id="{slug(summary)}-more"><summary>{html.escape(summary)}</summary>{body}</details>'


def command(text: str, name: str) -> str:
    """A text to copy, with its button; `name` is its id within the page."""
    return (
        f'<div class="command"><pre><code id="{name}">{html.escape(text)}</code></pre>'
        f'<button type="button" class="copy" data-copies="{name}" hidden>Copy</button></div>'
    )


def failed(line: str) -> str:
    """A line in place of a part that cannot be shown."""
    return f'<p class="failed">{html.escape(line)}</p>'
