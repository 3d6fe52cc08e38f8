"""MNIST at 16x16: D's score along lines through digits, for GANs that do well, that collapse, and that overfit.

Claim: scans D(x + k u) along random lines have their maximum at real examples if a GAN does well, have none there if it
    collapses by forgetting, and have sharper ones, among flat regions, if D overfits (Gainetdinov's figures 2 to 4).
Command: python -m benchmarks.overfitting_mnist --data DIR --pictures DIR
    one of them: gan-jax train overfitting_mnist --data DIR && gan-jax diagnose landscape RUN
Cost: 4 arms x 3 seeds x 4,000 steps: 15 minutes on one idle core, scans included.
Figure: peaks at 52, 14, 12 and 82 % of the training digits, half-widths 0.9, 5.6, 7.3, 0.8; docs/why_it_collapsed.md.

References:
    A. Gainetdinov, "GAN Mode Collapse Explanation", Towards AI, 2023.
    A. Radford, L. Metz, S. Chintala, "Unsupervised Representation Learning with Deep Convolutional Generative
        Adversarial Networks", ICLR 2016, section 3: without batch norm G collapses all samples to a single point.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.sweep import Sweep, variations
from gan_jax.losses.penalties import R1
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator

ARMS = {
    "good": {},
    "good_r1": {"discriminator.penalties": (R1(weight=1.0),)},
    "collapsed": {
        "generator.network.norm": "none",
        "generator.learning_rate": 1e-4,
        "discriminator.learning_rate": 1e-4,
    },
    "overfitted": {"data.num_examples": 200},
}
"""What sets each arm apart. Without batch norm this G makes one picture for all latents, as the DCGAN paper says; at a
learning rate of 2e-4 it gets out of that within 3,000 steps, at 1e-4 it does not within 4,000 (seed 0)."""


def experiment() -> Experiment:
    return Experiment(
        data=Images(name="mnist", image_size=16),
        generator=Generator(network=DCGANGenerator(width=16), learning_rate=2e-4, latent_dim=32),
        discriminator=Discriminator(network=DCGANDiscriminator(width=16), learning_rate=2e-4),
        detector=ImageDetector(num_samples=1280),
        batch_size=64,
        num_steps=4_000,
        eval_every_steps=400,
    )


def sweep() -> Sweep:
    return variations(experiment(), ARMS, seeds=3)
