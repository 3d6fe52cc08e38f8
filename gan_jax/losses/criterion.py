"""The interface of objectives: functions from raw scores to each player's losses.

An objective is a component with one method, `criterion()`, that returns a `Criterion`. Those of the papers are in
`gan_jax.losses.objectives`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from jax import Array

ElementwiseLoss = Callable[[Array, Array, Array], Array]
"""(raw scores [batch], key, step) -> losses [batch], in the objective's own unit (nats for log losses)."""


def _unrelated(real: Array, fake: Array) -> tuple[Array, Array]:
    return real, fake


class Criterion(NamedTuple):
    """The players' losses as functions of scores. All functions are pure and elementwise, and take a key and the step.

    The key and the step are for transforms (label noise, schedules); plain objectives ignore them.

    Attributes:
        real: D's losses for scores of real examples.
        fake: D's losses for scores of fakes.
        generator: G's losses for scores of fakes.
        generator_real: G's losses for scores of real examples. They enter G's gradient if G is unrolled through D, or
            if `relate` mixes scores. None if the objective has no such term.
        relate: (real scores, fake scores) -> the scores relative to the other side's. It is the identity for all but
            relativistic objectives.
        decision_threshold: the score (after `relate`) of an example that is as likely real as fake, for D's accuracies;
            None if the objective has no such score.

    Example:
        >>> import jax.numpy as jnp
        >>> critic = Criterion(
        ...     real=lambda score, key, step: -score,
        ...     fake=lambda score, key, step: score,
        ...     generator=lambda score, key, step: -score,
        ... )
        >>> critic.real(jnp.array([2.0, -1.0]), None, 0).tolist()
        [-2.0, 1.0]
    """

    real: ElementwiseLoss
    fake: ElementwiseLoss
    generator: ElementwiseLoss
    generator_real: ElementwiseLoss | None = None
    relate: Callable[[Array, Array], tuple[Array, Array]] = _unrelated
    decision_threshold: float | Array | None = 0.0


@runtime_checkable
class Objective(Protocol):
    """A component that makes a `Criterion`."""

    def criterion(self) -> Criterion:
        """The players' losses."""
        ...
