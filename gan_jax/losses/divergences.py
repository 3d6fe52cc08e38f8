"""The formulas behind `FGAN` and `AlphaGAN`: f-divergences with their conjugates, and the alpha-loss.

All functions take raw scores, keep their dtype, and are finite with their gradients at |score| = 1e4: where the
argument of an exponential passes 20, the exponential is continued by its tangent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

DivergenceName = Literal["kl", "reverse_kl", "pearson", "neyman", "squared_hellinger", "jensen_shannon", "gan", "alpha"]

# exp(20) = 4.9e8 times a score of 1e4 is far below the largest number of float32 and bfloat16, and so is its square,
# which Adam stores. The lower bound on a divergence is exact where the density ratio is within exp(-10) and exp(10).
_TANGENT_FROM = 20.0


class Divergence(NamedTuple):
    """One f-divergence D_f(P || Q) = E_Q[f(p / q)], with the functions that the players' losses need.

    Attributes:
        f: the convex function of density ratios above 0, with f(1) = 0 (`gan`: -log 4).
        activation: g_f, an increasing map from a raw score v to the domain of the conjugate.
        conjugate: f*(t) = sup_u (u t - f(u)), as published: without the tangent, and undefined outside its domain.
        conjugate_of_activation: f*(g_f(v)), in a form without overflow or cancellation.
        threshold: f'(1); an activation above it means "real".
    """

    f: Callable[[Array], Array]
    activation: Callable[[Array], Array]
    conjugate: Callable[[Array], Array]
    conjugate_of_activation: Callable[[Array], Array]
    threshold: float | Array


def divergence(name: DivergenceName, alpha: float | Float[Array, ""] = 0.5) -> Divergence:
    """The f-divergence of a name, as tabulated in the paper.

    `pearson` and `neyman` are the chi-square divergences of q and p; `jensen_shannon` is twice the Jensen-Shannon
    divergence, in nats, and `gan` is that minus log 4. `alpha` is

        f(u) = (u^a - 1 - a (u - 1)) / (a (a - 1)),  g_f(v) = 1/(1 - a) - log(1 + exp(-v)),

    in the paper's form for a < 1. The sign of v makes g_f increase, as section 2.4 of the paper requires.

    Args:
        name: one of `DivergenceName`.
        alpha: order of the alpha divergence, above 0 and below 1; the others ignore it.

    Returns:
        The divergence's functions, elementwise in their arguments; values are in nats where a logarithm defines f.

    Example:
        >>> hellinger = divergence("squared_hellinger")
        >>> float(hellinger.f(jnp.float32(4.0))), float(hellinger.conjugate(jnp.float32(0.5)))
        (1.0, 1.0)

    References:
        S. Nowozin, B. Cseke, R. Tomioka, "f-GAN: Training Generative Neural Samplers using Variational Divergence
        Minimization", NeurIPS 2016, tables 1, 2, 5 and 6.
    """
    return _alpha_divergence(alpha) if name == "alpha" else _DIVERGENCES[name]


def alpha_loss(log_loss: Float[Array, "..."], alpha: float | Float[Array, ""]) -> Float[Array, "..."]:
    """l_a = a/(a - 1) (1 - p^((a - 1)/a)), where p = exp(-log_loss) is the probability given to the true label.

    It is the log loss at a = 1, 1/p - 1 at a = 1/2, and tends to 1 - p as a -> inf. For a < 1, p^((a - 1)/a) is
    continued by its tangent where it passes exp(20). It is differentiable in a, also at a = 1.

    References:
        T. Sypherd, M. Diaz, J. K. Cava, G. Dasarathy, P. Kairouz, L. Sankar, "A Tunable Loss Function for Robust
        Classification: Calibration, Landscape, and Generalization", IEEE Trans. Information Theory 2022, definition 1.
    """
    # With y = -log_loss (a - 1)/a this is log_loss expm1(y)/y. Near y = 0 the quotient is taken from its power series:
    # directly it would be 0/0, and its derivative a difference of nearly equal numbers.
    exponent = (1 / jnp.asarray(alpha, log_loss.dtype) - 1) * log_loss
    near = jnp.abs(exponent) < 0.01
    away = jnp.where(near, 1.0, exponent)
    series = 1 + exponent / 2 * (1 + exponent / 3 * (1 + exponent / 4 * (1 + exponent / 5)))
    quotient = jnp.where(near, series, _expm1(away) / away)
    return log_loss * quotient


def _exp(x: Array) -> Array:
    low = jnp.minimum(x, _TANGENT_FROM)
    return jnp.exp(low) * (1 + (x - low))


def _expm1(x: Array) -> Array:
    low = jnp.minimum(x, _TANGENT_FROM)
    return jnp.expm1(low) + jnp.exp(low) * (x - low)


def _jensen_shannon(u: Array) -> Array:
    return u * jnp.log(u) - (u + 1) * jnp.log((u + 1) / 2)


_DIVERGENCES = {
    "kl": Divergence(
        f=lambda u: u * jnp.log(u),
        activation=lambda v: v,
        conjugate=lambda t: jnp.exp(t - 1),
        conjugate_of_activation=lambda v: _exp(v - 1),
        threshold=1.0,
    ),
    "reverse_kl": Divergence(
        f=lambda u: -jnp.log(u),
        activation=lambda v: -_exp(-v),
        conjugate=lambda t: -1 - jnp.log(-t),
        conjugate_of_activation=lambda v: v - 1,
        threshold=-1.0,
    ),
    "pearson": Divergence(
        f=lambda u: jnp.square(u - 1),
        activation=lambda v: v,
        conjugate=lambda t: jnp.square(t) / 4 + t,
        conjugate_of_activation=lambda v: jnp.square(v) / 4 + v,
        threshold=0.0,
    ),
    "neyman": Divergence(
        f=lambda u: jnp.square(1 - u) / u,
        activation=lambda v: -_expm1(-v),
        conjugate=lambda t: 2 - 2 * jnp.sqrt(1 - t),
        conjugate_of_activation=lambda v: -2 * _expm1(-v / 2),
        threshold=0.0,
    ),
    "squared_hellinger": Divergence(
        f=lambda u: jnp.square(jnp.sqrt(u) - 1),
        activation=lambda v: -_expm1(-v),
        conjugate=lambda t: t / (1 - t),
        conjugate_of_activation=_expm1,
        threshold=0.0,
    ),
    "jensen_shannon": Divergence(
        f=_jensen_shannon,
        activation=lambda v: math.log(2) - jax.nn.softplus(-v),
        conjugate=lambda t: -jnp.log(2 - jnp.exp(t)),
        conjugate_of_activation=lambda v: jax.nn.softplus(v) - math.log(2),
        threshold=0.0,
    ),
    "gan": Divergence(
        f=lambda u: u * jnp.log(u) - (u + 1) * jnp.log(u + 1),
        activation=lambda v: -jax.nn.softplus(-v),
        conjugate=lambda t: -jnp.log(1 - jnp.exp(t)),
        conjugate_of_activation=jax.nn.softplus,
        threshold=-math.log(2),
    ),
}


def _alpha_divergence(alpha: float | Array) -> Divergence:
    def order(like: Array) -> Array:
        return jnp.asarray(alpha, like.dtype)  # a traced alpha is float32, and would promote bfloat16 scores

    def f(u: Array) -> Array:
        a = order(u)
        return (u**a - 1 - a * (u - 1)) / (a * (a - 1))

    def activation(v: Array) -> Array:
        return 1 / (1 - order(v)) - jax.nn.softplus(-v)

    def conjugate(t: Array) -> Array:
        a = order(t)
        return ((t * (a - 1) + 1) ** (a / (a - 1)) - 1) / a

    def conjugate_of_activation(v: Array) -> Array:
        a = order(v)
        return _expm1(a / (a - 1) * (jnp.log1p(-a) + _log_softplus(-v))) / a

    return Divergence(f, activation, conjugate, conjugate_of_activation, 0.0)


def _log_softplus(x: Array) -> Array:
    # Below -15 log(softplus(x)) is x - exp(x)/2, which differs from x by less than float32 resolves there.
    far = x < -15.0
    return jnp.where(far, x, jnp.log(jax.nn.softplus(jnp.where(far, 0.0, x))))
