"""Checks of an experiment's losses: which objectives, penalties and aggregations go with which networks.

As in `gan_jax.experiment.validation`, each function raises ValueError; the message gives the reason and a solution.
"""

from __future__ import annotations

from typing import Any

from gan_jax.losses.aggregation import SoftMixing
from gan_jax.losses.auxiliary import Classification, FeatureMatching, Reconstruction
from gan_jax.losses.inference import VEEGAN
from gan_jax.losses.objectives import (
    BoundaryEquilibrium,
    EnergyMargin,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    Relativistic,
    RelativisticAverage,
)
from gan_jax.losses.penalties import Equilibrium
from gan_jax.networks.autoencoder import AutoencoderDiscriminator
from gan_jax.networks.committee import ClassifierHead, Committee, num_heads
from gan_jax.networks.encoder import JointDiscriminator
from gan_jax.networks.generator_mixture import GeneratorMixture
from gan_jax.networks.points import LinearDiscriminator
from gan_jax.networks.spectral import SpectralNorm


def check_objective(experiment: Any) -> None:
    """Energies need an autoencoder as D, and BEGAN needs its objective together with its penalty."""
    disc, objective = experiment.discriminator, experiment.objective
    bare = _bare_discriminator(experiment)
    energies = isinstance(objective, (EnergyMargin, BoundaryEquilibrium))
    if energies and not isinstance(bare, AutoencoderDiscriminator):
        raise ValueError(
            f"{type(objective).__name__} takes -score for an energy, which is never negative, and the scores of "
            f"{type(bare).__name__} have no such bound: set discriminator.network to AutoencoderDiscriminator"
        )
    balanced = any(isinstance(penalty, Equilibrium) for penalty in disc.penalties)
    if balanced != isinstance(objective, BoundaryEquilibrium):
        raise ValueError(
            f"the objective is {type(objective).__name__} and discriminator.penalties "
            f"{'has' if balanced else 'lacks'} Equilibrium: BoundaryEquilibrium and Equilibrium are two halves of "
            "BEGAN, and each needs the other"
        )
    if energies and disc.transforms:
        raise ValueError(
            f"{type(objective).__name__} has no labels to flip or to smooth: leave out discriminator.transforms"
        )
    gen = experiment.generator
    if gen.evaluated == "average" and gen.average_decay is None:
        raise ValueError(
            "generator.evaluated is 'average', and no average is kept: set generator.average_decay, for instance 0.999"
        )


def check_committee(experiment: Any) -> None:
    """Aggregations and relativistic objectives, for one discriminator and for several."""
    gen, disc, objective = experiment.generator, experiment.discriminator, experiment.objective
    heads = num_heads(disc.network)
    kinds = [type(network) for network in wrapped(disc.network)]
    if SpectralNorm in kinds and Committee in kinds[kinds.index(SpectralNorm) :]:
        raise ValueError(
            "SpectralNorm of a Committee would normalise its members' kernels together: use a Committee of SpectralNorm"
        )
    if gen.aggregation is not None and heads == 1:
        raise ValueError(
            f"generator.aggregation is {type(gen.aggregation).__name__}, and there is one discriminator: set "
            "discriminator.network to Committee(network=..., num=3), or leave out the aggregation"
        )
    soft = isinstance(gen.aggregation, SoftMixing)
    if soft and gen.aggregation.mean != "arithmetic" and not _has_losses_of_one_sign(objective):
        raise ValueError(
            f"the {gen.aggregation.mean} mean takes losses of one sign, and G's losses under "
            f"{type(objective).__name__} may have both signs: use SoftMixing(mean='arithmetic'), or the objective "
            "NonSaturating, Minimax or LeastSquares"
        )
    if isinstance(objective, RelativisticAverage) and heads > 1:
        raise ValueError(
            "RelativisticAverage subtracts the mean of all scores, and several discriminators have no common scale: "
            "use Relativistic, or one discriminator"
        )


def check_generator_losses(experiment: Any) -> None:
    """Penalties that replace G's own loss, and features that D must have."""
    gen = experiment.generator
    replacing = [p for p in gen.penalties if getattr(p, "replaces", False)]
    if len(replacing) > 1:
        raise ValueError("two of generator.penalties replace G's own loss: set replaces=False for one of them")
    matching = any(isinstance(p, FeatureMatching) for p in gen.penalties)
    if matching and isinstance(_bare_discriminator(experiment), LinearDiscriminator):
        raise ValueError("FeatureMatching needs a discriminator with hidden layers, and LinearDiscriminator has none")
    if replacing and (gen.transforms or gen.aggregation is not None):
        raise ValueError(
            f"{type(replacing[0]).__name__} replaces G's own loss, which generator.transforms and "
            "generator.aggregation change: leave them out, or set replaces=False"
        )


def check_encoder(experiment: Any) -> None:
    """Inference and reconstruction need a generator with an encoder."""
    gen = experiment.generator
    bidirectional = hasattr(gen.network, "encode")
    if experiment.inference is not None and not bidirectional:
        raise ValueError(
            f"inference is {type(experiment.inference).__name__}, and {type(gen.network).__name__} has no encoder: set "
            "generator.network to Bidirectional(network=..., trunk=...)"
        )
    if any(isinstance(p, Reconstruction) for p in gen.penalties) and not bidirectional:
        raise ValueError(
            "Reconstruction needs an encoder: set generator.network to Bidirectional(network=..., trunk=...)"
        )
    if isinstance(experiment.inference, VEEGAN) and not any(isinstance(p, Reconstruction) for p in gen.penalties):
        raise ValueError(
            "the encoder of VEEGAN learns from Reconstruction alone: add it to generator.penalties, or use ALI"
        )


def check_classification(experiment: Any) -> None:
    """MGAN's classifier needs a mixture of generators, with as many components as it has classes."""
    gen, disc = experiment.generator, experiment.discriminator
    classifier = disc.network if isinstance(disc.network, ClassifierHead) else None
    mixture = gen.network if isinstance(gen.network, GeneratorMixture) else None
    for player, penalties in (("generator", gen.penalties), ("discriminator", disc.penalties)):
        if any(isinstance(p, Classification) for p in penalties) and (classifier is None or mixture is None):
            raise ValueError(
                f"{player}.penalties has Classification, which tells a mixture's generators apart: set "
                "generator.network to GeneratorMixture and discriminator.network to ClassifierHead"
            )
    if classifier is not None and mixture is not None and classifier.num_classes != mixture.num:
        raise ValueError(
            f"ClassifierHead.num_classes is {classifier.num_classes}, and the mixture has {mixture.num} "
            "generators: make them equal"
        )


def _bare_discriminator(experiment: Any) -> Any:
    """The network inside all wrappers except a joint discriminator."""
    chain = wrapped(experiment.discriminator.network)
    return next((network for network in chain if isinstance(network, JointDiscriminator)), chain[-1])


def wrapped(network: Any) -> list[Any]:
    """A network, what it wraps, what that wraps, and so on."""
    chain = [network]
    while hasattr(chain[-1], "network"):
        chain.append(chain[-1].network)
    return chain


def _has_losses_of_one_sign(objective: Objective) -> bool:
    if isinstance(objective, (Relativistic, RelativisticAverage)):
        return _has_losses_of_one_sign(objective.objective)
    return isinstance(objective, (NonSaturating, Minimax, LeastSquares))
