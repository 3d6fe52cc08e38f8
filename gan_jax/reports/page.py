"""The page of a report: one HTML file that loads nothing from elsewhere, with sections, tables and texts to copy.

page.css and page.js are part of every page; page_live.js is part of pages that `gan-jax watch` serves.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from gan_jax.experiment.component import is_component
from gan_jax.experiment.settings import walk
from gan_jax.reports.html_parts import render_template

MAX_BYTES = 9_500_000
"""Largest size of a page in bytes: below the 10 MB that most mail servers accept."""
_ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E"
    "%3Ccircle cx='4' cy='4' r='3' fill='%232a78d6'/%3E%3C/svg%3E"
)


@dataclasses.dataclass(frozen=True)
class Section:
    """A section of a page, with an entry in the list of sections.

    Attributes:
        title: the heading; its slug is the section's id within the page.
        body: HTML; a section with an empty body is left out.
    """

    title: str
    body: Markup

    @property
    def address(self) -> str:
        return slug(self.title)


@dataclasses.dataclass(frozen=True)
class Live:
    """The state of a page that is served and updates itself.

    Attributes:
        version: number of the page.
        seconds: seconds between two requests to the server.
        ended: whether the page is final.
        status: a line on the state of the run.
    """

    version: int
    seconds: float
    ended: bool
    status: str


def document(title: str, about: str, sections: Sequence[Section], live: Live | None = None) -> str:
    """The HTML of a page.

    Args:
        title: the heading.
        about: the line under the heading.
        sections: the sections, in order; those without a body are left out.
        live: state of a page that is served; None for a file.

    Returns:
        The complete document; characters that UTF-8 cannot encode are replaced.
    """
    page = render_template(
        "page",
        title=title,
        about=about,
        sections=[section for section in sections if section.body],
        live=live,
        icon=Markup(_ICON),
        style=_asset("page.css"),
        script=_asset("page.js") + (_asset("page_live.js") if live is not None else ""),
    )
    return page.encode("utf-8", "replace").decode("utf-8") + "\n"


def _asset(name: str) -> Markup:
    return Markup(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def slug(text: str) -> str:
    """A text as an id within the page.

    Example:
        >>> slug("High-quality share (%)")
        'high-quality-share'
    """
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def html_table(
    head: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "", keys: Sequence[Markup] = ()
) -> Markup:
    """A table, which scrolls in its own box if the page is narrow.

    Args:
        head: names of the columns; empty for a table without a head.
        rows: one cell per column; the first cell names the row. Columns of numbers are aligned to the right.
        caption: text above the table; its first sentence is the table's label for screen readers.
        keys: HTML before the names of the rows, one a row. With keys, the names stay visible when the table scrolls.

    Returns:
        HTML; the cells are escaped.

    Raises:
        ValueError: if a row does not have one cell per column, or the number of keys is not that of rows.
    """
    num_columns = len(head) if head or not rows else len(rows[0])
    for index, row in enumerate(rows):
        if len(row) != num_columns:
            raise ValueError(
                f"row {index} of a table has {len(row)} cells ({row!r}), and there are {num_columns} columns "
                f"({', '.join(head)}): give one cell per column, None where there is no value"
            )
    if keys and len(keys) != len(rows):
        raise ValueError(f"{len(keys)} keys for {len(rows)} rows: give one key per row, or none")
    numeric = [
        bool(head) and column > 0 and bool(rows) and all(_is_number(row[column]) for row in rows)
        for column in range(num_columns)
    ]
    return render_template(
        "table",
        head=head,
        rows=[[show(cell) for cell in row] for row in rows],
        caption=caption,
        label=caption.split(".")[0],
        keys=keys,
        numeric=numeric,
    )


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def show(value: Any) -> str:
    """A value as the text of a cell: a float with four significant digits, None as a dash.

    Example:
        >>> show(12345), show(0.123456), show(None)
        ('12,345', '0.1235', '–')
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def settings_table(experiment: Any) -> Markup:
    """All settings of an experiment with their values and descriptions, folded."""
    rows = []
    for setting in walk(experiment):
        value = setting.value
        if isinstance(value, tuple):
            value = ", ".join(type(v).__name__ if is_component(v) else str(v) for v in value) or "none"
        shown = type(value).__name__ if is_component(value) else str(value)
        rows.append([setting.path, shown, setting.field.metadata.get("doc", "")])
    return folded(f"{len(rows)} settings", html_table(["setting", "value", "meaning"], rows))


def folded(summary: str, body: Markup) -> Markup:
    """HTML that opens at a click on its summary; each summary may occur only once on a page."""
    return render_template("details", name=slug(summary), summary=summary, body=body)


def command(text: str, name: str) -> Markup:
    """A text to copy, with its button; `name` is its id within the page."""
    return render_template("command", text=text, name=name)
