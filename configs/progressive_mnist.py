"""Progressive growing on MNIST, from 4x4 to 32x32, with all parts of the published method.

Claim: growth, equalised learning rates, pixelwise normalisation, the minibatch's standard deviation, WGAN-GP with drift
    and an average of G train stably; the normalisation stops an escalation of signal magnitudes when D overshoots.
Command: gan-jax train progressive_mnist --data DIR
    without the normalisation: --generator.network.pixel-norm false
    at 64x64: --data.image-size 64
    the escalation, with and without it: python -m benchmarks.escalation --data DIR
Cost: 32 channels and 4,000 steps of batch 32: not measured on idle cores; 20 minutes beside other work.
Figure: readable digits at 32x32 from step 2,500 on; see docs/remedies.md.

References:
    T. Karras, T. Aila, S. Laine, J. Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and
    Variation", ICLR 2018. There: up to 512 channels, 800,000 images a stage, Adam with b1 = 0.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.losses.objectives import Wasserstein
from gan_jax.losses.penalties import WGANGP, Drift
from gan_jax.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from gan_jax.training.growth import Growth
from gan_jax.training.optimizers import Adam


def experiment() -> Experiment:
    return Experiment(
        data=Images(name="mnist", image_size=32),
        generator=Generator(
            network=ProgressiveGenerator(width=32),
            optimizer=Adam(b1=0.0, b2=0.99),
            learning_rate=2e-3,
            latent_dim=64,
            average_decay=0.995,
            evaluated="average",
        ),
        discriminator=Discriminator(
            network=ProgressiveDiscriminator(width=32),
            optimizer=Adam(b1=0.0, b2=0.99),
            learning_rate=2e-3,
            penalties=(WGANGP(weight=10.0), Drift(weight=1e-3)),
        ),
        detector=ImageDetector(num_samples=640),
        objective=Wasserstein(),
        growth=Growth(stage_steps=700, fade_steps=350.0),
        batch_size=32,
        num_steps=4_000,
        eval_every_steps=500,
    )
