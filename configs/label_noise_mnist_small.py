"""The label-noise DCGAN on MNIST at 32x32 and half width, for a CPU.

Claim: that of `label_noise_mnist`, at a size that two cores train in minutes; whether it holds here is to be measured.
Command: gan-jax train label_noise_mnist_small --data DIR --num-epochs 5
Cost: about 80 seconds per epoch on two cores.
Figure: readable digits after 5 epochs; see docs/label_noise.md.
"""

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override


def experiment() -> Experiment:
    made = load("label_noise_mnist")
    for path, value in {
        "data.image_size": 32,
        "generator.network.width": 32,
        "discriminator.network.width": 32,
        "num_steps": 20 * 938,
    }.items():
        made = override(made, path, value)
    return made
