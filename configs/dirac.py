"""The Dirac-GAN: the data are the point 0, the generator is a point theta, the discriminator a slope psi.

The objective is the original one, f(t) = -log(1 + exp(-t)) of the paper; the discriminator is its mirror image, psi for
-psi there. With s = 1 / (1 + exp(-theta psi)), theta descends -s psi and psi descends s theta.

Claim: GAN training need not converge, however small the step: simultaneous descent leaves the equilibrium (0, 0), near
    it by sqrt(1 + eta^2 / 4) a step, and alternating descent circles it. Extragradient and optimistic descent converge.
Command: gan-jax train dirac
    --dynamics alternating | extragradient | competitive | symplectic-adjustment | consensus --dynamics.weight 1
Cost: 10 seconds on two cores.
Figure: distance after the 1,000 steps over that at the start, by `python -m benchmarks.dynamics`: 1.95 simultaneous,
    0.977 alternating, 0.296 extragradient and competitive, 0.295 optimistic, 3.4e-11 consensus (weight 1) and
    symplectic adjustment, 0.271 unrolled by 1 update, 8.8e-6 by 5. After 2,000 gradient evaluations each: 2.28
    simultaneous, 0.973 alternating, 0.296 extragradient, 0.71 competitive (one iteration of cg), 0.084 optimistic,
    1.0e-7 consensus, 6.1e-5 symplectic adjustment, 0.271 and 0.055 unrolled. The verdict is on theta alone: "never
    formed" for simultaneous descent.

References:
    L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", ICML 2018, section 2.
"""

from gan_jax.data.mixtures import PointMass
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.losses.objectives import Minimax
from gan_jax.networks.points import LinearDiscriminator, PointGenerator
from gan_jax.training.dynamics import Simultaneous
from gan_jax.training.optimizers import SGD


def experiment() -> Experiment:
    # Nothing is random: the data are one point, and G ignores its latents, so one example is a full batch.
    return Experiment(
        data=PointMass(),
        generator=Generator(network=PointGenerator(start=1.0), optimizer=SGD(), learning_rate=0.1, latent_dim=1),
        discriminator=Discriminator(network=LinearDiscriminator(start=1.0), optimizer=SGD(), learning_rate=0.1),
        objective=Minimax(),
        dynamics=Simultaneous(),
        detector=MixtureDetector(num_samples=16),
        batch_size=1,
        num_steps=1000,
        eval_every_steps=10,
    )
