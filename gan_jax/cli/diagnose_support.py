"""`gan-jax diagnose support RUN`: how many different samples G makes, and how close they are to training examples.

See `gan_jax.diagnostics.state.support_survey`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.cli.code_options import allowed_code
from gan_jax.data.stacked import ImageData
from gan_jax.diagnostics.state.rounding import rounded_tree
from gan_jax.diagnostics.state.scores import staged
from gan_jax.diagnostics.state.support_survey import (
    THRESHOLD_QUANTILE,
    distance_quantiles,
    fake_support,
    real_support,
    reference_examples,
    support_samples,
    support_spaces,
)
from gan_jax.reports.diagnosis_support import closest_pictures, sentence
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_states import chosen_steps, open_states
from gan_jax.training.batches import sample_latent


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Support size and nearest neighbours at the checkpoints; for images at the newest one, unless `--step` names one.

    Raises:
        ValueError: if the run has no checkpoint, or its samples are not finite.
    """
    states = open_states(options.run, options.data, allowed_code(options))
    experiment = states.experiment
    steps = chosen_steps(states, options)
    if len(experiment.data.shape) > 1 and options.step is None and len(steps) > 1:
        say(f"measuring only the newest of {len(steps)} checkpoints, since each takes a while: --step takes another")
        steps = steps[-1:]
    size = experiment.batch_size
    num = -(-options.samples // size) * size  # whole batches, for batch norm in training mode
    say("measuring distances between real examples")
    keys = jax.random.split(jax.random.key(options.seed), 4)
    dataset = states.resources.dataset
    train, held_out, note = reference_examples(experiment, dataset, keys[0], num)
    classifier = states.resources.reference.classifier if isinstance(experiment.data, ImageData) else None
    spaces = support_spaces(train, held_out, classifier)
    ceilings = {space.name: real_support(experiment, dataset, keys[1], num, space) for space in spaces}
    latent = sample_latent(experiment, keys[2], num)
    rows, pictures = [], {}
    for step in steps:
        say(f"step {step:,}: {num:,} samples")
        state = states.restore(step)
        fakes = support_samples(staged(experiment, step), state, latent)
        if not bool(jnp.all(jnp.isfinite(fakes))):
            raise RunError(f"the samples of step {step:,} are not finite: take an earlier checkpoint with --step")
        measured = {space.name: fake_support(space, fakes) for space in spaces}
        rows.append({"step": step, "spaces": {name: numbers for name, (numbers, _) in measured.items()}})
        if len(experiment.data.shape) > 1 and step == steps[-1]:
            pictures = {
                name: closest_pictures(np.asarray(fakes), train, found) for name, (_, found) in measured.items()
            }
    result = {
        "num_samples": num,
        "examples": note,
        "quantile": THRESHOLD_QUANTILE,
        "num_train": int(train.shape[0]),
        "spaces": {
            space.name: {
                "threshold": space.threshold,
                "held_out_median": float(np.median(space.held_distance)),
                "held_out_quantiles": distance_quantiles(space.held_distance),
                "real": ceilings[space.name],
            }
            for space in spaces
        },
        "onset": (states.verdict or {}).get("onset_step"),
        "rows": rows,
        "pictures": pictures,
    }
    result = rounded_tree(result, 6)
    return {**result, "sentence": sentence(result)}
