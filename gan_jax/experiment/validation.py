"""Checks of a whole experiment for parts that cannot work together. They run when the experiment is made.

Each function raises ValueError; the message gives the reason and a solution. They take an `Experiment`, which this
module does not import: `gan_jax.experiment.experiment` imports this one.
"""

from __future__ import annotations

from typing import Any

from gan_jax.data.images import Images
from gan_jax.data.mixtures import HighDimensional
from gan_jax.data.stacked import StackedImages
from gan_jax.data.weighted import Weighted
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.diagnostics.stacked_detector import StackedDetector
from gan_jax.experiment.loss_validation import (
    check_classification,
    check_committee,
    check_encoder,
    check_generator_losses,
    check_objective,
    wrapped,
)
from gan_jax.losses.augmentation import check_augmentations
from gan_jax.losses.auxiliary import Classification
from gan_jax.losses.objectives import (
    BoundaryEquilibrium,
)
from gan_jax.losses.penalties import Orthogonality
from gan_jax.losses.transforms import GENERATOR_TRANSFORMS, TRANSFORMS, TopK
from gan_jax.networks.committee import ClassifierHead, Committee, num_heads
from gan_jax.networks.generator_mixture import GeneratorMixture
from gan_jax.networks.packing import pack_size
from gan_jax.training.dynamics import Alternating, Competitive, Simultaneous
from gan_jax.training.evolution import Evolution
from gan_jax.training.optimizers import SGD
from gan_jax.training.replay import ImagePool


def validate_experiment(experiment: Any) -> None:
    """Raises ValueError, with the reason and a solution, for an experiment whose parts cannot work together."""
    check_objective(experiment)
    check_transforms(experiment)
    check_growth_and_recorder(experiment)
    check_committee(experiment)
    check_generator_losses(experiment)
    check_encoder(experiment)
    check_classification(experiment)
    check_batches(experiment)
    check_unroll_and_replay(experiment)
    check_detector(experiment)
    check_dynamics(experiment)
    check_data(experiment)


def check_transforms(experiment: Any) -> None:
    """A transform of the other player's loss would have no effect, in silence."""
    for name, others, other in (
        ("discriminator", GENERATOR_TRANSFORMS, "generator"),
        ("generator", TRANSFORMS, "discriminator"),
    ):
        for transform in getattr(experiment, name).transforms:
            if isinstance(transform, others):
                kind = type(transform).__name__
                instead = "; GeneratorFlips flips labels of G" if "Flips" in kind and name == "generator" else ""
                raise ValueError(
                    f"{name}.transforms has {kind}, which changes the loss of the {other} alone: put it into "
                    f"{other}.transforms{instead}"
                )


def check_growth_and_recorder(experiment: Any) -> None:
    """Growth needs networks with stages, and the recorder needs a number of examples that divides into packs."""
    gen, disc = experiment.generator, experiment.discriminator
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


