"""The label-noise DCGAN on MNIST at 64x64, as published.

Claim: flipping a share of D's labels postpones the collapse of a DCGAN: it comes at epoch 13 with 0 %, 15 with 1 %, 25
    with 5 %, and after 70 with 10, 15 and 20 % (mean of 5 runs, found by eye). 0 % and 1 % are the same program, since
    int(64 * 0.01) = 0, so their difference is the only error bar that was published.
Command: gan-jax train label_noise_mnist --data DIR --discriminator.transforms.0.rate 0.1
    (--generator.network.activation identity for the published code, whose G is linear between its batch norms)
    gan-jax sweep label_noise_mnist --data DIR [--seeds 20]: 6 rates, both label rules, both generators
    gan-jax sweep label_noise_mnist --data DIR --grid discriminator.transforms.0.rate 0,0.01,0.05,0.10,0.15,0.20
        for the published table alone
Cost: 65,660 steps of 0.14 TFLOP per run: hours on a current GPU, weeks on two CPU cores; the sweep has 24 arms.
    --num-steps 100 shows that it runs. On two cores use `label_noise_small`.
Figure: the epoch of collapse, from the detector; see docs/label_noise.md for what has been measured. To tell hazards
    apart that differ by a factor of 2 takes 33 seeds per arm, if all runs collapse; 5 were published.

References:
    R. Patwa et al., "Exploring mode collapse in GANs" (README and src/model.py of gans-mode-collapse).
    A. Radford et al., "Unsupervised Representation Learning with Deep Convolutional GANs", ICLR 2016.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.sweep import Sweep, grid
from gan_jax.losses.transforms import ExactFlips
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.training.optimizers import Adam

RATES = (0.0, 0.01, 0.05, 0.10, 0.15, 0.20)
STEPS_PER_EPOCH = 938  # 60,000 examples in batches of 64, the last of which has 32


def experiment() -> Experiment:
    adam = Adam(b1=0.5, b2=0.999)
    return Experiment(
        data=Images(name="mnist", image_size=64, last_batch="short"),
        generator=Generator(network=DCGANGenerator(width=64), learning_rate=2e-4, optimizer=adam, latent_dim=100),
        discriminator=Discriminator(
            network=DCGANDiscriminator(width=64),
            learning_rate=2e-4,
            optimizer=adam,
            transforms=(ExactFlips(rate=0.0),),
        ),
        detector=ImageDetector(),
        batch_size=64,
        num_steps=70 * STEPS_PER_EPOCH,
        eval_every_steps=STEPS_PER_EPOCH,
    )


def sweep() -> Sweep:
    axes = {
        "generator.network.activation": ("relu", "identity"),
        "discriminator.transforms.0": ("exact-flips", "bernoulli-flips"),
        "discriminator.transforms.0.rate": RATES,
    }
    return grid(experiment(), axes, seeds=5)
