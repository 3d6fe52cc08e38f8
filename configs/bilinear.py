"""The bilinear game: a generator that is a point theta, a critic that is a slope psi, and a payoff theta * psi.

Claim: under simultaneous descent the distance of (theta, psi) from the equilibrium (0, 0) grows by sqrt(1 + eta^2) a
    step, here to 12 times the start. Alternating descent stays on theta^2 + psi^2 - eta theta psi = const. An
    extragradient step multiplies the distance by sqrt((1 - eta^2)^2 + eta^2), a competitive one by 1 / sqrt(1 + eta^2).
Command: gan-jax train bilinear
    --dynamics alternating | extragradient | competitive | symplectic-adjustment | consensus --dynamics.weight 1
Cost: 10 seconds on two cores.
Figure: distance after the 500 steps over that at the start, by `python -m benchmarks.dynamics`: 12.03 simultaneous,
    0.997 alternating, 0.083 extragradient and competitive, 0.080 optimistic, 2.8e-22 consensus (weight 1) and
    symplectic adjustment, 0.081 unrolled by 1 update, 3.4e-11 by 5. After 2,000 gradient evaluations each: 20,960
    simultaneous, 0.967 alternating, 0.0069 extragradient, 0.24 competitive (one iteration of cg), 3.9e-5 optimistic,
    2.0e-29 consensus, 5.8e-18 symplectic adjustment, 0.0065 and 6.3e-6 unrolled. The verdict is on theta alone:
    "never formed" for simultaneous descent.

References:
    G. Gidel et al., "A Variational Inequality Perspective on Generative Adversarial Networks", ICLR 2019, section 2.
    C. Daskalakis et al., "Training GANs with Optimism", ICLR 2018, section 2.
"""

from gan_jax.data.mixtures import PointMass
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.losses.objectives import Wasserstein
from gan_jax.networks.points import LinearDiscriminator, PointGenerator
from gan_jax.training.dynamics import Simultaneous
from gan_jax.training.optimizers import SGD


def experiment() -> Experiment:
    # Nothing is random: the data are one point, and G ignores its latents, so one example is a full batch.
    return Experiment(
        data=PointMass(),
        generator=Generator(network=PointGenerator(start=1.0), optimizer=SGD(), learning_rate=0.1, latent_dim=1),
        discriminator=Discriminator(network=LinearDiscriminator(start=1.0), optimizer=SGD(), learning_rate=0.1),
        objective=Wasserstein(),
        dynamics=Simultaneous(),
        detector=MixtureDetector(num_samples=16),
        batch_size=1,
        num_steps=500,
        eval_every_steps=5,
    )
