"""Figures of results and arrays: `samples`, `curves`, `landscape` and `survival`, reached as `gan_jax.plot`.

Each function returns a matplotlib `Figure` that is independent of pyplot: save it with `figure.savefig(path)`, or let a
notebook show it as the value of a cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from gan_jax.reports.figures import FAKE, REAL, SERIES, draw_survival, new_figure, plain_text
from gan_jax.reports.sample_pictures import image_grid, outside_note

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 16
"""Largest number of members of a result that `samples` draws."""
_MAX_POINTS = 1500
_RUN_SAMPLES = 512
_BINS = 60
_PANEL = 3.2
"""Width of a panel, in inches."""


def samples(source: Any, *, num: int = 64) -> Figure:
    """Generated samples beside real examples: a grid of images, a scatter of points or histograms of numbers.

    Args:
        source: a result of `gan_jax.train`, under any number of `vmap`s; a `gan_jax.Run` (its newest generator and its
            fixed latents); an object with `samples` and, if it has real examples, `real`; or an array of samples.
            Shapes are [n, height, width, channels] for images in [-1, 1] and [n, dim] for points, of which the first
            two coordinates are drawn; [n] is a list of numbers. A further leading axis, [members, n, ...], gives one
            panel per member, for the first 16 members.
        num: number of images in a grid, at least 1. Scatters draw up to 1,500 points, histograms all numbers.

    Returns:
        The figure. The axes of a scatter cover the real examples and a fifth more on each side; the legend gives the
        share of samples outside.

    Raises:
        ValueError: if `num` is below 1, there is no sample, or the shapes are not those above.

    Example:
        >>> ring = np.stack([np.cos(np.arange(8.0)), np.sin(np.arange(8.0))], axis=1)
        >>> figure = samples(ring)
        >>> figure.axes[0].lines[0].get_xydata().shape
        (8, 2)
        >>> len(samples(np.zeros((3, 100, 1))).axes)  # three members, one number per sample
        3
    """
    if num < 1:
        raise ValueError(f"num={num}: give the number of images in a grid, 1 or more")
    given, real = _samples_and_real(source)
    fake = _members("samples", given)
    real = None if real is None else _members("real", real)
    if real is not None and (real.shape[2:] != fake.shape[2:] or len(real) not in (1, len(fake))):
        raise ValueError(
            f"samples {fake.shape[1:]} and real examples {real.shape[1:]} of {len(fake)} and {len(real)} members do "
            "not belong together: give examples of the same shape, with the same number of members"
        )
    several = np.ndim(given) in (3, 5)
    pairs = [(part, None if real is None else real[min(index, len(real) - 1)]) for index, part in enumerate(fake)]
    if fake.ndim == 5 and not several and real is not None:
        figure, panels = _panels(2)
        for axes, images, title in zip(panels, (real[0], fake[0]), ("real", "fake"), strict=True):
            _show_images(axes, [images[:num]], title)
        return figure
    # Two grids beside each other are half as high as they are wide.
    height = _PANEL if fake.ndim < 5 or real is None else 0.6 * _PANEL
    figure, panels = _panels(min(len(pairs), MAX_PANELS), height=height)
    for index, (axes, (own, beside)) in enumerate(zip(panels, pairs, strict=False)):
        title = f"member {index}" if several else ""
        if fake.ndim == 5:
            grids = [own[:num]] if beside is None else [beside[:num], own[:num]]
            _show_images(axes, grids, title if beside is None else f"{title}: real, fake" if several else "real, fake")
        elif fake.shape[-1] == 1:
            _draw_histograms(axes, own[:, 0], None if beside is None else beside[:, 0])
            axes.set_title(title, fontsize=9)
        else:
            _draw_points(axes, own[:_MAX_POINTS, :2], None if beside is None else beside[:_MAX_POINTS, :2])
            axes.set_title(title, fontsize=9)
    return figure


def _samples_and_real(source: Any) -> tuple[Any, Any]:
    """(samples, real examples or None) of what `samples` takes, with at most one leading axis of members."""
    if hasattr(source, "verdict") and hasattr(source, "samples"):  # a result, with a leading axis for every vmap
        leading = np.ndim(source.verdict.outcome)
        parts = (np.asarray(part) for part in (source.samples, source.real))
        given, real = (part.reshape(-1, *part.shape[leading:]) if leading else part for part in parts)
        return given, real
    if hasattr(source, "generator") and hasattr(source, "load_data"):  # a run
        data = source.experiment.data.source(source.load_data().dataset)
        return source.generator().sample(None, _RUN_SAMPLES), data.sample(jax.random.key(0), _RUN_SAMPLES)
    # An array also has an attribute `real`, its real part.
    return (source.samples, getattr(source, "real", None)) if hasattr(source, "samples") else (source, None)


def _members(name: str, array: Any) -> np.ndarray:
    """An array of examples as [members, n, dim] or [members, n, height, width, channels]."""
    array = np.asarray(array, float)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim not in (2, 3, 4, 5) or (array.ndim > 3 and array.shape[-1] not in (1, 3)):
        raise ValueError(
            f"{name} of shape {array.shape}: give [n, dim] or [n, height, width, channels] with 1 or 3 channels, with "
            "or without a leading axis of members"
        )
    if 0 in array.shape:
        raise ValueError(f"{name} of shape {array.shape}: give at least one example with at least one number")
    return array if array.ndim in (3, 5) else array[None]


def _panels(num: int, columns: int | None = None, height: float = _PANEL) -> tuple[Figure, list[Axes]]:
    """A figure of so many axes, in rows."""
    columns = columns or math.ceil(math.sqrt(num))
    rows = -(-num // columns)
    figure = new_figure(_PANEL * columns + (1.0 if num == 1 else 0.0), height * rows + (0.6 if num == 1 else 0.0))
    return figure, [figure.add_subplot(rows, columns, index + 1) for index in range(num)]


def _show_images(axes: Axes, grids: Sequence[np.ndarray], title: str) -> None:
    """Grids of images side by side, with a white gap between them."""
    parts: list[np.ndarray] = []
    for images in grids:
        pixels = np.asarray(image_grid(images, columns=math.ceil(math.sqrt(len(images))), scale=1).convert("RGB"))
        gap = np.full((pixels.shape[0], max(2, images.shape[2] // 4), 3), 255, np.uint8)
        parts += [gap, pixels] if parts else [pixels]
    height = max(len(part) for part in parts)
    filled = [
        np.pad(part, ((0, height - len(part)), (0, 0), (0, 0)), constant_values=255) if len(part) < height else part
        for part in parts
    ]
    axes.imshow(np.concatenate(filled, axis=1), interpolation="nearest")
    axes.set_axis_off()
    axes.set_title(title, fontsize=9)


def _draw_points(axes: Axes, fake: np.ndarray, real: np.ndarray | None) -> None:
    frame = fake if real is None else real
    frame = frame[np.isfinite(frame).all(axis=1)]
    if not len(frame):
        frame = np.zeros((1, 2))
    low, high = frame.min(axis=0), frame.max(axis=0)
    margin = 0.2 * float(np.max(high - low)) or 0.5
    low, high = low - margin, high + margin
    if real is not None:
        axes.plot(real[:, 0], real[:, 1], ".", color=REAL, markersize=3, alpha=0.6, label="real")
    label = "fake" + outside_note(fake, low, high)
    axes.plot(fake[:, 0], fake[:, 1], ".", color=FAKE, markersize=3, alpha=0.6, label=label)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.tick_params(labelsize=7)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2, fontsize=7, frameon=False)


def _draw_histograms(axes: Axes, fake: np.ndarray, real: np.ndarray | None) -> None:
    both = [("real", REAL, real), ("fake", FAKE, fake)]
    finite = [(label, colour, part[np.isfinite(part)]) for label, colour, part in both if part is not None]
    values = np.concatenate([part for _, _, part in finite])
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    for label, colour, part in finite:
        if len(part):
            axes.hist(part, bins=_BINS, range=(low, high), density=True, color=colour, alpha=0.6, label=label)
        else:
            axes.plot([], [], color=colour, label=f"{label} (no finite value)")
    axes.set(xlim=(low, high), xlabel="value", ylabel="density")
    axes.tick_params(labelsize=7)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=7, frameon=False)


def curves(metrics: Any, names: Iterable[str] | None = None, *, steps: Any = None) -> Figure:
    """Metrics over training, one panel per name.

    Args:
        metrics: a result of `gan_jax.train`, a `gan_jax.Run`, or a mapping from names to arrays [steps] or
            [members, steps] (a dict, or a pandas frame of one run). Of several members the median is drawn, with a band
            that holds the middle 80 % (from the 10 % to the 90 % quantile). Values that are not finite are left out.
        names: names of the metrics, in the order of the panels; None takes all that hold numbers.
        steps: [steps] of the values, ascending; by default the metric "step" if there is one, else 1, 2, 3 and so on.

    Returns:
        The figure; titles are the names.

    Raises:
        ValueError: if a name is unknown or holds no numbers, nothing is left to draw, or the steps do not fit.

    Example:
        >>> figure = curves({"loss": np.array([3.0, 2.0, 1.0]), "note": "text"})
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['loss']
        >>> figure.axes[0].lines[0].get_xdata().tolist()
        [1.0, 2.0, 3.0]
    """
    table: Mapping[str, Any] = metrics if hasattr(metrics, "keys") else metrics.metrics
    if hasattr(metrics, "frame"):  # a run, whose series of lists have one row per evaluation
        table = {name: values for name, values in table.items() if np.ndim(values) == 1}
    found = {str(name): values for name in table.keys() if (values := _series(table[name])) is not None}  # noqa: SIM118
    if steps is None and "step" in found:
        steps = found["step"][0]
    if names is None:
        chosen = [name for name in found if name != "step"]
    else:
        chosen = [names] if isinstance(names, str) else list(names)
    unknown = [name for name in chosen if name not in found]
    if unknown or not chosen:
        what = f"no metric {', '.join(map(repr, unknown))}" if unknown else "no metric to draw"
        raise ValueError(f"{what}: there are {', '.join(found) or 'none with numbers'}")
    figure, panels = _panels(len(chosen), columns=min(3, len(chosen)), height=0.75 * _PANEL)
    for axes, name in zip(panels, chosen, strict=True):
        values = found[name]
        at = np.arange(1.0, values.shape[1] + 1) if steps is None else np.asarray(steps, float)
        if at.shape != values.shape[1:]:
            raise ValueError(
                f"steps of shape {at.shape} for {name!r}: give one step for each of {values.shape[1]} values"
            )
        if np.any(np.diff(at) < 0):
            raise ValueError("steps descend: give the rows of one run, or arrays [members, steps] of several")
        _draw_curve(axes, at, values)
        axes.set_title(plain_text(name.replace("_", " ")), loc="left", fontsize=9)
        axes.set_xlabel("step", fontsize=8)
        axes.tick_params(labelsize=7)
    return figure


def _series(values: Any) -> np.ndarray | None:
    """A metric [..., steps] as [members, steps]; None if it is no array of numbers."""
    try:
        array = np.asarray(values, float)
    except (TypeError, ValueError):
        return None
    if array.ndim == 0 or 0 in array.shape:
        return None
    return np.where(np.isfinite(array), array, np.nan).reshape(-1, array.shape[-1])


def _draw_curve(axes: Axes, steps: np.ndarray, values: np.ndarray) -> None:
    known = ~np.isnan(values).all(axis=0)
    steps, values = steps[known], values[:, known]
    marker = "o" if len(steps) == 1 else ""
    if len(values) == 1:
        axes.plot(steps, values[0], color=SERIES[0], linewidth=1.3, marker=marker, markersize=4)
        return
    low, median, high = np.nanquantile(values, (0.1, 0.5, 0.9), axis=0) if len(steps) else np.zeros((3, 0))
    axes.plot(steps, median, color=SERIES[0], linewidth=1.3, marker=marker, markersize=4, label="median of members")
    axes.fill_between(steps, low, high, color=SERIES[0], alpha=0.2, linewidth=0, label="10-90 %")
    axes.legend(fontsize=7, frameon=False)


def landscape(
    score: Callable[[np.ndarray], Any] | Any,
    low: Any,
    high: Any,
    *,
    real: Any = None,
    fake: Any = None,
    num: int = 65,
) -> Figure:
    """Contours of a discriminator's score over a box of the plane, with points.

    Args:
        score: a function from points [n, 2] to scores [n] or [n, 1], or an array of scores [rows, columns] on an even
            grid, with the first coordinate along the columns and the second along the rows, lowest first.
        low: lower corner of the box: two numbers, or one for both coordinates.
        high: upper corner.
        real: [n, 2] real points; None draws none.
        fake: [n, 2] generated points; None draws none.
        num: points of the grid on each side, 2 or more, if `score` is a function.

    Returns:
        The figure. Colours span the middle 96 % of the scores.

    Raises:
        ValueError: if the box is empty, `num` is below 2, shapes are not those above, or no score is finite.

    Example:
        >>> figure = landscape(lambda points: (points**2).sum(axis=1), -1, 1, real=np.zeros((1, 2)), num=9)
        >>> [float(limit) for limit in figure.axes[0].get_xlim()], figure.axes[1].get_ylabel()
        ([-1.0, 1.0], 'score')
    """
    low, high = (np.broadcast_to(np.asarray(corner, float), 2) for corner in (low, high))
    if not (np.isfinite([low, high]).all() and (low < high).all()):
        raise ValueError(f"the box from {low.tolist()} to {high.tolist()} is empty: give low below high")
    scores = _grid_scores(score, low, high, num)
    finite = scores[np.isfinite(scores)]
    if not len(finite):
        raise ValueError("no score is finite: check the parameters, or choose another box")
    least, greatest = (float(value) for value in np.quantile(finite, (0.02, 0.98)))
    greatest = max(greatest, least + 1e-6 * max(1.0, abs(least)))
    figure = new_figure(_PANEL + 2.2, _PANEL + 1.0)
    axes = figure.add_subplot()
    xs, ys = (np.linspace(low[axis], high[axis], scores.shape[1 - axis]) for axis in (0, 1))
    levels = np.linspace(least, greatest, 15)
    shown = np.ma.masked_invalid(scores)
    # Light greys, in front of which both colours of points are visible.
    shading = axes.contourf(xs, ys, shown, levels=levels, cmap="gray", extend="both", alpha=0.5)
    axes.contour(xs, ys, shown, levels=levels[::2], colors="0.4", linewidths=0.4, linestyles="solid")
    figure.colorbar(shading, ax=axes, label="score", format="%.3g")
    for name, colour, points in (("real", REAL, real), ("fake", FAKE, fake)):
        if points is not None:
            points = np.asarray(points, float)
            if points.ndim != 2 or points.shape[1] != 2:
                raise ValueError(f"{name} points of shape {points.shape}: give [n, 2]")
            label = name + outside_note(points, low, high)
            axes.plot(points[:, 0], points[:, 1], ".", color=colour, markersize=3, alpha=0.8, label=label)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    axes.tick_params(labelsize=7)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.06), ncols=2, fontsize=7, frameon=False)
    return figure


def _grid_scores(score: Any, low: np.ndarray, high: np.ndarray, num: int) -> np.ndarray:
    """Scores [rows, columns] over a box."""
    if not callable(score):
        scores = np.asarray(score, float)
        if scores.ndim != 2 or min(scores.shape) < 2:
            raise ValueError(f"scores of shape {scores.shape}: give [rows, columns], two or more of each")
        return scores
    if num < 2:
        raise ValueError(f"num={num}: give the points of the grid on each side, 2 or more")
    xs, ys = np.meshgrid(*(np.linspace(low[axis], high[axis], num) for axis in (0, 1)))
    points = np.stack([xs.ravel(), ys.ravel()], axis=1).astype(np.float32)
    scores = np.asarray(score(points), float)
    if scores.shape not in ((num * num,), (num * num, 1)):
        raise ValueError(
            f"the score function gave shape {scores.shape} for points {points.shape}: it must give [n] or [n, 1]"
        )
    return scores.reshape(num, num)


def survival(times: Any, observed: Any = None, groups: Any = None) -> Figure:
    """Kaplan-Meier curves of the share of runs without failure, with 95 % bands and ticks at censored runs.

    Args:
        times: a result of `gan_jax.train` under `vmap` (all its runs), a `gan_jax.SweepRun` (its arms are the groups);
            or [n] times of failure, or of the last evaluation of a run without failure; finite, 0 or more, in steps.
        observed: [n] whether the run failed at its time; False if it is censored. Only with an array of times.
        groups: [n] the group of each run, with one curve per group in order of appearance; None for a single curve.

    Returns:
        The figure; the legend gives the failures and the runs of each group.

    Raises:
        ValueError: if there is no run, a time is negative or not finite, or lengths differ.

    Example:
        >>> figure = survival([10, 20, 20, 30], [True, True, False, False])
        >>> figure.axes[0].lines[0].get_ydata().tolist()
        [1.0, 0.75, 0.5, 0.5]
    """
    # Here, and not above: scipy.stats takes a while to import.
    from gan_jax.metrics.survival import Onset, kaplan_meier

    if observed is None:
        times, observed, groups = _failures(times, groups)
    times, observed = np.asarray(times, float), np.asarray(observed)
    names = ["all runs"] * times.size if groups is None else [str(group) for group in np.asarray(groups).ravel()]
    if times.ndim != 1 or times.shape != observed.shape or len(names) != len(times):
        raise ValueError(
            f"times {times.shape}, observed {observed.shape} and {len(names)} groups: give arrays [n] of one length"
        )
    figure = new_figure(_PANEL + 2.2, _PANEL + 0.6)
    axes = figure.add_subplot()
    for index, name in enumerate(dict.fromkeys(names) or ["all runs"]):
        own = [position for position, other in enumerate(names) if other == name]
        onsets = [Onset(float(times[i]), "collapse" if observed[i] else None) for i in own]
        failures = sum(onset.cause is not None for onset in onsets)
        label = plain_text(f"{name} ({failures} of {len(own)} failed)")
        draw_survival(axes, kaplan_meier(onsets), index=index, label=label)
    axes.set_title("Share without failure (95 % bands; | censored)", loc="left", fontsize=9)
    axes.set_xlabel("step", fontsize=8)
    axes.set(ylim=(-0.03, 1.03), xlim=(0, None))
    axes.tick_params(labelsize=7)
    axes.legend(loc="best", fontsize=7, frameon=False)
    return figure


def _failures(source: Any, groups: Any) -> tuple[list[int], list[bool], Any]:
    """(times, whether the run failed then, groups) of a result or a sweep."""
    if hasattr(source, "rows"):
        verdicts, groups = source.verdicts, [row["arm"] for row in source.rows] if groups is None else groups
    elif hasattr(source, "verdict"):
        verdicts = list(source.verdict.verdicts())
    else:
        raise ValueError("survival takes a result, a SweepRun, or arrays of times and of `observed`: give both arrays")
    failed = [verdict.onset_step is not None for verdict in verdicts]
    times = [verdict.last_step if verdict.onset_step is None else verdict.onset_step for verdict in verdicts]
    return times, failed, groups
