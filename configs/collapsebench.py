"""CollapseBench: games on different data that collapse for different reasons, on which remedies are scored.

Claim: each game collapses with the seeds that configs/collapsebench.json names; a remedy's score is the share of these
    collapses that it prevents.
Command: gan-jax collapsebench REMEDY [--data DIRECTORY]
    the plain games, from which the frozen file is made: gan-jax sweep collapsebench --data DIRECTORY
Cost: see docs/collapsebench.md.
Figure: the table of docs/collapsebench.md.
"""

from gan_jax.data.images import Images
from gan_jax.data.mixtures import Grid, Ring, Temperatures
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.settings import override_all
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.losses.objectives import FGAN
from gan_jax.networks.dcgan import DCGANGenerator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.training.optimizers import Adam

ADAM = Adam(b1=0.9, b2=0.999)
MOMENTUM = {"generator.optimizer": ADAM, "discriminator.optimizer": ADAM}
WEIGHTS = {"activation": "leaky_relu", "init_name": "lecun_normal", "gain": 3**-0.5}
LEAKY = {f"{player}.network.{name}": v for player in ("generator", "discriminator") for name, v in WEIGHTS.items()}


def experiment() -> Experiment:
    """Two MLPs on a ring of eight Gaussians."""
    return Experiment(
        data=Ring(num_modes=8, radius=2.0, std=0.05),
        generator=Generator(network=MLPGenerator(widths=(64, 64)), learning_rate=1e-3, latent_dim=2),
        discriminator=Discriminator(network=MLPDiscriminator(widths=(64, 64)), learning_rate=1e-3),
        detector=MixtureDetector(),
        batch_size=64,
        num_steps=6_000,
        eval_every_steps=100,
    )


def grid() -> Experiment:
    """The same on a grid of 25 Gaussians, with data scaled for the networks."""
    changes = {
        "data": Grid(side=5, std=0.1),
        "generator.network.output_scale": 2.0,
        "discriminator.network.input_scale": 0.5,
    }
    return override_all(experiment(), changes.items())


def cities() -> Experiment:
    """The same on temperatures of two cities; degrees Celsius outside, numbers of order 1 inside the networks."""
    changes = {
        "data": Temperatures(),
        "generator.network.output_scale": 32.0,
        "generator.latent_dim": 8,
        "discriminator.network.input_scale": 1 / 32,
        "num_steps": 4_000,
    }
    return override_all(experiment(), changes.items())


def digits() -> Experiment:
    """Two MLPs on handwritten digits, with momentum and five updates of D a step."""
    return override_all(load("digits_collapse"), {"detector.num_samples": 640, "num_steps": 7_000}.items())


def rates(rate: float) -> dict[str, float]:
    return {"generator.learning_rate": rate, "discriminator.learning_rate": rate}


def sweep() -> Sweep:
    ahead = {**MOMENTUM, "discriminator.updates_per_step": 5}
    wide_ring = {"data": Ring(num_modes=8, radius=2.0, std=0.1), "num_steps": 4_000}
    kl = {"objective": FGAN(divergence="kl", generator_loss="non_saturating")}
    convolution = {"generator.network": DCGANGenerator(width=8), "num_steps": 8_000}
    mnist = {"data": Images(name="mnist", image_size=28), "num_steps": 5_000}
    games = [
        ("ring_small_g", experiment(), {"generator.network.widths": (8, 8)}),
        ("ring_momentum", experiment(), {**LEAKY, **ahead, **wide_ring}),
        ("grid_momentum", grid(), {**ahead, **rates(3e-3)}),
        ("cities_small_d", cities(), {"discriminator.network.widths": (8, 8)}),
        ("cities_three_g", cities(), {"generator.updates_per_step": 3}),
        ("cities_forward_kl", cities(), {**MOMENTUM, **rates(1e-2), **kl}),
        ("digits_momentum", digits(), {}),
        ("mnist_momentum", digits(), mnist),
        ("digits_convolution", digits(), convolution),
    ]
    arms = tuple(Arm(name, override_all(base, changes.items()), {"game": name}) for name, base, changes in games)
    return Sweep(arms, tuple(range(8)))
