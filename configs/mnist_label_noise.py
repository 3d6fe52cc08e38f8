"""Does label noise prevent the collapse of mnist_collapse_mlp? Five rates of exact flips on MNIST at 28x28, with MLPs.

Claim: flipping a share of D's labels postpones mode collapse (the label-noise study, there with a DCGAN at 64x64).
Command: gan-jax sweep mnist_label_noise --data DIRECTORY
Cost: 5 arms by 4 seeds, 20 runs of 8,000 steps; the 12 of 0, 10 and 20 % took 33 minutes on two cores with AVX-512.
Figure: all 12 collapse onto 1 at 3,000 to 5,750 steps, log-rank p = 0.87; see docs/label_noise.md.
"""

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Sweep, grid
from gan_jax.losses.transforms import ExactFlips

RATES = (0.0, 0.05, 0.10, 0.15, 0.20)


def experiment() -> Experiment:
    return override(load("mnist_collapse_mlp"), "discriminator.transforms", (ExactFlips(rate=0.0),))


def sweep() -> Sweep:
    return grid(experiment(), {"discriminator.transforms.0.rate": RATES}, seeds=4)
