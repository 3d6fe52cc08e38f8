"""The ring of the unrolled-GAN paper: does unrolling G through K updates of D keep it on all eight modes?

Claim: the plain GAN (K = 0) rotates through the modes and never settles on all of them; at K = 10 G spreads over all of
    them within 25,000 steps (section 3.2.1, figure 2).
Command: gan-jax train ring_unrolled
    the plain GAN: gan-jax train ring_unrolled --generator.unroll none
    first order:   gan-jax train ring_unrolled --generator.unroll.gradient first-order
Cost: 15,000 steps of batch 512 at K = 10: 73 seconds on one core, 30 at K = 0 (docs/results/unroll_study_ring.jsonl).
Figure: modes captured of 8, high-quality share and the onset if there is one, by K; see docs/unrolling.md.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, section 3.2.1 and appendix A: std 0.02,
    radius 2; G of two 128-unit ReLU layers, D of one behind x / 4, orthogonal with gain 0.8; latent 256; the saddle
    point loss for both players; Adam 1e-4 with b1 0.5; alternating updates. The batch size is not given; 512 is the
    notebook's.
"""

from gan_jax.data.mixtures import Ring
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator, Unroll
from gan_jax.losses.objectives import Minimax
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator


def experiment() -> Experiment:
    return Experiment(
        data=Ring(num_modes=8, radius=2.0, std=0.02),
        generator=Generator(
            network=MLPGenerator(widths=(128, 128), activation="relu", gain=0.8),
            learning_rate=1e-4,
            latent_dim=256,
            unroll=Unroll(num_steps=10),
        ),
        discriminator=Discriminator(
            network=MLPDiscriminator(widths=(128,), activation="relu", gain=0.8, input_scale=0.25), learning_rate=1e-4
        ),
        detector=MixtureDetector(),
        objective=Minimax(),
        batch_size=512,
        num_steps=25_000,
        eval_every_steps=500,
    )
