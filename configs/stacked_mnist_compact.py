"""Stacked MNIST with the small convolutional networks of the alpha-GAN papers: 747 modes, or 2.9, of the same runs.

Claim: the plain GAN has 747 of 1,000 modes if every sample captures its mode, and 2.9 if ten samples of a confidence of
    .9 do, means of 100 runs.
Command: gan-jax sweep stacked_mnist_compact --data DIR
Cost: four runs took about half an hour on two cores.
Figure: 812 modes and none by the two rules; docs/evaluation.md.

50 epochs of 100,000 stacked images, 78,125 steps of batch 64. As published, pixels of real images are in [0, 1] while G
ends in tanh. What differs: 24 samples more (whole batches), fresh latents instead of a fixed set of 100,000, another
classifier, and a fixed set of images that is drawn from the training and the test images. Another arm has a learning
rate of 2e-3 and b1 = .9.

References:
    K. Otstot, A. Kumar, L. Sankar et al., "Addressing GAN Training Instabilities via Tunable Classification Losses",
    arXiv 2310.18291, and its code, `experiment2.py` of github.com/SankarLab/AlphaGan-Papers-Results (version 5460544),
    whose files of results the claim is computed from; settings of the 100 runs as in the names of their rows.
"""

from gan_jax.data.stacked import StackedImages
from gan_jax.diagnostics.stacked_detector import StackedDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.settings import override_all
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.networks.strided import StridedDiscriminator, StridedGenerator
from gan_jax.training.optimizers import Adam


def experiment() -> Experiment:
    network = {"kernel": 3, "rounding": "down", "init_name": "torch_default", "use_bias": False, "data_range": "unit"}
    return Experiment(
        data=StackedImages(name="mnist", protocol="fixed", num_stacked=100_000),
        generator=Generator(
            network=StridedGenerator(widths=(32, 16, 8), **network),
            latent_dim=100,
            learning_rate=5e-4,
            optimizer=Adam(b1=0.8, b2=0.99),
        ),
        discriminator=Discriminator(
            network=StridedDiscriminator(widths=(8, 16, 32), **network),
            learning_rate=5e-4,
            optimizer=Adam(b1=0.8, b2=0.99),
        ),
        detector=StackedDetector(num_samples=25_024),
        batch_size=64,
        num_steps=78_125,
        eval_every_steps=7_812,
    )


def sweep() -> Sweep:
    fast = {
        f"{player}.{setting}": value
        for player in ("generator", "discriminator")
        for setting, value in (("learning_rate", 2e-3), ("optimizer.b1", 0.9))
    }
    arms = {"lr 5e-4, b1 .8": {}, "lr 2e-3, b1 .9": fast}
    base = experiment()
    return Sweep(
        tuple(Arm(name, override_all(base, changes.items()), {"arm": name}) for name, changes in arms.items()),
        tuple(range(4)),
    )
