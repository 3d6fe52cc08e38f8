"""What an objective is: functions from raw scores to each player's losses.

An objective is a component with one method, `criterion()`, that returns a `Criterion`. Those of the papers are in
`gan_jax.losses.objectives`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

from jax import Array

ElementwiseLoss = Callable[[Array, Array, Array], Array]
"""(scores [batch], key, step) -> losses [batch], in the objective's own unit (nats for the log losses)."""


def _unrelated(real: Array, fake: Array) -> tuple[Array, Array]:
    return real, fake


class Criterion(NamedTuple):
    """What each player pays for a score. All functions are pure, elementwise, and take a key and the step.

    The key and the step are for transforms (label noise, schedules); plain objectives ignore them.

    Attributes:
        real: D's losses for scores of real examples.
        fake: D's losses for scores of generated examples.
        generator: G's losses for scores of generated examples.
        generator_real: G's losses for scores of real examples, which enter its gradient when G is unrolled through D
            or when scores are related; None if the objective has no such term.
        relate: (real scores, fake scores) -> the same two, made relative to one another. The identity for all but
            relativistic objectives.
        decision_threshold: the score, related if scores are, of an example that is as likely real as fake, for D's
            accuracies; None if the objective has none.
    """

    real: ElementwiseLoss
    fake: ElementwiseLoss
    generator: ElementwiseLoss
    generator_real: ElementwiseLoss | None = None
    relate: Callable[[Array, Array], tuple[Array, Array]] = _unrelated
    decision_threshold: float | Array | None = 0.0


@runtime_checkable
class Objective(Protocol):
    """Anything that makes a `Criterion`."""

    def criterion(self) -> Criterion: ...
