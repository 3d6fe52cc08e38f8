"""Figures of diagnoses: their canvas, and the colours of the kinds of examples."""

from __future__ import annotations

from typing import Any

from gan_jax.reports.sample_pictures import FAKE, REAL

KIND_COLOURS = {"training": REAL, "real": REAL, "held-out": "#2f9e44", "fake": FAKE}


def new_figure(width: float, height: float) -> Any:
    """A figure (inches) that is drawn without any window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
