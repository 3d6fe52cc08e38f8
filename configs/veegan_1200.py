"""VEEGAN's ten Gaussians in 1,200 dimensions: GAN, ALI, unrolled GAN and VEEGAN side by side.

Claim: modes of 10 (share of high-quality samples), means of 5 runs: GAN 1.6 (2.0 %), ALI 3 (5.4 %), unrolled with K = 5
    0 (0.0 %), VEEGAN 5.5 (28.29 %).
Command: gan-jax sweep veegan_1200
Cost: 6 runs of 5,000 steps took 5 minutes on two cores; the default has 12 of 20,000.
Figure: modes of 10 and the share of high-quality samples; docs/results.md.

The networks of this experiment are not published; these are those of `veegan_ring`. The published rule, ten standard
deviations from a mode, rejects real data, whose noise has a length of 26.5 of them. Here a sample is of high quality if
it is no farther from its mode than 98.9 % of the real data; so is a point without noise.

References:
    A. Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", NeurIPS 2017,
    table 1; the data as in the code of Z. Lin et al., "PacGAN", NeurIPS 2018.
"""

import dataclasses

from gan_jax.data.mixtures import HighDimensional
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.configs import load, load_sweep
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.metrics.modes import Rule

CHANGES = {
    "data": HighDimensional(),
    "detector": MixtureDetector(rule=Rule(norm="mass"), num_samples=2500),
    "num_steps": 20_000,
    "eval_every_steps": 1_000,
}
ARMS = ("GAN", "ALI", "unrolled, K = 5", "VEEGAN")


def experiment() -> Experiment:
    return dataclasses.replace(load("veegan_ring"), **CHANGES)


def sweep() -> Sweep:
    arms = {arm.name: arm for arm in load_sweep("veegan_ring").arms}
    made = (dataclasses.replace(arms[name].experiment, **CHANGES) for name in ARMS)
    return Sweep(tuple(Arm(name, of, {"game": name}) for name, of in zip(ARMS, made, strict=True)), tuple(range(3)))
