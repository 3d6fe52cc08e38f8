"""Stacked MNIST by VEEGAN's protocol with PacGAN's networks and settings: does packing reach all 1,000 modes?

Claim: modes of 1,000 and KL in nats, means of 10 trials and standard errors: DCGAN 78.9 +- 6.5 (4.50 +- 0.13); packs of
    2, 3 and 4 1000.0 +- 0 (0.06 +- 0.003 for 2 and 3, 0.07 +- 0.005 for 4). A perfect sampler has a KL of 0.019.
Command: gan-jax sweep stacked_mnist_pacgan --data DIR
Cost: 100,000 steps of batch 64 with 5x5 kernels, about 10 hours per run on two fast cores: the full length needs a GPU.
Figure: modes of 1,000 and KL, of 26,112 samples; docs/results.md.

As published, pixels of real images are in [0, 1] while G ends in tanh (`data_range="unit"`; "signed" mends that), and G
moves twice in a step. What differs: there the second update has the latents of the first, here fresh ones; and there
the classifier reads pixels below 0, here they count as 0.

References:
    Z. Lin, A. Khetan, G. Fanti, S. Oh, "PacGAN: The power of two samples in generative adversarial networks", NeurIPS
    2018, table 2, and its code, `VEEGAN_experiment`; A. Srivastava et al., "VEEGAN", NeurIPS 2017, table 2.
"""

import dataclasses

from gan_jax.data.stacked import StackedImages
from gan_jax.diagnostics.stacked_detector import StackedDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.networks.packing import Packed
from gan_jax.networks.strided import StridedDiscriminator, StridedGenerator
from gan_jax.training.optimizers import Adam


def experiment() -> Experiment:
    return Experiment(
        data=StackedImages(name="mnist", protocol="fixed", num_stacked=128_000),
        generator=Generator(
            network=StridedGenerator(data_range="unit"),
            latent_dim=100,
            latent="uniform",
            learning_rate=2e-4,
            optimizer=Adam(b1=0.5),
            updates_per_step=2,
        ),
        discriminator=Discriminator(
            network=StridedDiscriminator(data_range="unit"), learning_rate=2e-4, optimizer=Adam(b1=0.5)
        ),
        detector=StackedDetector(num_samples=26_112),
        batch_size=64,
        num_steps=100_000,
        eval_every_steps=2_000,
    )


def packed(base: Experiment, num: int) -> Experiment:
    """The packed game: D scores 64 packs of `num` images."""
    disc = dataclasses.replace(base.discriminator, network=Packed(network=base.discriminator.network, num=num))
    return dataclasses.replace(base, discriminator=disc, batch_size=num * base.batch_size)


def sweep() -> Sweep:
    base = experiment()
    arms = {"DCGAN": base} | {f"PacDCGAN{num}": packed(base, num) for num in (2, 3, 4)}
    return Sweep(tuple(Arm(name, made, {"packed": name}) for name, made in arms.items()), (0, 1, 2))
