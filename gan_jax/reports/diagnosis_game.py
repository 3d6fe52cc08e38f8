"""The result of `gan-jax diagnose game` in words and figures."""

from __future__ import annotations

from typing import Any

import numpy as np

from gan_jax.reports.figures import BAD, HELD_OUT, new_figure
from gan_jax.reports.text_tables import text_table


def sentence(result: dict[str, Any]) -> str:
    """The last checkpoint in a sentence."""
    row = result["rows"][-1]
    which = "all" if row["complete"] else "the outermost"
    (right, _), (real, imaginary) = row["rightmost"], row["largest"]
    text = (
        f"At step {row['step']:,} {row['share_complex']:.0%} of {which} {row['num']} eigenvalues are complex, and "
        f"{row['rotation']:.0%} of their length is rotation, {row['attraction']:.0%} attraction; the largest is "
        f"{_complex(real, imaginary)}"
    )
    if right > 1e-6 * np.hypot(real, imaginary):
        text += f", and {row['share_repelling']:.0%} repel, with real parts up to {right:.3g}"
    elif row["largest_step"] is None:
        text += f"; none repels, but not all attract: the most positive real part is {right:.3g}"
    else:
        text += f"; all attract: simultaneous gradient descent is stable here with step sizes below {_largest(row)}"
    own, between = _curvature(row)
    return f"{text}. The players' own curvature has the norm {own:.3g}, their interaction the norm {between:.3g}."


def _largest(row: dict[str, Any]) -> str:
    return f"{row['largest_step']:.3g}"


def _curvature(row: dict[str, Any]) -> tuple[float, float]:
    """Norms of the diagonal blocks, and of the other blocks."""
    norms = np.array(row["blocks"]["norms"])
    return float(np.hypot(*np.diag(norms))), float(np.hypot(norms[0, 1], norms[1, 0]))


def table(result: dict[str, Any]) -> str:
    """A row for each checkpoint."""
    head = [
        "step",
        "|v|",
        "values",
        "largest",
        "rightmost",
        "fastest",
        "complex",
        "rotation",
        "attraction",
        "repelling",
    ]
    rows = [[*head, "G by G", "G by D", "D by G", "D by D", "antisymmetric"]]
    for row in result["rows"]:
        made = row["blocks"]
        norms, errors = (np.array(made[name]).reshape(-1) for name in ("norms", "norm_errors"))
        rows.append(
            [
                f"{row['step']:,}",
                f"{row['speed']:.3g}",
                f"{row['num']}" + (" (all)" if row["complete"] else ""),
                *(_complex(*row[name]) for name in ("largest", "rightmost", "fastest")),
                *(f"{row[name]:.0%}" for name in ("share_complex", "rotation", "attraction", "share_repelling")),
                *(f"{norm:.3g} ± {error:.1g}" for norm, error in zip(norms, errors, strict=True)),
                f"{made['rotation']:.2f} ± {made['rotation_error']:.2f}",
            ]
        )
    size = result["players"]
    notes = [
        f"{result['objective']}; {size['generator']:,} parameters of G, {size['discriminator']:,} of D; mean over "
        f"{result['num_examples']:,} examples; without learning rates and the optimisers' scaling",
        "complex, rotation (mean |Im| / |lambda|), attraction (mean -Re / |lambda|), repelling (Re > 0): over the "
        "nonzero eigenvalues that were found",
        "G by D: norm of the block of the Jacobian J that gives the change of G's descent with D's parameters; "
        "an estimate ± its error",
        "antisymmetric: share of the antisymmetric part in the squared norm of J",
    ]
    for row in result["rows"]:
        if row["missing"]:
            notes.append(f"step {row['step']:,}: {row['missing']} more eigenvalues did not converge")
    return "\n".join([text_table(rows), *notes])


def _complex(real: float, imaginary: float) -> str:
    return f"{real:.3g}" + (f" ± {imaginary:.3g}i" if imaginary else "")


def figure(result: dict[str, Any]) -> Any:
    """Eigenvalues of the last checkpoint in the complex plane; rotation, repulsion and block norms over training."""
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
            ("share_repelling", BAD, "share that repels"),
        ):
            axes[1].plot(steps, [row[name] for row in result["rows"]], color=colour, label=label, **style)
        norms, errors = (np.array([row["blocks"][name] for row in result["rows"]]) for name in ("norms", "norm_errors"))
        for gen, disc, colour, label in (
            (0, 0, "#e8590c", "G by G"),
            (1, 1, "#2a78d6", "D by D"),
            (0, 1, HELD_OUT, "G by D"),
            (1, 0, "#868e96", "D by G"),
        ):
            axes[2].errorbar(steps, norms[:, gen, disc], errors[:, gen, disc], color=colour, label=label, **style)
        axes[1].set(ylim=(None, 1.03), title="of the eigenvalues found")
        axes[2].set(yscale="log", title="norms of the Jacobian's blocks")
        for panel in axes[1:]:
            panel.set_xlabel("step", fontsize=8)
            if result["onset"] is not None:
                panel.axvline(result["onset"], color=BAD, linewidth=1, linestyle="--", label="onset")
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
    for mask, colour, label in ((~repelling, "#2a78d6", "attracting"), (repelling, BAD, "repelling")):
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
    """The value below which the scale is linear: the smallest part above rounding, so that no value is flattened."""
    sizes = np.abs(values)
    return float(np.min(sizes[sizes > 1e-3 * np.max(sizes)])) if np.any(sizes) else 1.0
