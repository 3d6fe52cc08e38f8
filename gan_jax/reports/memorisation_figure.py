"""The picture of `gan-jax diagnose memorisation`, from its result alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from gan_jax.diagnostics.memorisation import gap_interval
from gan_jax.reports.drawing import new_figure

COLOURS = {"train": "#2a78d6", "held-out": "#2f9e44", "fake": "#e8590c"}


def figure(result: dict[str, Any]) -> Any:
    """Accuracies, the gap, and losses over the checkpoints."""
    noisy = any(row["floor"] for row in result["rows"])
    made = new_figure(4.2 * (3 + noisy), 3.5)
    axes = made.subplots(1, 3 + noisy)
    steps = [row["step"] for row in result["rows"]]
    for mode in result["rows"][0]["modes"]:
        shown = mode == result["shown"]
        style: dict[str, Any] = {"linestyle": "-" if shown else ":", "marker": "o", "markersize": 3 if shown else 0}
        plain = [row["modes"][mode]["plain"] for row in result["rows"]]
        label = f", {mode} statistics" if len(result["rows"][0]["modes"]) > 1 else ""
        if plain[0]["train"] is not None:
            for name, colour in COLOURS.items():
                values = [row[name.replace("-", "_")] for row in plain]
                # Fakes as the share called real, on the scale of the others.
                values = [1 - value for value in values] if name == "fake" else values
                axes[0].plot(steps, values, color=colour, label=name + label if shown else None, **style)
            gap = np.array([row["gap"] for row in plain])
            axes[1].plot(steps, 100 * gap, color="0.2", label=f"{mode} statistics", **style)
            if shown:
                width = np.array([gap_interval(row["train"], row["held_out"], result["num"]) for row in plain])
                axes[1].fill_between(
                    steps, 100 * (gap - width), 100 * (gap + width), color="0.2", alpha=0.15, linewidth=0
                )
        if shown:
            for name, colour in COLOURS.items():
                axes[2].plot(
                    steps, [row[f"{name.replace('-', '_')}_loss"] for row in plain], color=colour, label=name, **style
                )
            if noisy:
                _draw_noisy(axes[3], steps, [row["modes"][mode]["noisy"] for row in result["rows"]], result, style)
    axes[0].set(ylim=(-0.03, 1.03), title="share that D calls real")
    axes[1].set(title="gap train - held-out, points")
    axes[2].set(title="D's loss")
    for panel in axes:
        panel.set_xlabel("step", fontsize=8)
        panel.grid(alpha=0.25)
        panel.tick_params(labelsize=7)
        panel.title.set_fontsize(9)
        if result["onset"] is not None:
            panel.axvline(result["onset"], color="#c92a2a", linewidth=1, linestyle="--", label="onset of the failure")
        if panel.get_legend_handles_labels()[0]:
            panel.legend(frameon=False, fontsize=7)
    axes[1].axhline(0, color="gray", linewidth=0.8)
    return made


def _draw_noisy(axes: Any, steps: list[int], noisy: list[Any], result: dict[str, Any], style: dict[str, Any]) -> None:
    for name in ("train", "held-out"):
        values = [row[f"{name.replace('-', '_')}_loss"] + row["fake_loss"] for row in noisy]
        axes.plot(steps, values, color=COLOURS[name], label=f"with {name} examples", **style)
    floor = [row["floor"] for row in result["rows"]]
    if all(None not in both.values() for both in floor):
        axes.plot(steps, [sum(both.values()) for both in floor], color="gray", linestyle="--", label="floor")
    axes.set(title="D's loss on fresh labels, both sides")
