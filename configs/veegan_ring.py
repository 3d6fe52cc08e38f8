"""VEEGAN's ring with the settings of its authors' program: GAN, ALI, unrolled GAN and VEEGAN side by side.

Claim: modes of 8 (share of samples within 3 standard deviations), means of 5 runs: GAN 1 (99.3 %), ALI 2.8 (0.13 %),
    unrolled with K = 5 7.6 (35.6 %), VEEGAN 8 (52.9 %).
Command: gan-jax sweep veegan_ring [--num-steps 20000]
Cost: the published length is 100,000 steps; 10,000 of one run took seven minutes beside two
    other programs.
Figure: VEEGAN, seed 0: 8 of 8 modes and 56.8 % at 100,000 steps. Without the noise of F(x) no sample is in a mode at
    10,000 steps; with it 8 modes have one; docs/remedies.md.

References:
    A. Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", NeurIPS 2017,
    table 1, and the authors' notebook as others have kept it: latent of 254 dimensions; G and F of two layers of 128
    ReLUs, D of one; F(x) is the mean of a normal distribution with standard deviation 1, from which the latent of a
    real example is drawn; half the squared error of the reconstruction, summed over the latent; both players move at
    once; Adam at 1e-3 with b1 = 0.5; batches of 500; uniform Glorot weights.
"""

import dataclasses

from gan_jax.data.mixtures import Ring
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.remedies import apply_remedy
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.losses.auxiliary import Reconstruction
from gan_jax.losses.inference import ALI, VEEGAN
from gan_jax.networks.encoder import Bidirectional
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.training.dynamics import Simultaneous
from gan_jax.training.optimizers import Adam

WEIGHTS = {"activation": "relu", "init_name": "glorot_uniform"}


def experiment() -> Experiment:
    return Experiment(
        data=Ring(num_modes=8, radius=1.0, std=0.01),
        generator=Generator(
            network=MLPGenerator(widths=(128, 128), **WEIGHTS),
            optimizer=Adam(b1=0.5),
            learning_rate=1e-3,
            latent_dim=254,
        ),
        discriminator=Discriminator(
            network=MLPDiscriminator(widths=(128,), **WEIGHTS), optimizer=Adam(b1=0.5), learning_rate=1e-3
        ),
        dynamics=Simultaneous(),
        detector=MixtureDetector(num_samples=2500),
        batch_size=500,
        num_steps=100_000,
        eval_every_steps=1_000,
    )


def with_encoder(base: Experiment, inference: ALI | VEEGAN) -> Experiment:
    """The game on pairs: G with an encoder F of its own size."""
    trunk = MLPDiscriminator(widths=(128, 128), **WEIGHTS)
    penalties = (Reconstruction(weight=0.5),) if isinstance(inference, VEEGAN) else ()
    network = Bidirectional(network=base.generator.network, trunk=trunk)
    generator = dataclasses.replace(base.generator, network=network, penalties=penalties)
    return dataclasses.replace(base, generator=generator, inference=inference)


def sweep() -> Sweep:
    base = experiment()
    arms = {
        "GAN": base,
        "ALI": with_encoder(base, ALI(noise=1.0)),
        "unrolled, K = 5": apply_remedy(base, "unrolled_5"),
        "VEEGAN": with_encoder(base, VEEGAN()),
        "VEEGAN without noise": with_encoder(base, VEEGAN(noise=None)),
    }
    return Sweep(tuple(Arm(name, made, {"game": name}) for name, made in arms.items()), tuple(range(5)))
