"""`gan-jax diagnose game RUN`: eigenvalues of the game's Jacobian, rotation against attraction.

See `gan_jax.diagnostics.state.game_jacobian`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from gan_jax.cli.code_options import allowed_code
from gan_jax.diagnostics.state.game_jacobian import game_spectrum, num_batches, num_parameters
from gan_jax.diagnostics.state.scores import staged
from gan_jax.reports.diagnosis_game import sentence
from gan_jax.runs.run_states import chosen_steps, open_states
from gan_jax.runs.runner import state_template
from gan_jax.scaling.programs import compiler_options


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Eigenvalues at the checkpoints; for images at the newest one only, unless `--step` names one.

    Raises:
        ValueError: if the run has no checkpoint, or its losses are not finite.
    """
    states = open_states(options.run, options.data, allowed_code(options))
    experiment, dataset = states.experiment, states.resources.dataset
    steps = chosen_steps(states, options)
    if len(experiment.data.shape) > 1 and options.step is None and len(steps) > 1:
        say(f"measuring only the newest of {len(steps)} checkpoints, since each takes minutes: --step takes another")
        steps = steps[-1:]
    rows, template = [], state_template(experiment)
    for step in steps:
        say(f"step {step:,}")
        rows.append(
            game_spectrum(
                staged(experiment, step),
                dataset,
                states.restore(step),
                num_values=options.values,
                seed=options.seed,
                compiler_options=compiler_options(),
            )
        )
    result = {
        "players": {
            "generator": num_parameters(template.generator),
            "discriminator": num_parameters(template.discriminator),
        },
        "num_examples": num_batches(experiment) * experiment.batch_size,
        "objective": type(experiment.objective).__name__,
        "sought": options.values,
        "onset": (states.verdict or {}).get("onset_step"),
        "rows": rows,
    }
    return {**result, "sentence": sentence(result)}
