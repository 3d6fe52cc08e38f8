"""The picture of `gan-jax diagnose game`, from its result alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from gan_jax.reports.drawing import new_figure


def figure(result: dict[str, Any]) -> Any:
    """The eigenvalues of the last checkpoint in the complex plane; rotation, repulsion and the blocks over training."""
    several = len(result["rows"]) > 1
    made = new_figure(12 if several else 5.2, 4)
    axes = made.subplots(1, 3, squeeze=False)[0] if several else [made.subplots()]
    _draw_values(axes[0], result["rows"][-1])
    if several:
        steps = [row["step"] for row in result["rows"]]
        style: dict[str, Any] = {"marker": "o", "markersize": 3.5, "linewidth": 1.3}
        for name, colour, label in (
            ("rotation", "#9c36b5", "rotation: mean |Im| / |eigenvalue|"),
            ("attraction", "#2a78d6", "attraction: mean -Re / |eigenvalue|"),
            ("share_complex", "#0b7285", "share that is complex"),
            ("share_repelling", "#c92a2a", "share that repels"),
        ):
            axes[1].plot(steps, [row[name] for row in result["rows"]], color=colour, label=label, **style)
        norms, errors = (np.array([row["blocks"][name] for row in result["rows"]]) for name in ("norms", "norm_errors"))
        for gen, disc, colour, label in (
            (0, 0, "#e8590c", "G by G"),
            (1, 1, "#2a78d6", "D by D"),
            (0, 1, "#2f9e44", "G by D"),
            (1, 0, "#868e96", "D by G"),
        ):
            axes[2].errorbar(steps, norms[:, gen, disc], errors[:, gen, disc], color=colour, label=label, **style)
        axes[1].set(ylim=(None, 1.03), title="of the eigenvalues found")
        axes[2].set(yscale="log", title="norms of the Jacobian's blocks")
        for panel in axes[1:]:
            panel.set_xlabel("step", fontsize=8)
            if result["onset"] is not None:
                panel.axvline(result["onset"], color="#c92a2a", linewidth=1, linestyle="--", label="onset")
            panel.legend(frameon=False, fontsize=7)
    for panel in axes:
        panel.grid(alpha=0.25)
        panel.tick_params(labelsize=7)
        panel.title.set_fontsize(9)
    return made


def _draw_values(axes: Any, row: dict[str, Any]) -> None:
    values = np.array(row["values"])
    largest = float(np.max(np.hypot(*values.T))) or 1.0
    repelling = values[:, 0] > 1e-6 * largest
    for mask, colour, label in ((~repelling, "#2a78d6", "attracting"), (repelling, "#c92a2a", "repelling")):
        if mask.any():
            axes.plot(*values[mask].T, ".", color=colour, markersize=6, label=label)
    # Linear near 0 and logarithmic farther out: eigenvalues spread over many orders.
    for scale in (axes.set_xscale, axes.set_yscale):
        scale("symlog", linthresh=_threshold(values), linscale=1.2)
    axes.axvline(0, color="gray", linewidth=0.8)
    axes.axhline(0, color="gray", linewidth=0.8)
    axes.set(title=f"{row['num']} eigenvalues, step {row['step']:,}")
    axes.set_xlabel("real part", fontsize=8)
    axes.set_ylabel("imaginary part", fontsize=8)
    axes.legend(frameon=False, fontsize=8)


def _threshold(values: np.ndarray) -> float:
    """Where the scale turns linear: at the smallest part that is no rounding, so that nothing is flattened."""
    sizes = np.abs(values)
    return float(np.min(sizes[sizes > 1e-3 * np.max(sizes)])) if np.any(sizes) else 1.0
