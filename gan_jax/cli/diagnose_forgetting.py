"""`gan-jax diagnose forgetting RUN`: D's gradient over training, its accuracy on earlier fakes, the modes that it sees.

Over evenly spaced checkpoints: the cosine of dD/dx at fixed points (half real examples, half fakes of the last state)
between every two of them; D's accuracy on the fakes of earlier ones, by age; and for mixtures in one or two dimensions
the modes at which D has a local maximum (`gan_jax.diagnostics.landscape`). From some of the checkpoints training is
continued for a few steps, which gives the cosines from step to step.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gan_jax.cli.code_options import allowed_code
from gan_jax.diagnostics.forgetting import by_age, cosine_matrix
from gan_jax.diagnostics.state import checkpoint_gradients as gradients
from gan_jax.diagnostics.state.rounding import rounded
from gan_jax.diagnostics.state.scores import check_scored, describe_score, examples, mixture_of, staged
from gan_jax.reports.diagnosis_forgetting import sentence
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_states import RunStates, open_states

_NUM_POINTS = 256
"""Points at which gradients are compared."""


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Measures what D forgets between checkpoints, up to `--step` if it is given.

    Raises:
        ValueError: if there are fewer than two checkpoints, or D does not score single samples.
    """
    states = open_states(options.run, options.data, allowed_code(options))
    experiment, dataset = states.experiment, states.resources.dataset
    check_scored(experiment, "forgetting")
    steps = spaced_steps(states, options.step)
    seen = examples(experiment, dataset, options.seed, _NUM_POINTS // 2)
    restored = {step: states.restore(step) for step in steps}
    fakes = [gradients.checkpoint_fakes(staged(experiment, step), restored[step], seen.latent) for step in steps]
    measured = []
    for step in steps:
        say(f"step {step:,}")
        at = staged(experiment, step)
        measured.append(gradients.checkpoint_gradients(at, restored[step], seen.real, fakes[-1], jnp.stack(fakes)))
    slopes, accuracies, real_accuracies = jax.tree.map(lambda *parts: jnp.stack(parts), *measured)
    ages = jnp.subtract.outer(jnp.array(steps, float), jnp.array(steps, float))
    cosines = jax.device_get({kind: cosine_matrix(of) for kind, of in slopes.items()})
    lags = []
    for step in gradients.lag_starts(steps):
        say(f"step {step:,}: continuing for {gradients.lags_of(experiment)[-1]} steps")
        lags += gradients.lagged_cosines(staged(experiment, step), dataset, restored[step], seen.real, fakes[-1])
    result = {
        "score": describe_score(experiment),
        "steps": steps,
        "num_probes": _NUM_POINTS,
        "gradient_cosines": {kind: gradients.cosine_record(of) for kind, of in cosines.items()},
        "has_decision_threshold": experiment.objective.criterion().decision_threshold is not None,
        "accuracy": _json(accuracies),
        "accuracy_by_age": _json(by_age(accuracies)),
        "age_steps": _json(by_age(ages)),
        "real_accuracy": _json(real_accuracies),
        "lags": lags,
    }
    if experiment.data.shape in ((1,), (2,)):
        mixture = mixture_of(experiment.data.source(dataset))
        result["modes_seen"] = [int(gradients.num_modes_seen(experiment, dataset, restored[step])) for step in steps]
        result["num_modes"] = mixture.modes.shape[0]
    return {**result, "sentence": sentence(result)}


def spaced_steps(states: RunStates, until: int | None) -> list[int]:
    """The evenly spaced checkpoints (the branch points) up to a step, and the last one; all, if those are at most two.

    Raises:
        RunError: if there is no checkpoint of that step, or none before it.
    """
    if until is not None and until not in states.steps:
        known = ", ".join(f"{step:,}" for step in states.steps)
        raise RunError(f"{states.name} has no checkpoint of step {until}: give --step one of {known}")
    steps = [step for step in states.steps if until is None or step <= until]
    every = states.stored.record.keep_every_steps
    spaced = [step for step in steps if (every and step % every == 0) or step == steps[-1]]
    chosen = spaced if len(spaced) > 2 else steps
    if len(chosen) < 2:
        raise RunError(
            f"forgetting is measured between checkpoints, and {states.name} has only one up to step {chosen[-1]:,}: "
            "train longer, or with more --branch-points"
        )
    return chosen


_json = functools.partial(rounded, digits=4)
