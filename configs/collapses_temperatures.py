"""Fifteen variants of the two cities of `temperatures`, to find runs that form and then lose a city for good.

Claim: none was published. Each arm changes one setting of a small game, and the sweep finds the runs that cover both
    cities and then lose one. No run is made to collapse at a given time. An onset takes ten evaluations in a row, which
    are 1,000 steps, so that an oscillation of a few hundred steps does not count.
Command: gan-jax sweep collapses_temperatures --strategy map
    one of its runs, with the arm's settings: gan-jax train collapses_temperatures --seed N
    its onset: gan-jax diagnose onset RUN --branch all
Cost: 16 arms x 6 seeds x 10,000 steps of batch 128: 15 minutes on one busy core.
Figure: see docs/why_it_collapsed.md.

References:
    A. Nibali, "Mode collapse in GANs", 2017: the two cities.
"""

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Sweep, variations

MOMENTUM: dict[str, object] = {"generator.optimizer.b1": 0.9, "discriminator.optimizer.b1": 0.9}

ARMS: dict[str, dict[str, object]] = {
    "plain": {},
    "fast_generator_3": {"generator.learning_rate": 3e-3},
    "fast_generator_10": {"generator.learning_rate": 1e-2},
    "fast_discriminator": {"discriminator.learning_rate": 1e-2},
    "fast_pair": {"generator.learning_rate": 1e-2, "discriminator.learning_rate": 1e-2},
    "momentum": MOMENTUM,
    "momentum_fast_generator": {**MOMENTUM, "generator.learning_rate": 3e-3},
    "greedy_generator": {"generator.updates_per_step": 3},
    "small_batch": {"batch_size": 8},
    "narrow_discriminator": {"discriminator.network.widths": (8, 8)},
    "narrow_generator": {"generator.network.widths": (8, 8)},
    "minimax": {"objective": "minimax"},
    "least_squares": {"objective": "least-squares"},
    "hinge": {"objective": "hinge"},
    "wasserstein": {"objective": "wasserstein"},
    "latent_of_1": {"generator.latent_dim": 1},
}
"""By arm, what sets it apart from `temperatures`; rates are of Adam, that of `temperatures` is 1e-3."""


def experiment() -> Experiment:
    return override(load("temperatures"), "detector.window", 10.0)


def sweep() -> Sweep:
    return variations(experiment(), ARMS, seeds=6)
