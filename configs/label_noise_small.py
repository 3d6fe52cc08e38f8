"""The label-noise DCGAN on MNIST at 28x28 and a quarter of the width: the whole study on two cores.

Claim: that of `label_noise_mnist`, at a size at which two cores train 30 runs in an hour or two. Whether a result at
    this size holds at the published size is another question.
Command: gan-jax sweep label_noise_small --data DIR [--seeds 20]
Cost: 6 rates x 5 seeds x 12 epochs of 60,000 digits: 4 to 7 minutes per epoch of all 30 on two idle cores.
Figure: no collapse by epoch 9, and no difference between the arms; see docs/scale.md. The 0 % and 1 % arms are the same
    program, and must coincide.
"""

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Sweep, grid

RATES = (0.0, 0.01, 0.05, 0.10, 0.15, 0.20)


def experiment() -> Experiment:
    made = load("label_noise_mnist")
    for path, value in {
        "data.image_size": 28,
        "generator.network.width": 16,
        "discriminator.network.width": 16,
        "detector.num_samples": 1280,
        "num_steps": 12 * 938,
    }.items():
        made = override(made, path, value)
    return made


def sweep() -> Sweep:
    return grid(experiment(), {"discriminator.transforms.0.rate": RATES}, seeds=5)
