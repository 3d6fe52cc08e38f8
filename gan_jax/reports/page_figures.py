"""Figures inside the page: matplotlib's SVG in the page's colours and font, for light and dark."""

from __future__ import annotations

import html
import io
import re
import zlib
from typing import Any

from gan_jax.reports.page_pictures import picture_uri

COLOURS = ("#2a78d6", "#e8590c", "#2f9e44", "#9c36b5", "#c2255c", "#868e96", "#f08c00", "#0b7285")
"""Of the series of a figure, in order. On the page each is a pair, one for light and one for dark (page.css)."""
GOOD, BAD, QUIET = "#2b8a3e", "#c92a2a", "#888888"
_DASHES = (("-", "solid"), ("--", "dashed"), (":", "dotted"), ("-.", "double"))
_MAX_SVG_BYTES = 400_000
_TAB10 = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
_ON_PAGE = {
    **{colour: f"var(--s{index})" for colours in (COLOURS, _TAB10) for index, colour in enumerate(colours)},
    GOOD: "var(--good)",
    BAD: "var(--bad)",
    "#d62728": "var(--bad)",
}
_MOST_GREYS = 8


def series_style(index: int) -> tuple[str, str]:
    """(colour, dashes) of a series, for matplotlib: when the colours have been used up they come again, dashed."""
    return COLOURS[index % len(COLOURS)], _DASHES[index // len(COLOURS) % len(_DASHES)][0]


def swatch(index: int) -> str:
    """A piece of the line of `series_style(index)`, for tables and lists."""
    dashes = _DASHES[index // len(COLOURS) % len(_DASHES)][1]
    return f'<span class="swatch" style="border-top: 3px {dashes} var(--s{index % len(COLOURS)})"></span>'


def new_figure(width: float, height: float) -> tuple[Any, Any]:
    """A figure (inches) and its axes, to be drawn without any window."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def figure_svg(figure: Any, label: str, *, whole: bool = False) -> str:
    """A figure as an element of the page, in the page's colours.

    One that is heavy as SVG (thousands of points) becomes a picture on white. One that is wide scrolls in a box of its
    own on a phone, so that its texts stay legible.

    Args:
        figure: of matplotlib; its background is taken away.
        label: its text for those who do not see it; two figures of one page need two labels.
        whole: whether it takes the page's width, rather than a place among others.
    """
    _clear(figure)
    svg = _to_svg(figure, label)
    points = float(figure.get_figwidth()) * 72
    kind = "plot whole" if whole else "plot"
    natural = f' style="--natural: {points * 4 / 3:.0f}px"' if points > 320 else ""
    if len(svg) > _MAX_SVG_BYTES:
        inner = f'<img class="plate" alt="{html.escape(label)}"{natural} src="{_as_picture(figure)}">'
    else:
        inner = svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"{natural}', 1)
    return f'<figure class="{kind}"><div class="scroll">{inner}</div></figure>'


def _clear(figure: Any) -> None:
    from matplotlib.colors import to_hex

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


def _to_svg(figure: Any, label: str) -> str:
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", svg)
    found = set(re.findall(r"#[0-9a-f]{6}\b", svg))
    greys = {colour for colour in found if colour[1:3] == colour[3:5] == colour[5:]}
    # More greys than these are a colour map's, and mean something.
    on_page = _ON_PAGE | {grey: _grey(grey) for grey in greys if len(greys) <= _MOST_GREYS or grey == "#000000"}
    svg = re.sub(r"#[0-9a-f]{6}\b", lambda match: on_page.get(match.group(), match.group()), svg)
    # The page gives the size; ids would clash between the figures of one page.
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    prefix = f"f{zlib.crc32(label.encode()):08x}"
    return re.sub(r'(id="|xlink:href="#|url\(#)', lambda match: match.group(1) + prefix, svg)


def _grey(colour: str) -> str:
    """Of ink, lines and grounds: the page's own, which turn with the theme."""
    level = int(colour[1:3], 16)
    if level == 255:
        return "var(--paper)"
    return "currentColor" if level < 0x60 else "var(--edge)" if level < 0xA8 else "var(--line)"


def _as_picture(figure: Any) -> str:
    figure.patch.set_alpha(1)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=min(130, 1400 / float(figure.get_figwidth())), facecolor="white")
    return picture_uri(buffer.getvalue(), _MAX_SVG_BYTES)
