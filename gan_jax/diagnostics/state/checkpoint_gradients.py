"""D's input gradients and accuracies at the checkpoints of a run, and how the gradients change over further steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.diagnostics import forgetting, landscape, scans
from gan_jax.diagnostics.state.plane_survey import RADIUS
from gan_jax.diagnostics.state.rounding import rounded
from gan_jax.diagnostics.state.scores import as_seen, fakes_at, mixture_of, score_at
from gan_jax.experiment.experiment import Experiment
from gan_jax.training.state import TrainState
from gan_jax.training.steps import train_step

LAGS = (1, 10, 100)
"""Training steps after which the gradient is compared with that of a checkpoint; the last lag is for vectors only."""
_MOST_STARTS = 4
_DIGITS = 4


def lags_of(experiment: Experiment) -> tuple[int, ...]:
    """The lags for an experiment: fewer for images, whose steps are expensive."""
    return LAGS if len(experiment.data.shape) == 1 else LAGS[:-1]


def lag_starts(steps: list[int]) -> list[int]:
    """At most four evenly spaced steps of those given, from which a run is continued."""
    chosen = np.unique(np.linspace(0, len(steps) - 1, min(_MOST_STARTS, len(steps))).round().astype(int))
    return [steps[index] for index in chosen]


@jax.jit
def checkpoint_fakes(experiment: Experiment, state: TrainState, latent: Array) -> Array:
    """`fakes_at`, compiled.

    Args:
        experiment: `staged`.
        state: of the checkpoint.
        latent: [n, latent_dim].

    Returns:
        [n, *shape].
    """
    return fakes_at(experiment, state, latent)


@jax.jit
def checkpoint_gradients(
    experiment: Experiment, state: TrainState, real: Array, fake: Array, old: Array
) -> tuple[dict[str, Array], Array, Array]:
    """D's gradients at fixed points and its accuracies, at one checkpoint.

    Args:
        experiment: `staged`.
        state: of the checkpoint.
        real: [n, *shape], the real points.
        fake: [n, *shape], the fake points.
        old: [T, n, *shape], fakes of all T checkpoints.

    Returns:
        (dD/dx at the points by kind, [n, *shape]; D's accuracy on the fakes of each checkpoint, [T]; its accuracy on
        the real points, a scalar). Accuracies are NaN for an objective without a decision threshold.
    """
    score, criterion = score_at(experiment, state), experiment.objective.criterion()
    seen = as_seen(experiment, state, real)
    gradients = {kind: scans.input_gradients(score, points) for kind, points in (("real", seen), ("fake", fake))}
    real_scores, decision_threshold = score(seen), criterion.decision_threshold
    if decision_threshold is None:
        nothing = jnp.full(old.shape[0], jnp.nan)
        return gradients, nothing, nothing[0]
    related = jax.lax.map(lambda fakes: criterion.relate(real_scores, score(fakes)), old)
    # Relativistic scores of real examples depend on the fakes: their mean over all T checkpoints is used.
    return (
        gradients,
        forgetting.accuracy_on_fakes(related[1], decision_threshold),
        jnp.mean(related[0] > decision_threshold),
    )


@jax.jit
def num_modes_seen(experiment: Experiment, dataset: Any, state: TrainState) -> Array:
    """Number of modes at which D passes the local-maximum test.

    Args:
        experiment: on a mixture in one or two dimensions.
        dataset: of the run.
        state: of the checkpoint.

    Returns:
        int32, a scalar.
    """
    mixture = mixture_of(experiment.data.source(dataset))
    radii = RADIUS * mixture.std
    # The modes serve as surroundings, which only scale slopes and prominences; neither is used here.
    return jnp.sum(landscape.local_maximum_test(score_at(experiment, state), mixture.modes, radii, mixture.modes).seen)


def lagged_cosines(
    experiment: Experiment, dataset: Any, state: TrainState, real: Array, fake: Array
) -> list[dict[str, Any]]:
    """Gradient cosines between a checkpoint and the same run some training steps later.

    Args:
        experiment: `staged`.
        dataset: of the run.
        state: of the checkpoint, from which training continues on full batches.
        real: [n, *shape], the real points.
        fake: [n, *shape], the fake points.

    Returns:
        JSON-ready, a row for each lag: "step", "lag", and "mean" and "reversed_share" by kind.
    """
    rows: list[dict[str, Any]] = []
    step, done = int(state.step), 0
    before = _gradients(experiment, state, real, fake)
    for lag in lags_of(experiment):
        state, done = _continued(experiment, dataset, state, jnp.int32(lag - done)), lag
        after = _gradients(experiment, state, real, fake)
        cosines = {kind: forgetting.gradient_cosines(before[kind], after[kind]) for kind in before}
        rows.append({"step": step, "lag": lag, **{kind: cosine_record(of) for kind, of in cosines.items()}})
    return rows


def cosine_record(cosines: forgetting.GradientCosines) -> dict[str, Any]:
    """Means and reversed shares, JSON-ready."""
    return {name: rounded(getattr(cosines, name), _DIGITS) for name in ("mean", "reversed_share")}


@jax.jit
def _continued(experiment: Experiment, dataset: Any, state: TrainState, num_steps: Array) -> TrainState:
    return jax.lax.fori_loop(0, num_steps, lambda _, s: train_step(experiment, dataset, s)[0], state)


@jax.jit
def _gradients(experiment: Experiment, state: TrainState, real: Array, fake: Array) -> dict[str, Array]:
    score = score_at(experiment, state)
    seen = {"real": as_seen(experiment, state, real), "fake": fake}
    return {kind: scans.input_gradients(score, points) for kind, points in seen.items()}
