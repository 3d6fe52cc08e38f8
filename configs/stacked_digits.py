"""Stacks of three of scikit-learn's digits, 1,000 modes, with MLPs: a thousand-mode game that collapses in minutes.

Claim: by the recipe of digits_collapse (Adam with b1 = .9, five updates of D per step) G first covers most of the modes
    and then loses them one after another. Unrolling, packing and the loss of R3GAN are each reported to cover more of
    the modes of Stacked MNIST, of which this is a small version.
    R3GAN's paper says that both penalties and the relativistic pairing are needed: the last three arms leave out the
    pairing, the pairing and R2, and R2.
Command: gan-jax sweep stacked_digits
    one of them: gan-jax train stacked_digits+r3gan
Cost: 28 runs of 10,000 steps, 45 minutes on two cores with other work on them; the plain run alone about a minute.
Figure: 847 of 1,000 modes and a KL of 0.85 nats without a remedy, 1,000 and 0.08 with R1; docs/evaluation.md.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017; Z. Lin et al., "PacGAN", NeurIPS 2018;
    Y. Huang et al., "The GAN is dead; long live the GAN!", NeurIPS 2024, arXiv 2501.05441.
"""

from gan_jax.data.stacked import StackedImages
from gan_jax.diagnostics.stacked_detector import StackedDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.remedies import REMEDIES
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.losses.penalties import R1
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.training.optimizers import Adam

ARMS = ("plain", "unrolled_5", "packing_2", "r3gan", "r1_r2", "r1")


def experiment() -> Experiment:
    network = {"activation": "leaky_relu", "init_name": "torch_default"}
    return Experiment(
        data=StackedImages(name="digits", image_size=16),
        generator=Generator(
            network=MLPGenerator(widths=(256, 256), output="tanh", **network),
            latent_dim=64,
            learning_rate=1e-3,
            optimizer=Adam(b1=0.9, b2=0.999),
        ),
        discriminator=Discriminator(
            network=MLPDiscriminator(widths=(256, 256), **network),
            learning_rate=1e-3,
            optimizer=Adam(b1=0.9, b2=0.999),
            updates_per_step=5,
        ),
        detector=StackedDetector(num_samples=10_240),
        batch_size=64,
        num_steps=10_000,
        eval_every_steps=500,
    )


def sweep() -> Sweep:
    arms = {name: REMEDIES[name].apply(experiment()) for name in ARMS}
    arms["relativistic, R1"] = override(arms["r3gan"], "discriminator.penalties", (R1(weight=2.0),))
    return Sweep(tuple(Arm(name, made, {"remedy": name}) for name, made in arms.items()), tuple(range(4)))
