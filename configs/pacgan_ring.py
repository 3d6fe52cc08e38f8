"""PacGAN's ring with its published settings: does packing keep eight modes that a plain GAN drops?

Claim: modes of 8 (high-quality share, reverse KL), means of 10 trials and standard errors after 400 epochs of 1,000
    batches: GAN 6.3 +- 0.5 (98.2 %, 0.45); ALI 6.6 +- 0.3; PacGAN2 7.9 +- 0.1 (95.6 %, 0.07); PacGAN3 7.8 +- 0.1;
    PacGAN4 7.8 +- 0.1.
Command: gan-jax sweep pacgan_ring [--num-steps 400000 --seeds 10]
Cost: the published length is 400,000 steps, far beyond two cores; 4,000 steps of 2 seeds per arm took 20 CPU minutes.
Figure: at 4,000 steps no arm has settled; docs/remedies.md.

References:
    Z. Lin, A. Khetan, G. Fanti, S. Oh, "PacGAN: The power of two samples in generative adversarial networks", NeurIPS
    2018, section 4.1, and its public code: 100,000 fixed points; G of four layers of 400 with batch norm; D of three
    maxout layers of 200 (5 pieces), of packs side by side; N(0, 0.02) weights; Adam at 1e-4 with b1 = 0.8; batches of
    100 packs. Metrics on 2,500 points within 3 standard deviations.
"""

import dataclasses

from gan_jax.data.mixtures import Ring
from gan_jax.data.weighted import Weighted
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.remedies import apply_remedy
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.packing import Packed
from gan_jax.training.optimizers import Adam


def experiment() -> Experiment:
    return Experiment(
        data=Weighted(data=Ring(num_modes=8, radius=1.0, std=0.01), num_points=100_000),
        generator=Generator(
            network=MLPGenerator(widths=(400,) * 4, norm="batch", init_name="normal", gain=0.02),
            optimizer=Adam(b1=0.8),
            learning_rate=1e-4,
            latent_dim=2,
        ),
        discriminator=Discriminator(
            network=MLPDiscriminator(widths=(200,) * 3, activation="maxout", pieces=5, init_name="normal", gain=0.02),
            optimizer=Adam(b1=0.8),
            learning_rate=1e-4,
        ),
        detector=MixtureDetector(num_samples=2500),
        batch_size=100,
        num_steps=10_000,
        eval_every_steps=1_000,
    )


def packed(base: Experiment, num: int) -> Experiment:
    """The packed game: D scores packs of `num` samples, as many packs as the plain D scores samples."""
    network = Packed(network=base.discriminator.network, num=num)
    disc = dataclasses.replace(base.discriminator, network=network)
    return dataclasses.replace(base, discriminator=disc, batch_size=num * base.batch_size)


def sweep() -> Sweep:
    base = experiment()
    arms = {"plain": base, "ali": apply_remedy(base, "ali")}
    arms |= {f"packing_{num}": packed(base, num) for num in (2, 3, 4)}
    return Sweep(tuple(Arm(name, made, {"remedy": name}) for name, made in arms.items()), (0, 1))
