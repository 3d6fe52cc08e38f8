"""What a run is made of: the data, the two players, the objective, the budget, the detector. One pytree."""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol, runtime_checkable

from gan_jax.component import component, setting
from gan_jax.data.images import Images
from gan_jax.data.mixtures import Grid, HighDimensional, PointMass, RandomRing, Ring, Temperatures
from gan_jax.data.stacked import StackedImages
from gan_jax.data.weighted import Weighted
from gan_jax.diagnostics.detector import Detector
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.diagnostics.stacked_detector import StackedDetector
from gan_jax.dynamics import DYNAMICS, Alternating, Competitive, Dynamics, Simultaneous
from gan_jax.growth import Growth
from gan_jax.inference import INFERENCES, VEEGAN, Inference
from gan_jax.mixing import MIXINGS, Mixing, SoftMixing
from gan_jax.networks.autoencoder import AutoencoderDiscriminator
from gan_jax.networks.committee import ClassifierHead, Committee, num_heads
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks.encoder import Bidirectional, JointDiscriminator
from gan_jax.networks.mixture import GeneratorMixture
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork
from gan_jax.networks.packing import Packed, pack_size
from gan_jax.networks.points import LinearDiscriminator, PointGenerator
from gan_jax.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from gan_jax.networks.resnet import ResNetDiscriminator, ResNetGenerator
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.networks.stacked import StackedDiscriminator, StackedGenerator
from gan_jax.objectives import (
    OBJECTIVES,
    BoundaryEquilibrium,
    EnergyMargin,
    LeastSquares,
    Minimax,
    NonSaturating,
    Objective,
    Relativistic,
    RelativisticAverage,
)
from gan_jax.optimizers import OPTIMIZERS, SGD, Adam, Optimizer
from gan_jax.penalties import DISCRIMINATOR_PENALTIES, Equilibrium, Orthogonality, Penalty
from gan_jax.replay import REPLAYS, ImagePool, PastDiscriminators, Replay
from gan_jax.schedules import SCHEDULES, Schedule
from gan_jax.terms import GENERATOR_PENALTIES, Classification, FeatureMatching, Reconstruction
from gan_jax.transforms import GENERATOR_TRANSFORMS, TRANSFORMS, LossTransform, TopK
from gan_jax.unroll import GRADIENTS, Exact, Gradient, Memory, check_memory


