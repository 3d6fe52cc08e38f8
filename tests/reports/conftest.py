"""Fixtures of tests of reports."""

from __future__ import annotations

from typing import Any

import pytest
from markupsafe import Markup

from gan_jax.reports import report_curves, report_diagnoses, sweep_report, sweep_survival
from gan_jax.reports.html_parts import render_template


@pytest.fixture
def figureless(monkeypatch):
    """Pages without their figures, which take most of the time: their labels are kept."""

    def label(figure: Any, words: str, *, whole: bool = False) -> Markup:
        return render_template("figure", svg=Markup("<svg></svg>"), address="", label=words, style="", whole=whole)

    for module in (report_curves, report_diagnoses, sweep_report, sweep_survival):
        monkeypatch.setattr(module, "figure_svg", label)
