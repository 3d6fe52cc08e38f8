"""Every remedy on MNIST at 16x16 with a narrow DCGAN, all else equal.

Claim: none was published. This is the study of `remedies_ring` and `remedies_grid` on real digits.
Command: gan-jax sweep remedies_mnist --data DIR [--seeds 8]
    one of them: gan-jax train remedies_mnist+packing_2 --data DIR
Cost: 54 arms x 3 seeds x 2 epochs of 60,000 digits; one seed and one epoch take 25 minutes on a busy core.
Figure: after one epoch of one seed none has formed; classes, junk and variance are in docs/remedies.md.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.remedies import REMEDIES
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.training.optimizers import Adam


def experiment() -> Experiment:
    return Experiment(
        data=Images(name="mnist", image_size=16),
        generator=Generator(
            network=DCGANGenerator(width=16), optimizer=Adam(b1=0.5), learning_rate=2e-4, latent_dim=64
        ),
        discriminator=Discriminator(network=DCGANDiscriminator(width=16), optimizer=Adam(b1=0.5), learning_rate=2e-4),
        detector=ImageDetector(num_samples=1280),
        batch_size=64,
        num_steps=2 * 938,
        eval_every_steps=469,
    )


def sweep() -> Sweep:
    base = experiment()
    arms = tuple(Arm(name, remedy.apply(base), {"remedy": name}) for name, remedy in REMEDIES.items())
    return Sweep(arms, (0, 1, 2))
