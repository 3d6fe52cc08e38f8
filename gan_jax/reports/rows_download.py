"""A table as a CSV file inside a page, behind a link that saves it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from gan_jax.reports.html_parts import render_template
from gan_jax.runs.sweep_directory import csv_text

_MAX_BYTES = 2_000_000
"""Largest CSV file that a page contains, in bytes; for a longer table, the page names the file in the folder."""


def rows_download(rows: Sequence[dict[str, Any]], name: str, place: str) -> Markup:
    """A link that saves rows as a CSV file, which is part of the page.

    Args:
        rows: rows of JSON; nested names are joined by dots, lists are left out.
        name: the name of the file to save.
        place: the file in the folder that holds the rows.

    Returns:
        HTML.
    """
    text = csv_text(rows).encode("utf-8", "replace")
    if len(text) > _MAX_BYTES:
        return render_template("paragraph", text=f"The {len(rows):,} rows are in {place}.", kind="note")
    address = f"data:text/csv;base64,{base64.b64encode(text).decode()}"
    return render_template("download", name=name, address=address, text=f"Save the {len(rows):,} rows as {name}")
