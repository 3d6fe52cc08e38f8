"""What a run is made of: the data, the two players, the objective, the budget, the detector. One pytree."""

from __future__ import annotations

from typing import Any, Literal, Protocol, runtime_checkable

from gan_jax.component import component, setting
from gan_jax.data.images import Images
from gan_jax.data.mixtures import Grid, HighDimensional, RandomRing, Ring, Temperatures
from gan_jax.diagnostics.detector import Detector
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork
from gan_jax.objectives import OBJECTIVES, NonSaturating, Objective
from gan_jax.optimizers import OPTIMIZERS, Adam, Optimizer
from gan_jax.transforms import TRANSFORMS, LossTransform


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
class Generator:
    """The player that makes samples."""

    network: GeneratorNetwork = setting(choices=(MLPGenerator, DCGANGenerator), doc="latent to sample")
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


@component
class Discriminator:
    """The player that scores samples."""

    network: DiscriminatorNetwork = setting(choices=(MLPDiscriminator, DCGANDiscriminator), doc="sample to raw score")
    learning_rate: float = setting(default=1e-3, above=0, doc="step size of the optimiser")
    optimizer: Optimizer = setting(default=Adam(), choices=OPTIMIZERS, doc="how gradients become updates")
    transforms: tuple[LossTransform, ...] = setting(default=(), choices=TRANSFORMS, doc="of D's loss, innermost first")
    updates_per_step: int = setting(default=1, at_least=1, doc="D updates in a step, each on fresh data (n_critic)")
    batch_statistics: Literal["separate", "joint"] = setting(
        default="separate", doc="batch norm sees real and fake apart (as published), or as one batch"
    )


@component
class Experiment:
    """A GAN, its data and what counts as its collapse: everything that decides a run but the key."""

    data: Data = setting(choices=(Ring, RandomRing, Grid, Temperatures, HighDimensional, Images), doc="what G imitates")
    generator: Generator = setting(doc="the player that makes samples")
    discriminator: Discriminator = setting(doc="the player that scores them")
    detector: Detector = setting(choices=(MixtureDetector, ImageDetector), doc="what counts as collapse, and as data")
    objective: Objective = setting(default=NonSaturating(), choices=OBJECTIVES, doc="what the players pay for scores")
    batch_size: int = setting(default=64, at_least=1, doc="real examples, and fakes, in a batch")
    num_steps: int = setting(default=10_000, at_least=1, doc="training steps: D updates, then G updates")
    eval_every_steps: int = setting(
        default=500, at_least=1, doc="steps between evaluations, each a row of metrics.jsonl"
    )
    update_order: Literal["alternating", "simultaneous"] = setting(
        default="alternating", doc="G answers the updated D, or both move from the same point"
    )
    reuse_fakes: bool = setting(
        default=True, doc="G's first update is on the fakes that D's last update saw, as published"
    )

    def validate(self) -> None:
        if isinstance(self.data, Images) != isinstance(self.detector, ImageDetector):
            raise ValueError(
                f"{type(self.data).__name__} data and {type(self.detector).__name__} do not go together: "
                "use ImageDetector for Images and MixtureDetector for mixtures"
            )
        known_rule = isinstance(self.detector, MixtureDetector) and self.detector.rule.norm
        if isinstance(self.data, HighDimensional) and known_rule in ("l2", "linf"):
            raise ValueError(
                f"detector.rule.norm is {known_rule!r}, by which real data in {self.data.num_noisy_dims} noisy "
                "dimensions are of no quality: use Rule(norm='mass')"
            )
        self.generator.network.check(self.data.shape)
        self.discriminator.network.check(self.data.shape)
        if (
            isinstance(self.data, Images)
            and self.data.last_batch == "short"
            and self.discriminator.updates_per_step > 1
        ):
            raise ValueError(
                "Images.last_batch='short' needs discriminator.updates_per_step=1, since a step may hold one short "
                "batch; use last_batch='wrap'"
            )
        if isinstance(self.detector, ImageDetector) and self.detector.num_samples % self.batch_size:
            raise ValueError(
                f"detector.num_samples is {self.detector.num_samples}, and must be a multiple of batch_size "
                f"({self.batch_size}), since batch norm is evaluated in training batches too"
            )
