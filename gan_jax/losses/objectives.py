"""Objectives: what D and G pay for raw scores, elementwise, one entry a paper.

Scores are raw (a logit, never a probability): a high score says "real". Every loss is finite at |score| = 1e4, and no
mean is taken here, so that a transform may weigh, flip or pick single examples.

An objective is a component with one method, `criterion()`, that returns a `Criterion`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.losses.divergences import DivergenceName, alpha_loss, divergence

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


@component
class LeastSquares:
    """L_D = (D(x) - b)^2 / 2 + (D(G(z)) - a)^2 / 2,  L_G = (D(G(z)) - c)^2 / 2.

    With a = 0 and b = c = 1, the default, G aims at "real"; with b - c = 1 and b - a = 2 (a = -1, b = 1, c = 0) it
    descends the Pearson divergence of p + q from 2 q, where D is optimal for data p and fakes q.

    References:
        X. Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017, equations 2, 8 and 9.
    """

    a: float = setting(default=0.0, doc="D's target score for fakes")
    b: float = setting(default=1.0, doc="D's target score for real examples")
    c: float = setting(default=1.0, doc="the score that G wants for fakes")

    def criterion(self) -> Criterion:
        def half_square(target: float) -> ElementwiseLoss:
            return lambda score, key, step: jnp.square(score - jnp.asarray(target, score.dtype)) / 2

        return Criterion(
            real=half_square(self.b),
            fake=half_square(self.a),
            generator=half_square(self.c),
            decision_threshold=(self.a + self.b) / 2,
        )


@component
class Hinge:
    """L_D = max(0, 1 - D(x)) + max(0, 1 + D(G(z))),  L_G = -D(G(z)).

    References:
        J. H. Lim, J. C. Ye, "Geometric GAN", arXiv:1705.02894, 2017.
        T. Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, equations 16 and 17.
    """

    def criterion(self) -> Criterion:
        return Criterion(
            real=lambda score, key, step: jax.nn.relu(1 - score),
            fake=lambda score, key, step: jax.nn.relu(1 + score),
            generator=lambda score, key, step: -score,
        )


@component
class FGAN:
    """L_D = -g_f(v(x)) + f*(g_f(v(G(z)))),  with v the raw score: at its optimum, -D_f(data || fakes).

    G pays -L_D ("minimax": -f*(g_f(v)) for fakes, and g_f(v) for real examples, which enters where G is unrolled), or
    -g_f(v) for fakes ("non_saturating": the paper's section 3.2 maximises g_f(v) instead of minimising -f*(g_f(v))).

    D says "real" where g_f(v) is above f'(1); that is v > 0 for all but `kl` (v > 1) and `alpha`.

    References:
        S. Nowozin, B. Cseke, R. Tomioka, "f-GAN: Training Generative Neural Samplers using Variational Divergence
        Minimization", NeurIPS 2016, sections 2 and 3.2.
    """

    divergence: DivergenceName = setting(default="kl", doc="the f-divergence, from data to fakes")
    # g_f reaches f'(1) = 0 at a score of about -1/(1 - alpha): above 0.9, scores near 0 are past the tangent point.
    alpha: float = setting(
        default=0.5,
        above=0,
        at_most=0.9,
        doc="order of divergence='alpha' alone; for its limits 0 and 1 choose 'reverse_kl' and 'kl'",
    )
    generator_loss: Literal["minimax", "non_saturating"] = setting(default="minimax", doc="what G pays")

    def criterion(self) -> Criterion:
        chosen = divergence(self.divergence, self.alpha)

        def real(score: Array, key: Array, step: Array) -> Array:
            return -chosen.activation(score)

        def fake(score: Array, key: Array, step: Array) -> Array:
            return chosen.conjugate_of_activation(score)

        # Where the activation is f'(1).
        decision_threshold: float | Array = 1.0 if self.divergence == "kl" else 0.0
        if self.divergence == "alpha":
            decision_threshold = -jnp.log(jnp.expm1(1 / (1 - self.alpha)))
        if self.generator_loss == "non_saturating":
            return Criterion(real, fake, generator=real, decision_threshold=decision_threshold)
        return Criterion(
            real,
            fake,
            decision_threshold=decision_threshold,
            generator=lambda score, key, step: -fake(score, key, step),
            generator_real=lambda score, key, step: -real(score, key, step),
        )


@component
class AlphaGAN:
    """L_D = l_aD(1, D(x)) + l_aD(0, D(G(z))),  L_G = -l_aG(1, D(x)) - l_aG(0, D(G(z))),  with D = sigmoid(score).

    l_a is the alpha-loss: the log loss at a = 1, the probability of error (a soft 0-1 loss) as a -> inf; below 1 it
    punishes confident errors more. Both at 1 are `Minimax`, or `NonSaturating` with that choice of G's loss, where G
    pays l_aG(1, D(G(z))) instead.

    References:
        M. Welfert, K. Otstot, G. R. Kurri, L. Sankar, "(alpha_D, alpha_G)-GANs: Addressing GAN Training Instabilities
        via Dual Objectives", ISIT 2023, arXiv:2302.14320.
        M. Welfert, G. R. Kurri, K. Otstot, L. Sankar, "Addressing GAN Training Instabilities via Tunable
        Classification ElementwiseLoss", 2023, arXiv:2310.18291.
    """

    discriminator_alpha: float = setting(default=0.5, at_least=0.1, doc="alpha_D of D's losses; 1 is the log loss")
    generator_alpha: float = setting(default=1.0, at_least=0.1, doc="alpha_G of G's losses; 1 is the log loss")
    generator_loss: Literal["saturating", "non_saturating"] = setting(default="saturating", doc="what G pays")

    def criterion(self) -> Criterion:
        saturating = self.generator_loss == "saturating"

        def true(alpha: float, sign: float = 1.0) -> ElementwiseLoss:
            return lambda score, key, step: sign * alpha_loss(jax.nn.softplus(-score), alpha)

        def false(alpha: float, sign: float = 1.0) -> ElementwiseLoss:
            return lambda score, key, step: sign * alpha_loss(jax.nn.softplus(score), alpha)

        return Criterion(
            real=true(self.discriminator_alpha),
            fake=false(self.discriminator_alpha),
            generator=false(self.generator_alpha, -1.0) if saturating else true(self.generator_alpha),
            generator_real=true(self.generator_alpha, -1.0) if saturating else None,
        )


@component
class EnergyMargin:
    """L_D = E(x) + max(0, margin - E(G(z))),  L_G = E(G(z)),  with the energy E = -score.

    D is an autoencoder, and E >= 0 its reconstruction error; with any other D, L_D has no lower bound.

    References:
        J. Zhao, M. Mathieu, Y. LeCun, "Energy-based Generative Adversarial Networks", ICLR 2017, equations 1 and 2.
    """

    margin: float = setting(default=1.0, above=0, doc="energy above which D lets fakes be, in the energy's unit")

    def criterion(self) -> Criterion:
        return Criterion(
            real=lambda score, key, step: -score,
            fake=lambda score, key, step: jax.nn.relu(jnp.asarray(self.margin, score.dtype) + score),
            generator=lambda score, key, step: -score,
            decision_threshold=None,
        )


@component
class BoundaryEquilibrium:
    """L_D = E(x) - k_t E(G(z)),  L_G = E(G(z)),  with the energy E = -score.

    The weight k_t has a memory, which a criterion has not: the fakes' term is the penalty `Equilibrium`, without which
    this D sees no fakes. D is an autoencoder, and E >= 0 its reconstruction error.

    References:
        D. Berthelot, T. Schumm, L. Metz, "BEGAN: Boundary Equilibrium Generative Adversarial Networks",
        arXiv:1703.10717, 2017, section 3.
    """

    def criterion(self) -> Criterion:
        return Criterion(
            real=lambda score, key, step: -score,
            fake=lambda score, key, step: jnp.zeros_like(score),
            generator=lambda score, key, step: -score,
            decision_threshold=None,
        )


_ABSOLUTE = (
    NonSaturating,
    Minimax,
    Wasserstein,
    LeastSquares,
    Hinge,
    FGAN,
    AlphaGAN,
)


@component
class Relativistic:
    """L_D = real(D(x) - D(G(z))) + fake(D(G(z)) - D(x)),  of pairs of a real example and a fake, for any objective.

    L_D is the paper's general form, with both sides: twice its simplified RpGAN loss where the two are symmetric, as
    those of `NonSaturating` and `Hinge` are. See `RelativisticAverage` for what G pays.

    References:
        A. Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN", ICLR 2019,
        arXiv:1807.00734, section 4.
    """

    objective: Objective = setting(default=NonSaturating(), choices=_ABSOLUTE, doc="the losses of related scores")

    def validate(self) -> None:
        _refuse_relativistic(self)

    def criterion(self) -> Criterion:
        def relate(real: Array, fake: Array) -> tuple[Array, Array]:
            if real.shape != fake.shape:
                raise ValueError(
                    f"Relativistic pairs each real example with a fake, and there are {real.shape[0]} and "
                    f"{fake.shape[0]}: make the batches equal, or use RelativisticAverage"
                )
            return real - fake, fake - real

        return _related(self.objective, relate)


@component
class RelativisticAverage:
    """L_D = real(D(x) - mean D(G(z))) + fake(D(G(z)) - mean D(x)),  with means over the batch, for any objective.

    G pays what D pays with the labels swapped: for related fakes the loss of reals, for related reals that of fakes. A
    zero-sum objective (one with its own `generator_real`) stays zero-sum instead. `NonSaturating` is then the published
    RaSGAN, `Hinge` the published RaHingeGAN, and `LeastSquares(a=-1)` half the published RaLSGAN.

    References:
        A. Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN", ICLR 2019,
        arXiv:1807.00734, section 4.
    """

    objective: Objective = setting(default=NonSaturating(), choices=_ABSOLUTE, doc="the losses of related scores")

    def validate(self) -> None:
        _refuse_relativistic(self)

    def criterion(self) -> Criterion:
        return _related(self.objective, lambda real, fake: (real - jnp.mean(fake), fake - jnp.mean(real)))


def _related(objective: Objective, relate: Callable[[Array, Array], tuple[Array, Array]]) -> Criterion:
    base = objective.criterion()
    if base.generator_real is not None:
        return base._replace(relate=relate)
    # The hinge's G alone pays another loss than D for reals, and as published it does not do so here.
    generator = base.real if isinstance(objective, Hinge) else base.generator
    return base._replace(generator=generator, generator_real=base.fake, relate=relate)


def _refuse_relativistic(outer: Relativistic | RelativisticAverage) -> None:
    if isinstance(outer.objective, (EnergyMargin, BoundaryEquilibrium)):
        raise ValueError(
            f"{type(outer).__name__}.objective is {type(outer.objective).__name__}, whose energies have a least value "
            "that differences have not: use it as it is, or another objective"
        )
    if isinstance(outer.objective, (Relativistic, RelativisticAverage)):
        raise ValueError(
            f"{type(outer).__name__}.objective is {type(outer.objective).__name__}, whose scores are related already: "
            f"give its own objective, {type(outer.objective.objective).__name__}"
        )


OBJECTIVES = (*_ABSOLUTE, EnergyMargin, BoundaryEquilibrium, Relativistic, RelativisticAverage)
