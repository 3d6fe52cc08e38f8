"""D pushed to overshoot by its learning rate, with and without pixelwise normalisation in G, on MNIST at 16x16.

Claim: when D overshoots, gradients and signal magnitudes escalate in both networks, and normalising every pixel's
    features in G stops it (Karras et al. 2018, section 4.2). No public code measures it.
Command: gan-jax sweep escalation --data DIR
    with every block's magnitudes: python -m benchmarks.escalation --data DIR [--objective least_squares]
    one of them: gan-jax train escalation --data DIR --recorder recorder && gan-jax diagnose magnitudes RUN
Cost: 6 arms x 2 seeds x 800 steps of batch 32: a minute each on two cores.
Figure: nothing escalates, with the normalisation or without; see docs/remedies.md.

References:
    T. Karras, T. Aila, S. Laine, J. Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and
    Variation", ICLR 2018.
"""

import dataclasses

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.sweep import Sweep, grid
from gan_jax.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator

RATES = (1e-3, 1e-2, 3e-2)
"""Of D; G's stays at 2e-3."""


def experiment() -> Experiment:
    base = load("progressive_mnist")
    return dataclasses.replace(
        base,
        data=dataclasses.replace(base.data, image_size=16),
        generator=dataclasses.replace(base.generator, network=ProgressiveGenerator(width=16)),
        discriminator=dataclasses.replace(
            base.discriminator, network=ProgressiveDiscriminator(width=16), learning_rate=RATES[0]
        ),
        growth=None,
        num_steps=800,
        eval_every_steps=200,
    )


def sweep() -> Sweep:
    settings = {"discriminator.learning_rate": RATES, "generator.network.pixel_norm": (True, False)}
    return grid(experiment(), settings, seeds=2)
