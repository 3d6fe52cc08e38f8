"""What D's gradient and verdicts are at the checkpoints of a run, and a few steps on; for `diagnose forgetting`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.cli.diagnose_plane import RADIUS
from gan_jax.diagnostics import forgetting, landscape, scans
from gan_jax.diagnostics.state.scores import as_seen, fakes_at, mixture_of, score_at, staged
from gan_jax.experiment.experiment import Experiment
from gan_jax.reports.drawing import rounded
from gan_jax.runs.run_directory import RunError
from gan_jax.runs.run_states import RunStates
from gan_jax.training.state import TrainState
from gan_jax.training.steps import train_step

LAGS = (1, 10, 100)
"""Steps over which the gradient is followed from a checkpoint; the last one for vector data only."""
MOST_STARTS = 4
"""Checkpoints from which it is."""


def spaced_steps(states: RunStates, until: int | None) -> list[int]:
    """The evenly spaced checkpoints (those kept to branch from) up to a step, and the last one; all if these are few.

    Raises:
        RunError: if there is no checkpoint of that step, or none before it.
    """
    if until is not None and until not in states.steps:
        known = ", ".join(f"{step:,}" for step in states.steps)
        raise RunError(f"{states.run.path} has no checkpoint of step {until}; it has {known}")
    steps = [step for step in states.steps if until is None or step <= until]
    every = states.record.keep_every_steps
    spaced = [step for step in steps if (every and step % every == 0) or step == steps[-1]]
    chosen = spaced if len(spaced) > 2 else steps
    if len(chosen) < 2:
        raise RunError(
            f"forgetting is between checkpoints, and {states.run.path} has one up to step {chosen[-1]:,}: train on, or "
            "train with more --branch-points"
        )
    return chosen


@jax.jit
def fakes_of(experiment: Experiment, state: TrainState, latent: Array) -> Array:
    return fakes_at(experiment, state, latent)


@jax.jit
def judge(
    experiment: Experiment, state: TrainState, real: Array, fake: Array, old: Array
) -> tuple[dict[str, Array], Array, Array]:
    """What is kept of a checkpoint.

    Args:
        experiment: staged.
        state: the checkpoint.
        real: [n, *shape], half of the probes.
        fake: [n, *shape], the other half.
        old: [T, n, *shape] fakes of all checkpoints.

    Returns:
        (dD/dx at the probes by kind; D's accuracy on the fakes of each checkpoint, [T]; on the real probes).
    """
    score, criterion = score_at(experiment, state), experiment.objective.criterion()
    seen = as_seen(experiment, state, real)
    gradients = {kind: scans.input_gradients(score, points) for kind, points in (("real", seen), ("fake", fake))}
    real_scores, decision_threshold = score(seen), criterion.decision_threshold
    if decision_threshold is None:
        nothing = jnp.full(old.shape[0], jnp.nan)
        return gradients, nothing, nothing[0]
    related = jax.lax.map(lambda fakes: criterion.relate(real_scores, score(fakes)), old)
    # Relative scores of real examples are against the fakes of the day: their mean over all T is near enough to them.
    return (
        gradients,
        forgetting.accuracy_on_fakes(related[1], decision_threshold),
        jnp.mean(related[0] > decision_threshold),
    )


@jax.jit
def _onward(experiment: Experiment, dataset: Any, state: TrainState, num_steps: Array) -> TrainState:
    """The state after some more steps of training, on full batches."""
    return jax.lax.fori_loop(0, num_steps, lambda _, s: train_step(experiment, dataset, s)[0], state)


@jax.jit
def _slopes(experiment: Experiment, state: TrainState, real: Array, fake: Array) -> dict[str, Array]:
    score = score_at(experiment, state)
    seen = {"real": as_seen(experiment, state, real), "fake": fake}
    return {kind: scans.input_gradients(score, points) for kind, points in seen.items()}


@jax.jit
def modes_seen(experiment: Experiment, dataset: Any, state: TrainState) -> Array:
    mixture = mixture_of(experiment.data.source(dataset))
    radii = RADIUS * mixture.std
    # What is usual over the modes' own surroundings: only the slopes and prominences, not used here, depend on it.
    return jnp.sum(landscape.attention(score_at(experiment, state), mixture.modes, radii, mixture.modes).seen)


def followed(
    experiment: Experiment,
    dataset: Any,
    restored: dict[int, TrainState],
    real: Array,
    fake: Array,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """A row a start and a number of steps: how far dD/dx at the probes has turned after them."""
    lags = LAGS if len(experiment.data.shape) == 1 else LAGS[:-1]
    chosen = np.unique(np.linspace(0, len(restored) - 1, min(MOST_STARTS, len(restored))).round().astype(int))
    steps, rows = list(restored), []
    for step in (steps[index] for index in chosen):
        say(f"step {step:,}: {lags[-1]} steps on")
        made, state, done = staged(experiment, step), restored[step], 0
        before = _slopes(made, state, real, fake)
        for lag in lags:
            state, done = _onward(made, dataset, state, jnp.int32(lag - done)), lag
            after = _slopes(made, state, real, fake)
            row: dict[str, Any] = {"step": step, "lag": lag}
            for kind in before:
                turn = forgetting.turning(before[kind], after[kind])
                row[kind] = {"mean": rounded(turn.mean, 4), "reversed_share": rounded(turn.reversed_share, 4)}
            rows.append(row)
    return rows
