"""The grid of 25 Gaussians as a fixed training set, and a GAN that covers half of it: the GAN of each round of AdaGAN.

Claim: T small GANs boosted by AdaGAN cover modes that none of them covers alone, and more than T independent ones (the
    paper's claim, on mixtures in the plane with another layout and other networks); bagging is run for comparison.
Command: python -m benchmarks.adagan --pictures DIR
    the GAN of one round: gan-jax train adagan_grid
Cost: about 1.5 seconds per round on two cores after compilation, 2 to 3 with the density-ratio classifier; the study (3
    seeds, 10 rounds, five methods) 6 to 8 minutes.
Figure: modes captured of 25 after 6 rounds, of three seeds: 25, 25, 25 by theorem 1 and 24, 25, 25 by theorem 2; 17,
    20, 14 by independent runs; 9, 13, 8 by one; see docs/remedies.md.

References:
    I. Tolstikhin et al., "AdaGAN: Boosting Generative Models", NeurIPS 2017, section 4.
    A. Srivastava et al., "VEEGAN", NeurIPS 2017, section 4.1: the grid, modes 2 apart, std 0.05.
"""

from gan_jax.data.mixtures import Grid
from gan_jax.data.weighted import Weighted
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator


def experiment() -> Experiment:
    return Experiment(
        data=Weighted(Grid(side=5, spacing=2.0, std=0.05), num_points=64_000),
        generator=Generator(network=MLPGenerator(widths=(64, 64), output_scale=4.0), learning_rate=1e-3, latent_dim=2),
        discriminator=Discriminator(network=MLPDiscriminator(widths=(64, 64), input_scale=0.25), learning_rate=3e-3),
        detector=MixtureDetector(),
        batch_size=128,
        num_steps=5_000,
        eval_every_steps=250,
    )
