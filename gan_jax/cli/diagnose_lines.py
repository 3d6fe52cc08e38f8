"""Scans D(x + k u) through training, held-out and fake examples, at each checkpoint; see `gan_jax.diagnostics.scans`.

k is a Euclidean distance over all values of an example. It goes to either side as far as two real examples are apart
on average, in 30 steps; "a peak" is a local maximum at that spacing. Along random lines every image becomes noise;
"towards another" training example it stays among images for longer.

Raw scores fall on and on along a line, so that the half-width of a peak says how far the scan went. Where the objective
is of log losses, the probability sigmoid(D) has a level to fall to, and the widths are of it; so are flat regions.
"""

from __future__ import annotations

import argparse
import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.diagnostics import scans
from gan_jax.diagnostics.state.scores import Examples, as_seen, examples, fakes_at, generator_losses, score_at, staged
from gan_jax.experiment.experiment import Experiment
from gan_jax.losses.objectives import AlphaGAN, Minimax, NonSaturating
from gan_jax.reports.drawing import aligned, draw_scans, find, new_figure, rounded
from gan_jax.runs.run_directory import RunError
from gan_jax.runs.run_states import RunStates
from gan_jax.training.state import TrainState

NUM_OFFSETS = 30
"""Of a side of a scan."""
FLAT = 0.1
"""A point is in a flat region if the gradient there is shorter than this fraction of the median over all kinds."""
LONG = 120
"""Seconds from which it is said how long the other checkpoints take."""
DIRECTIONS = ("random", "gradient", "towards another")
GRADIENTS = ("score", "probability", "G's loss")


def look(
    states: RunStates, steps: Sequence[int], options: argparse.Namespace, say: Callable[[str], None]
) -> dict[str, Any]:
    """The part of the result that `gan_jax.cli.diagnose_landscape` does not add."""
    experiment, dataset = states.experiment, states.resources.dataset
    seen = examples(experiment, dataset, options.seed, options.points)
    reach = float(mean_distance(seen.real))
    if not reach > 0:
        raise RunError("all real examples are alike, so that there is no distance to scan over: diagnose other data")
    ks = scans.offsets(reach, NUM_OFFSETS)
    checkpoints = []
    for index, step in enumerate(steps):
        say(f"step {step:,}: {options.points:,} scans of each kind and direction")
        began = time.monotonic()
        found = jax.device_get(survey(staged(experiment, step), states.restore(step), seen, ks))
        left = (len(steps) - 1 - index) * (time.monotonic() - began)
        if index == 0 and left > LONG:
            say(f"about {left / 60:.0f} minutes to go; --step looks at one checkpoint, --points makes fewer scans")
        checkpoints.append({"step": step, **summary(found, [*seen.kinds, "fake"])})
    result = {
        "num_scans": options.points,
        "reach": reach,
        "flat_fraction": FLAT,
        "measured": "probability" if is_logistic(experiment) else "score",
        "offsets": _json(ks),
        "kinds": [*seen.kinds, "fake"],
        "directions": list(DIRECTIONS),
        "checkpoints": checkpoints,
    }
    return {**result, "sentence": sentence(result)}


def is_logistic(experiment: Experiment) -> bool:
    """Whether sigmoid(score) is D's probability of "real"."""
    return isinstance(experiment.objective, (NonSaturating, Minimax, AlphaGAN))


def mean_distance(points: Array) -> Array:
    """The mean Euclidean distance of independent points [n, *shape], over n / 2 pairs."""
    half = points.shape[0] // 2
    return jnp.mean(scans.lengths(points[:half] - points[half : 2 * half]))


@jax.jit
def survey(experiment: Experiment, state: TrainState, seen: Examples, ks: Array) -> dict[str, Any]:
    """Scans and gradient norms of one state.

    Returns:
        "scans": by kind and direction, [n, m] scores; "measures": by kind and direction, `ScanMeasures`; "slopes": by
        what is differentiated and kind, [n] gradient norms; "flat": the same, shares of flat regions.
    """
    score = score_at(experiment, state)
    real = {kind: as_seen(experiment, state, examples) for kind, examples in seen.groups.items()}
    targets = as_seen(experiment, state, seen.real)
    # In another order, so that no training example is its own target.
    targets = jnp.roll(targets, 1, axis=0)
    groups = {**real, "fake": fakes_at(experiment, state, seen.latent)}
    functions: dict[str, scans.Score] = {"score": score}
    if is_logistic(experiment):
        functions["probability"] = lambda samples: jax.nn.sigmoid(score(samples))
    functions["G's loss"] = generator_losses(experiment, score, targets)
    values: dict[str, Any] = {kind: {} for kind in groups}
    for index, (kind, points) in enumerate(groups.items()):
        directions = {
            "random": scans.random_directions(jax.random.fold_in(seen.key, index), points.shape),
            "gradient": scans.unit(scans.input_gradients(score, points)),
            "towards another": scans.unit(targets - points),
        }
        for name, direction in directions.items():
            values[kind][name] = scans.scan(score, points, direction, ks)
    slopes = {
        name: {kind: scans.lengths(scans.input_gradients(function, points)) for kind, points in groups.items()}
        for name, function in functions.items()
    }
    measure = functools.partial(measured, logistic=is_logistic(experiment), ks=ks)
    return {
        "scans": values,
        "measures": {kind: {name: measure(lines) for name, lines in by.items()} for kind, by in values.items()},
        "slopes": slopes,
        "flat": {
            name: {kind: scans.flat_share(part, jnp.concatenate(list(by.values())), FLAT) for kind, part in by.items()}
            for name, by in slopes.items()
        },
    }


