"""Stacked MNIST with R3GAN's norm-free residual networks: its four losses, and the settings that it calls harmful.

Claim: modes of 1,000 and KL in nats: relativistic pairing with R1 and R2 1000 and 0.0781, the GAN's loss with both 693
    and 0.927; R1 alone diverges with either loss. Penalties in every eighth step only fail, b2 = .999 is unstable.
Command: gan-jax sweep stacked_mnist_r3gan --data DIR
    smaller: --generator.network.width 32 --discriminator.network.width 32
Cost: 19,531 steps of batch 512 (10 million images) with 768 channels: for a GPU. It was not trained yet.
Figure: modes of 1,000 and KL, of 26,112 samples; docs/results.md.

The schedules are the published ones: b1 = 0, b2 from .9 to .99 and gamma from 1 to .1 by half a cosine, the half-life
of G's moving average from 0 to half a million images. `Relativistic` is twice the paper's loss, and so are its weights.
The published 3x3 convolutions are grouped, here they are not.

References:
    Y. Huang et al., "The GAN is dead; long live the GAN!", NeurIPS 2024, arXiv 2501.05441, tables 1 and 3, appendix.
"""

from gan_jax.data.stacked import StackedImages
from gan_jax.diagnostics.stacked_detector import StackedDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.schedules import Cosine, HalfLife
from gan_jax.experiment.settings import override_all
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.losses.objectives import NonSaturating, Relativistic
from gan_jax.losses.penalties import R1, R2, Lazy
from gan_jax.networks.norm_free import NormFreeDiscriminator, NormFreeGenerator
from gan_jax.training.optimizers import Adam

BATCH_SIZE, NUM_STEPS = 512, 19_531
LENGTH = float(NUM_STEPS)


def gamma(scale: float) -> Cosine:
    return Cosine(start=1.0 * scale, stop=0.1 * scale, duration_steps=LENGTH)


def experiment() -> Experiment:
    adam = Adam(b1=0.0, b2=Cosine(start=0.9, stop=0.99, duration_steps=LENGTH))
    return Experiment(
        data=StackedImages(name="mnist", image_size=32, protocol="fresh"),
        objective=Relativistic(),
        generator=Generator(
            network=NormFreeGenerator(width=768),
            learning_rate=2e-4,
            optimizer=adam,
            latent_dim=64,
            average_decay=HalfLife(start=0.0, stop=500_000 / BATCH_SIZE, duration_steps=LENGTH),
            evaluated="average",
        ),
        discriminator=Discriminator(
            network=NormFreeDiscriminator(width=768),
            learning_rate=2e-4,
            optimizer=adam,
            penalties=(R1(weight=gamma(2.0)), R2(weight=gamma(2.0))),
        ),
        detector=StackedDetector(num_samples=26_112),
        batch_size=BATCH_SIZE,
        num_steps=NUM_STEPS,
        eval_every_steps=500,
    )


def sweep() -> Sweep:
    one, twice = (R1(weight=gamma(1.0)), R2(weight=gamma(1.0))), (R1(weight=gamma(2.0)), R2(weight=gamma(2.0)))
    lazy = tuple(Lazy(penalty, every_updates=8) for penalty in twice)
    arms = {
        "relativistic, R1 and R2": {},
        "GAN, R1 and R2": {"objective": NonSaturating(), "discriminator.penalties": one},
        "relativistic, R1": {"discriminator.penalties": twice[:1]},
        "GAN, R1": {"objective": NonSaturating(), "discriminator.penalties": one[:1]},
        "penalties every 8 steps": {"discriminator.penalties": lazy},
        "b2 = .999": {"generator.optimizer.b2": 0.999, "discriminator.optimizer.b2": 0.999},
    }
    base = experiment()
    return Sweep(
        tuple(Arm(name, override_all(base, changes.items()), {"arm": name}) for name, changes in arms.items()),
        tuple(range(3)),
    )
