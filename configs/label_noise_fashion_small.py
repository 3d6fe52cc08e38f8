"""Label noise on Fashion-MNIST at 28x28 with small convolutional networks: a study that two cores finish.

Claim: flipping a share of D's labels postpones mode collapse (the label-noise study names Fashion-MNIST, without
    numbers).
Command: gan-jax sweep label_noise_fashion_small --data DIR
Cost: 6 runs of 10,000 steps took 3.5 minutes on two cores; the default has 18 of 20,000.
Figure: no run collapses in 10,000 steps; docs/label_noise.md.

The networks are those of `stacked_mnist_compact`, with Adam at 1e-3 and b1 = .9.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.sweep import Sweep, grid
from gan_jax.losses.transforms import ExactFlips
from gan_jax.networks.strided import StridedDiscriminator, StridedGenerator
from gan_jax.training.optimizers import Adam

RATES = (0.0, 0.10, 0.20)


def experiment() -> Experiment:
    network = {"kernel": 3, "rounding": "down", "init_name": "torch_default", "use_bias": False}
    adam = Adam(b1=0.9)
    return Experiment(
        data=Images(name="fashion_mnist", image_size=28),
        generator=Generator(
            network=StridedGenerator(widths=(32, 16, 8), **network), latent_dim=100, learning_rate=1e-3, optimizer=adam
        ),
        discriminator=Discriminator(
            network=StridedDiscriminator(widths=(8, 16, 32), **network),
            learning_rate=1e-3,
            optimizer=adam,
            transforms=(ExactFlips(rate=0.0),),
        ),
        detector=ImageDetector(num_samples=1280),
        batch_size=64,
        num_steps=20_000,
        eval_every_steps=500,
    )


def sweep() -> Sweep:
    return grid(experiment(), {"discriminator.transforms.0.rate": RATES}, seeds=6)
