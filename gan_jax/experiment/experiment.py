"""What a run is made of: the data, the two players, the objective, the budget, the detector. One pytree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from gan_jax.data.images import Images
from gan_jax.data.mixtures import Grid, HighDimensional, PointMass, RandomRing, Ring, Temperatures
from gan_jax.data.stacked import StackedImages
from gan_jax.data.weighted import Weighted
from gan_jax.diagnostics.detector import Detector
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.diagnostics.recorder import Recorder
from gan_jax.diagnostics.stacked_detector import StackedDetector
from gan_jax.experiment.component import component, setting
from gan_jax.experiment.schedules import SCHEDULES, Schedule
from gan_jax.experiment.validation import check_parts
from gan_jax.losses.aggregation import AGGREGATIONS, Aggregation
from gan_jax.losses.augmentation import AUGMENTATIONS, Augmentation, check_augmentations
from gan_jax.losses.auxiliary import GENERATOR_PENALTIES, Classification
from gan_jax.losses.inference import INFERENCES, Inference
from gan_jax.losses.objectives import (
    OBJECTIVES,
    NonSaturating,
    Objective,
)
from gan_jax.losses.penalties import DISCRIMINATOR_PENALTIES, Penalty
from gan_jax.losses.transforms import GENERATOR_TRANSFORMS, TRANSFORMS, LossTransform
from gan_jax.networks.autoencoder import AutoencoderDiscriminator
from gan_jax.networks.committee import ClassifierHead, Committee
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks.encoder import Bidirectional, JointDiscriminator
from gan_jax.networks.generator_mixture import GeneratorMixture
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork
from gan_jax.networks.packing import Packed
from gan_jax.networks.points import LinearDiscriminator, PointGenerator
from gan_jax.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from gan_jax.networks.resnet import ResNetDiscriminator, ResNetGenerator
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.networks.stacked_networks import StackedDiscriminator, StackedGenerator
from gan_jax.training.dynamics import DYNAMICS, Alternating, Competitive, Dynamics, Simultaneous
from gan_jax.training.growth import Growth
from gan_jax.training.optimizers import OPTIMIZERS, SGD, Adam, Optimizer
from gan_jax.training.replay import REPLAYS, PastDiscriminators, Replay
from gan_jax.unroll import ROLLOUT_GRADIENTS, Exact, Gradient, MemoryPolicy, check_memory


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
    gradient: Gradient = setting(default=Exact(), choices=ROLLOUT_GRADIENTS, doc="how the updates are differentiated")
    mode: Literal["reverse", "forward"] = setting(
        default="reverse", doc="reverse; forward only for players of a few parameters"
    )
    memory: MemoryPolicy = setting(default="step", doc="what is kept of the updates for the reverse pass")
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

    RENAMED: ClassVar[Mapping[str, str]] = MappingProxyType({"mixing": "aggregation"})  # names in older records

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
    aggregation: Aggregation | None = setting(
        default=None, choices=AGGREGATIONS, doc="what G pays to several discriminators; none: the mean"
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
    augment: tuple[Augmentation, ...] = setting(
        default=(), choices=AUGMENTATIONS, doc="of all images that D sees, in order, before the noise; none: none"
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
    recorder: Recorder | None = setting(
        default=None, choices=(Recorder,), doc="looks at both players during training, which change nothing; none: none"
    )
    device_statistics: Literal["joint", "local"] = setting(
        default="joint",
        doc="batch norm under data parallelism: over the whole batch, or over each device's share apart",
    )

    @property
    def discriminator_input_shape(self) -> tuple[int, ...]:
        """Shape of what D sees of one example: a sample, or a flat vector of it and its latent."""
        if self.inference is None:
            return self.data.shape
        return (math.prod(self.data.shape) + self.generator.latent_dim,)

    def validate(self) -> None:
        check_parts(self)
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
        self.discriminator.network.check(self.discriminator_input_shape)
        check_augmentations(self.discriminator.augment, self.data.shape)
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
