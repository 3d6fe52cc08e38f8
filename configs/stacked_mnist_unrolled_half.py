"""Stacked MNIST, 1,000 modes, with a D of half of G's channels: the unrolled GAN's image experiment.

Claim: of the 1,000 modes, G captures 628.0 +- 140.9 (KL 2.58 +- 0.75 nats) without unrolling, 524 (2.44) with 1 step
    of D unrolled, 732.0 +- 45.0 (1.66 +- 0.09) with 5 and 817 (1.43) with 10. Another group's plain GAN with these nets
    has 487.7 +- 34.6 (2.24 +- 0.15; 50 runs, +- a standard error). All else is as in `stacked_mnist_unrolled_quarter`.
    With packs of 2, 3 and 4 it has 840.7 (1.00), 866.6 (0.90) and 820.2 (1.15).
Command: gan-jax sweep stacked_mnist_unrolled_half --data DIR
    one of them: gan-jax train stacked_mnist_unrolled_half --arm "K = 10" --data DIR
Cost: as `stacked_mnist_unrolled_quarter`.
Figure: modes of 1,000 and KL in nats to the uniform distribution, of 25,600 samples; see docs/results.md.

References:
    L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, section 3.3.1 and table 1.
    Z. Lin et al., "PacGAN", NeurIPS 2018, table 3, and its code, `unrolled_GAN_experiment/D=0.5G`.
"""

from gan_jax.experiment.configs import load, load_sweep
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Sweep
from gan_jax.networks.packing import Packed


def half(quarter: Experiment) -> Experiment:
    """The same game with a D of twice as many channels."""
    network = "network.network" if isinstance(quarter.discriminator.network, Packed) else "network"
    return override(quarter, f"discriminator.{network}.width", 4)


def experiment() -> Experiment:
    return half(load("stacked_mnist_unrolled_quarter"))


def sweep() -> Sweep:
    base = load_sweep("stacked_mnist_unrolled_quarter")
    assert base is not None
    return Sweep(tuple(arm._replace(experiment=half(arm.experiment)) for arm in base.arms), base.seeds)
