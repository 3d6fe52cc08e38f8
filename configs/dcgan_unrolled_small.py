"""A small DCGAN on 32x32 MNIST whose generator is unrolled through five updates of D.

Claim: none published at this size. It shows that unrolling works through convolutions, batch norm and label
    noise, and what it costs there.
Command: gan-jax train dcgan_unrolled_small --data DIR
    the plain GAN: gan-jax train dcgan_unrolled_small --data DIR --generator.unroll none
Cost: an epoch is 938 steps of batch 64; a gradient at K = 10 takes 1.6 s on one core. Not run to its end yet.
Figure: effective classes E of 10, share of junk J, and the onset if there is one.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, for the rollout (own Adam, one batch).
    A. Radford, L. Metz, S. Chintala, arXiv 1511.06434, for the nets; here half as wide as theirs.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator, Unroll
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.training.dynamics import Simultaneous


def experiment() -> Experiment:
    return Experiment(
        data=Images(name="mnist", image_size=32),
        generator=Generator(
            network=DCGANGenerator(width=32), learning_rate=2e-4, latent_dim=100, unroll=Unroll(num_steps=5)
        ),
        discriminator=Discriminator(network=DCGANDiscriminator(width=32), learning_rate=2e-4),
        detector=ImageDetector(),
        batch_size=64,
        num_steps=4_690,
        eval_every_steps=938,
        dynamics=Simultaneous(),
    )
