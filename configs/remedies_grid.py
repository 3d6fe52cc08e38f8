"""Every remedy on the grid of 25 Gaussians, all else equal.

Claim: each remedy's paper claims that it helps. Here a plain GAN with a 64-dimensional latent captures one to eleven
    of 25 modes, and each remedy is added to it at its published or default settings.
Command: gan-jax sweep remedies_grid [--seeds 20]
    one of them: gan-jax train remedies_grid+packing_2
Cost: 47 arms x 8 seeds x 6,000 steps: 20 to 25 minutes on two cores.
Figure: see docs/remedies.md: 11.4 of 25 modes by the plain GAN, 12.5 by the best.
"""

from gan_jax.data.mixtures import Grid
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.remedies import REMEDIES
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator


def experiment() -> Experiment:
    return Experiment(
        data=Grid(side=5, spacing=2.0, std=0.05),
        generator=Generator(network=MLPGenerator(widths=(64, 64), output_scale=4.0), learning_rate=1e-3, latent_dim=64),
        discriminator=Discriminator(network=MLPDiscriminator(widths=(64, 64), input_scale=0.25), learning_rate=1e-3),
        detector=MixtureDetector(),
        batch_size=128,
        num_steps=6_000,
        eval_every_steps=200,
    )


def sweep() -> Sweep:
    base = experiment()
    arms = tuple(Arm(name, remedy.apply(base), {"remedy": name}) for name, remedy in REMEDIES.items())
    return Sweep(arms, tuple(range(8)))
