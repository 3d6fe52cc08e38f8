"""What the pictures and tables of landscapes, scans and forgetting share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gan_jax.reports.sample_pictures import FAKE, REAL

COLOURS = {"training": REAL, "real": REAL, "held-out": "#2f9e44", "fake": FAKE}


def new_figure(width: float, height: float) -> Any:
    """A figure (inches) that is drawn without any window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def aligned(rows: list[list[str]]) -> list[str]:
    """A table's rows as lines, columns padded."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def rounded(value: Any, digits: int) -> Any:
    """Arrays as lists of numbers with so many significant digits, None for what is not finite; trees of them too."""
    if isinstance(value, dict):
        return {name: rounded(part, digits) for name, part in value.items()}
    array = np.asarray(value)
    if array.ndim:
        return [rounded(part, digits) for part in array]
    number = array.item()
    if number is None or isinstance(number, (bool, int)):
        return number
    return float(f"{number:.{digits}g}") if math.isfinite(number) else None


def draw_plane(axes: Any, result: dict[str, Any], row: dict[str, Any]) -> None:
    """D's contours, the field -dL_G/dx, the fakes with their next step, and the real points, of one checkpoint."""
    (left, bottom), (right, top) = result["low"], result["high"]
    scores = np.array(row["scores"], float)
    least, greatest = np.nanquantile(scores, (0.02, 0.98))
    greatest = max(greatest, least + 1e-6 * max(1.0, abs(least)))
    xs, ys = np.linspace(left, right, scores.shape[1]), np.linspace(bottom, top, scores.shape[0])
    levels = np.linspace(least, greatest, 15)
    # Light greys, on which both colours of points are seen.
    shading = axes.contourf(xs, ys, scores, levels=levels, cmap="gray", extend="both", alpha=0.5)
    axes.contour(xs, ys, scores, levels=levels[::2], colors="0.4", linewidths=0.4, linestyles="solid")
    if result["decision_threshold"] is not None and scores.min() < result["decision_threshold"] < scores.max():
        axes.contour(xs, ys, scores, levels=[result["decision_threshold"]], colors="#2f9e44", linewidths=1.3)
        axes.plot([], [], color="#2f9e44", linewidth=1.3, label="D undecided")
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
    seen = np.array(row["attention"]["seen"])
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
    """D over one-dimensional data, with the density of the data and a histogram of the fakes, of one checkpoint."""
    low, high = result["low"][0], result["high"][0]
    scores = np.array(row["scores"], float)
    xs = np.linspace(low, high, len(scores))
    axes.plot(xs, scores, color="0.15", linewidth=1.5, label="score of D")
    if result["decision_threshold"] is not None:
        axes.axhline(result["decision_threshold"], color="gray", linestyle=":", linewidth=1)
    modes, std, weights = (np.array(result[name], float) for name in ("modes", "std", "weights"))
    density = axes.twinx()
    scaled = (xs[:, None] - modes[:, 0]) / std
    truth = (weights / (std * np.sqrt(2 * np.pi)) * np.exp(-0.5 * scaled**2)).sum(axis=1)
    density.fill_between(xs, truth, color=REAL, alpha=0.25, label="real density")
    fakes = np.clip(np.array(row["fakes"], float)[:, 0], low, high)
    density.hist(fakes, bins=80, range=(low, high), density=True, color=FAKE, alpha=0.45, label="fakes")
    density.set_ylabel("density", fontsize=8)
    density.set_ylim(bottom=0)
    axes.set(xlim=(low, high), xlabel="value (temperatures: degrees Celsius)", ylabel="score")
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


def find(checkpoint: dict[str, Any], kind: str, direction: str) -> dict[str, Any]:
    """The row of a kind and a direction."""
    return next(row for row in checkpoint["rows"] if (row["kind"], row["direction"]) == (kind, direction))


def draw_scans(figure: Any, result: dict[str, Any]) -> None:
    """Mean scans with bands at the last checkpoint; below, peaks, widths and flat regions over training."""
    top, bottom = figure.subplots(2, 3)
    ks = np.array(result["offsets"])
    last, kinds = result["checkpoints"][-1], result["kinds"]
    for axes, direction in zip(top, result["directions"], strict=True):
        for kind in kinds:
            row = find(last, kind, direction)
            low, mean, high = (np.array(row[name], float) for name in ("low", "mean", "high"))
            axes.plot(ks, mean, color=COLOURS[kind], linewidth=1.6, label=kind)
            axes.fill_between(ks, low, high, color=COLOURS[kind], alpha=0.15, linewidth=0)
        axes.axvline(0, color="gray", linewidth=0.8, linestyle=":")
        axes.set_title(f"u {direction}, step {last['step']:,}")
        axes.set_xlabel("k", fontsize=8)
    top[0].set_ylabel("D(x + k u): mean, 80 % band", fontsize=8)
    top[0].legend(frameon=False, fontsize=8)
    steps = [point["step"] for point in result["checkpoints"]]
    for kind in kinds:
        style: dict[str, Any] = {"color": COLOURS[kind], "markersize": 3.5, "linewidth": 1.3}
        for direction, line, marker in (("random", "-", "o"), ("towards another", "--", "^")):
            shares = [find(point, kind, direction)["peak_share"] for point in result["checkpoints"]]
            bottom[0].plot(steps, shares, line, marker=marker, label=f"{kind}, u {direction}", **style)
        quantiles = [find(point, kind, "random")["half_width"] for point in result["checkpoints"]]
        widths = np.array([[q[name] for name in ("lower", "median", "upper")] for q in quantiles], float)
        bottom[1].plot(steps, widths[:, 1], "-o", **style)
        bottom[1].fill_between(steps, widths[:, 0], widths[:, 2], color=COLOURS[kind], alpha=0.15, linewidth=0)
        flat = [point["slopes"][result["measured"]][kind]["flat_share"] for point in result["checkpoints"]]
        bottom[2].plot(steps, flat, "-o", **style)
    bottom[0].set(ylim=(-0.03, 1.03), title="share with a peak at k = 0")
    bottom[0].legend(frameon=False, fontsize=6)
    bottom[1].set(ylim=(0, None), title=f"half-width of the {result['measured']}, u random: quartiles")
    bottom[2].set(ylim=(-0.03, 1.03), title=f"share in flat regions of the {result['measured']}")
    for axes in bottom:
        axes.set_xlabel("step", fontsize=8)
    for axes in (*top, *bottom):
        axes.tick_params(labelsize=7)
        axes.title.set_fontsize(9)
        axes.grid(alpha=0.25)


def _magnified(vectors: np.ndarray, longest: float) -> float:
    """By how much vectors [n, d] are drawn longer, so that 19 in 20 are at most so long."""
    usual = float(np.nanquantile(np.linalg.norm(vectors, axis=1), 0.95))
    return longest / usual if usual > 0 else 1.0
