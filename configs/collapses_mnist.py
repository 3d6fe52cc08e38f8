"""MNIST at 16x16, pushed in ten directions, to find runs that form and collapse for good, for `gan-jax diagnose onset`.

Claim: none of its own: each arm pushes one narrow DCGAN in one direction, and the sweep says which of them form and
    then collapse. None is made to collapse at a given time. An onset takes five evaluations in a row: 500 steps.
Command: gan-jax sweep collapses_mnist --data DIR --engine map
    one of its runs, to be taken apart: gan-jax train collapses_mnist --data DIR --seed N with the arm's settings, then
    gan-jax diagnose onset RUN --branch all
Cost: 10 arms x 2 seeds x 10,000 steps of batch 64: not measured yet.
Figure: see docs/why_it_collapsed.md.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment import Discriminator, Experiment, Generator
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.settings import override
from gan_jax.sweep import Arm, Sweep

ARMS: dict[str, dict[str, object]] = {
    "plain": {},
    "fast_discriminator": {"discriminator.learning_rate": 1e-3},
    "fast_generator": {"generator.learning_rate": 1e-3},
    "more_updates": {"discriminator.updates_per_step": 3},
    "momentum": {"generator.optimizer.b1": 0.9, "discriminator.optimizer.b1": 0.9},
    "small_batch": {"batch_size": 16},
    "few_digits": {"data.num_examples": 200},
    "minimax": {"objective": "minimax"},
    "least_squares": {"objective": "least-squares"},
    "hinge": {"objective": "hinge"},
}
"""By arm, what sets it apart."""


def experiment() -> Experiment:
    return Experiment(
        data=Images(name="mnist", image_size=16),
        generator=Generator(network=DCGANGenerator(width=16), learning_rate=2e-4, latent_dim=32),
        discriminator=Discriminator(network=DCGANDiscriminator(width=16), learning_rate=2e-4),
        detector=ImageDetector(num_samples=640, window=5.0, forming_window=3.0),
        batch_size=64,
        num_steps=10_000,
        eval_every_steps=100,
    )


def sweep() -> Sweep:
    arms = []
    for name, settings in ARMS.items():
        made = experiment()
        for path, value in settings.items():
            made = override(made, path, value)
        arms.append(Arm(name, made, settings))
    return Sweep(tuple(arms), tuple(range(2)))
