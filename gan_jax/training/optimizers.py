"""Optimisers as components: optax transformations made inside the traced step, so that their settings are leaves."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.experiment.schedules import SCHEDULES, Schedule


@runtime_checkable
class Optimizer(Protocol):
    """Makes an optax transformation for a learning rate."""

    def make(self, learning_rate: float | Array) -> optax.GradientTransformation: ...


@component
class Adam:
    """Adam (Kingma & Ba, ICLR 2015), with b1 = 0.5, as is usual for GANs (Radford et al., ICLR 2016).

    `eps_root` is inside the square root. optax's 0 makes the derivative of an update NaN wherever a gradient is exactly
    0 (a dead ReLU, a bias that cancels), and an unrolled generator differentiates through updates. With 1e-30 it is
    finite, and float32 updates change by at most 2.4e-7 relative.

    Example:
        >>> Adam().b1
        0.5
        >>> Adam(b1=1.0)
        Traceback (most recent call last):
        ...
        ValueError: Adam.b1 is 1.0, and must be below 1 (decay of the first moment)
    """

    b1: float | Schedule = setting(default=0.5, at_least=0, below=1, choices=SCHEDULES, doc="decay of the first moment")
    b2: float | Schedule = setting(
        default=0.999, at_least=0, below=1, choices=SCHEDULES, doc="decay of the second moment"
    )
    eps: float = setting(default=1e-8, at_least=0, doc="added to the root of the second moment")
    eps_root: float = setting(
        default=1e-30, above=0, doc="added inside that root; above 0, so that unrolling stays finite"
    )

    def make(self, learning_rate: float | Array) -> optax.GradientTransformation:
        return optax.adam(learning_rate, b1=self.b1, b2=self.b2, eps=self.eps, eps_root=self.eps_root)


@component
class SGD:
    """Stochastic gradient descent, with heavy-ball momentum if given.

    Example:
        >>> descent = SGD().make(learning_rate=0.1)
        >>> updates, _ = descent.update({"w": 2.0}, descent.init({"w": 0.0}))
        >>> updates
        {'w': -0.2}
    """

    momentum: float | None = setting(
        default=None, above=-1, below=1, doc="heavy-ball coefficient; None is plain gradient descent"
    )

    def make(self, learning_rate: float | Array) -> optax.GradientTransformation:
        return optax.sgd(learning_rate, momentum=self.momentum)


@component
class RMSProp:
    """RMSProp (Tieleman & Hinton, 2012), which the WGAN and R1 papers use; eps inside the root, as for Adam.

    Example:
        >>> RMSProp(decay=0.99).decay
        0.99
    """

    decay: float = setting(default=0.9, at_least=0, below=1, doc="decay of the second moment")
    eps: float = setting(default=1e-8, above=0, doc="added to the second moment inside the root")

    def make(self, learning_rate: float | Array) -> optax.GradientTransformation:
        return optax.rmsprop(learning_rate, decay=self.decay, eps=self.eps, eps_in_sqrt=True)


@component
class OptimisticSGD:
    """Optimistic gradient descent: w_(t+1) = w_t - learning_rate * ((alpha + beta) g_t - beta g_(t-1)), g_(-1) = g_0.

    The last gradient predicts the next one, which gives an extragradient step at the cost of one gradient. It is meant
    for simultaneous dynamics: of alternating players, the second one already sees the first one's move.

    References:
        C. Daskalakis et al., "Training GANs with Optimism", ICLR 2018: alpha = beta = 1.
        A. Mokhtari, A. Ozdaglar, S. Pattathil, "A Unified Analysis of Extra-gradient and Optimistic Gradient Methods
            for Saddle Point Problems", AISTATS 2020: the generalised form.

    Example:
        >>> OptimisticSGD().make(learning_rate=0.1).init({"w": 0.0}) is not None
        True
    """

    alpha: float = setting(default=1.0, above=0, doc="factor of the gradient")
    beta: float = setting(default=1.0, at_least=0, doc="factor of the gradient's change since the last step")

    def make(self, learning_rate: float | Array) -> optax.GradientTransformation:
        return optax.optimistic_gradient_descent(learning_rate, alpha=self.alpha, beta=self.beta)


@component
class OptimisticAdam:
    """Optimistic Adam: the rule of `OptimisticSGD`, applied to Adam's steps (Daskalakis et al., ICLR 2018).

    It has no Nesterov momentum, as in the paper; optax would add it. `eps_root` is as for `Adam`.

    Example:
        >>> OptimisticAdam(b1=0.0).beta
        1.0
        >>> OptimisticAdam(alpha=0.0)
        Traceback (most recent call last):
        ...
        ValueError: OptimisticAdam.alpha is 0.0, and must be above 0 (factor of Adam's step)
    """

    alpha: float = setting(default=1.0, above=0, doc="factor of Adam's step")
    beta: float = setting(default=1.0, at_least=0, doc="factor of the change of Adam's step since the last one")
    b1: float | Schedule = setting(default=0.5, at_least=0, below=1, choices=SCHEDULES, doc="decay of the first moment")
    b2: float | Schedule = setting(
        default=0.999, at_least=0, below=1, choices=SCHEDULES, doc="decay of the second moment"
    )
    eps: float = setting(default=1e-8, at_least=0, doc="added to the root of the second moment")
    eps_root: float = setting(
        default=1e-30, above=0, doc="added inside that root; above 0, so that unrolling stays finite"
    )

    def make(self, learning_rate: float | Array) -> optax.GradientTransformation:
        moments = {"b1": self.b1, "b2": self.b2, "eps": self.eps, "eps_root": self.eps_root}
        return optax.optimistic_adam_v2(learning_rate, alpha=self.alpha, beta=self.beta, nesterov=False, **moments)


@component
class WeightClipping:
    """Weight clipping: another optimiser, whose parameters are projected on [-limit, limit] after each update.

    It is that of D in the first Wasserstein GAN. The projection is part of the update, so that unrolled updates are
    clipped as well.

    References:
        M. Arjovsky, S. Chintala, L. Bottou, "Wasserstein GAN", ICML 2017, algorithm 1: RMSProp at 5e-5, limit 0.01.

    Example:
        >>> clipped = WeightClipping(optimizer=SGD(), limit=0.5).make(learning_rate=1.0)
        >>> params = {"w": jnp.array(0.4)}
        >>> updates, _ = clipped.update({"w": jnp.array(-1.0)}, clipped.init(params), params)
        >>> round(float(params["w"] + updates["w"]), 6)
        0.5
    """

    optimizer: Optimizer = setting(
        default=RMSProp(),
        choices=(Adam, SGD, RMSProp, OptimisticSGD, OptimisticAdam),
        doc="optimiser whose updates are clipped",
    )
    limit: float = setting(default=0.01, above=0, doc="greatest absolute value of a parameter; c")

    def make(self, learning_rate: float | Array) -> optax.GradientTransformation:
        def project(updates: Any, params: Any) -> Any:
            return jax.tree.map(lambda u, p: jnp.clip(p + u, -self.limit, self.limit) - p, updates, params)

        return optax.chain(self.optimizer.make(learning_rate), optax.stateless(project))


def optimizer_of(player: Any) -> optax.GradientTransformation:
    """The optimiser of a player at its learning rate.

    Args:
        player: a `Generator` or `Discriminator` without schedules; see `growth.at_step`.

    Returns:
        The optax transformation.

    Raises:
        TypeError: if the learning rate is still a schedule; optax would count its steps in a state of its own.
    """
    if isinstance(player.learning_rate, Schedule):
        raise TypeError("a player's schedules must be values of the step before it is updated: use at_step")
    return player.optimizer.make(player.learning_rate)


OPTIMIZERS = (Adam, SGD, RMSProp, OptimisticSGD, OptimisticAdam, WeightClipping)
