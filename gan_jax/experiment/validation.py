"""Which parts of an experiment cannot work together, and why: said when it is made, with the remedy."""

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
from gan_jax.losses.penalties import Equilibrium, Orthogonality
from gan_jax.losses.transforms import TopK
from gan_jax.networks.autoencoder import AutoencoderDiscriminator
from gan_jax.networks.committee import ClassifierHead, Committee, num_heads
from gan_jax.networks.encoder import JointDiscriminator
from gan_jax.networks.generator_mixture import GeneratorMixture
from gan_jax.networks.packing import pack_size
from gan_jax.networks.points import LinearDiscriminator
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.training.replay import ImagePool


def check_parts(experiment: Any) -> None:
    """Raises ValueError, with the reason and the remedy, for parts that cannot work together."""
    gen, disc, objective = experiment.generator, experiment.discriminator, experiment.objective
    chain = _wrapped(disc.network)
    bare = next((network for network in chain if isinstance(network, JointDiscriminator)), chain[-1])
    energies = isinstance(objective, (EnergyMargin, BoundaryEquilibrium))
    if energies and not isinstance(bare, AutoencoderDiscriminator):
        raise ValueError(
            f"{type(objective).__name__} takes -score for an energy that is never negative, and "
            f"{type(bare).__name__} has no such bound: set discriminator.network to AutoencoderDiscriminator"
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
    if gen.evaluated == "average" and gen.average_decay is None:
        raise ValueError("generator.evaluated is 'average', and there is none: set generator.average_decay, 0.999 say")
    packs = pack_size(disc.network)
    if experiment.recorder is not None and experiment.recorder.num_examples % (2 * packs):
        raise ValueError(
            f"recorder.num_examples is {experiment.recorder.num_examples}, and half of it must divide into packs of "
            f"{packs}: set a multiple of {2 * packs}"
        )
    growing = [hasattr(network, "at_stage") for network in (gen.network, disc.network)]
    if experiment.growth is not None and not all(growing):
        raise ValueError(
            "growth takes networks with stages: use ProgressiveGenerator and ProgressiveDiscriminator, or leave it out"
        )
    heads = num_heads(disc.network)
    kinds = [type(network) for network in chain]
    if SpectralNorm in kinds and Committee in kinds[kinds.index(SpectralNorm) :]:
        raise ValueError(
            "SpectralNorm of a Committee would normalise its members' kernels together: use a Committee of SpectralNorm"
        )
    if gen.aggregation is not None and heads == 1:
        raise ValueError(
            f"generator.aggregation is {type(gen.aggregation).__name__}, and there is one discriminator: set "
            "discriminator.network to Committee(network=..., num=3), or leave out the aggregation"
        )
    if (
        isinstance(gen.aggregation, SoftMixing)
        and gen.aggregation.mean != "arithmetic"
        and not _pays_one_sign(objective)
    ):
        raise ValueError(
            f"the {gen.aggregation.mean} mean takes losses of one sign, and G's under {type(objective).__name__} may "
            "be of both: use SoftMixing(mean='arithmetic'), or the objective NonSaturating, Minimax or LeastSquares"
        )
    if isinstance(objective, RelativisticAverage) and heads > 1:
        raise ValueError(
            "RelativisticAverage takes the mean of all scores, which those of several discriminators do not have in "
            "common: use Relativistic, or one discriminator"
        )
    replacing = [p for p in gen.penalties if getattr(p, "replaces", False)]
    if len(replacing) > 1:
        raise ValueError("two of generator.penalties take the place of G's own loss: let one of them be added")
    if any(isinstance(p, FeatureMatching) for p in gen.penalties) and isinstance(bare, LinearDiscriminator):
        raise ValueError("FeatureMatching needs a discriminator with hidden layers, and LinearDiscriminator has none")
    if replacing and (gen.transforms or gen.aggregation is not None):
        raise ValueError(
            f"{type(replacing[0]).__name__} takes the place of G's own loss, which generator.transforms and "
            "generator.aggregation change: leave them out, or set replaces=False"
        )
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
    for network in (*_wrapped(gen.network), *chain):
        if hasattr(network, "check_batch"):
            network.check_batch(experiment.batch_size)
    packs = pack_size(disc.network)
    if classifier is not None and packs > 1 and any(isinstance(p, Classification) for p in disc.penalties):
        raise ValueError(
            "Classification asks who made a sample, and a packed D sees several at once: leave out the packing"
        )
    if bidirectional and pack_size(getattr(gen.network, "trunk", None)) > 1:
        raise ValueError(
            "the encoder's trunk is packed, and an encoder takes one sample: use the network inside Packed"
        )
    if experiment.inference is not None and packs > 1 and len(experiment.data.shape) > 1:
        raise ValueError(
            "Packed and JointDiscriminator both take D's input apart, and not in the same way: with images leave out "
            "the packing, or the inference"
        )
    if heads > 1 and any(isinstance(transform, TopK) for transform in gen.transforms):
        raise ValueError(
            "TopK ranks scores, which those of a Committee's members have no common scale for: leave out one"
        )
    for name, penalties, parts in (
        ("discriminator", disc.penalties, chain),
        ("generator", gen.penalties, _wrapped(gen.network)),
    ):
        stacked = [type(part).__name__ for part in parts if isinstance(part, (Committee, GeneratorMixture))]
        if stacked and any(isinstance(p, Orthogonality) for p in penalties):
            raise ValueError(
                f"Orthogonality in {name}.penalties would take the kernels of all members of a {stacked[0]} together: "
                "leave out one of them"
            )
    if disc.batch_statistics == "joint" and any(getattr(part, "minibatch", None) is not None for part in chain):
        raise ValueError(
            "a minibatch layer compares samples of one side, and discriminator.batch_statistics='joint' puts both "
            "sides in one batch: use 'separate'"
        )
    if gen.unroll is not None and gen.replay is not None:
        raise ValueError(
            "PastDiscriminators keeps the D that G faces, which for an unrolled G is one that never was: leave out "
            "generator.unroll, or generator.replay"
        )
    for name, player_unroll in (("generator", gen.unroll), ("discriminator", disc.unroll)):
        bare_loss = player_unroll is not None and player_unroll.inner_loss == "objective"
        if bare_loss and isinstance(objective, BoundaryEquilibrium):
            raise ValueError(
                f"{name}.unroll.inner_loss is 'objective', and that of BEGAN has no term for fakes: use 'as_trained'"
            )
    pool = disc.replay
    if isinstance(pool, ImagePool) and pool.size < experiment.batch_size:
        raise ValueError(
            f"ImagePool.size is {pool.size}, less than a batch of {experiment.batch_size}: make it at least that"
        )
    for name, unroll, replay in (
        ("generator", gen.unroll, disc.replay),
        ("discriminator", disc.unroll, gen.replay),
    ):
        if unroll is not None and replay is not None and unroll.mode == "forward":
            raise ValueError(f"{name}.unroll.mode is 'forward', which replay does not go through: use mode='reverse'")


def _wrapped(network: Any) -> list[Any]:
    """A network, what it wraps, what that wraps, and so on."""
    chain = [network]
    while hasattr(chain[-1], "network"):
        chain.append(chain[-1].network)
    return chain


def _pays_one_sign(objective: Objective) -> bool:
    if isinstance(objective, (Relativistic, RelativisticAverage)):
        return _pays_one_sign(objective.objective)
    return isinstance(objective, (NonSaturating, Minimax, LeastSquares))
