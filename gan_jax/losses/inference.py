"""GANs with an encoder: D scores pairs of a sample and a latent, and an encoder F maps samples to latents.

D's inputs are flat joint vectors: (x, F(x) + noise) for real examples, (G(z), z) for fakes. The generator's network is
a `Bidirectional`; for images D is a `JointDiscriminator`.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from gan_jax.experiment.component import component, setting

_NOISE = "standard deviation of a real example's latent around the encoder's output; None takes the output itself"


@runtime_checkable
class Inference(Protocol):
    """How the encoder learns."""

    @property
    def adversarial(self) -> bool:
        """Whether the encoder learns from D, as G does; G's player then has a loss on real pairs too."""
        ...

    @property
    def noise(self) -> float | None:
        """Standard deviation of a real example's latent around F(x); None for F(x) itself."""
        ...


@component
class VEEGAN:
    """The encoder learns from `Reconstruction` alone (in `generator.penalties`); D's loss gives it no gradient.

    G's loss is -D(G(z), z): for a logistic D the score is the log ratio of the two joint densities, and its mean is a
    bound on the published objective. `generator_loss="objective"` keeps the loss of the experiment's objective.

    The latent of a real example is drawn from N(F(x), noise^2). Without noise the latents of real examples lie on a
    surface of as many dimensions as the data, which D tells from the latents of fakes if the latent has more.

    Example:
        >>> VEEGAN().adversarial, ALI().adversarial  # whether the encoder learns from D
        (False, True)

    References:
        A. Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", NeurIPS
            2017, algorithm 1.
    """

    generator_loss: Literal["score", "objective"] = setting(
        default="score", doc="G's loss for fakes: -score, as published, or the objective's"
    )
    noise: float | None = setting(default=1.0, at_least=0, doc=_NOISE)

    @property
    def adversarial(self) -> bool:
        return False


@component
class ALI:
    """Encoder and decoder are trained together against D: adversarially learned inference, also called BiGAN.

    The loss of G's player is the objective's loss for fakes, and for real pairs D's loss for fakes. Without noise (the
    default) this is BiGAN; with it the latent of a real example is drawn from N(F(x), noise^2).

    Example:
        >>> ALI().adversarial  # the encoder learns from D
        True

    References:
        V. Dumoulin et al., "Adversarially Learned Inference", ICLR 2017; J. Donahue, P. Krähenbühl, T. Darrell,
            "Adversarial Feature Learning", ICLR 2017.
    """

    noise: float | None = setting(default=None, at_least=0, doc=_NOISE)

    @property
    def adversarial(self) -> bool:
        return True


INFERENCES = (VEEGAN, ALI)
