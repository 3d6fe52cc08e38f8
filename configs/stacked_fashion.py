"""Stacked Fashion-MNIST, 1,000 modes, with the small networks of stacked_mnist_compact.

Claim: none is published. The game is that of Stacked MNIST with classes that are harder to tell apart.
Command: gan-jax sweep stacked_fashion --data DIR
Cost: not measured; a step is that of stacked_mnist_compact.
Figure: modes of 1,000 by confidence and count, of 10,240 samples; not trained yet.
"""

import dataclasses

from gan_jax.diagnostics.stacked_detector import StackedDetector
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.remedies import REMEDIES
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Arm, Sweep

ARMS = ("plain", "packing_2", "label_noise")


def experiment() -> Experiment:
    base = override(load("stacked_mnist_compact"), "data.name", "fashion_mnist")
    return dataclasses.replace(
        base, detector=StackedDetector(num_samples=10_240), num_steps=20_000, eval_every_steps=2_000
    )


def sweep() -> Sweep:
    arms = tuple(Arm(name, REMEDIES[name].apply(experiment()), {"remedy": name}) for name in ARMS)
    return Sweep(arms, tuple(range(3)))
