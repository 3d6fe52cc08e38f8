"""All objectives: those on single scores, and the relativistic ones, which compare scores of the two sides.

See `gan_jax.losses.standard_objectives` for the conventions, and `gan_jax.losses.criterion` for the interface.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.losses.criterion import Criterion, ElementwiseLoss, Objective
from gan_jax.losses.standard_objectives import (
    FGAN,
    STANDARD_OBJECTIVES,
    AlphaGAN,
    BoundaryEquilibrium,
    EnergyMargin,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Wasserstein,
)

__all__ = [
    "FGAN",
    "OBJECTIVES",
    "AlphaGAN",
    "BoundaryEquilibrium",
    "Criterion",
    "ElementwiseLoss",
    "EnergyMargin",
    "Hinge",
    "LeastSquares",
    "Minimax",
    "NonSaturating",
    "Objective",
    "Relativistic",
    "RelativisticAverage",
    "Wasserstein",
]


@component
class Relativistic:
    """L_D = real(D(x) - D(G(z))) + fake(D(G(z)) - D(x)),  over pairs of a real example and a fake, for any objective.

    L_D is the paper's general form, with both sides. Where the two losses are symmetric, as in `NonSaturating` and
    `Hinge`, it is twice the simplified RpGAN loss. See `RelativisticAverage` for G's loss.

    Example:
        >>> criterion = Relativistic(objective=Wasserstein()).criterion()
        >>> real, fake = criterion.relate(jnp.array([3.0, 5.0]), jnp.array([1.0, 2.0]))
        >>> real.tolist(), fake.tolist()
        ([2.0, 3.0], [-2.0, -3.0])

    References:
        A. Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN", ICLR 2019,
        arXiv:1807.00734, section 4.
    """

    objective: Objective = setting(
        default=NonSaturating(), choices=STANDARD_OBJECTIVES, doc="the losses, applied to differences of scores"
    )

    def validate(self) -> None:
        _refuse_relativistic(self)

    def criterion(self) -> Criterion:
        def relate(real: Array, fake: Array) -> tuple[Array, Array]:
            if real.shape != fake.shape:
                raise ValueError(
                    f"Relativistic pairs each real example with a fake, and there are {real.shape[0]} real scores and "
                    f"{fake.shape[0]} fake ones: make the batches equal, or use RelativisticAverage"
                )
            return real - fake, fake - real

        return _related(self.objective, relate)


@component
class RelativisticAverage:
    """L_D = real(D(x) - mean D(G(z))) + fake(D(G(z)) - mean D(x)),  with means over the batch, for any objective.

    G's loss is D's with the labels swapped: the real loss for fakes and the fake loss for real examples. A zero-sum
    objective (one with its own `generator_real`) stays zero-sum instead. `NonSaturating` gives the published RaSGAN,
    `Hinge` the published RaHingeGAN, and `LeastSquares(a=-1)` half the published RaLSGAN.

    Example:
        >>> criterion = RelativisticAverage(objective=Wasserstein()).criterion()
        >>> real, fake = criterion.relate(jnp.array([3.0, 5.0]), jnp.array([1.0, 2.0]))  # means 4 and 1.5
        >>> real.tolist(), fake.tolist()
        ([1.5, 3.5], [-3.0, -2.0])

    References:
        A. Jolicoeur-Martineau, "The relativistic discriminator: a key element missing from standard GAN", ICLR 2019,
        arXiv:1807.00734, section 4.
    """

    objective: Objective = setting(
        default=NonSaturating(), choices=STANDARD_OBJECTIVES, doc="the losses, applied to differences of scores"
    )

    def validate(self) -> None:
        _refuse_relativistic(self)

    def criterion(self) -> Criterion:
        return _related(self.objective, lambda real, fake: (real - jnp.mean(fake), fake - jnp.mean(real)))


def _related(objective: Objective, relate: Callable[[Array, Array], tuple[Array, Array]]) -> Criterion:
    base = objective.criterion()
    if base.generator_real is not None:
        return base._replace(relate=relate)
    # Only the hinge has a generator loss that differs from D's real loss. As published, it is replaced by the latter.
    generator = base.real if isinstance(objective, Hinge) else base.generator
    return base._replace(generator=generator, generator_real=base.fake, relate=relate)


def _refuse_relativistic(outer: Relativistic | RelativisticAverage) -> None:
    if isinstance(outer.objective, (EnergyMargin, BoundaryEquilibrium)):
        raise ValueError(
            f"{type(outer).__name__}.objective is {type(outer.objective).__name__}, whose energies are bounded below; "
            "score differences are not: use it without the wrapper, or choose another objective"
        )
    if isinstance(outer.objective, (Relativistic, RelativisticAverage)):
        raise ValueError(
            f"{type(outer).__name__}.objective is {type(outer.objective).__name__}, which is relativistic already: "
            f"give the objective inside it, {type(outer.objective.objective).__name__}"
        )


OBJECTIVES = (*STANDARD_OBJECTIVES, EnergyMargin, BoundaryEquilibrium, Relativistic, RelativisticAverage)
