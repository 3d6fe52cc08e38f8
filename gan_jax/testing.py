"""Small experiments for tests, doctests and documentation: they compile in seconds and mean nothing scientifically."""

from __future__ import annotations

from typing import Any

from gan_jax.data.mixtures import Ring
from gan_jax.diagnostics.mixture_detector import MixtureDetector
from gan_jax.experiment import Discriminator, Experiment, Generator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator


def tiny_ring(**changes: Any) -> Experiment:
    """A ring GAN of two 16-unit layers at batch 32. Keyword arguments replace fields of the experiment."""
    settings: dict[str, Any] = dict(
        data=Ring(),
        generator=Generator(network=MLPGenerator(widths=(16, 16)), latent_dim=8),
        discriminator=Discriminator(network=MLPDiscriminator(widths=(16, 16))),
        detector=MixtureDetector(num_samples=256),
        batch_size=32,
        num_steps=20,
        eval_every_steps=10,
    )
    return Experiment(**{**settings, **changes})
