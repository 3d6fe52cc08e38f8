"""Stacked MNIST, 1,000 modes, with a D of a quarter of G's channels: the unrolled GAN's image experiment.

Claim: of the 1,000 modes, G captures 30.6 +- 20.7 (KL 5.99 +- 0.42 nats) without unrolling, 65 (5.91) with 1 step of D
    unrolled, 236.4 +- 63.3 (4.67 +- 0.43) with 5 and 327 (4.66) with 10. Another group's plain GAN with these nets has
    78.5 +- 17.6 (5.21 +- 0.19; 50 runs, +- a standard error). A perfect sampler has 1,000 and 0.020.
    With packs of 2, 3 and 4 it has 484.5 (2.61), 601.3 (2.00) and 667.4 (1.81).
Command: gan-jax sweep stacked_mnist_unrolled_quarter --data DIR
    one of them: gan-jax train stacked_mnist_unrolled_quarter --arm "packs of 2" --data DIR
Cost: 500,000 steps of batch 128: on two busy cores 2 steps/s, 5 without unrolling, and 20 seconds per evaluation, so
    days; the full length needs a GPU. --num-steps 200 --eval-every-steps 100 shows in minutes that it runs.
Figure: modes of 1,000 and KL in nats to the uniform distribution, of 25,600 samples; see docs/results.md.

The published rule counts every sample, however unsure the classifier is, and a single one captures a mode. That number
is `modes`. `modes_sure` counts only readable samples, and the detector uses `modes_held`, which single stray samples
do not change.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, section 3.3.1 and table 1.
    Z. Lin et al., "PacGAN", NeurIPS 2018, table 3, and its code, `unrolled_GAN_experiment/D=0.25G`, which fixes what
    the paper leaves open: the nets, b2 0.99, learning rates of 2e-4 for D and 1e-4 for G.
"""

import dataclasses

from gan_jax.data.stacked import StackedImages
from gan_jax.diagnostics.stacked_detector import StackedDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator, Unroll
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.networks.packing import Packed
from gan_jax.networks.stacked_networks import StackedDiscriminator, StackedGenerator
from gan_jax.training.optimizers import Adam


def experiment() -> Experiment:
    adam = Adam(b1=0.5, b2=0.99)
    return Experiment(
        data=StackedImages(name="mnist", protocol="fresh"),
        generator=Generator(
            network=StackedGenerator(),
            learning_rate=1e-4,
            optimizer=adam,
            latent_dim=256,
            unroll=Unroll(num_steps=5),
        ),
        discriminator=Discriminator(network=StackedDiscriminator(width=2), learning_rate=2e-4, optimizer=adam),
        detector=StackedDetector(num_samples=25_600),
        batch_size=128,
        num_steps=500_000,
        eval_every_steps=2_000,
    )


def packed(base: Experiment, num: int) -> Experiment:
    """The plain game with packs: D scores 128 packs of `num` images."""
    batch_size = num * base.batch_size
    disc = dataclasses.replace(base.discriminator, network=Packed(network=base.discriminator.network, num=num))
    detector = dataclasses.replace(base.detector, num_samples=-(-25_600 // batch_size) * batch_size)
    return dataclasses.replace(base, discriminator=disc, batch_size=batch_size, detector=detector)


def sweep() -> Sweep:
    base = experiment()
    plain = override(base, "generator.unroll", None)
    arms = {"plain": plain}
    arms |= {f"K = {num}": override(base, "generator.unroll.num_steps", num) for num in (1, 5, 10)}
    arms |= {f"packs of {num}": packed(plain, num) for num in (2, 3, 4)}
    return Sweep(tuple(Arm(name, made, {"arm": name}) for name, made in arms.items()), tuple(range(5)))