def measured(lines: Array, *, logistic: bool, ks: Array) -> dict[str, Array]:
    """Of scans [n, m]: peaks of the score (which saturates nowhere), widths and sharpness of the probability if any."""
    of_score = scans.measure_scans(lines, ks)
    of_peak = scans.measure_scans(jax.nn.sigmoid(lines), ks) if logistic else of_score
    return {
        "peak": of_score.peak,
        "highest": of_score.highest,
        "half_width": of_peak.half_width,
        "sharpness": of_peak.sharpness,
        "score_half_width": of_score.half_width,
    }


def summary(found: dict[str, Any], kinds: Sequence[str]) -> dict[str, Any]:
    """What is kept of a `survey`: a row a kind and direction, and by what is differentiated and kind, the slopes."""
    rows = []
    for kind in kinds:
        for direction in DIRECTIONS:
            values, measures = found["scans"][kind][direction], found["measures"][kind][direction]
            rows.append(
                {
                    "kind": kind,
                    "direction": direction,
                    "peak_share": _json(np.mean(measures["peak"])),
                    "highest_share": _json(np.mean(measures["highest"])),
                    **{name: quartiles(measures[name]) for name in ("half_width", "sharpness", "score_half_width")},
                    "mean": _json(np.mean(values, axis=0)),
                    "low": _json(np.quantile(values, 0.1, axis=0)),
                    "high": _json(np.quantile(values, 0.9, axis=0)),
                }
            )
    slopes = {
        name: {kind: {**quartiles(by[kind]), "flat_share": _json(found["flat"][name][kind])} for kind in kinds}
        for name, by in ((name, found["slopes"][name]) for name in GRADIENTS if name in found["slopes"])
    }
    return {"rows": rows, "slopes": slopes}


def quartiles(values: np.ndarray) -> dict[str, float | None]:
    """Median and quartiles over what is finite; None if nothing is."""
    known = values[np.isfinite(values)]
    if not known.size:
        return {"median": None, "lower": None, "upper": None}
    lower, median, upper = np.quantile(known, (0.25, 0.5, 0.75))
    return {"median": _json(median), "lower": _json(lower), "upper": _json(upper)}


def sentence(result: dict[str, Any]) -> str:
    """What the last checkpoint shows."""
    last, kinds = result["checkpoints"][-1], result["kinds"]
    shares = {
        direction: listed([f"{find(last, kind, direction)['peak_share']:.0%} of the {kind}" for kind in kinds])
        for direction in ("random", "towards another")
    }
    width = find(last, kinds[0], "random")["half_width"]["median"]
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
    kinds, last = result["kinds"], result["checkpoints"][-1]
    over = [
        ["peak at 0, u random", *[""] * (len(kinds) - 1), "u towards another", *[""] * (len(kinds) - 1), "half-width"],
        [*kinds, *kinds, kinds[0]],
    ]
    over = [["", *over[0]], ["step", *over[1]]]
    for point in result["checkpoints"]:
        shares = [
            f"{find(point, kind, direction)['peak_share']:.1%}"
            for direction in ("random", "towards another")
            for kind in kinds
        ]
        over.append([f"{point['step']:,}", *shares, _median(find(point, kinds[0], "random")["half_width"])])
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
    parts = [aligned(over), ["", f"at step {last['step']:,}"], aligned(rows), [""], aligned(slopes), notes]
    return "\n".join(line for part in parts for line in part)


def figure(result: dict[str, Any]) -> Any:
    """Mean scans with bands at the last checkpoint; peaks, widths and flat regions over training."""
    made = new_figure(11.5, 6.4)
    draw_scans(made, result)
    return made


def listed(words: Sequence[str]) -> str:
    """Words with commas, and "and" before the last.

    Example:
        >>> listed(["1", "2", "3"])
        '1, 2 and 3'
    """
    return ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0]


def _share(share: float, num: int) -> str:
    """A share of `num` with its standard error."""
    return f"{share:.1%} ±{100 * (share * (1 - share) / num) ** 0.5:.1f}"


def _median(quantiles: dict[str, float | None]) -> str:
    return "-" if quantiles["median"] is None else f"{quantiles['median']:.3g}"


_json = functools.partial(rounded, digits=4)
