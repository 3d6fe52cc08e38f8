"""D over a plane or a line, at each checkpoint: its surface, the field, the fakes and their next step, its peaks."""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.diagnostics import landscape
from gan_jax.diagnostics.state.scores import Examples, examples, fakes_at, generator_losses, mixture_of, score_at
from gan_jax.experiment.experiment import Experiment
from gan_jax.reports import film
from gan_jax.reports.drawing import aligned, draw_line, draw_plane, new_figure, rounded
from gan_jax.runs.run_states import RunStates
from gan_jax.training.state import TrainState
from gan_jax.training.steps import train_step

NUM_GRID, NUM_LINE, NUM_ARROWS, NUM_POINTS = 65, 401, 17, 512
"""Points of D's surface along a side, of its curve, of the field along a side; real examples, and fakes."""
RADIUS = 3.0
"""Of a mode, in its standard deviations: what "at the mode" means."""


def look(
    states: RunStates, steps: Sequence[int], options: argparse.Namespace, say: Callable[[str], None]
) -> dict[str, Any]:
    """The part of the result that `gan_jax.cli.diagnose_landscape` does not add."""
    experiment, dataset = states.experiment, states.resources.dataset
    seen = examples(experiment, dataset, options.seed, NUM_POINTS)
    result = scene(experiment, dataset, seen)
    for step in steps:
        say(f"step {step:,}")
        result["checkpoints"].append(checkpoint(experiment, dataset, states.restore(step), seen))
    result["sentence"] = sentence(result)
    if experiment.data.shape == (2,):
        frames = [film.picture(draw(result, index)) for index in range(len(steps))]
        result["frames"] = film.keep_frames(states.run.path, "landscape", steps, frames)
        if options.film:
            film.write_film(options.film, frames)
    return result


def scene(experiment: Experiment, dataset: Any, seen: Examples) -> dict[str, Any]:
    """What does not change over a run; "checkpoints" is empty."""
    mixture = mixture_of(experiment.data.source(dataset))
    low, high = frame(np.asarray(mixture.modes), np.asarray(mixture.std))
    return {
        "radius": RADIUS,
        "ceiling": ceiling(experiment.data.shape[0], bool(mixture.noisy.any())),
        "low": low.tolist(),
        "high": high.tolist(),
        "decision_threshold": _decision_threshold(experiment),
        "modes": _json(mixture.modes),
        "std": _json(mixture.std),
        "weights": _json(mixture.weights),
        "real": _json(seen.real),
        "arrows": _json(arrows_in(jnp.array([low, high]))),
        "checkpoints": [],
    }


def checkpoint(experiment: Experiment, dataset: Any, state: TrainState, seen: Examples) -> dict[str, Any]:
    """What is kept of one state."""
    mixture = mixture_of(experiment.data.source(dataset))
    box = jnp.array(frame(np.asarray(mixture.modes), np.asarray(mixture.std)))
    found = jax.device_get(survey(experiment, dataset, state, seen, box))
    return {"step": int(state.step), **{name: _json(value) for name, value in found.items()}}


def frame(modes: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Corners of what is shown: the modes, and around them two fifths of their reach, or 5 standard deviations."""
    low, high = modes.min(axis=0), modes.max(axis=0)
    across, margin = 0.5 * float((high - low).max()), 5.0 * float(std.max())
    half = max(1.4 * across, across + margin)
    middle = 0.5 * (low + high)
    return middle - half, middle + half


def ceiling(dims: int, noisy: bool) -> float:
    """The share of real points that are peaks at twice the radius if every mode is a round bump of D: those within it.

    Example:
        >>> round(ceiling(2, True), 4), round(ceiling(1, True), 4)
        (0.9889, 0.9973)
    """
    if not noisy:
        return 1.0
    return 1 - math.exp(-0.5 * RADIUS**2) if dims == 2 else math.erf(RADIUS / math.sqrt(2))


def arrows_in(box: Array) -> Array:
    """Where the field is drawn: [n, d]."""
    if box.shape[1] == 2:
        return landscape.plane_points(box[0], box[1], NUM_ARROWS)
    return jnp.linspace(box[0], box[1], NUM_ARROWS)


@jax.jit
def survey(experiment: Experiment, dataset: Any, state: TrainState, seen: Examples, box: Array) -> dict[str, Any]:
    """What is measured and drawn of one state. `box` is [2, d], the corners of the part that is shown."""
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
        lambda of: fakes_at(experiment, state._replace(generator=of), seen.latent), state.generator, after.generator
    )
    mode = landscape.nearest(real, mixture.modes)
    seeing = landscape.attention(score, mixture.modes, radii, grid)
    return {
        "scores": scores,
        "field": landscape.generator_field(generator_losses(experiment, score, real), arrows_in(box)),
        "fakes": fakes,
        "moves": moves,
        "attention": seeing._asdict(),
        "modes_seen": jnp.sum(seeing.seen),
        "real_at_peak": jnp.mean(landscape.is_peak(score, real, 2 * radii[mode])),
        "real_attracted": jnp.mean(landscape.attracted(score, real, mixture.modes[mode], radii[mode])),
        "slope_at_modes": jnp.median(seeing.slope),
        "real_score": jnp.mean(score(real)),
        "fake_score": jnp.mean(score(fakes)),
    }


def sentence(result: dict[str, Any]) -> str:
    """What the last checkpoint shows."""
    last, num = result["checkpoints"][-1], len(result["modes"])
    return (
        f"At step {last['step']:,} D has a peak at {last['modes_seen']} of {num} modes; {last['real_at_peak']:.1%} of "
        f"real points are at a local maximum of D ({result['ceiling']:.1%} if every mode were a round peak), and from "
        f"{last['real_attracted']:.1%} of them ascent of D ends at their mode."
    )


def table(result: dict[str, Any]) -> str:
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
    seen = result["checkpoints"][-1]["attention"]
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
    return "\n".join([*aligned(rows), "", "at the last of them", *aligned(last), *notes])


def figure(result: dict[str, Any]) -> Any:
    """The last checkpoint, and what was found over training."""
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
    right.set_title("does D see the real modes?", fontsize=10)
    right.legend(frameon=False, fontsize=8)
    right.grid(alpha=0.3)
    return made


def draw(result: dict[str, Any], index: int) -> Any:
    """A checkpoint alone, for a film."""
    made = new_figure(5.2, 5.2)
    _draw_on(made.subplots(), result, index)
    return made


def _draw_on(axes: Any, result: dict[str, Any], index: int) -> None:
    if len(result["low"]) == 2:
        draw_plane(axes, result, result["checkpoints"][index])
    else:
        draw_line(axes, result, result["checkpoints"][index])


def _decision_threshold(experiment: Experiment) -> float | None:
    """The score that parts real from fake; None where the objective has none, or scores are relative."""
    criterion = experiment.objective.criterion()
    return (
        None
        if criterion.decision_threshold is None or hasattr(experiment.objective, "objective")
        else float(criterion.decision_threshold)
    )


_json = functools.partial(rounded, digits=4)
