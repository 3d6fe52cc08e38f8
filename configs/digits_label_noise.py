"""Does label noise prevent the collapse of digits_collapse? Six rates of exact flips by 33 seeds, on real handwriting.

Claim: flipping a share of D's labels postpones mode collapse (the label-noise study, there on MNIST with a DCGAN).
Command: gan-jax sweep digits_label_noise [--seeds 0-10]
Cost: 198 runs of 20,000 steps; 24 of them (four seeds) take half an hour on two cores. Parts, by ranges of seeds,
    are read as one study by `gan-jax report PART PART ... --out FILE`.
Figure: of 33 seeds 33, 28, 2, 0 and 0 collapse at 0, 5, 10, 15 and 20 %; see docs/label_noise.md.
"""

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Sweep, grid
from gan_jax.losses.transforms import ExactFlips

RATES = (0.0, 0.01, 0.05, 0.10, 0.15, 0.20)
"""A batch has 64 labels of each side, so 1 % flips none of them: these two arms must coincide in every number."""


def experiment() -> Experiment:
    return override(load("digits_collapse"), "discriminator.transforms", (ExactFlips(rate=0.0),))


def sweep() -> Sweep:
    return grid(experiment(), {"discriminator.transforms.0.rate": RATES}, seeds=33)
