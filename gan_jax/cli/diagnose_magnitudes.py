"""`gan-jax diagnose magnitudes`: how large things are inside both players, and what moved before an onset.

The looks that the run's recorder took, if it has one; otherwise a look at each checkpoint. The singular values of the
last state are NumPy's.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.diagnostics.magnitudes import kernels
from gan_jax.diagnostics.precursors import departures
from gan_jax.reports.drawing import aligned, new_figure
from gan_jax.runs.run_directory import read_lines
from gan_jax.runs.run_states import RunStates, chosen_steps, open_states
from gan_jax.runs.window_replay import probe_values_of, watching

GROUPS = {
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
"""By title of a panel, how the names of its signals begin."""
_LOGARITHMIC = ("activations", "gradients", "singular", "update")


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Magnitudes over training, the largest singular values, and which signals moved before an onset."""
    states = open_states(Path(options.run), options.data)
    rows = read_lines(states.run.signals_path) if options.step is None else []
    source = f"{len(rows)} looks of the run's recorder"
    if not rows:
        chosen = chosen_steps(states, options)
        source = f"looks at {len(chosen)} checkpoints"
        rows = [_row(states, step) for step in chosen]
    say(source)
    steps = [row["step"] for row in rows]
    signals = {name: [row["signals"].get(name) for row in rows] for name in rows[-1]["signals"]}
    signals |= _update_ratios(states, steps)
    last = states.restore(states.steps[-1] if options.step is None else options.step)
    players = {"generator": last.generator, "discriminator": last.discriminator}
    singular = {
        f"{name}/{layer}": np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)[:5].tolist()
        for name, player in players.items()
        for layer, matrix in kernels(player.variables.params).items()
    }
    onset = (states.verdict or {}).get("onset_step")
    left = []
    if onset is not None:
        series = {name: np.array(values, float) for name, values in signals.items()}
        left = [departure._asdict() for departure in departures(np.array(steps), series, onset)]
    return {
        "source": source,
        "steps": steps,
        "signals": signals,
        "singular_step": int(last.step),
        "singular_values": singular,
        "onset_step": onset,
        "departures": left,
        "sentence": _sentence(steps, signals, onset, left),
    }


def _row(states: RunStates, step: int) -> dict[str, Any]:
    signals = probe_values_of(watching(states.experiment), states.resources, states.restore(step))
    return {"step": step, "signals": {k: float(v) if np.isfinite(v) else None for k, v in signals.items()}}


def _update_ratios(states: RunStates, steps: list[int]) -> dict[str, list[float | None]]:
    """Means of the update ratios since the last evaluation, at each look; from metrics.jsonl."""
    rows = [row for row in states.run.read_metrics() if "generator_update_ratio" in row["train"]]
    found: dict[str, list[float | None]] = {}
    for name in ("generator_update_ratio", "discriminator_update_ratio"):
        values: list[float | None] = []
        for step in steps:
            row = next((row for row in rows if row["step"] >= step), None)
            values.append(row["train"][name] if row else None)
        if rows:
            found[f"training/{name}"] = values
    return found


def _factor(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return known[-1] / known[0] if known and known[0] else None


def _sentence(
    steps: list[int], signals: dict[str, list[float | None]], onset: int | None, left: list[dict[str, Any]]
) -> str:
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
    text = f"From step {steps[0]:,} to {steps[-1]:,}: {'; '.join(parts)}." if parts else "No layer has weights."
    if onset is None:
        return text
    first = [departure for departure in left if departure["step"] < onset]
    if not first:
        return f"{text} No signal left its band before the onset at step {onset:,}."
    names = ", ".join(f"{d['name']} ({d['step'] - onset:+,} {d['direction']})" for d in first[:4])
    return f"{text} Before the onset at step {onset:,} {len(first)} signals left their bands, first {names}."


def table(result: dict[str, Any]) -> str:
    """First, largest and last value of each signal; the leading singular values."""
    rows = [["signal", "first", "largest", "last", "last / first"]]
    for title, prefixes in GROUPS.items():
        for name, values in result["signals"].items():
            known = [value for value in values if value is not None]
            if not name.startswith(prefixes) or not known:
                continue
            factor = _factor(values)
            shown = "-" if factor is None else f"{factor:.3g}"
            label = f"{title}: {name.split('/')[-1]}"
            rows.append([label, f"{known[0]:.3g}", f"{max(known):.3g}", f"{known[-1]:.3g}", shown])
    lines = [result["source"], *aligned(rows)]
    heads = [[f"singular values, step {result['singular_step']:,}", "largest five"]]
    for name, values in result["singular_values"].items():
        heads.append([name, ", ".join(f"{value:.3g}" for value in values)])
    return "\n".join([*lines, "", *aligned(heads)])


def figure(result: dict[str, Any]) -> Any:
    """A panel a group of signals, over training, with the onset marked."""
    panels = []
    for title, prefixes in GROUPS.items():
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
            axes.axvline(result["onset_step"], color="#c92a2a", linewidth=0.9)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=6, frameon=False)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return picture
