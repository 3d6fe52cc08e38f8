"""On what does the effect of label noise depend? The game of digits_collapse under eight conditions, and one more.

Claim: none was published. Plain and 10 % exact flips: a full factorial of b1 (.9, .5), updates of D per step (5, 1) and
    batch norm in G (without, with); and batch norm in both players.
Command: gan-jax sweep digits_label_noise_conditions [--seeds 0-3]
    arms with one update of D are slow to collapse: --num-steps 60000 with --arm "one D update, plain" and so on
Cost: 18 arms by 8 seeds, 144 runs of 20,000 steps: about an hour on two cores with AVX-512; with 60,000 steps for the
    arms with one update of D about 80 minutes.
Figure: see docs/label_noise.md.
"""

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.sweep import Sweep, variations
from gan_jax.losses.transforms import ExactFlips

B1 = {"generator.optimizer.b1": 0.5, "discriminator.optimizer.b1": 0.5}
ONE = {"discriminator.updates_per_step": 1}
NORM_IN_G = {"generator.network.norm": "batch"}
CONDITIONS = {
    "digits_collapse": {},
    "one D update": ONE,
    "batch norm": {**NORM_IN_G, "discriminator.network.norm": "batch"},
    "batch norm in G": NORM_IN_G,
    "b1 = .5": B1,
    "b1 = .5, one D update": {**B1, **ONE},
    "b1 = .5, batch norm in G": {**B1, **NORM_IN_G},
    "one D update, batch norm in G": {**ONE, **NORM_IN_G},
    "b1 = .5, one D update, batch norm in G": {**B1, **ONE, **NORM_IN_G},
}


def experiment() -> Experiment:
    return load("digits_collapse")


def sweep() -> Sweep:
    flips = {"plain": {}, "10 % flips": {"discriminator.transforms": (ExactFlips(rate=0.10),)}}
    arms = {
        f"{condition}, {noise}": {**changes, **flipped}
        for condition, changes in CONDITIONS.items()
        for noise, flipped in flips.items()
    }
    return variations(experiment(), arms, seeds=8)
