"""Every remedy on eight Gaussians, all else equal: which of them keep a small GAN from dropping modes?

Claim: each remedy's paper claims that it helps. Here a plain GAN with a 64-dimensional latent captures three or four of
    eight modes, and each remedy is added to it at its published or default settings.
Command: gan-jax sweep remedies_ring [--seeds 20]
    one of them: gan-jax train remedies_ring+packing_2
Cost: 54 arms x 8 seeds x 6,000 steps, 17 minutes on two cores.
Figure: see docs/remedies.md: 3.8 of 8 modes by the plain GAN, 5 of 8 runs collapse; 8 modes by the best.
"""

from gan_jax.data.mixtures import Ring
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.remedies import REMEDIES
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator


def experiment() -> Experiment:
    return Experiment(
        data=Ring(num_modes=8, radius=2.0, std=0.02),
        generator=Generator(network=MLPGenerator(widths=(64, 64), output_scale=2.0), learning_rate=1e-3, latent_dim=64),
        discriminator=Discriminator(network=MLPDiscriminator(widths=(64, 64), input_scale=0.5), learning_rate=1e-3),
        detector=MixtureDetector(),
        batch_size=128,
        num_steps=6_000,
        eval_every_steps=200,
    )


def sweep() -> Sweep:
    base = experiment()
    arms = tuple(Arm(name, remedy.apply(base), {"remedy": name}) for name, remedy in REMEDIES.items())
    return Sweep(arms, tuple(range(8)))
