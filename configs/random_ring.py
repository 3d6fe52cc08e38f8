"""A ring of eight Gaussians with random weights: which modes does a GAN drop, the rare ones?

Claim: a GAN drops the modes with few data first, and remedies that keep all modes of an even ring keep the rare ones.
Command: gan-jax sweep random_ring
Cost: not measured yet.
Figure: captured modes of 8, and the captured share of each mode by its weight; docs/remedies.md.

The weights are one draw from a flat Dirichlet distribution (`data.weights_seed`), the same for all runs; networks and
settings are those of `remedies_ring`. A mode counts from a tenth of its own expected samples.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017; A. Srivastava et al., "VEEGAN", NeurIPS 2017.
"""

import dataclasses

from gan_jax.data.mixtures import RandomRing
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.remedies import REMEDIES
from gan_jax.experiment.sweep import Arm, Sweep

ARMS = ("plain", "label_noise", "packing_2", "packing_4", "unrolled_5", "r1", "wgan_gp", "historical_averaging")


def experiment() -> Experiment:
    data = RandomRing(num_modes=8, radius=2.0, std=0.02, concentration=1.0, weights_seed=0)
    return dataclasses.replace(load("remedies_ring"), data=data)


def sweep() -> Sweep:
    arms = tuple(Arm(name, REMEDIES[name].apply(experiment()), {"remedy": name}) for name in ARMS)
    return Sweep(arms, tuple(range(8)))
