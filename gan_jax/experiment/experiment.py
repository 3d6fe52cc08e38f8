"""The experiment: data, two players, objective, budget and detector in one pytree. With a key it determines a run."""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol, runtime_checkable

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
from gan_jax.experiment.players import Discriminator, Generator, Unroll
from gan_jax.experiment.validation import validate_experiment
from gan_jax.losses.inference import INFERENCES, Inference
from gan_jax.losses.objectives import (
    OBJECTIVES,
    NonSaturating,
    Objective,
)
from gan_jax.training.dynamics import DYNAMICS, Alternating, Dynamics
from gan_jax.training.growth import Growth

__all__ = ["Data", "Discriminator", "Experiment", "Generator", "Unroll"]


@runtime_checkable
class Data(Protocol):
    """The source of training batches. `load` runs once on the host, `source` inside the traced step."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        ...

    def load(self, location: Any = None) -> Any:
        """The arrays that training needs on the device; () if the data are sampled from settings alone."""
        ...

    def source(self, dataset: Any) -> Any:
        """The sampler over these arrays, with `sample(key, num)` and `batch(key, step, batch_size)`."""
        ...


@component
class Experiment:
    """A GAN, its data and the definition of its collapse. Together with a key it determines a run.

    Example:
        >>> from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
        >>> generator = Generator(network=MLPGenerator(), latent_dim=8)
        >>> discriminator = Discriminator(network=MLPDiscriminator())
        >>> ring = Experiment(Ring(), generator, discriminator, MixtureDetector(), batch_size=32)
        >>> ring.batch_size, ring.discriminator_input_shape
        (32, (2,))
    """

    data: Data = setting(
        choices=(Ring, RandomRing, Grid, Temperatures, HighDimensional, PointMass, Weighted, Images, StackedImages),
        doc="the distribution that G learns",
    )
    generator: Generator = setting(doc="the player that makes samples")
    discriminator: Discriminator = setting(doc="the player that scores samples")
    detector: Detector = setting(
        choices=(MixtureDetector, ImageDetector, StackedDetector), doc="definitions of collapse and of credible samples"
    )
    objective: Objective = setting(
        default=NonSaturating(), choices=OBJECTIVES, doc="the players' losses as functions of raw scores"
    )
    batch_size: int = setting(default=64, at_least=1, doc="real examples in a batch, and as many fakes")
    num_steps: int = setting(default=10_000, at_least=1, doc="training steps, each of D updates, then G updates")
    eval_every_steps: int = setting(
        default=500, at_least=1, doc="steps between evaluations, each a row of metrics.jsonl"
    )
    dynamics: Dynamics = setting(
        default=Alternating(), choices=DYNAMICS, doc="how the players' gradients become their updates"
    )
    reuse_fakes: bool = setting(default=True, doc="G's first update uses the fakes of D's last update, as published")
    inference: Inference | None = setting(
        default=None, choices=INFERENCES, doc="D scores samples with latents, and G has an encoder; None disables it"
    )
    growth: Growth | None = setting(
        default=None,
        choices=(Growth,),
        doc="resolution in stages, for progressive networks; None trains at full resolution throughout",
    )
    recorder: Recorder | None = setting(
        default=None,
        choices=(Recorder,),
        doc="measures both players during training without changing it; None disables it",
    )
    precision: Literal["float32", "tensorfloat32", "bfloat16"] = setting(
        default="float32",
        doc="arithmetic of matrix products and convolutions; bfloat16 applies to all hidden layers, and the rest stays "
        "in float32; with the others a network's own compute_dtype applies",
    )
    device_statistics: Literal["joint", "local"] = setting(
        default="joint",
        doc="batch norm under data parallelism: over the whole batch, or over each device's shard",
    )

    @property
    def discriminator_input_shape(self) -> tuple[int, ...]:
        """Shape of D's input for one example: a sample or, with inference, a flat vector of a sample and its latent."""
        if self.inference is None:
            return self.data.shape
        return (math.prod(self.data.shape) + self.generator.latent_dim,)

    def validate(self) -> None:
        validate_experiment(self)
