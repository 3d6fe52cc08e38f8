"""A GAN of two MLPs on MNIST at 28x28, which ends in well-made samples of a single digit.

Claim: two MLPs without batch norm, trained by Adam with b1 = .9 and five updates of D per step, go from a few blurred
    digits to a single one, "1", within 3,500 to 5,000 steps; these are well made.
Command: gan-jax train mnist_collapse_mlp --data DIRECTORY
Cost: 12 runs of 8,000 steps took 33 minutes on two cores with AVX-512 (mnist_label_noise).
Figure: four of four seeds (those of mnist_label_noise without flips) collapse while forming onto 1, at 3,500 to 4,250
    steps; effective classes 1.0; pictures in docs/label_noise.md.

References:
    github.com/xyfJASON/gans-pytorch, commit 8ba548d: a GAN of MLPs on MNIST, whose README has the picture of ones.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.training.optimizers import Adam


def experiment() -> Experiment:
    weights = {"activation": "leaky_relu", "init_name": "lecun_normal", "gain": 3**-0.5}
    return Experiment(
        data=Images(name="mnist", image_size=28),
        generator=Generator(
            network=MLPGenerator(widths=(256, 256, 256), output="tanh", **weights),
            latent_dim=100,
            learning_rate=3e-4,
            optimizer=Adam(b1=0.9, b2=0.999),
        ),
        discriminator=Discriminator(
            network=MLPDiscriminator(widths=(256, 256, 256), **weights),
            learning_rate=3e-4,
            optimizer=Adam(b1=0.9, b2=0.999),
            updates_per_step=5,
        ),
        detector=ImageDetector(num_samples=1280),
        batch_size=256,
        num_steps=8_000,
        eval_every_steps=250,
    )
