"""The parts that all figures share: colours, line styles, new figures, and texts that are never read as formulas."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gan_jax.metrics.survival import SurvivalCurve

SERIES = ("#2a78d6", "#e8590c", "#2f9e44", "#9c36b5", "#c2255c", "#868e96", "#f08c00", "#0b7285")
"""Colours of the series of a figure, in order. On a page each becomes a pair, for light and dark (page.css)."""
REAL, FAKE, HELD_OUT = SERIES[0], SERIES[1], SERIES[2]
"""Colours of real examples, of generated samples and of held-out examples."""
KIND_COLOURS = {"training": REAL, "real": REAL, "held-out": HELD_OUT, "fake": FAKE}
"""Colours of the kinds of examples that a diagnosis compares."""
GOOD, BAD, QUIET = "#2b8a3e", "#c92a2a", "#888888"
"""Colours of marks: formed, failed, and bounds or references."""
LINES = (("-", "solid"), ("--", "dashed"), (":", "dotted"), ("-.", "double"))
"""Line styles, each as matplotlib's and as the nearest border style of CSS."""

_MAX_LABEL = 80


def new_figure(width: float, height: float) -> Figure:
    """An empty figure outside pyplot's state; sizes in inches.

    Example:
        >>> figure = new_figure(4.0, 3.0)
        >>> figure.axes
        []
    """
    # Imported here, so that modules which need only the colours do not import matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # A character that the font lacks, such as an emoji, is drawn as a box; a warning would not help.
    warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
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
    r"""A text as a label for matplotlib, which would read `$...$` as a formula and hide `_...` in a legend.

    Characters that XML does not allow become spaces, and the middle of a long text is replaced by dots.

    Example:
        >>> print(plain_text(r"$\lr$ up"))
        \$\lr\$ up
    """
    if len(text) > _MAX_LABEL:
        text = f"{text[: _MAX_LABEL // 2]} ... {text[-_MAX_LABEL // 2 :]}"
    printable = "".join(character if character.isprintable() else " " for character in text)
    return (" " if printable.startswith("_") else "") + printable.replace("$", r"\$")


def draw_survival(
    axes: Axes,
    curve: SurvivalCurve,
    *,
    index: int = 0,
    label: str | None = None,
    per_unit: float = 1.0,
) -> None:
    """Draws a Kaplan-Meier curve as steps, with its limits as a band and a tick at each censored time.

    Args:
        axes: the matplotlib axes to draw on.
        curve: the result of `gan_jax.metrics.survival.kaplan_meier`.
        index: number of the curve in the figure, for its colour and its dashes.
        label: its text in the legend; None makes no entry.
        per_unit: steps of one unit of the time axis: 1 for steps, the steps of an epoch for epochs.
    """
    times = np.asarray(curve.times, float) / per_unit
    colour, _ = series_style(index)
    # Curves that coincide are distinguished by dashes of different lengths.
    dashes: Any = "-" if index < 1 else (0, (7 - index % 6, 1 + index % 3))
    axes.step(times, curve.survival, where="post", color=colour, linestyle=dashes, linewidth=1.6, label=label)
    axes.fill_between(times, curve.lower, curve.upper, step="post", color=colour, alpha=0.1, linewidth=0)
    at_risk = np.asarray(curve.at_risk)
    censored = at_risk - np.asarray(curve.events) - np.append(at_risk[1:], 0) > 0
    axes.plot(times[censored], np.asarray(curve.survival)[censored], "|", color=colour, markersize=7)
