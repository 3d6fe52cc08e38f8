"""R3GAN's four losses, and the settings that its paper calls harmful, on the grid of 25 Gaussians.

Claim: relativistic pairing with R1 and R2 covers all modes; R1 alone diverges with either loss; penalties that are
    applied only in every eighth step, b2 = .999, and batch norm in both players do harm.
Command: gan-jax sweep r3gan_grid
Cost: 32 runs of 30,000 steps, about 20 minutes on two cores.
Figure: 25 of 25 modes with any penalty, 5 without, none with batch norm; docs/remedies.md.

The settings are those of the paper's Stacked MNIST runs at the size of this toy: b1 = 0, b2 from .9 to .99, and gamma
from 1 to .1 by half a cosine over the run, a moving average of G whose half-life grows from 0, no normalisation. The
weights of the relativistic arms are twice gamma, as their loss is twice the paper's. The paper does not state the toy's
networks and rate; these are MLPs at 1e-3. A pilot of the first arm with one to four seeds: at 2e-4, as for images, it
has at most 4 modes after 20,000 steps, whatever gamma is (1, .1, .01); at 1e-3 and 3e-3 it has the most with 1.

References:
    Y. Huang et al., "The GAN is dead; long live the GAN!", NeurIPS 2024, arXiv 2501.05441, sections 3 and 4, appendix.
"""

from gan_jax.data.mixtures import Grid
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.experiment.schedules import Cosine, HalfLife
from gan_jax.experiment.settings import override_all
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.losses.objectives import NonSaturating, Relativistic
from gan_jax.losses.penalties import R1, R2, Lazy
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.training.optimizers import Adam

NUM_STEPS = 30_000
LEARNING_RATE = 1e-3
LAZY_STEPS = 8


def _gamma(scale: float) -> Cosine:
    return Cosine(start=1.0 * scale, stop=0.1 * scale, duration_steps=float(NUM_STEPS))


def experiment() -> Experiment:
    b2 = Cosine(start=0.9, stop=0.99, duration_steps=float(NUM_STEPS))
    adam, network = Adam(b1=0.0, b2=b2), {"activation": "leaky_relu", "init_name": "he_normal"}
    return Experiment(
        data=Grid(side=5, spacing=2.0, std=0.05),
        objective=Relativistic(),
        generator=Generator(
            network=MLPGenerator(widths=(128, 128, 128), output_scale=4.0, **network),
            learning_rate=LEARNING_RATE,
            optimizer=adam,
            latent_dim=64,
            average_decay=HalfLife(start=0.0, stop=500.0, duration_steps=float(NUM_STEPS)),
            evaluated="average",
        ),
        discriminator=Discriminator(
            network=MLPDiscriminator(widths=(128, 128, 128), input_scale=0.25, **network),
            learning_rate=LEARNING_RATE,
            optimizer=adam,
            penalties=(R1(weight=_gamma(2.0)), R2(weight=_gamma(2.0))),
        ),
        detector=MixtureDetector(num_samples=10_240),
        batch_size=256,
        num_steps=NUM_STEPS,
        eval_every_steps=500,
    )


def sweep() -> Sweep:
    r1, r2 = R1(weight=_gamma(1.0)), R2(weight=_gamma(1.0))
    twice = (R1(weight=_gamma(2.0)), R2(weight=_gamma(2.0)))
    lazy = tuple(Lazy(penalty, every_updates=LAZY_STEPS) for penalty in twice)
    arms = {
        "relativistic + R1 + R2": {},
        "relativistic + R1": {"discriminator.penalties": twice[:1]},
        "plain + R1 + R2": {"objective": NonSaturating(), "discriminator.penalties": (r1, r2)},
        "plain + R1": {"objective": NonSaturating(), "discriminator.penalties": (r1,)},
        "relativistic, no penalty": {"discriminator.penalties": ()},
        f"lazy: every {LAZY_STEPS} steps": {"discriminator.penalties": lazy},
        "b2 = .999": {"generator.optimizer.b2": 0.999, "discriminator.optimizer.b2": 0.999},
        "batch norm": {"generator.network.norm": "batch", "discriminator.network.norm": "batch"},
    }
    base = experiment()
    return Sweep(
        tuple(Arm(name, override_all(base, changes.items()), {"arm": name}) for name, changes in arms.items()),
        tuple(range(4)),
    )
