"""The label-noise DCGAN on Fashion-MNIST at 64x64.

Claim: none was published; the study names Fashion-MNIST, but its code does not load it. Everything else is as in
    `label_noise_mnist`.
Command: gan-jax train label_noise_fashion --data DIR --discriminator.transforms.0.rate 0.1
    gan-jax sweep label_noise_fashion --data DIR [--seeds 20]
Cost: as `label_noise_mnist`.
Figure: the epoch of collapse, from the detector; see docs/label_noise.md for what has been measured.
"""

from gan_jax.experiment.configs import load, load_sweep
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Sweep


def experiment() -> Experiment:
    return override(load("label_noise_mnist"), "data.name", "fashion_mnist")


def sweep() -> Sweep:
    made = load_sweep("label_noise_mnist")
    assert made is not None
    arms = (arm._replace(experiment=override(arm.experiment, "data.name", "fashion_mnist")) for arm in made.arms)
    return made._replace(arms=tuple(arms))
