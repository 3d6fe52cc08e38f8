"""Objectives on single scores: the losses of D and G as elementwise functions of raw scores; one class for each paper.

Scores are raw (a logit, never a probability): a high score means "real". Every loss is finite at |score| = 1e4. No mean
is taken here, so that a transform may weight, flip or select single examples. Relativistic objectives, and the table of
all objectives, are in `gan_jax.losses.objectives`.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.losses.criterion import Criterion, ElementwiseLoss
from gan_jax.losses.divergences import DivergenceName, alpha_loss, divergence


@component
class NonSaturating:
    """L_D = -log D(x) - log(1 - D(G(z))),  L_G = -log D(G(z)),  with D = sigmoid(score).

    Where D rejects the fakes, G's loss keeps its gradient, unlike that of minimax. It is the loss of the DCGAN and of
    the label-noise study, which write it as binary cross-entropy with the labels 1, 0 and 1.

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

    G's gradient comes from log(1 - D(G(z))) = -softplus(score) and vanishes where D rejects all fakes. The real term of
    -L_D, `generator_real`, depends on G only if G is unrolled through D's updates.

    Example:
        >>> criterion, scores, key = Minimax().criterion(), jnp.array([-1.0, 2.0]), jax.random.key(0)
        >>> (criterion.generator(scores, key, 0) + criterion.fake(scores, key, 0)).tolist()  # zero-sum
        [0.0, 0.0]

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

    For a 1-Lipschitz D, which other means must ensure, -L_D at its optimum is the earth mover's distance; without that
    constraint it is unbounded. As in `Minimax`, the real term of -L_D, `generator_real`, depends on G only if G is
    unrolled through D's updates.

    Example:
        >>> criterion, scores, key = Wasserstein().criterion(), jnp.array([-1.0, 2.0]), jax.random.key(0)
        >>> criterion.fake(scores, key, 0).tolist(), criterion.generator(scores, key, 0).tolist()
        ([-1.0, 2.0], [1.0, -2.0])

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

    With the default a = 0 and b = c = 1, G aims at the target of real examples. With b - c = 1 and b - a = 2 (a = -1,
    b = 1, c = 0) and an optimal D for data p and fakes q, G minimises the Pearson divergence of p + q from 2 q.

    Example:
        >>> criterion, scores, key = LeastSquares().criterion(), jnp.array([0.0, 1.0]), jax.random.key(0)
        >>> criterion.real(scores, key, 0).tolist(), criterion.fake(scores, key, 0).tolist()
        ([0.5, 0.0], [0.0, 0.5])

    References:
        X. Mao et al., "Least Squares Generative Adversarial Networks", ICCV 2017, equations 2, 8 and 9.
    """

    a: float = setting(default=0.0, doc="D's target score for fakes")
    b: float = setting(default=1.0, doc="D's target score for real examples")
    c: float = setting(default=1.0, doc="G's target score for fakes")

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

    Example:
        >>> criterion, scores, key = Hinge().criterion(), jnp.array([-2.0, 0.0, 2.0]), jax.random.key(0)
        >>> criterion.real(scores, key, 0).tolist(), criterion.fake(scores, key, 0).tolist()
        ([3.0, 1.0, 0.0], [0.0, 1.0, 3.0])

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

    "minimax": L_G = -L_D, which is -f*(g_f(v)) for fakes, and g_f(v) for real examples, which matters if G is unrolled.
    "non_saturating": L_G = -g_f(v) for fakes; section 3.2 of the paper maximises g_f(v) instead of minimising
    -f*(g_f(v)).

    D classifies an example as real where g_f(v) is above f'(1): v > 0 for all divergences but `kl` (v > 1) and `alpha`.

    Example:
        >>> criterion, optimum, key = FGAN(divergence="kl").criterion(), jnp.array([1.0]), jax.random.key(0)
        >>> float(criterion.real(optimum, key, 0)[0] + criterion.fake(optimum, key, 0)[0])  # -KL of equal distributions
        0.0

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
        doc="order, for divergence='alpha' only; for its limits 0 and 1 choose 'reverse_kl' and 'kl'",
    )
    generator_loss: Literal["minimax", "non_saturating"] = setting(default="minimax", doc="form of G's loss")

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

    l_a is the alpha-loss: the log loss at a = 1, the probability of error (a soft 0-1 loss) as a -> inf. Below 1 it
    weights confident errors more than the log loss does. With both alphas at 1 this is `Minimax`. The non-saturating
    form has L_G = l_aG(1, D(G(z))), which at 1 is `NonSaturating`.

    Example:
        >>> criterion, scores, key = AlphaGAN(discriminator_alpha=0.5).criterion(), jnp.zeros(1), jax.random.key(0)
        >>> float(criterion.real(scores, key, 0)[0])  # 1/p - 1 at p = 1/2
        1.0

    References:
        M. Welfert, K. Otstot, G. R. Kurri, L. Sankar, "(alpha_D, alpha_G)-GANs: Addressing GAN Training Instabilities
        via Dual Objectives", ISIT 2023, arXiv:2302.14320.
        M. Welfert, G. R. Kurri, K. Otstot, L. Sankar, "Addressing GAN Training Instabilities via Tunable
        Classification Losses", 2023, arXiv:2310.18291.
    """

    discriminator_alpha: float = setting(default=0.5, at_least=0.1, doc="alpha_D of D's losses; 1 is the log loss")
    generator_alpha: float = setting(default=1.0, at_least=0.1, doc="alpha_G of G's losses; 1 is the log loss")
    generator_loss: Literal["saturating", "non_saturating"] = setting(default="saturating", doc="form of G's loss")

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

    D is an autoencoder, and E >= 0 is its reconstruction error; with any other D, L_D has no lower bound.

    Example:
        >>> criterion, energies, key = EnergyMargin(margin=1.0).criterion(), jnp.array([0.25, 2.0]), jax.random.key(0)
        >>> criterion.fake(-energies, key, 0).tolist()
        [0.75, 0.0]

    References:
        J. Zhao, M. Mathieu, Y. LeCun, "Energy-based Generative Adversarial Networks", ICLR 2017, equations 1 and 2.
    """

    margin: float = setting(
        default=1.0, above=0, doc="energy above which D's loss for fakes is 0, in the energy's unit"
    )

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

    The weight k_t is state, and a criterion has none: the term for fakes is the penalty `Equilibrium`, without which D
    has no loss for fakes. D is an autoencoder, and E >= 0 is its reconstruction error.

    Example:
        >>> criterion, scores, key = BoundaryEquilibrium().criterion(), jnp.array([-0.5]), jax.random.key(0)
        >>> criterion.real(scores, key, 0).tolist(), criterion.fake(scores, key, 0).tolist()
        ([0.5], [0.0])

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


STANDARD_OBJECTIVES = (
    NonSaturating,
    Minimax,
    Wasserstein,
    LeastSquares,
    Hinge,
    FGAN,
    AlphaGAN,
)
"""Objectives that a relativistic one can wrap; those on energies are left out, since energies are bounded below."""
