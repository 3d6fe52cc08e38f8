"""`gan-jax diagnose unroll CONFIG`: is the unrolled gradient exact, which estimator approximates it, what does it cost?

See `gan_jax.diagnostics.state.hypergradients`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from gan_jax.cli.code_options import allowed_code
from gan_jax.diagnostics.state.hypergradients import check_hypergradient, warm_state
from gan_jax.reports.diagnosis_unroll import sentence
from gan_jax.runs.request import Request
from gan_jax.runs.session import load_state
from gan_jax.scaling.programs import compiler_options


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Checks and costs of the unrolled gradient, at a run's newest state or after a warm-up from a config.

    Args:
        options: of the command; `settings` are the experiment's settings as (path, value).
        say: receives progress.

    Raises:
        ValueError: if the options do not suit the experiment.
    """
    steps = [_whole(text) for text in options.steps.split(",")]
    memories = [] if options.memory == "none" else options.memory.split(",")
    for name, least in (("warm_up", 0), ("directions", 0), ("rounds", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name.replace('_', '-')} is {getattr(options, name)}, and must be at least {least}")
    request = Request(
        config=options.config,
        settings=tuple(options.settings),
        seed=options.seed,
        location=options.data,
        allowed=allowed_code(options),
    )
    experiment, resources, state = load_state(request)
    if state is None:
        state = warm_state(experiment, resources, options.seed, options.warm_up)
    result = check_hypergradient(
        experiment,
        resources,
        state,
        num_steps=steps,
        memories=memories,
        num_directions=options.directions,
        num_rounds=options.rounds,
        # Games on vectors are compiled as in training.
        compiler_options=compiler_options() if len(experiment.data.shape) == 1 else None,
        progress=say,
    )
    result = {"config": options.config, "settings": dict(options.settings), **result}
    return {**result, "sentence": sentence(result)}


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"--steps takes whole numbers with commas, and got {text!r}") from None
