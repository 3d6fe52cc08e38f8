"""`gan-jax diagnose memorisation RUN`: does D memorise its training examples?

At each checkpoint: the share of training, held-out and fake examples that D classifies correctly, with batch statistics
as in training and with running statistics, and its losses on them. See `gan_jax.diagnostics.state.split_accuracies`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import jax

from gan_jax.cli.code_options import allowed_code
from gan_jax.diagnostics.state.rounding import rounded
from gan_jax.diagnostics.state.scores import staged
from gan_jax.diagnostics.state.split_accuracies import loss_floors, split_accuracies, split_batches, split_examples
from gan_jax.reports.diagnosis_memorisation import sentence
from gan_jax.runs.run_states import chosen_steps, open_states


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Accuracies and losses of D at the kept checkpoints.

    Raises:
        ValueError: if the run has no checkpoint, or there are too few examples.
    """
    states = open_states(options.run, options.data, allowed_code(options))
    steps = chosen_steps(states, options)
    experiment, dataset = states.experiment, states.resources.dataset
    key_split, key_latent = jax.random.split(jax.random.key(options.seed))
    split = split_examples(experiment, dataset, options.points, key_split)
    batches = split_batches(experiment, split, key_latent)
    rows: list[dict[str, Any]] = []
    for step in steps:
        say(f"step {step:,}")
        found = jax.device_get(split_accuracies(staged(experiment, step), states.restore(step), *batches))
        modes = {
            mode: {name: rounded(accuracies._asdict(), 6) for name, accuracies in by.items()}
            for mode, by in found.items()
        }
        floor = loss_floors(experiment, step) if experiment.discriminator.transforms else None
        rows.append({"step": step, "floor": floor, "modes": modes})
    result = {
        "num": int(batches[0].shape[0] * experiment.batch_size),
        "examples": split.note,
        "known": split.known,
        "shown": "batch" if "batch" in rows[0]["modes"] else "running",
        "transforms": [type(transform).__name__ for transform in experiment.discriminator.transforms],
        "onset": (states.verdict or {}).get("onset_step"),
        "rows": rows,
    }
    return {**result, "sentence": sentence(result)}
