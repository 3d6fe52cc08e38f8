"""A survey of scans D(x + k u) through training, held-out and fake examples at one training state.

See `gan_jax.diagnostics.scans`. k is a Euclidean distance over all values of an example. On both sides it extends to
the mean distance between two real examples, in 30 steps; "a peak" is a local maximum at that spacing. Along random
lines every image turns into noise; a line "towards another" training example stays near images for longer.

Raw scores keep falling along a line, so that the half-width of a peak would depend on the length of the scan. For log
losses the probability sigmoid(D) is bounded, and the widths and the flat regions refer to it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.diagnostics import scans
from gan_jax.diagnostics.state.rounding import rounded
from gan_jax.diagnostics.state.scores import Examples, as_seen, fakes_at, generator_losses, score_at
from gan_jax.experiment.experiment import Experiment
from gan_jax.losses.objectives import AlphaGAN, Minimax, NonSaturating
from gan_jax.training.state import TrainState

NUM_OFFSETS = 30
"""Number of offsets on each side of a scan."""
FLAT_FRACTION = 0.1
"""A point is in a flat region if its gradient is shorter than this fraction of the median over all kinds."""
DIRECTIONS = ("random", "gradient", "towards another")
DIFFERENTIATED = ("score", "probability", "G's loss")
"""Functions whose gradient norms are measured, in the order of a table."""
_DIGITS = 4


def is_logistic(experiment: Experiment) -> bool:
    """Whether sigmoid(score) is D's probability of "real"."""
    return isinstance(experiment.objective, (NonSaturating, Minimax, AlphaGAN))


def mean_distance(points: Array) -> Array:
    """Mean Euclidean distance between independent points [n, *shape], over n / 2 pairs; a scalar."""
    half = points.shape[0] // 2
    return jnp.mean(scans.lengths(points[:half] - points[half : 2 * half]))


@jax.jit
def scan_survey(experiment: Experiment, state: TrainState, seen: Examples, ks: Array) -> dict[str, Any]:
    """Scans and gradient norms of one state.

    Args:
        experiment: `staged`, if it grows.
        state: of the run.
        seen: real examples and latents, n each.
        ks: [m] offsets, from `scans.offsets`.

    Returns:
        "scans": [n, m] scores by kind and direction; "measures": from `scan_measures`, by kind and direction; "slopes":
        [n] gradient norms by differentiated function and kind; "flat": shares in flat regions, by the same.
    """
    score = score_at(experiment, state)
    real = {kind: as_seen(experiment, state, examples) for kind, examples in seen.groups.items()}
    targets = as_seen(experiment, state, seen.real)
    # Shifted by one, so that no training example is its own target.
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
    measures = functools.partial(scan_measures, logistic=is_logistic(experiment), ks=ks)
    return {
        "scans": values,
        "measures": {kind: {name: measures(lines) for name, lines in by.items()} for kind, by in values.items()},
        "slopes": slopes,
        "flat": {
            name: {
                kind: scans.flat_share(part, jnp.concatenate(list(by.values())), FLAT_FRACTION)
                for kind, part in by.items()
            }
            for name, by in slopes.items()
        },
    }


def scan_measures(lines: Array, *, logistic: bool, ks: Array) -> dict[str, Array]:
    """Measures of scans: peaks of the score, which never saturates; widths and sharpness of the probability if defined.

    Args:
        lines: [n, m] raw scores.
        logistic: whether sigmoid(score) is a probability.
        ks: [m] offsets.

    Returns:
        [n] by name; see `scans.ScanMeasures`.
    """
    of_score = scans.measure_scans(lines, ks)
    of_peak = scans.measure_scans(jax.nn.sigmoid(lines), ks) if logistic else of_score
    return {
        "peak": of_score.peak,
        "highest": of_score.highest,
        "half_width": of_peak.half_width,
        "sharpness": of_peak.sharpness,
        "score_half_width": of_score.half_width,
    }


def scan_summary(found: dict[str, Any], kinds: Sequence[str]) -> dict[str, Any]:
    """Statistics of a `scan_survey`, JSON-ready.

    Args:
        found: from `scan_survey`, on the host.
        kinds: kinds of examples, in order.

    Returns:
        "rows", one for each kind and direction; "slopes", by differentiated function and kind.
    """
    rows = []
    for kind in kinds:
        for direction in DIRECTIONS:
            values, measures = found["scans"][kind][direction], found["measures"][kind][direction]
            rows.append(
                {
                    "kind": kind,
                    "direction": direction,
                    "peak_share": rounded(np.mean(measures["peak"]), _DIGITS),
                    "highest_share": rounded(np.mean(measures["highest"]), _DIGITS),
                    **{name: quartiles(measures[name]) for name in ("half_width", "sharpness", "score_half_width")},
                    "mean": rounded(np.mean(values, axis=0), _DIGITS),
                    "low": rounded(np.quantile(values, 0.1, axis=0), _DIGITS),
                    "high": rounded(np.quantile(values, 0.9, axis=0), _DIGITS),
                }
            )
    slopes = {
        name: {
            kind: {**quartiles(by[kind]), "flat_share": rounded(found["flat"][name][kind], _DIGITS)} for kind in kinds
        }
        for name, by in ((name, found["slopes"][name]) for name in DIFFERENTIATED if name in found["slopes"])
    }
    return {"rows": rows, "slopes": slopes}


def quartiles(values: np.ndarray) -> dict[str, float | None]:
    """Median and quartiles over the finite values; None without finite values."""
    known = values[np.isfinite(values)]
    if not known.size:
        return {"median": None, "lower": None, "upper": None}
    lower, median, upper = np.quantile(known, (0.25, 0.5, 0.75))
    return {name: rounded(value, _DIGITS) for name, value in (("median", median), ("lower", lower), ("upper", upper))}
