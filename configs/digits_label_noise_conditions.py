"""On what does the effect of label noise depend? The games of digits_label_noise with one setting changed at a time.

Claim: none was published. Plain and 10 % exact flips, each as in digits_collapse, with one update of D per step instead
    of five, with batch norm in both players or in G alone, and with b1 = .5.
Command: gan-jax sweep digits_label_noise_conditions [--seeds 0-3]
    one update of D is slow to collapse: --arm "one D update, plain" --arm "one D update, 10 % flips" --num-steps 60000
Cost: 10 arms by 8 seeds, 80 runs of 20,000 steps: one to two hours on two cores.
Figure: see docs/label_noise.md.
"""

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.sweep import Sweep, variations
from gan_jax.losses.transforms import ExactFlips

CONDITIONS = {
    "digits_collapse": {},
    "one D update": {"discriminator.updates_per_step": 1},
    "batch norm": {"generator.network.norm": "batch", "discriminator.network.norm": "batch"},
    "batch norm in G": {"generator.network.norm": "batch"},
    "b1 = .5": {"generator.optimizer.b1": 0.5, "discriminator.optimizer.b1": 0.5},
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
