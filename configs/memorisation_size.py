"""Does D memorise less of a larger training set, and does G then collapse later?

Claim: no measurement was published. Brock et al. (2019) find that D calls 98 % of training images real and 50 to 55 %
    of held-out ones, and ask whether more data would help; Karras et al. (2020) find that small sets lead to
    overfitting.
Command: gan-jax sweep memorisation_size --data DIR
    with D's accuracies on training, held-out and fake images: python -m benchmarks.memorisation --study size --data DIR
    one of them: gan-jax train memorisation_size --data.num-examples 1000 --data DIR
Cost: 4 arms x 3 seeds x 10,000 steps: 3 minutes per run on one idle core.
Figure: the gap between training and held-out accuracy is 44, 11, 3, 3 points; none collapses; docs/why_it_collapsed.md.

References:
    A. Brock, J. Donahue, K. Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019,
        section 4.2.
    T. Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020, arXiv 2006.06676.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.sweep import Sweep, grid
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.training.optimizers import Adam

SIZES = (1_000, 5_000, 20_000, 60_000)


def experiment() -> Experiment:
    # D learns five times as fast as G, so that it can memorise a training set within these steps.
    return Experiment(
        data=Images(name="mnist", image_size=28, num_examples=5_000),
        generator=Generator(
            network=DCGANGenerator(width=16), optimizer=Adam(b1=0.5), learning_rate=2e-4, latent_dim=64
        ),
        discriminator=Discriminator(network=DCGANDiscriminator(width=16), optimizer=Adam(b1=0.5), learning_rate=1e-3),
        detector=ImageDetector(num_samples=1280),
        batch_size=64,
        num_steps=10_000,
        eval_every_steps=500,
    )


def sweep() -> Sweep:
    return grid(experiment(), {"data.num_examples": SIZES}, seeds=3)
