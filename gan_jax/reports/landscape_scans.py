"""Scans of D's score in words and figures; see `diagnosis_landscape`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gan_jax.reports.figures import KIND_COLOURS, new_figure
from gan_jax.reports.text_tables import text_table


def sentence(result: dict[str, Any]) -> str:
    """The last checkpoint in a sentence."""
    last, kinds = result["checkpoints"][-1], result["kinds"]
    shares = {
        direction: enumeration([f"{scan_row(last, kind, direction)['peak_share']:.0%} of the {kind}" for kind in kinds])
        for direction in ("random", "towards another")
    }
    width = scan_row(last, kinds[0], "random")["half_width"]["median"]
    wide = (
        f"no {kinds[0]} example has a basin along random lines"
        if width is None
        else f"along random lines the basins of the {kinds[0]} examples have a half-width of {width:.3g}, "
        f"{width / result['reach']:.0%} of the mean distance between two examples"
    )
    flat = last["slopes"][result["measured"]]["fake"]["flat_share"]
    return (
        f"At step {last['step']:,} D has a peak at {shares['random']} examples along random lines, and at "
        f"{shares['towards another']} ones on the way to another example; {wide}; {flat:.1%} of the fakes are in flat "
        "regions."
    )


def table(result: dict[str, Any]) -> str:
    """Peaks over training; widths and gradient norms at the last checkpoint."""
    kinds, last = result["kinds"], result["checkpoints"][-1]
    over = [
        ["peak at 0, u random", *[""] * (len(kinds) - 1), "u towards another", *[""] * (len(kinds) - 1), "half-width"],
        [*kinds, *kinds, kinds[0]],
    ]
    over = [["", *over[0]], ["step", *over[1]]]
    for point in result["checkpoints"]:
        shares = [
            f"{scan_row(point, kind, direction)['peak_share']:.1%}"
            for direction in ("random", "towards another")
            for kind in kinds
        ]
        over.append([f"{point['step']:,}", *shares, _median(scan_row(point, kinds[0], "random")["half_width"])])
    rows = [["kind", "direction", "peak at 0", "highest at 0", "half-width", "sharpness", "half-width of the score"]]
    rows += [
        [
            row["kind"],
            row["direction"],
            _share(row["peak_share"], result["num_scans"]),
            _share(row["highest_share"], result["num_scans"]),
            *(_median(row[name]) for name in ("half_width", "sharpness", "score_half_width")),
        ]
        for row in last["rows"]
    ]
    slopes = [["gradient of", *(f"{kind}, median" for kind in kinds), *(f"{kind}, flat" for kind in kinds)]]
    slopes += [
        [name, *(_median(by[kind]) for kind in kinds), *(f"{by[kind]['flat_share']:.1%}" for kind in kinds)]
        for name, by in last["slopes"].items()
    ]
    notes = [
        f"{result['score']}; {result['num_scans']:,} scans of a kind and direction, k from -{result['reach']:.3g} to "
        f"{result['reach']:.3g} (the mean distance between two real examples)",
        f"half-width, in units of k, and sharpness, per unit^2, of the {result['measured']}: medians over the peaks",
        f"flat: a gradient below {result['flat_fraction']:g} of the median over all kinds",
    ]
    at = f"at step {last['step']:,}"
    return "\n".join([text_table(over), "", at, text_table(rows), "", text_table(slopes), *notes])


def figure(result: dict[str, Any]) -> Any:
    """Mean scans with bands at the last checkpoint; below, peaks, widths and flat regions over training."""
    made = new_figure(11.5, 6.4)
    top, bottom = made.subplots(2, 3)
    ks = np.array(result["offsets"])
    last, kinds = result["checkpoints"][-1], result["kinds"]
    for axes, direction in zip(top, result["directions"], strict=True):
        for kind in kinds:
            row = scan_row(last, kind, direction)
            low, mean, high = (np.array(row[name], float) for name in ("low", "mean", "high"))
            axes.plot(ks, mean, color=KIND_COLOURS[kind], linewidth=1.6, label=kind)
            axes.fill_between(ks, low, high, color=KIND_COLOURS[kind], alpha=0.15, linewidth=0)
        axes.axvline(0, color="gray", linewidth=0.8, linestyle=":")
        axes.set_title(f"u {direction}, step {last['step']:,}")
        axes.set_xlabel("k", fontsize=8)
    top[0].set_ylabel("D(x + k u): mean, 80 % band", fontsize=8)
    top[0].legend(frameon=False, fontsize=8)
    steps = [point["step"] for point in result["checkpoints"]]
    for kind in kinds:
        style: dict[str, Any] = {"color": KIND_COLOURS[kind], "markersize": 3.5, "linewidth": 1.3}
        for direction, line, marker in (("random", "-", "o"), ("towards another", "--", "^")):
            shares = [scan_row(point, kind, direction)["peak_share"] for point in result["checkpoints"]]
            bottom[0].plot(steps, shares, line, marker=marker, label=f"{kind}, u {direction}", **style)
        quantiles = [scan_row(point, kind, "random")["half_width"] for point in result["checkpoints"]]
        widths = np.array([[q[name] for name in ("lower", "median", "upper")] for q in quantiles], float)
        bottom[1].plot(steps, widths[:, 1], "-o", **style)
        bottom[1].fill_between(steps, widths[:, 0], widths[:, 2], color=KIND_COLOURS[kind], alpha=0.15, linewidth=0)
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
    return made


def scan_row(checkpoint: dict[str, Any], kind: str, direction: str) -> dict[str, Any]:
    """The row of a checkpoint with one kind and direction.

    Args:
        checkpoint: the checkpoint of the result.
        kind: the kind of examples, such as "fake".
        direction: "random", "gradient" or "towards another".

    Returns:
        The row.
    """
    return next(row for row in checkpoint["rows"] if (row["kind"], row["direction"]) == (kind, direction))


def enumeration(words: Sequence[str]) -> str:
    """Words joined by commas, with "and" before the last.

    Example:
        >>> enumeration(["1", "2", "3"])
        '1, 2 and 3'
    """
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0]


def _share(share: float, num: int) -> str:
    """A share of `num` examples with its standard error."""
    return f"{share:.1%} ±{100 * (share * (1 - share) / num) ** 0.5:.1f}"


def _median(quantiles: dict[str, float | None]) -> str:
    return "-" if quantiles["median"] is None else f"{quantiles['median']:.3g}"
