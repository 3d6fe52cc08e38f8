"""A ring of eight Gaussians with random weights: which modes does a GAN drop, the rare ones?

Claim: a GAN drops the modes with few data first, and remedies that keep all modes of an even ring keep the rare ones.
Command: gan-jax sweep random_ring
Cost: 128 runs of 6,000 steps, 7 minutes on two cores.
Figure: all runs capture the heaviest mode and none the rarest; 1.4 modes without a remedy; docs/remedies.md.

Four draws of the weights from a flat Dirichlet distribution (`data.weights_seed`), the same for every remedy; networks
and settings are those of `remedies_ring`. A mode counts from a tenth of its own expected samples.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017; A. Srivastava et al., "VEEGAN", NeurIPS 2017.
"""

import dataclasses

from gan_jax.data.mixtures import RandomRing
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.remedies import REMEDIES
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Arm, Sweep

ARMS = ("plain", "label_noise", "packing_2", "packing_4", "unrolled_5", "r1", "wgan_gp", "historical_averaging")


WEIGHTS_SEEDS = (0, 1, 2, 3)


def experiment() -> Experiment:
    return dataclasses.replace(load("remedies_ring"), data=RandomRing(num_modes=8, radius=2.0, std=0.02))


def sweep() -> Sweep:
    arms = []
    for name in ARMS:
        made = REMEDIES[name].apply(experiment())
        for seed in WEIGHTS_SEEDS:
            weighted = override(made, "data.weights_seed", seed)
            arms.append(Arm(f"{name}, weights {seed}", weighted, {"remedy": name, "weights": seed}))
    return Sweep(tuple(arms), tuple(range(4)))
