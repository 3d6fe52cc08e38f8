"""Two cities, one thermometer: a GAN on temperatures that are either Australian or Antarctic.

Claim: G hops between the two modes, and D chases it, with no incentive to cover both. With these networks and this
    learning rate it does not.
Command: gan-jax train temperatures
Cost: 40 seconds on two cores.
Figure: modes captured of 2, the onset and whether it cycles. With
    seed 0 it is healthy at step 10,000 and has both modes from step 200 on.

References:
    A. Nibali, "Mode collapse in GANs", 2017.
"""

from gan_jax.data.mixtures import Temperatures
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator


def experiment() -> Experiment:
    # Degrees Celsius outside, numbers of order 1 inside the networks.
    return Experiment(
        data=Temperatures(),
        generator=Generator(network=MLPGenerator(widths=(64, 64), output_scale=32.0), learning_rate=1e-3, latent_dim=8),
        discriminator=Discriminator(network=MLPDiscriminator(widths=(64, 64), input_scale=1 / 32), learning_rate=1e-3),
        detector=MixtureDetector(),
        batch_size=128,
        num_steps=10_000,
        eval_every_steps=100,
    )
