"""The parts that all figures share: colours, line styles, new figures, and texts that are never read as formulas."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SERIES = ("#2a78d6", "#e8590c", "#2f9e44", "#9c36b5", "#c2255c", "#868e96", "#f08c00", "#0b7285")
"""Colours of the series of a figure, in order. On a page each becomes a pair, for light and dark (page.css)."""
REAL, FAKE, HELD_OUT = SERIES[0], SERIES[1], SERIES[2]
"""Colours of real examples, of generated samples and of held-out examples."""
GOOD, BAD, QUIET = "#2b8a3e", "#c92a2a", "#888888"
"""Colours of marks: formed, failed, and bounds or references."""
LINES = (("-", "solid"), ("--", "dashed"), (":", "dotted"), ("-.", "double"))
"""Line styles, each as matplotlib's and as the nearest border style of CSS."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure outside pyplot's state; sizes in inches.

    Example:
        >>> figure = new_figure(4.0, 3.0)
        >>> figure.axes
        []
    """
    # Here, and not above: whoever needs only the colours does not wait for matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def series_style(index: int) -> tuple[str, str]:
    """Colour and line style of a series; from the ninth series on the colours repeat with dashes.

    Example:
        >>> series_style(0), series_style(9)
        (('#2a78d6', '-'), ('#e8590c', '--'))
    """
    return SERIES[index % len(SERIES)], LINES[index // len(SERIES) % len(LINES)][0]


def plain_text(text: str) -> str:
    r"""A text from a file as a label of matplotlib, which would read `$...$` as a formula and hide `_...` in a legend.

    Characters that XML does not allow become spaces.

    Example:
        >>> print(plain_text(r"$\lr$ up"))
        \$\lr\$ up
    """
    printable = "".join(character if character.isprintable() else " " for character in text)
    return (" " if printable.startswith("_") else "") + printable.replace("$", r"\$")
