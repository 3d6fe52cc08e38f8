"""The result of `gan-jax diagnose magnitudes` in words and figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from gan_jax.diagnostics.precursors import has_baseline
from gan_jax.reports.figures import BAD, new_figure
from gan_jax.reports.text_tables import text_table

_GROUPS = {
    "activations of G": ("generator/activation/",),
    "activations of D, fakes": ("discriminator/activation_fake/",),
    "activations of D, real": ("discriminator/activation_real/",),
    "gradients of G": ("generator/gradient/",),
    "gradients of D": ("discriminator/gradient/",),
    "singular values of G": ("generator/singular/",),
    "singular values of D": ("discriminator/singular/",),
    "scores": ("scores/real_m", "scores/fake_m"),
    "update ratios": ("training/generator_update_ratio", "training/discriminator_update_ratio"),
    "fooled": ("scores/fooled",),
}
"""Prefixes of the names of signals, by the title of their panel."""
_LOGARITHMIC = ("activations", "gradients", "singular", "update")


def sentence(result: dict[str, Any]) -> str:
    """The growth of singular values, and the signals that left their bands before an onset, in a sentence."""
    steps, signals, onset, left = (result[name] for name in ("steps", "signals", "onset_step", "departures"))
    parts = []
    for player, word in (("generator", "G"), ("discriminator", "D")):
        grown = {
            name.split("/")[-1]: factor
            for name, values in signals.items()
            if name.startswith(f"{player}/singular/") and (factor := _factor(values)) is not None
        }
        if grown:
            layer = max(grown, key=lambda name: grown[name])
            parts.append(f"{word}'s largest singular value grew most in {layer}, {grown[layer]:.3g} times")
    text = f"From step {steps[0]:,} to {steps[-1]:,}, {'; '.join(parts)}." if parts else "No layer has weights."
    if onset is None:
        return text
    if not has_baseline(np.asarray(steps), onset):
        return f"{text} There are too few probes before the onset at step {onset:,} to say what left its band."
    first = [departure for departure in left if departure["step"] < onset]
    if not first:
        return f"{text} No signal left its band before the onset at step {onset:,}."
    names = ", ".join(f"{d['name']} ({d['step'] - onset:+,} {d['direction']})" for d in first[:4])
    return f"{text} Before the onset at step {onset:,} {len(first)} signals left their bands, first {names}."


def table(result: dict[str, Any]) -> str:
    """First, largest and last value of each signal, and the leading singular values."""
    rows = [["signal", "first", "largest", "last", "last / first"]]
    for title, prefixes in _GROUPS.items():
        for name, values in result["signals"].items():
            known = [value for value in values if value is not None]
            if not name.startswith(prefixes) or not known:
                continue
            factor = _factor(values)
            shown = "-" if factor is None else f"{factor:.3g}"
            label = f"{title}: {name.split('/')[-1]}"
            rows.append([label, f"{known[0]:.3g}", f"{max(known):.3g}", f"{known[-1]:.3g}", shown])
    lines = [result["source"], text_table(rows)]
    heads = [[f"singular values, step {result['singular_step']:,}", "largest five"]]
    for name, values in result["singular_values"].items():
        heads.append([name, ", ".join(f"{value:.3g}" for value in values)])
    return "\n".join([*lines, "", text_table(heads)])


def figure(result: dict[str, Any]) -> Any:
    """A panel for each group of signals, over training, with the onset marked."""
    panels = []
    for title, prefixes in _GROUPS.items():
        series = {
            name.split("/")[-1]: values
            for name, values in result["signals"].items()
            if name.startswith(prefixes) and any(value is not None for value in values)
        }
        if series:
            panels.append((title, series))
    columns = 2
    picture = new_figure(9.6, 2.3 * -(-len(panels) // columns))
    grid = picture.subplots(-(-len(panels) // columns), columns, squeeze=False).ravel()
    for axes, (title, series) in zip(grid, panels, strict=False):
        for name, values in series.items():
            axes.plot(result["steps"], np.array(values, float), linewidth=1.1, label=name, marker=".", markersize=2)
        axes.set_title(title, fontsize=9)
        if title.startswith(_LOGARITHMIC):
            axes.set_yscale("log")
        if result["onset_step"] is not None:
            axes.axvline(result["onset_step"], color=BAD, linewidth=0.9)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=6, frameon=False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return picture


def _factor(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return known[-1] / known[0] if known and known[0] else None
