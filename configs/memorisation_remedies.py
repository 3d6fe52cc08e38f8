"""Which remedy keeps D from memorising 1,000 training digits, and does G then collapse later?

Claim: flipped labels keep D from overfitting and so prevent collapse (the label-noise study); augmentation does so
    (Karras et al. 2020 and Zhao et al. 2020, on other data).
Command: gan-jax sweep memorisation_remedies --data DIR
    with D's accuracies on training, held-out and fake images:
    python -m benchmarks.memorisation --study remedies --data DIR
Cost: 5 arms x 3 seeds x 10,000 steps at about 17 ms (R1: 35) on one core: 75 minutes.
Figure: overfitting of D 0.44 plain, 0.38 label noise, 0.45 R1, 0.46 dropout, 0.11 augmentation; none collapses.

References:
    R. Patwa et al., "Exploring mode collapse in GANs" (the label-noise DCGAN study).
    L. Mescheder, A. Geiger, S. Nowozin, "Which Training Methods for GANs do actually Converge?", ICML 2018: R1.
    N. Srivastava et al., "Dropout", JMLR 15, 2014.
    S. Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training", NeurIPS 2020, arXiv 2006.10738.
    T. Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020, arXiv 2006.06676.
"""

from gan_jax.experiment.configs import load
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import override
from gan_jax.experiment.sweep import Sweep, variations
from gan_jax.losses.augmentation import Translation
from gan_jax.losses.penalties import R1
from gan_jax.losses.transforms import ExactFlips

REMEDIES = {
    "plain": {},
    "label noise": {"discriminator.transforms": (ExactFlips(rate=0.1),)},
    "R1": {"discriminator.penalties": (R1(weight=1.0),)},
    "dropout": {"discriminator.network.dropout_rate": 0.3},
    "augmentation": {"discriminator.augment": (Translation(share=0.125),)},
}
"""By arm, what it changes: 6 labels of 64 flipped, a weight of 1, 30 % of every block, moves of up to 4 pixels."""


def experiment() -> Experiment:
    return override(load("memorisation_size"), "data.num_examples", 1_000)


def sweep() -> Sweep:
    return variations(experiment(), REMEDIES, seeds=3)
