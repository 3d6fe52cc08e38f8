"""`gan-jax diagnose landscape RUN`: D's surface over 2-D data, its curve over 1-D data, scans through anything else.

    2-D     contours of D with the field that moves fakes, real and fake points, at each checkpoint; a film of them
    1-D     the score over the line, beside the density of the data
    else    scans D(x + k u), see `gan_jax.cli.diagnose_lines`

Of each: whether D has a peak where the real data are.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_jax.diagnostics.state.scores import check_scored, describe_score
from gan_jax.runs.run_directory import RunError
from gan_jax.runs.run_states import chosen_steps, open_states


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """D's landscape at every checkpoint that is asked for.

    For 2-D data a picture of each goes into RUN/diagnosis/landscape, for the report, and a film where asked for.

    Raises:
        RunError: if D has no score of a single sample, or the options do not suit the run.
    """
    if options.points < 2:
        raise RunError(f"--points is {options.points}, and must be at least 2 scans of each kind")
    _check_film(options.film)
    states = open_states(Path(options.run), options.data)
    check_scored(states.experiment, "the landscape")
    form = _form(states.experiment.data.shape)
    if options.film and states.experiment.data.shape != (2,):
        raise RunError(f"--film is of 2-D data, and {type(states.experiment.data).__name__} is not: leave it out")
    steps = chosen_steps(states, options)
    result = {"form": form, "score": describe_score(states.experiment)}
    return {**result, **_module(form).look(states, steps, options, say)}


def table(result: dict[str, Any]) -> str:
    return _module(result["form"]).table(result)


def figure(result: dict[str, Any]) -> Any:
    return _module(result["form"]).figure(result)


def _form(shape: tuple[int, ...]) -> str:
    return "plane" if shape in ((1,), (2,)) else "lines"


def _module(form: str) -> Any:
    return importlib.import_module(f"gan_jax.cli.diagnose_{form}")


def _check_film(film: str | None) -> None:
    if film is None:
        return
    if not film.endswith(".gif"):
        raise RunError(f"--film is {film}, and must end in .gif")
    if not Path(film).absolute().parent.is_dir():
        raise RunError(f"the folder of {film} does not exist: make it first")
