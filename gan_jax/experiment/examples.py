"""Small experiments for tests and documentation: they compile in seconds and have no scientific meaning."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from gan_jax.data.images import ImageDataset, Images
from gan_jax.data.mixtures import Ring
from gan_jax.data.stacked import StackedImages
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.diagnostics.stacked_detector import StackedDetector
from gan_jax.experiment.experiment import Discriminator, Experiment, Generator
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.stacked_networks import StackedDiscriminator, StackedGenerator


def tiny_ring(**changes: Any) -> Experiment:
    """A ring GAN of two 16-unit layers at batch 32. Keyword arguments replace fields of the experiment."""
    settings: dict[str, Any] = {
        "data": Ring(),
        "generator": Generator(network=MLPGenerator(widths=(16, 16)), latent_dim=8),
        "discriminator": Discriminator(network=MLPDiscriminator(widths=(16, 16))),
        "detector": MixtureDetector(num_samples=256),
        "batch_size": 32,
        "num_steps": 20,
        "eval_every_steps": 10,
    }
    return Experiment(**{**settings, **changes})


def tiny_dcgan(**changes: Any) -> Experiment:
    """A DCGAN of width 4 on 16x16 digits at batch 16. Keyword arguments replace fields of the experiment."""
    settings: dict[str, Any] = {
        "data": Images(name="digits", image_size=16),
        "generator": Generator(network=DCGANGenerator(width=4), latent_dim=8),
        "discriminator": Discriminator(network=DCGANDiscriminator(width=4)),
        "detector": ImageDetector(num_samples=64),
        "batch_size": 16,
        "num_steps": 4,
        "eval_every_steps": 2,
    }
    return Experiment(**{**settings, **changes})


def tiny_stacked(**changes: Any) -> Experiment:
    """The Stacked MNIST nets on 28x28 digits at batch 16. Keyword arguments replace fields of the experiment."""
    settings: dict[str, Any] = {
        "data": StackedImages(name="digits"),
        "generator": Generator(network=StackedGenerator(), latent_dim=8),
        "discriminator": Discriminator(network=StackedDiscriminator()),
        "detector": StackedDetector(num_samples=64),
        "batch_size": 16,
        "num_steps": 4,
        "eval_every_steps": 2,
    }
    return Experiment(**{**settings, **changes})


def tiny_images(num: int = 64) -> ImageDataset:
    """`num` random 16x16 images with labels 0 to 9 in turn; training and held-out images are the same."""
    pixels = np.random.default_rng(0).integers(0, 256, (num, 16, 16, 1), dtype=np.uint8)
    labels = (np.arange(num) % 10).astype(np.int32)
    return ImageDataset(*(jnp.asarray(part) for part in (pixels, labels, pixels, labels)))
