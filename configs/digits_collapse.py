"""Two MLPs on scikit-learn's handwritten digits, which lose class after class while their samples stay well made.

Claim: two small MLPs without batch norm, trained by Adam with b1 = .9 and five updates of D per step, lose the classes
    of real handwriting one after another, with next to no junk at the end.
Command: gan-jax train digits_collapse
Cost: 4 minutes (83 steps/s) on two busy cores.
Figure: seed 0: "collapsed while forming at step 3,750 (class: few classes; onto 3 (100 %); ...)"; effective classes 2.6
    at 4,000 steps, 1.8 at 8,000, 1.3 at 12,000, and from 14,000 on 1.0: a page of threes.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.training.optimizers import Adam


def experiment() -> Experiment:
    weights = {"activation": "leaky_relu", "init_name": "lecun_normal", "gain": 3**-0.5}
    return Experiment(
        data=Images(name="digits", image_size=16),
        generator=Generator(
            network=MLPGenerator(widths=(128, 128), output="tanh", **weights),
            latent_dim=32,
            learning_rate=1e-3,
            optimizer=Adam(b1=0.9, b2=0.999),
        ),
        discriminator=Discriminator(
            network=MLPDiscriminator(widths=(128, 128), **weights),
            learning_rate=1e-3,
            optimizer=Adam(b1=0.9, b2=0.999),
            updates_per_step=5,
        ),
        detector=ImageDetector(num_samples=1280),
        batch_size=64,
        num_steps=20_000,
        eval_every_steps=250,
    )
