"""The two players of a GAN, and the unrolling of a player through its opponent's updates."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Literal

from gan_jax.experiment.component import component, setting
from gan_jax.experiment.schedules import SCHEDULES, Schedule
from gan_jax.losses.aggregation import AGGREGATIONS, Aggregation
from gan_jax.losses.augmentation import AUGMENTATIONS, Augmentation
from gan_jax.losses.auxiliary import GENERATOR_PENALTIES, Classification
from gan_jax.losses.penalties import DISCRIMINATOR_PENALTIES, Penalty
from gan_jax.losses.transforms import GENERATOR_TRANSFORMS, TRANSFORMS, LossTransform
from gan_jax.networks.autoencoder import AutoencoderDiscriminator
from gan_jax.networks.committee import ClassifierHead, Committee
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks.encoder import Bidirectional, JointDiscriminator
from gan_jax.networks.generator_mixture import GeneratorMixture
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork
from gan_jax.networks.norm_free import NormFreeDiscriminator, NormFreeGenerator
from gan_jax.networks.packing import Packed
from gan_jax.networks.points import LinearDiscriminator, PointGenerator
from gan_jax.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from gan_jax.networks.resnet import ResNetDiscriminator, ResNetGenerator
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.networks.stacked_networks import StackedDiscriminator, StackedGenerator
from gan_jax.networks.strided import StridedDiscriminator, StridedGenerator
from gan_jax.training.evolution import Evolution
from gan_jax.training.optimizers import OPTIMIZERS, Adam, Optimizer
from gan_jax.training.replay import REPLAYS, PastDiscriminators, Replay
from gan_jax.unroll import ROLLOUT_GRADIENTS, Exact, Gradient, MemoryPolicy, check_memory


@component
class Unroll:
    """An unrolled player differentiates its loss through K updates of its opponent.

    The defaults are those of the official notebook: the same real and latent batch in every update, the opponent's own
    optimiser, continued from its present state, and the derivative through all updates. Published implementations
    differ in each of these points; here each is a setting.

    With `inner_data="same"` the noise of the loss transforms (which labels are flipped) belongs to the batch and is the
    same in every update too.

    Example:
        >>> Unroll(num_steps=10).mode
        'reverse'
        >>> Unroll(num_steps=-1)
        Traceback (most recent call last):
        ...
        ValueError: Unroll.num_steps is -1, and must be at least 0 (K, the opponent's updates; 0 is the plain game)

    References:
        L. Metz et al., "Unrolled Generative Adversarial Networks", ICLR 2017, equations 7 to 10, and its notebook.
    """

    num_steps: int = setting(default=5, at_least=0, doc="K, the opponent's updates; 0 is the plain game")
    gradient: Gradient = setting(
        default=Exact(), choices=(*ROLLOUT_GRADIENTS, Evolution), doc="how the updates are differentiated"
    )
    mode: Literal["reverse", "forward"] = setting(
        default="reverse", doc="mode of differentiation; forward only for players of a few parameters"
    )
    memory: MemoryPolicy = setting(default="step", doc="what is stored of the updates for the reverse pass")
    inner_data: Literal["same", "fresh_real", "fresh"] = setting(
        default="same",
        doc="data of the updates after the first: the same batch, fresh real examples, or all fresh",
    )
    inner_loss: Literal["as_trained", "objective"] = setting(
        default="as_trained", doc="D's loss in the opponent's updates: as in training, or the bare objective"
    )
    inner_statistics: Literal["advanced", "frozen"] = setting(
        default="advanced",
        doc="the opponent's running statistics in its updates; only spectral norm reads them in training",
    )
    optimizer: Optimizer | None = setting(
        default=None,
        choices=OPTIMIZERS,
        doc="optimiser of the opponent's updates, from a fresh state; None continues the opponent's own",
    )
    learning_rate: float | None = setting(
        default=None, above=0, doc="learning rate of that optimiser; None takes the opponent's own"
    )

    def validate(self) -> None:
        if self.learning_rate is not None and self.optimizer is None:
            raise ValueError(
                f"Unroll.learning_rate is {self.learning_rate}, and the opponent's own optimiser has its own rate: set "
                "Unroll.optimizer, or leave out the learning rate"
            )
        check_memory(self.memory)


@component
class Generator:
    """The player that makes samples.

    Example:
        >>> generator = Generator(network=MLPGenerator(widths=(16, 16)), latent_dim=8)
        >>> generator.latent, generator.updates_per_step
        ('normal', 1)
        >>> Generator(network=MLPGenerator(), latent_dim=0)
        Traceback (most recent call last):
        ...
        ValueError: Generator.latent_dim is 0, and must be at least 1 (dimensions of the latent)
    """

    RENAMED: ClassVar[Mapping[str, str]] = MappingProxyType({"mixing": "aggregation"})  # names in older records

    network: GeneratorNetwork = setting(
        choices=(
            MLPGenerator,
            DCGANGenerator,
            ResNetGenerator,
            NormFreeGenerator,
            ProgressiveGenerator,
            StackedGenerator,
            StridedGenerator,
            PointGenerator,
            GeneratorMixture,
            Bidirectional,
        ),
        doc="latent to sample",
    )
    learning_rate: float | Schedule = setting(
        default=1e-3, above=0, choices=SCHEDULES, doc="step size of the optimiser"
    )
    optimizer: Optimizer = setting(default=Adam(), choices=OPTIMIZERS, doc="how gradients become updates")
    latent_dim: int = setting(default=100, at_least=1, doc="dimensions of the latent")
    latent: Literal["normal", "uniform"] = setting(default="normal", doc="N(0, 1), or uniform on [-1, 1]")
    updates_per_step: int = setting(
        default=1, at_least=1, doc="G updates in a step, each on fresh latents after the first"
    )
    average_decay: float | Schedule | None = setting(
        default=None,
        at_least=0,
        below=1,
        choices=SCHEDULES,
        doc="decay of the moving average of G's parameters; None keeps no average",
    )
    evaluated: Literal["current", "average"] = setting(
        default="current", doc="the parameters that are evaluated: the current ones, or their moving average"
    )
    unroll: Unroll | None = setting(
        default=None, choices=(Unroll,), doc="D's updates that G differentiates through; None disables it"
    )
    transforms: tuple[LossTransform, ...] = setting(
        default=(), choices=GENERATOR_TRANSFORMS, doc="transforms of G's loss, the innermost first"
    )
    penalties: tuple[Penalty, ...] = setting(
        default=(), choices=GENERATOR_PENALTIES, doc="terms added to G's loss, or that replace it"
    )
    aggregation: Aggregation | None = setting(
        default=None,
        choices=AGGREGATIONS,
        doc="combination of G's losses against several discriminators; None takes the mean",
    )
    replay: PastDiscriminators | None = setting(
        default=None,
        choices=(PastDiscriminators,),
        doc="earlier discriminators that G faces in some steps; None disables it",
    )


@component
class Discriminator:
    """The player that scores samples.

    Example:
        >>> discriminator = Discriminator(network=MLPDiscriminator(widths=(16, 16)), updates_per_step=5)
        >>> discriminator.updates_per_step, discriminator.learning_rate
        (5, 0.001)
    """

    network: DiscriminatorNetwork = setting(
        choices=(
            MLPDiscriminator,
            DCGANDiscriminator,
            ResNetDiscriminator,
            NormFreeDiscriminator,
            ProgressiveDiscriminator,
            StackedDiscriminator,
            StridedDiscriminator,
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
    learning_rate: float | Schedule = setting(
        default=1e-3, above=0, choices=SCHEDULES, doc="step size of the optimiser"
    )
    optimizer: Optimizer = setting(default=Adam(), choices=OPTIMIZERS, doc="how gradients become updates")
    transforms: tuple[LossTransform, ...] = setting(
        default=(), choices=TRANSFORMS, doc="transforms of D's loss, the innermost first"
    )
    updates_per_step: int = setting(default=1, at_least=1, doc="D updates in a step, each on fresh data (n_critic)")
    batch_statistics: Literal["separate", "joint"] = setting(
        default="separate", doc="batch norm on real and fake batches separately (as published), or jointly"
    )
    unroll: Unroll | None = setting(
        default=None, choices=(Unroll,), doc="G's updates that D differentiates through; None disables it"
    )
    penalties: tuple[Penalty, ...] = setting(
        default=(), choices=(*DISCRIMINATOR_PENALTIES, Classification), doc="terms added to D's loss"
    )
    replay: Replay | None = setting(
        default=None, choices=REPLAYS, doc="earlier fakes among those that D sees; None disables it"
    )
    instance_noise: float | Schedule | None = setting(
        default=None,
        at_least=0,
        choices=SCHEDULES,
        doc="standard deviation of the noise on D's inputs, in data units (Sonderby et al. 2017); None disables it",
    )
    augment: tuple[Augmentation, ...] = setting(
        default=(), choices=AUGMENTATIONS, doc="augmentations of all images that D sees, in order, before the noise"
    )
