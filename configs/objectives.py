"""Does the objective matter for mode collapse? Twenty-two objectives on two games that collapse and two that do not.

Claim: which objective the players have hardly changes whether a game collapses; the seeds differ more.
Command: gan-jax sweep objectives --strategy vmap
    the test: python -m benchmarks.objectives runs/objectives-sweep
Cost: 96 arms by 8 seeds, 768 runs: 45 minutes on two cores, as two sweeps of two games side by side.
Figure: not so. The objective explains 30 % of the variance of collapse where the non-saturating loss collapses, and
    60 % where it does not; docs/remedies.md.

The games are a ring of eight Gaussians and the temperatures of two cities, each once with networks with which the
non-saturating loss covers the data, and once with one player too small (G on the ring, D on the cities; both are games
of CollapseBench). All have one learning rate, Adam, and one update of each player per step; nothing is tuned for any
objective. The f-divergences and the alpha-GAN have G's loss in both forms of their papers. The last two arms change
more than the objective, and the test leaves them out: the Wasserstein loss with the gradient penalty and five updates
of D of its paper, and 10 % Bernoulli flips. The energy-based objectives need an autoencoder as D (`gan-jax sweep
remedies_ring`).

References:
    M. Lucic et al., "Are GANs Created Equal? A Large-Scale Study", NeurIPS 2018.
"""

from gan_jax.experiment.configs import load, load_sweep
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.remedies import apply_remedy
from gan_jax.experiment.settings import override_all
from gan_jax.experiment.sweep import Arm, Sweep
from gan_jax.losses.objectives import (
    FGAN,
    AlphaGAN,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    RelativisticAverage,
)
from gan_jax.losses.transforms import BernoulliFlips

DIVERGENCES = {
    "KL": "kl",
    "reverse KL": "reverse_kl",
    "Pearson": "pearson",
    "Neyman": "neyman",
    "squared Hellinger": "squared_hellinger",
    "Jensen-Shannon": "jensen_shannon",
    "alpha = .5": "alpha",
}
OBJECTIVES = {
    "non-saturating": NonSaturating(),
    "minimax": Minimax(),
    "least squares": LeastSquares(),
    "hinge": Hinge(),
    "relativistic": Relativistic(),
    "relativistic average": RelativisticAverage(),
    "alpha-GAN": AlphaGAN(),
    "alpha-GAN, non-saturating": AlphaGAN(generator_loss="non_saturating"),
    **{name: FGAN(divergence=which) for name, which in DIVERGENCES.items()},
    **{
        f"{name}, non-saturating": FGAN(divergence=which, generator_loss="non_saturating")
        for name, which in DIVERGENCES.items()
    },
}
GAMES = ("ring, small G", "cities, small D", "ring", "cities")
WIDE = (64, 64)


def experiment() -> Experiment:
    """Two MLPs on a ring of eight Gaussians."""
    return load("collapsebench")


def game(name: str) -> Experiment:
    """A game of CollapseBench in which one player is small, or the same with players of equal size."""
    bench = {arm.name: arm.experiment for arm in load_sweep("collapsebench").arms}
    made = bench["ring_small_g"] if name.startswith("ring") else bench["cities_small_d"]
    if "small" in name:
        return made
    return override_all(made, [(f"{player}.network.widths", WIDE) for player in ("generator", "discriminator")])


def sweep() -> Sweep:
    arms = []
    for name in GAMES:
        base = game(name)
        made = {label: override_all(base, [("objective", chosen)]) for label, chosen in OBJECTIVES.items()}
        made["Wasserstein with gradient penalty"] = apply_remedy(base, "wgan_gp")
        made["10 % Bernoulli flips"] = override_all(base, [("discriminator.transforms", (BernoulliFlips(rate=0.1),))])
        arms += [Arm(f"{name}: {label}", one, {"game": name, "objective": label}) for label, one in made.items()]
    return Sweep(tuple(arms), tuple(range(8)))