def check_batches(experiment: Any) -> None:
    """Packs, mixtures and committees: the batches that they need, and parts that they cannot be combined with."""
    gen, disc = experiment.generator, experiment.discriminator
    chain, packs = wrapped(disc.network), pack_size(disc.network)
    for network in (*wrapped(gen.network), *chain):
        if hasattr(network, "check_batch"):
            network.check_batch(experiment.batch_size)
    classified = isinstance(disc.network, ClassifierHead)
    if classified and packs > 1 and any(isinstance(p, Classification) for p in disc.penalties):
        raise ValueError(
            "Classification asks which generator made a sample, and a packed D sees several samples at once: leave out "
            "the packing"
        )
    if hasattr(gen.network, "encode") and pack_size(getattr(gen.network, "trunk", None)) > 1:
        raise ValueError(
            "the encoder's trunk is packed, and an encoder takes one sample: use the network inside Packed"
        )
    if experiment.inference is not None and packs > 1 and len(experiment.data.shape) > 1:
        raise ValueError(
            "Packed and JointDiscriminator both split D's input, and in different ways: with images leave out the "
            "packing, or the inference"
        )
    if num_heads(disc.network) > 1 and any(isinstance(transform, TopK) for transform in gen.transforms):
        raise ValueError(
            "TopK ranks scores, and the scores of a Committee's members have no common scale: leave out one of them"
        )
    for name, penalties, parts in (
        ("discriminator", disc.penalties, chain),
        ("generator", gen.penalties, wrapped(gen.network)),
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


def check_unroll_and_replay(experiment: Any) -> None:
    """Combinations of unrolling with replay, with objectives, and with forward-mode derivatives."""
    gen, disc = experiment.generator, experiment.discriminator
    if gen.unroll is not None and gen.replay is not None:
        raise ValueError(
            "PastDiscriminators replaces the D that G faces, which for an unrolled G is the result of updates that are "
            "not kept: leave out generator.unroll, or generator.replay"
        )
    for name, player_unroll in (("generator", gen.unroll), ("discriminator", disc.unroll)):
        bare_loss = player_unroll is not None and player_unroll.inner_loss == "objective"
        if bare_loss and isinstance(experiment.objective, BoundaryEquilibrium):
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
            raise ValueError(
                f"{name}.unroll.mode is 'forward', and replay has no forward derivative: use mode='reverse'"
            )


def check_detector(experiment: Any) -> None:
    """The detector must be that for the data, and must draw enough samples for all modes."""
    for data, detector in ((Images, ImageDetector), (StackedImages, StackedDetector)):
        if isinstance(experiment.data, data) != isinstance(experiment.detector, detector):
            raise ValueError(
                f"{type(experiment.data).__name__} data and {type(experiment.detector).__name__} do not go together: "
                "use ImageDetector for Images, StackedDetector for StackedImages, MixtureDetector for mixtures"
            )
    mixture = experiment.data.data if isinstance(experiment.data, Weighted) else experiment.data
    num_modes, num = getattr(mixture, "num_modes", 1), experiment.detector.num_samples
    if isinstance(experiment.detector, MixtureDetector) and num < num_modes:
        raise ValueError(
            f"detector.num_samples is {num}, and must be at least the {num_modes} modes of the data: fewer "
            "cannot cover them, even if they are real"
        )


def check_dynamics(experiment: Any) -> None:
    """Dynamics that move both players at once take one update each, and differentiate in reverse mode."""
    gen, disc, dynamics = experiment.generator, experiment.discriminator, experiment.dynamics
    plain = isinstance(dynamics, (Alternating, Simultaneous))
    if max(gen.updates_per_step, disc.updates_per_step) > 1 and not plain:
        raise ValueError(
            f"{type(dynamics).__name__} moves both players at once: set updates_per_step=1 for both, or use "
            "Alternating or Simultaneous"
        )
    for name, unroll in (("generator", gen.unroll), ("discriminator", disc.unroll)):
        if unroll is not None and unroll.mode == "forward" and not plain:
            raise ValueError(
                f"{name}.unroll.mode is 'forward', and {type(dynamics).__name__} takes its derivatives in reverse: use "
                "Alternating or Simultaneous, or mode='reverse'"
            )
        if unroll is not None and isinstance(unroll.gradient, Evolution) and not plain:
            raise ValueError(
                f"{name}.unroll.gradient is Evolution, and {type(dynamics).__name__} takes derivatives: use "
                "Alternating or Simultaneous, or another gradient"
            )
    if isinstance(dynamics, Competitive):
        for name, player in (("generator", gen), ("discriminator", disc)):
            if not isinstance(player.optimizer, SGD):
                raise ValueError(
                    f"Competitive computes the players' updates itself: set {name}.optimizer to SGD, which applies "
                    "them as they are"
                )


def check_data(experiment: Any) -> None:
    """The networks, the augmentations and the evaluation must fit the data."""
    data, detector, disc = experiment.data, experiment.detector, experiment.discriminator
    norm = isinstance(detector, MixtureDetector) and detector.rule.norm
    mixture = data.data if isinstance(data, Weighted) else data
    if isinstance(mixture, HighDimensional) and norm in ("l2", "linf"):
        raise ValueError(
            f"detector.rule.norm is {norm!r}, by which real data in {mixture.num_noisy_dims} noisy dimensions are "
            "not of high quality: use Rule(norm='mass')"
        )
    experiment.generator.network.check(data.shape)
    disc.network.check(experiment.discriminator_input_shape)
    check_augmentations(disc.augment, data.shape)
    if isinstance(data, Images) and data.last_batch == "short" and disc.updates_per_step > 1:
        raise ValueError(
            "Images.last_batch='short' needs discriminator.updates_per_step=1, since a step may hold one short batch; "
            "use last_batch='wrap'"
        )
    classified = isinstance(detector, (ImageDetector, StackedDetector))
    if classified and detector.num_samples % experiment.batch_size:
        raise ValueError(
            f"detector.num_samples is {detector.num_samples}, and must be a multiple of batch_size "
            f"({experiment.batch_size}), since batch norm is evaluated in training batches too"
        )
