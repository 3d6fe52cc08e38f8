"""`gan-jax diagnose landscape RUN`: D's surface over 2-D data, its curve over 1-D data, scans through other data.

    2-D     contours of D with the field that moves fakes, real and fake points, at each checkpoint; a film of them
    1-D     the score over the line, and the density of the data
    else    scans D(x + k u), see `gan_jax.diagnostics.state.scan_survey`

Each form says whether D has local maxima at the real data.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax

from gan_jax.cli.code_options import allowed_code
from gan_jax.diagnostics import scans
from gan_jax.diagnostics.state.plane_survey import NUM_POINTS, plane_checkpoint, plane_scene
from gan_jax.diagnostics.state.rounding import rounded
from gan_jax.diagnostics.state.scan_survey import (
    DIRECTIONS,
    FLAT_FRACTION,
    NUM_OFFSETS,
    is_logistic,
    mean_distance,
    scan_summary,
    scan_survey,
)
from gan_jax.diagnostics.state.scores import check_scored, describe_score, examples, staged
from gan_jax.reports import film
from gan_jax.reports.diagnosis_landscape import sentence
from gan_jax.reports.landscape_plane import draw_checkpoint
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_states import RunStates, chosen_steps, open_states

_LONG = 120
"""If more seconds than this remain, an estimate of them is printed."""


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Measures D's landscape at each requested checkpoint.

    For 2-D data a picture of each goes into RUN/diagnosis/landscape, for the report; `--film` also writes a film.

    Raises:
        ValueError: if D does not score single samples, or the options do not suit the run.
    """
    states = open_states(options.run, options.data, allowed_code(options))
    data = states.experiment.data
    check_scored(states.experiment, "the landscape")
    if options.film and data.shape != (2,):
        raise RunError(f"--film needs 2-D data, and the run's data ({type(data).__name__}) are not 2-D: leave it out")
    steps = chosen_steps(states, options)
    result: dict[str, Any] = {"score": describe_score(states.experiment)}
    if data.shape not in ((1,), (2,)):
        result |= {"form": "lines", **_scans(states, steps, options, say)}
        return {**result, "sentence": sentence(result)}
    result |= {"form": "plane", **_plane(states, steps, options, say)}
    result["sentence"] = sentence(result)
    if data.shape == (2,):
        frames = [film.picture(draw_checkpoint(result, index)) for index in range(len(steps))]
        result["frames"] = film.keep_frames(states.run.path, "landscape", steps, frames)
        if options.film:
            film.write_film(options.film, frames)
    return result


def _plane(
    states: RunStates, steps: Sequence[int], options: argparse.Namespace, say: Callable[[str], None]
) -> dict[str, Any]:
    experiment, dataset = states.experiment, states.resources.dataset
    seen = examples(experiment, dataset, options.seed, NUM_POINTS)
    result = plane_scene(experiment, dataset, seen)
    for step in steps:
        say(f"step {step:,}")
        result["checkpoints"].append(plane_checkpoint(experiment, dataset, states.restore(step), seen))
    return result


def _scans(
    states: RunStates, steps: Sequence[int], options: argparse.Namespace, say: Callable[[str], None]
) -> dict[str, Any]:
    experiment, dataset = states.experiment, states.resources.dataset
    seen = examples(experiment, dataset, options.seed, options.points)
    reach = float(mean_distance(seen.real))
    if not reach > 0:
        raise RunError("all real examples are equal, so there is no distance to scan over: this needs other data")
    ks = scans.offsets(reach, NUM_OFFSETS)
    checkpoints = []
    for index, step in enumerate(steps):
        say(f"step {step:,}: {options.points:,} scans of each kind and direction")
        began = time.monotonic()
        found = jax.device_get(scan_survey(staged(experiment, step), states.restore(step), seen, ks))
        left = (len(steps) - 1 - index) * (time.monotonic() - began)
        if index == 0 and left > _LONG:
            say(f"about {left / 60:.0f} minutes remain; --step measures one checkpoint only, --points fewer scans")
        checkpoints.append({"step": step, **scan_summary(found, [*seen.kinds, "fake"])})
    return {
        "num_scans": options.points,
        "reach": reach,
        "flat_fraction": FLAT_FRACTION,
        "measured": "probability" if is_logistic(experiment) else "score",
        "offsets": rounded(ks, 4),
        "kinds": [*seen.kinds, "fake"],
        "directions": list(DIRECTIONS),
        "checkpoints": checkpoints,
    }
