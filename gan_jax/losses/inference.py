"""GANs with an encoder: D judges a sample beside a latent, and G has a way back from samples to latents.

D sees joint vectors: (x, F(x)) for real examples, (G(z), z) for fakes, both flat. The generator's network is a
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
        """Whether the encoder learns from D, as G does, and G's player pays for real pairs too."""
        ...


@component
class VEEGAN:
    """The encoder learns from `Reconstruction` alone (in `generator.penalties`), and D's view of it does not move it.

    G pays -D(G(z), z): with a logistic D its score is the log ratio of the two joint densities, and the mean of that a
    bound on the published objective. `generator_loss="objective"` keeps the loss of the experiment's objective.

    References:
        A. Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", NeurIPS
            2017, algorithm 1.
    """

    generator_loss: Literal["score", "objective"] = setting(
        default="score", doc="what G pays for fakes: -score, as published, or the objective's loss"
    )

    @property
    def adversarial(self) -> bool:
        return False


@component
class ALI:
    """Encoder and decoder fool D together: adversarially learned inference, alias BiGAN.

    G's player pays the objective's loss for fakes, and for real pairs what D pays for fakes.

    References:
        V. Dumoulin et al., "Adversarially Learned Inference", ICLR 2017; J. Donahue, P. Krähenbühl, T. Darrell,
            "Adversarial Feature Learning", ICLR 2017.
    """

    @property
    def adversarial(self) -> bool:
        return True


INFERENCES = (VEEGAN, ALI)
