"""GANs with an encoder: D scores pairs of a sample and a latent, and an encoder F maps samples to latents.

D's inputs are flat joint vectors: (x, F(x)) for real examples, (G(z), z) for fakes. The generator's network is a
`Bidirectional`; for images D is a `JointDiscriminator`.
"""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from gan_jax.experiment.component import component, setting


@runtime_checkable
class Inference(Protocol):
    """How the encoder learns."""

    @property
    def adversarial(self) -> bool:
        """Whether the encoder learns from D, as G does; G's player then has a loss on real pairs too."""
        ...


@component
class VEEGAN:
    """The encoder learns from `Reconstruction` alone (in `generator.penalties`); D's loss gives it no gradient.

    G's loss is -D(G(z), z): for a logistic D the score is the log ratio of the two joint densities, and its mean is a
    bound on the published objective. `generator_loss="objective"` keeps the loss of the experiment's objective.

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

    @property
    def adversarial(self) -> bool:
        return False


@component
class ALI:
    """Encoder and decoder are trained together against D: adversarially learned inference, also called BiGAN.

    The loss of G's player is the objective's loss for fakes, and for real pairs D's loss for fakes.

    Example:
        >>> ALI().adversarial  # the encoder learns from D
        True

    References:
        V. Dumoulin et al., "Adversarially Learned Inference", ICLR 2017; J. Donahue, P. Krähenbühl, T. Darrell,
            "Adversarial Feature Learning", ICLR 2017.
    """

    @property
    def adversarial(self) -> bool:
        return True


INFERENCES = (VEEGAN, ALI)
