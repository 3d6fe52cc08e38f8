"""A plain GAN on a ring of eight Gaussians: the smallest place to watch modes come and go.

Claim: a GAN with a two-dimensional latent covers the ring within 2,000 steps, loses and regains modes on the way, and
    mostly keeps them. It runs on any machine. (With `--generator.learning-rate 1e-3 --discriminator.learning-rate 1e-4`
    it never forms: G is a point that moves between the modes.)
Command: gan-jax train ring
Cost: 10,000 steps of batch 256: about 30 seconds on two cores.
Figure: modes captured of 8, high-quality share (ceiling 98.9 %), and the onset if there is one. With seed 0
    it has formed at step 1,500 and is healthy at 10,000, with 8 modes and 91 % high quality.
"""

from gan_jax.data.mixtures import Ring
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator


def experiment() -> Experiment:
    return Experiment(
        data=Ring(num_modes=8, radius=2.0, std=0.02),
        generator=Generator(network=MLPGenerator(widths=(128, 128)), learning_rate=1e-3, latent_dim=2),
        discriminator=Discriminator(network=MLPDiscriminator(widths=(128, 128)), learning_rate=1e-3),
        detector=MixtureDetector(),
        batch_size=256,
        num_steps=10_000,
        eval_every_steps=250,
    )
