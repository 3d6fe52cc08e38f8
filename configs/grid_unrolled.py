"""The grid of 25 Gaussians with five unrolled updates of D: VEEGAN's comparison of remedies.

Claim: a plain GAN captures 3.3 of 25 modes with 0.5 % of its samples of high quality, an unrolled one (K = 5) 23.6 with
    16 %, VEEGAN 24.6 with 40 % (means of 5 runs; table 1 of the VEEGAN paper). PacGAN's own GAN captures 17.3 +- 0.8.
Command: gan-jax train grid_unrolled
    the plain GAN: gan-jax train grid_unrolled --generator.unroll none
Cost: the nets of `ring_unrolled_notebook`, so about 5.5 minutes on two cores; not run to its end yet.
Figure: modes captured of 25 and high-quality share.

References:
    A. Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", NeurIPS 2017,
    section 4.1: modes 2 apart, std 0.05. The nets are those of the unrolled-GAN notebook, the input of D scaled by 1/4;
    VEEGAN does not give its own.
"""

from gan_jax.data.mixtures import Grid
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator, Unroll
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator


def experiment() -> Experiment:
    return Experiment(
        data=Grid(side=5, spacing=2.0, std=0.05),
        generator=Generator(
            network=MLPGenerator(widths=(128, 128), activation="tanh", gain=1.4),
            learning_rate=1e-3,
            latent_dim=256,
            unroll=Unroll(num_steps=5),
        ),
        discriminator=Discriminator(
            network=MLPDiscriminator(widths=(128, 128), activation="tanh", gain=1.4, input_scale=0.25),
            learning_rate=1e-4,
        ),
        detector=MixtureDetector(),
        batch_size=512,
        num_steps=25_000,
        eval_every_steps=500,
    )
