"""Figures inside a page: matplotlib's SVG in the colours and the font of the page, for light and dark."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Iterator
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.colors import to_hex

from gan_jax.reports.figures import BAD, GOOD, LINES, SERIES
from gan_jax.reports.html_parts import paragraph, render_template
from gan_jax.reports.page_pictures import picture_uri

_MAX_SVG_BYTES = 400_000
_TAB10 = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
_ON_PAGE = {
    **{colour: f"var(--s{index})" for colours in (SERIES, _TAB10) for index, colour in enumerate(colours)},
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    "#d62728": "var(--bad)",
}
_MAX_GREYS = 8
_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
# HTML knows the elements of SVG and the prefix of links without namespaces.
_PREFIXES = {"http://www.w3.org/2000/svg": "", "http://www.w3.org/1999/xlink": "xlink:"}
_LINK = "xlink:href"


def swatch(index: int) -> Markup:
    """A short line in the colour and style of series `index`: its key in tables and lists."""
    line = LINES[index // len(SERIES) % len(LINES)][1]
    return render_template("swatch", line=line, colour=index % len(SERIES))


def figure_svg(figure: Any, label: str, *, whole: bool = False) -> Markup:
    """A figure as an element of the page, in the page's colours.

    A figure that is large as SVG (thousands of points) becomes a picture on white. A wide figure scrolls in its own box
    on a phone, so that its texts stay legible.

    Args:
        figure: a matplotlib figure; its background is removed.
        label: the text for screen readers; each label may occur only once on a page.
        whole: whether the figure takes the width of the page, rather than a place in a grid.

    Returns:
        HTML of a `figure` element; of a paragraph, if matplotlib cannot draw it.
    """
    points = float(figure.get_figwidth()) * 72
    style = f"--natural: {points * 4 / 3:.0f}px" if points > 320 else ""
    try:
        _clear(figure)
        svg = _to_svg(figure, label, style)
    # Layouts, texts and scales can raise any error, which must not prevent the page.
    except Exception as error:
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return paragraph(f"A figure cannot be drawn ({why}): {label}")
    fits = len(svg) <= _MAX_SVG_BYTES
    return render_template(
        "figure",
        svg=Markup(svg) if fits else "",
        address="" if fits else _as_picture(figure),
        label=label,
        style=style,
        whole=whole,
    )


def _clear(figure: Any) -> None:
    figure.patch.set_alpha(0)
    for axes in figure.axes:
        if to_hex(axes.get_facecolor()) == "#ffffff":
            axes.patch.set_alpha(0)
        for side in ("top", "right"):
            if side in axes.spines and not axes.images and axes.get_label() != "<colorbar>":
                axes.spines[side].set_visible(False)
        legend = axes.get_legend()
        if legend is not None:
            legend.get_frame().set_alpha(0)


def _to_svg(figure: Any, label: str, style: str) -> str:
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(buffer, format="svg", metadata=_NO_METADATA)
    root = ElementTree.fromstring(buffer.getvalue())
    colours = _page_colours(root)
    # Ids would clash between the figures of one page.
    prefix = f"f{zlib.crc32(label.encode()):08x}"
    for element in root.iter():
        element.tag = _without_namespace(element.tag)
        attributes = {_without_namespace(name): value for name, value in element.attrib.items()}
        element.attrib.clear()
        for name, value in attributes.items():
            if name == "style":
                value = "; ".join(
                    f"{key}: {_own_reference(colours.get(setting, setting), prefix)}"
                    for key, setting in _declarations(value)
                    if key != "font-family"
                )
            elif name == "id":
                value = prefix + value
            elif name == _LINK and value.startswith("#"):
                value = f"#{prefix}{value[1:]}"
            element.set(name, _own_reference(value, prefix))
    # The page gives the size.
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    root.attrib.update({"role": "img", "aria-label": label} | ({"style": style} if style else {}))
    return ElementTree.tostring(root, encoding="unicode")


def _without_namespace(name: str) -> str:
    namespace, closed, local = name.removeprefix("{").partition("}")
    return _PREFIXES[namespace] + local if closed and namespace in _PREFIXES else name


def _declarations(style: str) -> Iterator[tuple[str, str]]:
    """Property and value of each declaration of a style attribute."""
    for declaration in style.split(";"):
        key, colon, value = declaration.partition(":")
        if colon:
            yield key.strip(), value.strip()


def _own_reference(value: str, prefix: str) -> str:
    return f"url(#{prefix}{value[5:]}" if value.startswith("url(#") else value


def _page_colours(root: ElementTree.Element) -> dict[str, str]:
    """The page's colour for each colour of a figure that has one."""
    values = {value for element in root.iter() for _, value in _declarations(element.get("style", ""))}
    greys = {value for value in values if len(value) == 7 and value[0] == "#" and value[1:3] == value[3:5] == value[5:]}
    # If there are more greys than this, they belong to a colour map, in which they stand for values.
    return _ON_PAGE | {grey: _grey(grey) for grey in greys if len(greys) <= _MAX_GREYS or grey == "#000000"}


def _grey(colour: str) -> str:
    """The page's colour for a grey of text, lines or backgrounds, which changes with the theme."""
    level = int(colour[1:3], 16)
    if level == 255:
        return "var(--paper)"
    return "currentColor" if level < 0x60 else "var(--edge)" if level < 0xA8 else "var(--line)"


def _as_picture(figure: Any) -> str:
    figure.patch.set_alpha(1)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=min(130, 1400 / float(figure.get_figwidth())), facecolor="white")
    return picture_uri(buffer.getvalue(), _MAX_SVG_BYTES)
