"""HTML from the templates of this folder: every value is escaped unless it is HTML from another template."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

FOLDER = Path(__file__).with_name("templates")


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDER, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_template(template: str, /, **values: Any) -> Markup:
    """The HTML of a template with some values.

    Args:
        template: name of a file `templates/NAME.html.j2`.
        **values: the variables of the template. Texts are escaped; `Markup` is inserted as it is.

    Returns:
        HTML, marked as safe to insert into another template.

    Example:
        >>> render_template("paragraph", text="1 < 2", kind="")
        Markup('<p>1 &lt; 2</p>')
    """
    return Markup(_environment().get_template(f"{template}.html.j2").render(values))


def paragraph(text: str, kind: str = "") -> Markup:
    """A paragraph; `kind` is its CSS class.

    Example:
        >>> paragraph("no pictures", "note")
        Markup('<p class="note">no pictures</p>')
    """
    return render_template("paragraph", text=text, kind=kind)
