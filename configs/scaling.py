"""A DCGAN whose batch of 512 divides over many devices.

Claim: none was published. This is the label-noise DCGAN at 64x64 without noise, batch 512, with epochs that wrap, so
    that 2, 4, 8, ... devices split every batch evenly.
Command: gan-jax train scaling --data DIR --data-parallel
Cost: 117 steps of 1.1 TFLOP per epoch.
Figure: examples/s by number of devices; see docs/scale.md.
"""

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override


def experiment() -> Experiment:
    made = load("label_noise_mnist")
    for path, value in {
        "data.last_batch": "wrap",
        "discriminator.transforms": (),
        "batch_size": 512,
        "num_steps": 70 * 117,
        "eval_every_steps": 117,
    }.items():
        made = override(made, path, value)
    return made
