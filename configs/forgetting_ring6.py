"""Six Gaussians on a ring: where G collapses, does D have maxima at real points, and does it forget?

Claim: where G collapses, D's score only rises away from the fakes, real points are no maxima of it, and its gradient
    reverses from time to time; where G converges, the real modes are its maxima (Gainetdinov's figure 1).
Command: python -m benchmarks.forgetting_ring6 --pictures DIR
    one of them, with the film: gan-jax train forgetting_ring6 && gan-jax diagnose landscape RUN --film ring6.gif
Cost: 7 arms x 8 seeds x 6,000 steps: 25 minutes on two busy cores.
Figure: real points at a peak of D: 83 to 96 % where G converges, 30 % where it collapses; docs/why_it_collapsed.md.

References:
    A. Gainetdinov, "GAN Mode Collapse Explanation", Towards AI, 2023.
    H. Thanh-Tung, T. Tran, "Catastrophic forgetting and mode collapse in GANs", IJCNN 2020, arXiv 1807.04015.
"""

from gan_jax.data.mixtures import Ring
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.remedies import apply_remedy
from gan_jax.experiment.sweep import Arm, Sweep, variations
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator

ARMS = ("plain", "replay_fifo", "elastic_weights", "r1", "zero_centered_gp")
"""The plain game, two remedies that are for D's memory, and two that are for its slopes."""

PUSHED: dict[str, dict[str, object]] = {
    "slow_discriminator": {"discriminator.learning_rate": 1e-4},
    "greedy_generator": {"generator.updates_per_step": 5},
}
"""The plain game with a D that cannot follow: a tenth of the learning rate, or one update for five of G."""


def experiment() -> Experiment:
    return Experiment(
        data=Ring(num_modes=6, radius=2.0, std=0.1),
        generator=Generator(network=MLPGenerator(widths=(64, 64), output_scale=2.0), learning_rate=1e-3, latent_dim=64),
        discriminator=Discriminator(network=MLPDiscriminator(widths=(64, 64), input_scale=0.5), learning_rate=1e-3),
        detector=MixtureDetector(),
        batch_size=128,
        num_steps=6_000,
        eval_every_steps=200,
    )


def sweep() -> Sweep:
    base = experiment()
    arms = [Arm(name, apply_remedy(base, name), {"remedy": name}) for name in ARMS]
    return Sweep((*arms, *variations(base, PUSHED).arms), tuple(range(8)))
