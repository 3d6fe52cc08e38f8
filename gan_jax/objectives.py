"""Objectives: what D and G pay for raw scores, elementwise, one entry a paper.

Scores are raw (a logit, never a probability): a high score says "real". Every loss is finite at |score| = 1e4, and no
mean is taken here, so that a transform may weigh, flip or pick single examples.

An objective is a component with one method, `criterion()`, that returns a `Criterion`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import jax
from jax import Array

from gan_jax.component import component

Losses = Callable[[Array, Array, Array], Array]
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
    """

    real: Losses
    fake: Losses
    generator: Losses
    generator_real: Losses | None = None
    relate: Callable[[Array, Array], tuple[Array, Array]] = _unrelated


@runtime_checkable
class Objective(Protocol):
    """Anything that makes a `Criterion`."""

    def criterion(self) -> Criterion: ...


@component
class NonSaturating:
    """L_D = -log D(x) - log(1 - D(G(z))),  L_G = -log D(G(z)),  with D = sigmoid(score).

    G's loss keeps its gradient where D rejects the fakes, which minimax loses. It is the loss of the DCGAN and of the
    label-noise study, where it is written as binary cross-entropy with the labels 1, 0 and 1.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> losses = NonSaturating().criterion().generator(jnp.zeros(1), jax.random.key(0), 0)
        >>> round(float(losses[0]), 4)  # log 2
        0.6931

    References:
        I. Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, section 3.
    """

    def criterion(self) -> Criterion:
        return Criterion(
            real=lambda score, key, step: jax.nn.softplus(-score),
            fake=lambda score, key, step: jax.nn.softplus(score),
            generator=lambda score, key, step: jax.nn.softplus(-score),
        )


@component
class Minimax:
    """The zero-sum game: L_D = -log D(x) - log(1 - D(G(z))),  L_G = -L_D.

    G's own gradient comes from log(1 - D(G(z))) = -softplus(score) and vanishes where D rejects all fakes. The real
    term of -L_D does not depend on G unless G is unrolled through D's updates: that is `generator_real`.

    References:
        I. Goodfellow et al., "Generative Adversarial Nets", NeurIPS 2014, equation 1.
    """

    def criterion(self) -> Criterion:
        return Criterion(
            real=lambda score, key, step: jax.nn.softplus(-score),
            fake=lambda score, key, step: jax.nn.softplus(score),
            generator=lambda score, key, step: -jax.nn.softplus(score),
            generator_real=lambda score, key, step: -jax.nn.softplus(-score),
        )


@component
class Wasserstein:
    """The zero-sum game of raw scores: L_D = -D(x) + D(G(z)),  L_G = -D(G(z)) + D(x) = -L_D.

    With D held 1-Lipschitz by other means, -L_D at its optimum is the earth mover's distance; without, it is unbounded.
    As in `Minimax`, the real term of -L_D reaches G only if it is unrolled through D's updates: `generator_real`.

    References:
        M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein GAN", ICML 2017, equation 2.
    """

    def criterion(self) -> Criterion:
        return Criterion(
            real=lambda score, key, step: -score,
            fake=lambda score, key, step: score,
            generator=lambda score, key, step: -score,
            generator_real=lambda score, key, step: score,
        )


OBJECTIVES = (NonSaturating, Minimax, Wasserstein)
