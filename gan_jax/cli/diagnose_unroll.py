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
from gan_jax.unroll import check_memory


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Checks and costs of the unrolled gradient, at a run's newest state or after a warm-up from a config.

    Args:
        options: options of the command; `settings` are the experiment's settings as (path, value).
        say: receives lines of progress.

    Raises:
        ValueError: if the options do not suit the experiment.
    """
    memories = [] if options.memory == ["none"] else options.memory
    for memory in memories:
        check_memory(memory)
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
        num_steps=options.steps,
        memories=memories,
        num_directions=options.directions,
        num_rounds=options.rounds,
        # Games on vectors are compiled as in training.
        compiler_options=compiler_options() if len(experiment.data.shape) == 1 else None,
        progress=say,
    )
    result = {"config": options.config, "settings": dict(options.settings), **result}
    return {**result, "sentence": sentence(result)}
