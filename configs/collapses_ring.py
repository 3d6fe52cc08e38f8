"""Six variants of the game of `ring`, to find runs that form and then collapse, for `gan-jax diagnose onset`.

Claim: none was published. Each arm changes one setting of the plain game of `ring`, and the sweep finds the runs that
    form and then collapse. No run is made to collapse at a given time.
Command: gan-jax sweep collapses_ring
    one of its runs, with the arm's settings: gan-jax train collapses_ring --seed 3
    its onset: gan-jax diagnose onset RUN --branch all
Cost: 7 arms x 6 seeds x 4,000 steps of batch 256, evaluated every 20: see docs/why_it_collapsed.md.
Figure: 5 onsets in 42 runs; none of the four that were diagnosed is a collapse; see docs/why_it_collapsed.md.
"""

import dataclasses

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.sweep import Sweep, variations

ARMS: dict[str, dict[str, object]] = {
    "plain": {},
    "fast_generator": {"generator.learning_rate": 5e-3},
    "fast_discriminator": {"discriminator.learning_rate": 5e-3},
    "greedy_generator": {"generator.updates_per_step": 3},
    "narrow_discriminator": {"discriminator.network.widths": (24, 24)},
    "minimax": {"objective": "minimax"},
    "least_squares": {"objective": "least-squares"},
}
"""By arm, what sets it apart from `ring`."""


def experiment() -> Experiment:
    base = load("ring")
    return dataclasses.replace(base, num_steps=4_000, eval_every_steps=20)


def sweep() -> Sweep:
    return variations(experiment(), ARMS, seeds=6)
