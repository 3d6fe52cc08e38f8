"""Small residual networks on MNIST in the style of BigGAN: hinge loss, spectral norm, orthogonality, an average of G.

Claim: none was published. These are the networks of the memorisation study, small enough for a CPU. To measure samples
    of truncated latents: gan-jax evaluate RUN --truncation 1.
Command: gan-jax train resnet_mnist --data DIR
Cost: 16 channels at 28x28, 2 epochs of batch 64: not run to its end yet.
Figure: none yet: effective classes of 10.

References:
    T. Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, appendix B.4.
    A. Brock, J. Donahue, K. Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.losses.objectives import Hinge
from gan_jax.losses.penalties import Orthogonality
from gan_jax.networks.resnet import ResNetDiscriminator, ResNetGenerator
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.training.optimizers import Adam


def experiment() -> Experiment:
    return Experiment(
        data=Images(name="mnist", image_size=28),
        generator=Generator(
            network=ResNetGenerator(width=16),
            optimizer=Adam(b1=0.0, b2=0.9),
            learning_rate=2e-4,
            latent_dim=64,
            average_decay=0.999,
            evaluated="average",
            penalties=(Orthogonality(),),
        ),
        discriminator=Discriminator(
            network=SpectralNorm(network=ResNetDiscriminator(width=16)),
            optimizer=Adam(b1=0.0, b2=0.9),
            learning_rate=2e-4,
        ),
        detector=ImageDetector(num_samples=1280),
        objective=Hinge(),
        batch_size=64,
        num_steps=2 * 938,
        eval_every_steps=469,
    )
