"""Two MLPs on scikit-learn's handwritten digits, which lose class after class while their samples stay well made.

Claim: two small MLPs without batch norm, Adam with b1 = .9 and five updates of D a step lose the classes of real
    handwriting one after another (6 at 3,000 steps, 3 at 8,000, 1 or 2 at 20,000), with next to no junk.
Command: gan-jax train digits_collapse
Cost: about a minute on an idle core.
Figure: "collapsed while forming", the classes that are left with their shares; pictures of one or two digits.
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
