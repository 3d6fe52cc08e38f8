"""D's landscape over a plane or a line in words and figures; see `diagnosis_landscape`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gan_jax.reports.figures import FAKE, HELD_OUT, REAL, new_figure, plain_text
from gan_jax.reports.sample_pictures import draw_points
from gan_jax.reports.text_tables import text_table


def sentence(result: dict[str, Any]) -> str:
    """The last checkpoint in a sentence."""
    last, num = result["checkpoints"][-1], len(result["modes"])
    return (
        f"At step {last['step']:,} D has a peak at {last['modes_seen']} of {num} modes; {last['real_at_peak']:.1%} of "
        f"real points are at a local maximum of D ({result['ceiling']:.1%} if every mode were a round peak), and "
        f"gradient ascent on D from {last['real_attracted']:.1%} of them ends at their mode."
    )


def table(result: dict[str, Any]) -> str:
    """A row for each checkpoint, and one for each mode at the last of them."""
    num = len(result["modes"])
    rows = [["step", f"modes seen of {num}", "real at a peak", "real attracted", "slope at modes", "D(real) - D(fake)"]]
    rows += [
        [
            f"{row['step']:,}",
            str(row["modes_seen"]),
            f"{row['real_at_peak']:.1%}",
            f"{row['real_attracted']:.1%}",
            f"{row['slope_at_modes']:.3g}",
            f"{row['real_score'] - row['fake_score']:+.3g}",
        ]
        for row in result["checkpoints"]
    ]
    seen = result["checkpoints"][-1]["local_maxima"]
    last = [["mode", "at", "seen", "ascent ends at, radii", "prominence", "relative slope"]]
    last += [
        [
            str(index),
            ", ".join(f"{round(x, 6) + 0:.3g}" for x in mode),
            "yes" if seen["seen"][index] else "no",
            f"{seen['distance'][index]:.2f}",
            f"{seen['prominence'][index]:+.3f}",
            f"{seen['slope'][index]:.3f}",
        ]
        for index, mode in enumerate(result["modes"][:32])
    ]
    notes = [
        f"{result['score']}; the radius of a mode is {result['radius']:g} standard deviations",
        f"real at a peak: no point of the circle of twice the radius is higher; {result['ceiling']:.1%} at most if the "
        "peaks are round and at the modes",
        "slopes relative to the root mean square over the part of the space that is shown",
    ]
    return "\n".join([text_table(rows), "", "at the last of them", text_table(last), *notes])


def figure(result: dict[str, Any]) -> Any:
    """The landscape of the last checkpoint, and the local-maximum test over training."""
    made = new_figure(11.0, 4.8)
    left, right = made.subplots(1, 2, width_ratios=(1.0, 1.05))
    _draw_on(left, result, -1)
    steps = [row["step"] for row in result["checkpoints"]]
    shares = {
        "modes with a peak of D": [row["modes_seen"] / len(result["modes"]) for row in result["checkpoints"]],
        "real points at a local maximum": [row["real_at_peak"] for row in result["checkpoints"]],
        "real points attracted to their mode": [row["real_attracted"] for row in result["checkpoints"]],
    }
    for (label, values), marker in zip(shares.items(), "os^", strict=True):
        right.plot(steps, values, marker=marker, markersize=4, linewidth=1.3, label=label)
    right.axhline(result["ceiling"], linestyle=":", color="gray", linewidth=1, label="round peaks at all modes")
    right.set(ylim=(-0.03, 1.05), xlabel="step", ylabel="share")
    right.set_title("local maxima of D at the real data", fontsize=10)
    right.legend(frameon=False, fontsize=8)
    right.grid(alpha=0.3)
    return made


def draw_checkpoint(result: dict[str, Any], index: int) -> Any:
    """The landscape of one checkpoint, a frame of a film."""
    made = new_figure(5.2, 5.2)
    _draw_on(made.subplots(), result, index)
    return made


def _draw_on(axes: Any, result: dict[str, Any], index: int) -> None:
    if len(result["low"]) == 2:
        draw_plane(axes, result, result["checkpoints"][index])
    else:
        draw_line(axes, result, result["checkpoints"][index])


def draw_plane(axes: Any, result: dict[str, Any], row: dict[str, Any]) -> None:
    """Draws D's contours, the field -dL_G/dx, the fakes with their next step, and the real points.

    Args:
        axes: the matplotlib axes to draw on.
        result: the result of the diagnosis.
        row: one of its checkpoints.
    """
    (left, bottom), (right, top) = result["low"], result["high"]
    scores = np.array(row["scores"], float)
    least, greatest = np.nanquantile(scores, (0.02, 0.98))
    greatest = max(greatest, least + 1e-6 * max(1.0, abs(least)))
    xs, ys = np.linspace(left, right, scores.shape[1]), np.linspace(bottom, top, scores.shape[0])
    levels = np.linspace(least, greatest, 15)
    # Light greys: both colours of points stay visible.
    shading = axes.contourf(xs, ys, scores, levels=levels, cmap="gray", extend="both", alpha=0.5)
    axes.contour(xs, ys, scores, levels=levels[::2], colors="0.4", linewidths=0.4, linestyles="solid")
    if result["decision_threshold"] is not None and scores.min() < result["decision_threshold"] < scores.max():
        axes.contour(xs, ys, scores, levels=[result["decision_threshold"]], colors=HELD_OUT, linewidths=1.3)
        axes.plot([], [], color=HELD_OUT, linewidth=1.3, label="D undecided")
    bar = axes.figure.colorbar(shading, cax=axes.inset_axes((1.03, 0.0, 0.035, 1.0)), ticks=[least, greatest])
    bar.ax.set_yticklabels([f"{value:.3g}" for value in (least, greatest)], fontsize=7)
    bar.set_label("score of D", fontsize=7, labelpad=-12)
    arrows, field = np.array(result["arrows"], float), np.array(row["field"], float)
    longest = 0.95 * (right - left) / math.sqrt(len(arrows))
    field = field * _magnified(field, longest)
    field = field / np.maximum(1, np.linalg.norm(field, axis=1, keepdims=True) / (1.5 * longest))
    real, fakes, moves = (np.array(part, float) for part in (result["real"], row["fakes"], row["moves"]))
    factor = float(f"{_magnified(moves, 0.08 * (right - left)):.1g}")
    to_scale = {"angles": "xy", "scale_units": "xy", "scale": 1}
    axes.quiver(*arrows.T, *field.T, **to_scale, color="0.15", width=0.0022, alpha=0.8)
    axes.plot(*real.T, ".", color=REAL, markersize=2.5, alpha=0.8, label="real")
    label = f"fakes, and their next step x {factor:,.0f}"
    axes.plot(*fakes.T, ".", color=FAKE, markersize=2.5, alpha=0.7, label=label)
    axes.quiver(*fakes[:96].T, *factor * moves[:96].T, **to_scale, color=FAKE, width=0.003)
    modes = np.array(result["modes"])
    seen = np.array(row["local_maxima"]["seen"])
    for mask, marker, colour, label in ((seen, "o", REAL, "mode with a peak of D"), (~seen, "x", "#c2255c", "without")):
        if mask.any():
            style = {"color": colour, "markerfacecolor": "none", "markersize": 13, "markeredgewidth": 1.6}
            axes.plot(*modes[mask].T, marker, linestyle="none", alpha=0.9, label=label, **style)
    outside = 1 - np.mean(np.all((fakes >= (left, bottom)) & (fakes <= (right, top)), axis=1))
    note = f"; {outside:.0%} of fakes outside" if outside > 0.005 else ""
    axes.set_title(f"step {row['step']:,}{note}", fontsize=10)
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    axes.tick_params(labelsize=7)
    place = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.06), "ncol": 3, "columnspacing": 1.2}
    axes.legend(fontsize=6.5, frameon=False, markerscale=0.9, handletextpad=0.4, **place)


def draw_line(axes: Any, result: dict[str, Any], row: dict[str, Any]) -> None:
    """Draws D over one-dimensional data, the density of the data or their points, and a histogram of the fakes.

    Args:
        axes: the matplotlib axes to draw on.
        result: the result of the diagnosis.
        row: one of its checkpoints.
    """
    low, high = result["low"][0], result["high"][0]
    scores = np.array(row["scores"], float)
    xs = np.linspace(low, high, len(scores))
    axes.plot(xs, scores, color="0.15", linewidth=1.5, label="score of D")
    if result["decision_threshold"] is not None:
        axes.axhline(result["decision_threshold"], color="gray", linestyle=":", linewidth=1)
    modes, std, weights = (np.array(result[name], float) for name in ("modes", "std", "weights"))
    density = axes.twinx()
    if result.get("noisy", [1.0])[0]:  # results of earlier versions do not say it
        scaled = (xs[:, None] - modes[:, 0]) / std
        truth = (weights / (std * np.sqrt(2 * np.pi)) * np.exp(-0.5 * scaled**2)).sum(axis=1)
        density.fill_between(xs, truth, color=REAL, alpha=0.25, label="real density")
    else:
        draw_points(density, modes[:, 0])
    fakes = np.clip(np.array(row["fakes"], float)[:, 0], low, high)
    density.hist(fakes, bins=80, range=(low, high), density=True, color=FAKE, alpha=0.45, label="fakes")
    density.set_ylabel("density", fontsize=8)
    density.set_ylim(bottom=0)
    axes.set(xlim=(low, high), xlabel=plain_text(result.get("unit") or "value"), ylabel="score")
    axes.set_title(f"step {row['step']:,}", fontsize=10)
    (curves, names), (areas, kinds) = axes.get_legend_handles_labels(), density.get_legend_handles_labels()
    axes.legend(
        [*curves, *areas],
        [*names, *kinds],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.1),
        ncol=3,
        fontsize=7,
        frameon=False,
    )


def _magnified(vectors: np.ndarray, longest: float) -> float:
    """Factor that scales vectors [n, d] so that 95 % of them are at most `longest`."""
    usual = float(np.nanquantile(np.linalg.norm(vectors, axis=1), 0.95))
    return longest / usual if usual > 0 else 1.0
