"""The result of `gan-jax diagnose support` in words and figures."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from gan_jax.diagnostics.support import Neighbours, chance_in_batch, closest_pairs
from gan_jax.reports.figures import BAD, FAKE, HELD_OUT, REAL, new_figure
from gan_jax.reports.sample_pictures import image_grid
from gan_jax.reports.text_tables import text_table

_NUM_PICTURES = 8


def sentence(result: dict[str, Any]) -> str:
    """The last checkpoint in a sentence, for the last space: features if there are any."""
    row = result["rows"][-1]
    name, seen = list(row["spaces"].items())[-1]
    real = result["spaces"][name]["real"]
    text = f"At step {row['step']:,} G makes {_size(seen)} different samples, by distances in {name}; the same rule "
    text += f"finds {_size(real)} among {real['num_samples']:,} real examples"
    if seen["size"] is not None and real["size"] is not None:
        text += f", a ratio of {seen['size'] / real['size']:.2g}"
    return (
        f"{text}. {seen['share_close']:.1%} of the fakes are as close to a training example as "
        f"{result['quantile']:.0%} of the held-out ones, and their median distance is "
        f"{seen['nearest_ratio']:.2f} times that of held-out ones."
    )


def _size(size: dict[str, Any]) -> str:
    """A size with its interval, such as "1,200 (900 to 1,700)" or "more than 40,000"."""
    if size["size"] is None:
        return f"more than {_count(size['low'])}"
    high = "no bound" if size["high"] is None else _count(size["high"])
    return f"{_count(size['size'])} ({_count(size['low'])} to {high})"


def _count(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 10 else f"{value:.2g}"


def table(result: dict[str, Any]) -> str:
    """A row for each checkpoint and space, and one for real examples."""
    rows = [["step", "space", "support size (95 %)", "pairs", "half chance at", "near training", "distance ratio"]]
    for name, space in result["spaces"].items():
        real = space["real"]
        rows.append(["real", name, _size(real), f"{real['pairs']:,}", _half(real), f"{result['quantile']:.1%}", "1"])
    for row in result["rows"]:
        for name, seen in row["spaces"].items():
            rows.append(
                [
                    f"{row['step']:,}",
                    name,
                    _size(seen),
                    f"{seen['pairs']:,}",
                    _half(seen),
                    f"{seen['share_close']:.1%}",
                    f"{seen['nearest_ratio']:.2f}",
                ]
            )
    thresholds = ", ".join(f"{space['threshold']:.3g} in {name}" for name, space in result["spaces"].items())
    return "\n".join(
        [
            text_table(rows),
            f"{result['num_samples']:,} samples; {result['examples']}; samples are the same below {thresholds}",
            "half chance at: size of a batch in which two samples are the same with probability 1/2 (birthday paradox)",
            "near training: share of fakes closer to a training example than the threshold; of held-out examples it is "
            f"{result['quantile']:.0%}",
            "distance ratio: median distance to the nearest training example, fakes over held-out examples",
        ]
    )


def _half(size: dict[str, Any]) -> str:
    return "-" if size["batch_half"] is None else _count(size["batch_half"])


def closest_pictures(fakes: np.ndarray, train: Any, neighbours: tuple[Neighbours, Neighbours]) -> dict[str, str]:
    """Pictures for the figure: the closest pairs of fakes, and the fakes closest to a training example with it below.

    Args:
        fakes: [n, *shape], images.
        train: [m, *shape], training images.
        neighbours: (among the fakes, among the training images), see `fake_support`.

    Returns:
        "pairs" and "nearest", each a PNG in Base64.
    """
    among, in_train = neighbours
    pairs = closest_pairs(among, _NUM_PICTURES)
    order = np.argsort(np.asarray(in_train.distance), kind="stable")[:_NUM_PICTURES]
    examples = np.asarray(train[np.asarray(in_train.which)[order]])
    return {
        "pairs": _png(np.concatenate([fakes[pairs[:, 0]], fakes[pairs[:, 1]]])),
        "nearest": _png(np.concatenate([fakes[order], examples])),
    }


def _png(images: np.ndarray) -> str:
    file = io.BytesIO()
    image_grid(images, columns=len(images) // 2, scale=1).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode()


def figure(result: dict[str, Any]) -> Any:
    """For each space: chances of a coincidence, distances to the training set, sizes over training, closest images."""
    names = list(result["spaces"])
    several, pictured = len(result["rows"]) > 1, bool(result["pictures"])
    columns = 2 + several + 2 * pictured
    made = new_figure(3.6 * columns, 3.3 * len(names))
    grid = made.subplots(len(names), columns, squeeze=False)
    last = result["rows"][-1]
    for axes, name in zip(grid, names, strict=True):
        space, seen = result["spaces"][name], last["spaces"][name]
        _draw_chances(axes[0], seen, space["real"])
        axes[0].set_title(f"two of a batch the same ({name}), step {last['step']:,}")
        shares = np.linspace(0, 1, 21)
        least = space["threshold"] / 100  # the scale has no 0
        for distances, colour, label in (
            (space["held_out_quantiles"], HELD_OUT, "held-out examples"),
            (seen["nearest_quantiles"], FAKE, "fakes"),
        ):
            axes[1].plot(np.maximum(distances, least), shares, color=colour, label=label)
        axes[1].axvline(space["threshold"], color="gray", linestyle=":", linewidth=1, label="threshold")
        axes[1].set(title=f"distance to the nearest training example ({name})", ylabel="share below", xscale="log")
        axes[1].set_xlabel("distance", fontsize=8)
        axes[1].legend(frameon=False, fontsize=7)
        if several:
            _draw_sizes(axes[2], result, name)
        if pictured:
            titles = {"pairs": "closest pairs of fakes", "nearest": "fakes, and nearest training examples"}
            for panel, (kind, title) in zip(axes[2 + several :], titles.items(), strict=True):
                panel.imshow(_decoded(result["pictures"][name][kind]), cmap="gray", interpolation="nearest")
                panel.axis("off")
                panel.set_title(title)
        for panel in axes:
            panel.tick_params(labelsize=7, which="both")
            panel.yaxis.label.set_fontsize(8)
            panel.title.set_fontsize(8.5)
            panel.grid(alpha=0.25)
    return made


def _draw_chances(axes: Any, seen: dict[str, Any], real: dict[str, Any]) -> None:
    for size, colour, label in ((seen, FAKE, "fakes"), (real, REAL, "real")):
        counts = np.array(size["chances"], float).reshape(-1, 3)
        if len(counts):
            share = counts[:, 2] / counts[:, 1]
            # Wilson's interval, which holds at shares of 0 and 1.
            z = 1.96
            middle = (share + z**2 / (2 * counts[:, 1])) / (1 + z**2 / counts[:, 1])
            half = z * np.sqrt(share * (1 - share) / counts[:, 1] + z**2 / (4 * counts[:, 1] ** 2))
            half = half / (1 + z**2 / counts[:, 1])
            bars = np.maximum([share - (middle - half), (middle + half) - share], 0)
            axes.errorbar(counts[:, 0], share, bars, fmt="o", color=colour, markersize=3.5, capsize=2, label=label)
        if size["size"] is not None:
            batches = np.geomspace(5, 20_000, 80)
            axes.plot(batches, [chance_in_batch(size["size"], batch) for batch in batches], color=colour, linewidth=1)
    axes.set(xscale="log", ylim=(-0.03, 1.03), ylabel="probability")
    axes.set_xlabel("batch", fontsize=8)
    axes.legend(frameon=False, fontsize=7)


def _draw_sizes(axes: Any, result: dict[str, Any], name: str) -> None:
    steps = np.array([row["step"] for row in result["rows"]])
    seen = [row["spaces"][name] for row in result["rows"]]
    sizes = np.array([size["size"] if size["size"] is not None else np.nan for size in seen])
    lows = np.array([size["low"] for size in seen])
    highs = np.array([size["high"] if size["high"] is not None else np.nan for size in seen])
    known = np.isfinite(sizes)
    axes.fill_between(steps, lows, np.where(np.isfinite(highs), highs, lows), color=FAKE, alpha=0.2, linewidth=0)
    axes.plot(steps[known], sizes[known], "o-", color=FAKE, markersize=3.5, label="fakes")
    if not known.all():
        axes.plot(steps[~known], lows[~known], "^", color=FAKE, markersize=5, label="at least")
    real = result["spaces"][name]["real"]
    axes.axhline(real["size"] or real["low"], color=REAL, linestyle="--", linewidth=1, label="real")
    if result["onset"] is not None:
        axes.axvline(result["onset"], color=BAD, linewidth=1, linestyle="--", label="onset of the failure")
    axes.set(yscale="log", title=f"support size ({name}) over training")
    axes.set_xlabel("step", fontsize=8)
    axes.legend(frameon=False, fontsize=7)


def _decoded(picture: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))))
