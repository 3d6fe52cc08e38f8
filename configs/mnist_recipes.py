"""GANs of MNIST digits that others report to collapse, by their recipes. Do they, within minutes on two cores?

Claim: by DanielTakeshi's README two MLPs are diverse at 20,000 steps and make mostly "0" at 30,000; in wiseodd's issues
    14 and 10 two small MLPs make all digits in the middle of a run and "1" at its end; autograd's example, a
    simultaneous minimax game at a rate of .01, ends in one picture; minlee077's DCGAN with the forward KL makes one
    blob at 20 epochs; threads report it of a DCGAN whose D learns faster, and of one with two updates of G a step.
Command: gan-jax sweep mnist_recipes --data DIRECTORY
Cost: 8 arms by 2 seeds; 20 minutes on two cores with AVX-512 and other work.
Figure: see docs/collapsebench.md: no recipe forms and then collapses to few classes in these lengths.

The networks are as described there, with a tanh on [-1, 1] in place of a sigmoid on [0, 1], and normal latents.

References:
    github.com/DanielTakeshi/Generative-Models, gan/; github.com/wiseodd/generative-models, issues 10 and 14;
    github.com/HIPS/autograd, its example generative_adversarial_net; github.com/minlee077/f-GAN-pytorch;
    github.com/carpedm20/DCGAN-tensorflow, issue 270.
"""

from gan_jax.data.images import Images
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.settings import override_all
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.losses.objectives import FGAN, Minimax
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.training.dynamics import Simultaneous
from gan_jax.training.optimizers import Adam


def mlps(widths: tuple[int, ...], init_name: str, output: str, rate: float, batch_size: int, steps: int) -> Experiment:
    """Two MLPs with ReLU, one update of each per step, Adam with b1 = .9."""
    adam = Adam(b1=0.9, b2=0.999)
    generator = MLPGenerator(widths=widths, init_name=init_name, output=output)
    discriminator = MLPDiscriminator(widths=widths, init_name=init_name)
    return Experiment(
        data=Images(name="mnist", image_size=28),
        generator=Generator(network=generator, latent_dim=100, learning_rate=rate, optimizer=adam),
        discriminator=Discriminator(network=discriminator, learning_rate=rate, optimizer=adam),
        detector=ImageDetector(num_samples=1200 if batch_size == 100 else 1280),
        batch_size=batch_size,
        num_steps=steps,
        eval_every_steps=steps // 40,
    )


def experiment() -> Experiment:
    """A small DCGAN with batch norm, at the usual rates."""
    adam = Adam(b1=0.5, b2=0.999)
    return Experiment(
        data=Images(name="mnist", image_size=28),
        generator=Generator(network=DCGANGenerator(width=8), latent_dim=100, learning_rate=2e-4, optimizer=adam),
        discriminator=Discriminator(network=DCGANDiscriminator(width=8), learning_rate=2e-4, optimizer=adam),
        detector=ImageDetector(num_samples=1280),
        batch_size=64,
        num_steps=15_000,
        eval_every_steps=500,
    )


def sweep() -> Sweep:
    minimax = {"objective": Minimax(), "dynamics": Simultaneous(), "generator.latent_dim": 10}
    one_layer = "glorot_uniform", "tanh"
    games = [
        ("DanielTakeshi", mlps((500, 500), "torch_default", "linear", 1e-3, 32, 40_000), {}),
        ("wiseodd", mlps((128,), *one_layer, 1e-3, 128, 100_000), {}),
        ("autograd", mlps((200,), *one_layer, 1e-2, 100, 20_000), minimax),
        ("autograd, rate 1e-3", mlps((200,), *one_layer, 1e-3, 100, 40_000), minimax),
        ("forward KL", experiment(), {"objective": FGAN(divergence="kl")}),
        (
            "forward KL, non-saturating",
            experiment(),
            {"objective": FGAN(divergence="kl", generator_loss="non_saturating")},
        ),
        ("fast D", experiment(), {"discriminator.learning_rate": 5e-4, "batch_size": 128}),
        ("two updates of G", experiment(), {"generator.updates_per_step": 2}),
    ]
    arms = tuple(Arm(name, override_all(base, changes.items()), {"recipe": name}) for name, base, changes in games)
    return Sweep(arms, (0, 1))