@runtime_checkable
class Data(Protocol):
    """Where training batches come from. `load` runs once on the host; `source` inside the traced step."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        ...

    def load(self, location: Any = None) -> Any:
        """The arrays that training needs on the device; () if none."""
        ...

    def source(self, dataset: Any) -> Any:
        """The sampler over these arrays: `sample(key, num)` and `batch(key, step, batch_size)`."""
        ...


@component
class Unroll:
    """A player that answers not its opponent but what the opponent becomes after K more of its updates.

    The defaults are the official notebook's: the same real and latent batch in every update, the opponent's own
    optimiser going on from its present state, and the derivative through all of it. Published implementations differ in
    each of these without saying so; here each is a setting.

    With `inner_data="same"` the noise of the loss transforms (which labels are flipped) is part of the batch, and is
    the same in every update too.

    References:
        L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, equations 7 to 10, and its notebook.
    """

    num_steps: int = setting(default=5, at_least=0, doc="K, updates of the opponent; 0 is the plain game")
    gradient: Gradient = setting(default=Exact(), choices=GRADIENTS, doc="how the updates are differentiated")
    mode: Literal["reverse", "forward"] = setting(
        default="reverse", doc="reverse; forward only for players of a few parameters"
    )
    memory: Memory = setting(default="step", doc="what is kept of the updates for the reverse pass")
    inner_data: Literal["same", "fresh_real", "fresh"] = setting(
        default="same",
        doc="after the first update: the same batch, fresh real examples, or all fresh",
    )
    inner_loss: Literal["as_trained", "objective"] = setting(
        default="as_trained", doc="what an unrolled D descends: its loss as trained, or the bare objective"
    )
    inner_statistics: Literal["advanced", "frozen"] = setting(
        default="advanced",
        doc="of the opponent, during its updates; batch norm does not read them in training, spectral norm does",
    )
    optimizer: Optimizer | None = setting(
        default=None, choices=OPTIMIZERS, doc="of the opponent's updates, from a fresh state; none: its own, going on"
    )
    learning_rate: float | None = setting(default=None, above=0, doc="of that optimiser; none: the opponent's own")

    def validate(self) -> None:
        if self.learning_rate is not None and self.optimizer is None:
            raise ValueError(
                f"Unroll.learning_rate is {self.learning_rate}, but the opponent's own optimiser is used: set "
                "Unroll.optimizer, or leave out the learning rate"
            )
        check_memory(self.memory)


@component
class Generator:
    """The player that makes samples."""

    network: GeneratorNetwork = setting(
        choices=(
            MLPGenerator,
            DCGANGenerator,
            ResNetGenerator,
            ProgressiveGenerator,
            StackedGenerator,
            PointGenerator,
            GeneratorMixture,
            Bidirectional,
        ),
        doc="latent to sample",
    )
    learning_rate: float = setting(default=1e-3, above=0, doc="step size of the optimiser")
    optimizer: Optimizer = setting(default=Adam(), choices=OPTIMIZERS, doc="how gradients become updates")
    latent_dim: int = setting(default=100, at_least=1, doc="dimensions of the latent")
    latent: Literal["normal", "uniform"] = setting(default="normal", doc="N(0, 1), or uniform on [-1, 1]")
    updates_per_step: int = setting(
        default=1, at_least=1, doc="G updates in a step, each on fresh latents after the first"
    )
    average_decay: float | None = setting(
        default=None, at_least=0, below=1, doc="of the moving average of G; none: no average"
    )
    evaluated: Literal["current", "average"] = setting(
        default="current", doc="which parameters evaluations are of: the current ones, or their moving average"
    )
    unroll: Unroll | None = setting(default=None, choices=(Unroll,), doc="D's updates that G looks through; none: none")
    transforms: tuple[LossTransform, ...] = setting(
        default=(), choices=GENERATOR_TRANSFORMS, doc="of G's loss, innermost first"
    )
    penalties: tuple[Penalty, ...] = setting(
        default=(), choices=GENERATOR_PENALTIES, doc="added to G's loss, or in its place"
    )
    mixing: Mixing | None = setting(
        default=None, choices=MIXINGS, doc="what G pays to several discriminators; none: the mean"
    )
    replay: PastDiscriminators | None = setting(
        default=None, choices=(PastDiscriminators,), doc="old D that G faces now and then; none: none"
    )


@component
class Discriminator:
    """The player that scores samples."""

    network: DiscriminatorNetwork = setting(
        choices=(
            MLPDiscriminator,
            DCGANDiscriminator,
            ResNetDiscriminator,
            ProgressiveDiscriminator,
            StackedDiscriminator,
            LinearDiscriminator,
            AutoencoderDiscriminator,
            SpectralNorm,
            Packed,
            Committee,
            ClassifierHead,
            JointDiscriminator,
        ),
        doc="sample to raw score",
    )
    learning_rate: float = setting(default=1e-3, above=0, doc="step size of the optimiser")
    optimizer: Optimizer = setting(default=Adam(), choices=OPTIMIZERS, doc="how gradients become updates")
    transforms: tuple[LossTransform, ...] = setting(default=(), choices=TRANSFORMS, doc="of D's loss, innermost first")
    updates_per_step: int = setting(default=1, at_least=1, doc="D updates in a step, each on fresh data (n_critic)")
    batch_statistics: Literal["separate", "joint"] = setting(
        default="separate", doc="batch norm sees real and fake apart (as published), or as one batch"
    )
    unroll: Unroll | None = setting(default=None, choices=(Unroll,), doc="G's updates that D looks through; none: none")
    penalties: tuple[Penalty, ...] = setting(
        default=(), choices=(*DISCRIMINATOR_PENALTIES, Classification), doc="added to D's loss"
    )
    replay: Replay | None = setting(default=None, choices=REPLAYS, doc="old fakes among those that D sees; none: none")
    instance_noise: float | Schedule | None = setting(
        default=None,
        at_least=0,
        choices=SCHEDULES,
        doc="standard deviation of the noise on all that D sees, in data units (Sonderby et al. 2017); none: none",
    )


@component
class Experiment:
    """A GAN, its data and what counts as its collapse: everything that decides a run but the key."""

    data: Data = setting(
        choices=(Ring, RandomRing, Grid, Temperatures, HighDimensional, PointMass, Weighted, Images, StackedImages),
        doc="what G imitates",
    )
    generator: Generator = setting(doc="the player that makes samples")
    discriminator: Discriminator = setting(doc="the player that scores them")
    detector: Detector = setting(
        choices=(MixtureDetector, ImageDetector, StackedDetector), doc="what counts as collapse, and as data"
    )
    objective: Objective = setting(default=NonSaturating(), choices=OBJECTIVES, doc="what the players pay for scores")
    batch_size: int = setting(default=64, at_least=1, doc="real examples, and fakes, in a batch")
    num_steps: int = setting(default=10_000, at_least=1, doc="training steps: D updates, then G updates")
    eval_every_steps: int = setting(
        default=500, at_least=1, doc="steps between evaluations, each a row of metrics.jsonl"
    )
    dynamics: Dynamics = setting(
        default=Alternating(), choices=DYNAMICS, doc="how the players' gradients become their moves"
    )
    reuse_fakes: bool = setting(
        default=True, doc="G's first update is on the fakes that D's last update saw, as published"
    )
    inference: Inference | None = setting(
        default=None, choices=INFERENCES, doc="D sees latents beside samples, and G has an encoder; none: not so"
    )
    growth: Growth | None = setting(
        default=None, choices=(Growth,), doc="resolution in stages, for progressive networks; none: full from the start"
    )
    device_statistics: Literal["joint", "local"] = setting(
        default="joint",
        doc="batch norm under data parallelism: over the whole batch, or over each device's share apart",
    )

    @property
    def seen_shape(self) -> tuple[int, ...]:
        """Shape of what D sees of one example: a sample, or a flat vector of it and its latent."""
        if self.inference is None:
            return self.data.shape
        return (math.prod(self.data.shape) + self.generator.latent_dim,)

    def validate(self) -> None:
        _check_remedies(self)
        for data, detector in ((Images, ImageDetector), (StackedImages, StackedDetector)):
            if isinstance(self.data, data) != isinstance(self.detector, detector):
                raise ValueError(
                    f"{type(self.data).__name__} data and {type(self.detector).__name__} do not go together: use "
                    "ImageDetector for Images, StackedDetector for StackedImages, MixtureDetector for mixtures"
                )
        several = max(self.generator.updates_per_step, self.discriminator.updates_per_step) > 1
        plain = isinstance(self.dynamics, (Alternating, Simultaneous))
        if several and not plain:
            raise ValueError(
                f"{type(self.dynamics).__name__} moves both players at once: set updates_per_step=1 for both, or use "
                "Alternating or Simultaneous"
            )
        for name, unroll in (("generator", self.generator.unroll), ("discriminator", self.discriminator.unroll)):
            if unroll is not None and unroll.mode == "forward" and not plain:
                raise ValueError(
                    f"{name}.unroll.mode is 'forward', and {type(self.dynamics).__name__} takes its derivatives in "
                    "reverse: use Alternating or Simultaneous, or mode='reverse'"
                )
        if isinstance(self.dynamics, Competitive):
            for name, player in (("generator", self.generator), ("discriminator", self.discriminator)):
                if not isinstance(player.optimizer, SGD):
                    raise ValueError(
                        f"Competitive finds the players' moves itself: set {name}.optimizer to SGD, which takes them "
                        "as they are"
                    )
        known_rule = isinstance(self.detector, MixtureDetector) and self.detector.rule.norm
        mixture = self.data.data if isinstance(self.data, Weighted) else self.data
        if isinstance(mixture, HighDimensional) and known_rule in ("l2", "linf"):
            raise ValueError(
                f"detector.rule.norm is {known_rule!r}, by which real data in {mixture.num_noisy_dims} noisy "
                "dimensions are of no quality: use Rule(norm='mass')"
            )
        self.generator.network.check(self.data.shape)
        self.discriminator.network.check(self.seen_shape)
        if (
            isinstance(self.data, Images)
            and self.data.last_batch == "short"
            and self.discriminator.updates_per_step > 1
        ):
            raise ValueError(
                "Images.last_batch='short' needs discriminator.updates_per_step=1, since a step may hold one short "
                "batch; use last_batch='wrap'"
            )
        classified = isinstance(self.detector, (ImageDetector, StackedDetector))
        if classified and self.detector.num_samples % self.batch_size:
            raise ValueError(
                f"detector.num_samples is {self.detector.num_samples}, and must be a multiple of batch_size "
                f"({self.batch_size}), since batch norm is evaluated in training batches too"
            )


def _check_remedies(experiment: Experiment) -> None:
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
    if gen.mixing is not None and heads == 1:
        raise ValueError(
            f"generator.mixing is {type(gen.mixing).__name__}, and there is one discriminator: set "
            "discriminator.network to Committee(network=..., num=3), or leave out the mixing"
        )
    if isinstance(gen.mixing, SoftMixing) and gen.mixing.mean != "arithmetic" and not _pays_one_sign(objective):
        raise ValueError(
            f"the {gen.mixing.mean} mean takes losses of one sign, and G's under {type(objective).__name__} may be of "
            "both: use SoftMixing(mean='arithmetic'), or the objective NonSaturating, Minimax or LeastSquares"
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
    if replacing and (gen.transforms or gen.mixing is not None):
        raise ValueError(
            f"{type(replacing[0]).__name__} takes the place of G's own loss, which generator.transforms and "
            "generator.mixing change: leave them out, or set replaces=False"
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
