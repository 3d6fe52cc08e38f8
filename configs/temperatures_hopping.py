"""Two cities, one thermometer, and a generator that never stops hopping between them.

Claim: G finds one city, D learns that readings from it are fake, G moves to the other, and so on: neither player has an
    incentive to cover both. Here it does so: small networks, a latent of one dimension, momentum, and a G that learns
    ten times as fast as D. (Found in a pilot of eight settings; with those of `temperatures` G covers both.)
Command: gan-jax train temperatures_hopping
    every remedy on it: python -m benchmarks.hops
Cost: seconds on two cores.
Figure: 33 +- 8 hops in 10,000 steps (4 seeds) and never both cities; see docs/remedies.md.

References:
    A. Nibali, "Mode collapse in GANs", 2017.
"""

from gan_jax.data.mixtures import Temperatures
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.training.optimizers import Adam


def experiment() -> Experiment:
    return Experiment(
        data=Temperatures(),
        generator=Generator(
            network=MLPGenerator(widths=(8, 8), output_scale=32.0),
            optimizer=Adam(b1=0.9),
            learning_rate=1e-2,
            latent_dim=1,
        ),
        discriminator=Discriminator(
            network=MLPDiscriminator(widths=(8, 8), input_scale=1 / 32), optimizer=Adam(b1=0.9), learning_rate=1e-3
        ),
        detector=MixtureDetector(),
        batch_size=128,
        num_steps=10_000,
        eval_every_steps=100,
    )
