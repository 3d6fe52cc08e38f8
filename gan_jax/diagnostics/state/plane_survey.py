"""A survey of D over a plane or a line at one training state: surface, field, fakes, local-maximum test."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.diagnostics import landscape
from gan_jax.diagnostics.state.rounding import rounded
from gan_jax.diagnostics.state.scores import Examples, fakes_at, generator_losses, mixture_of, score_at
from gan_jax.experiment.experiment import Experiment
from gan_jax.training.state import TrainState
from gan_jax.training.steps import train_step

NUM_GRID, NUM_LINE, NUM_ARROWS, NUM_POINTS = 65, 401, 17, 512
"""Points along a side of D's surface, on D's curve over a line, and along a side of the field; real examples."""
RADIUS = 3.0
"""Radius of a mode in the local-maximum test, in standard deviations of the mode."""
_DIGITS = 4


def plane_scene(experiment: Experiment, dataset: Any, seen: Examples) -> dict[str, Any]:
    """The part of a landscape diagnosis that is the same at every checkpoint.

    Args:
        experiment: on data of one or two dimensions.
        dataset: of the run.
        seen: real examples that are drawn.

    Returns:
        JSON-ready, with an empty list of "checkpoints"; see `plane_checkpoint`.
    """
    mixture = mixture_of(experiment.data.source(dataset))
    low, high = plane_frame(np.asarray(mixture.modes), np.asarray(mixture.std))
    return {
        "radius": RADIUS,
        "ceiling": peak_ceiling(experiment.data.shape[0], bool(mixture.noisy.any())),
        "low": low.tolist(),
        "high": high.tolist(),
        "decision_threshold": _decision_threshold(experiment),
        "modes": rounded(mixture.modes, _DIGITS),
        "std": rounded(mixture.std, _DIGITS),
        "weights": rounded(mixture.weights, _DIGITS),
        "noisy": rounded(mixture.noisy, _DIGITS),
        "unit": getattr(experiment.data, "unit", ""),
        "real": rounded(seen.real, _DIGITS),
        "arrows": rounded(field_points(jnp.array([low, high])), _DIGITS),
        "checkpoints": [],
    }


def plane_checkpoint(experiment: Experiment, dataset: Any, state: TrainState, seen: Examples) -> dict[str, Any]:
    """The survey of one state, JSON-ready.

    Args:
        experiment: on data of one or two dimensions.
        dataset: of the run.
        state: of the checkpoint.
        seen: real examples and latents.

    Returns:
        The step, and what `plane_survey` returns.
    """
    mixture = mixture_of(experiment.data.source(dataset))
    box = jnp.array(plane_frame(np.asarray(mixture.modes), np.asarray(mixture.std)))
    found = jax.device_get(plane_survey(experiment, dataset, state, seen, box))
    return {"step": int(state.step), **{name: rounded(value, _DIGITS) for name, value in found.items()}}


def plane_frame(modes: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the surveyed part of the space.

    It contains all modes with a margin of two fifths of their half-range or 5 standard deviations, whichever is larger.

    Args:
        modes: [K, d], means.
        std: [K], standard deviations.

    Returns:
        (lowest corner, highest corner), both [d].
    """
    low, high = modes.min(axis=0), modes.max(axis=0)
    across, margin = 0.5 * float((high - low).max()), 5.0 * float(std.max())
    half = max(1.4 * across, across + margin)
    middle = 0.5 * (low + high)
    return middle - half, middle + half


def peak_ceiling(dims: int, noisy: bool) -> float:
    """Share of real points at a local maximum of a D that has a radially symmetric bump at each mode.

    At twice the radius of the test these are the points within the radius of their mode.

    Example:
        >>> round(peak_ceiling(2, True), 4), round(peak_ceiling(1, True), 4)
        (0.9889, 0.9973)
    """
    if not noisy:
        return 1.0
    return 1 - math.exp(-0.5 * RADIUS**2) if dims == 2 else math.erf(RADIUS / math.sqrt(2))


def field_points(box: Array) -> Array:
    """Points at which the field is computed: corners [2, d] -> [n, d]."""
    if box.shape[1] == 2:
        return landscape.plane_points(box[0], box[1], NUM_ARROWS)
    return jnp.linspace(box[0], box[1], NUM_ARROWS)


@jax.jit
def plane_survey(experiment: Experiment, dataset: Any, state: TrainState, seen: Examples, box: Array) -> dict[str, Any]:
    """D's landscape, the field, the fakes and the local-maximum test of one state.

    Args:
        experiment: on data of one or two dimensions.
        dataset: of the run.
        state: of the run.
        seen: real examples and latents, n each.
        box: [2, d], corners of the surveyed part of the space.

    Returns:
        By name: "scores" on a grid; "field" at `field_points`; "fakes" [n, d] and their displacement "moves" by the
        next training step; "local_maxima", the fields of `landscape.LocalMaxima`; "modes_seen", their number;
        "real_at_peak" and "real_attracted", shares of the real examples; "slope_at_modes"; mean scores.
    """
    score, real = score_at(experiment, state), seen.real
    mixture = mixture_of(experiment.data.source(dataset))
    dims, radii = experiment.data.shape[0], RADIUS * mixture.std
    if dims == 2:
        scores = landscape.surface(score, box[0], box[1], NUM_GRID)
        grid = landscape.plane_points(box[0], box[1], NUM_GRID)
    else:
        grid = jnp.linspace(box[0], box[1], NUM_LINE)
        scores = score(grid)
    after, _ = train_step(experiment, dataset, state)
    fakes, moves = landscape.step_field(
        lambda player: fakes_at(experiment, state._replace(generator=player), seen.latent),
        state.generator,
        after.generator,
    )
    mode = landscape.nearest_mode(real, mixture.modes)
    maxima = landscape.local_maximum_test(score, mixture.modes, radii, grid)
    return {
        "scores": scores,
        "field": landscape.generator_field(generator_losses(experiment, score, real), field_points(box)),
        "fakes": fakes,
        "moves": moves,
        "local_maxima": maxima._asdict(),
        "modes_seen": jnp.sum(maxima.seen),
        "real_at_peak": jnp.mean(landscape.is_peak(score, real, 2 * radii[mode])),
        "real_attracted": jnp.mean(landscape.attracted(score, real, mixture.modes[mode], radii[mode])),
        "slope_at_modes": jnp.median(maxima.slope),
        "real_score": jnp.mean(score(real)),
        "fake_score": jnp.mean(score(fakes)),
    }


def _decision_threshold(experiment: Experiment) -> float | None:
    """Score that separates real from fake; None if the objective has no such score, or relates scores to each other."""
    criterion = experiment.objective.criterion()
    return (
        None
        if criterion.decision_threshold is None or hasattr(experiment.objective, "objective")
        else float(criterion.decision_threshold)
    )
