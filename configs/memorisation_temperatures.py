"""Two cities, players that learn too fast, a fixed set of readings: do more readings, or a remedy, postpone collapse?

Claim: none was published; whether more data postpone collapse is an open question. On digits no run collapsed, however
    much D memorised (docs/why_it_collapsed.md); here collapse is common enough to be counted. Each arm has one set of
    readings, which is the same for all seeds.
Command: gan-jax sweep memorisation_temperatures --strategy vmap && gan-jax report runs/memorisation_temperatures-sweep
    (Kaplan-Meier curves, log-rank tests, and in signals.jsonl D's accuracy on training and held-out readings)
Cost: 7 arms x 24 seeds x 10,000 steps of batch 128: 13 minutes on one busy core.
Figure: of 24 runs 6, 11, 12, 10 collapse with 50 to 500,000 readings (log-rank p = 0.67); 14, 7, 15 with label noise,
    R1, dropout; see docs/why_it_collapsed.md.

References:
    A. Nibali, "Mode collapse in GANs", 2017: the two cities.
"""

import dataclasses

from gan_jax.data.weighted import Weighted
from gan_jax.diagnostics.recorder import Recorder
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.sweep import Sweep, variations
from gan_jax.losses.penalties import R1
from gan_jax.losses.transforms import ExactFlips

ARMS: dict[str, dict[str, object]] = {
    "50 readings": {"data.num_points": 50},
    "1,000 readings": {"data.num_points": 1_000},
    "20,000 readings": {"data.num_points": 20_000},
    "500,000 readings": {"data.num_points": 500_000},
    "1,000, label noise": {"data.num_points": 1_000, "discriminator.transforms": (ExactFlips(rate=0.1),)},
    "1,000, R1": {"data.num_points": 1_000, "discriminator.penalties": (R1(weight=1.0),)},
    "1,000, dropout": {"data.num_points": 1_000, "discriminator.network.dropout_rate": 0.3},
}
"""By arm, what sets it apart: readings in the training set, and one remedy."""


def experiment() -> Experiment:
    # The arm `fast_pair` of `collapses_temperatures`.
    base = load("collapses_temperatures")
    return dataclasses.replace(
        base,
        data=Weighted(base.data, num_points=1_000),
        generator=dataclasses.replace(base.generator, learning_rate=1e-2),
        discriminator=dataclasses.replace(base.discriminator, learning_rate=1e-2),
        recorder=Recorder(every_steps=100),
    )


def sweep() -> Sweep:
    return variations(experiment(), ARMS, seeds=24)
