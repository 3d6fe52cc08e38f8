"""Every remedy on the grid of 25 Gaussians, all else equal.

Claim: each remedy's paper claims that it helps. Here a plain GAN with a 64-dimensional latent captures one to eleven
    of 25 modes, and each remedy is added to it at its published or default settings.
Command: gan-jax sweep remedies_grid [--seeds 20]
    one of them: gan-jax train remedies_grid+packing_2
Cost: 54 arms x 8 seeds x 6,000 steps; 47 of them took 20 to 25 minutes on two cores.
Figure: see docs/remedies.md: 11.4 of 25 modes by the plain GAN, 12.5 by the best.
"""

from gan_jax.data.mixtures import Grid
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.remedies import REMEDIES
from gan_jax.experiment.settings import override_all
from gan_jax.experiment.sweep import Arm, Sweep


def experiment() -> Experiment:
    grid = {
        "data": Grid(side=5, spacing=2.0, std=0.05),
        "generator.network.output_scale": 4.0,
        "discriminator.network.input_scale": 0.25,
    }
    return override_all(load("remedies_ring"), grid.items())


def sweep() -> Sweep:
    base = experiment()
    arms = tuple(Arm(name, remedy.apply(base), {"remedy": name}) for name, remedy in REMEDIES.items())
    return Sweep(arms, tuple(range(8)))
