"""A small DCGAN on scikit-learn's 8x8 handwritten digits: real images with no download.

Claim: the machinery of the image studies (classifier, detector, both modes of batch norm) on real handwriting.
Command: gan-jax train digits
Cost: 2 minutes on two cores.
Figure: effective classes of 10, and the onset if there is one; see docs/label_noise.md.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator


def experiment() -> Experiment:
    return Experiment(
        data=Images(name="digits", image_size=16),
        generator=Generator(network=DCGANGenerator(width=32), learning_rate=2e-4, latent_dim=64),
        discriminator=Discriminator(network=DCGANDiscriminator(width=32), learning_rate=2e-4),
        detector=ImageDetector(num_samples=1280),
        batch_size=64,
        num_steps=3_000,
        eval_every_steps=100,
    )
