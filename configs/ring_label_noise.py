"""Label noise on a ring: 6 rates by 5 seeds, the smallest study of the kind.

Claim: none was published for mixtures. It asks whether flipping a share of D's labels changes what a plain GAN does to
    eight Gaussians. (benchmarks/sweep.py times the same study on the networks of the unrolled-GAN notebook.)
Command: gan-jax sweep ring_label_noise [--seeds 20]
Cost: 30 runs of 2,000 steps of batch 512: two to three minutes on two cores.
Figure: 21 of 30 runs form, none collapses; see docs/scale.md. 0 % and 1 % differ here: int(512 * 0.01) is 5.
"""

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Sweep, grid
from gan_jax.losses.transforms import ExactFlips

RATES = (0.0, 0.01, 0.05, 0.10, 0.15, 0.20)


def experiment() -> Experiment:
    made = load("ring")
    for path, value in {
        "batch_size": 512,
        "num_steps": 2_000,
        "eval_every_steps": 100,
        "discriminator.transforms": (ExactFlips(rate=0.0),),
    }.items():
        made = override(made, path, value)
    return made


def sweep() -> Sweep:
    return grid(experiment(), {"discriminator.transforms.0.rate": RATES}, seeds=5)
