"""Colour images without labels and without a classifier: every network and the whole of training take them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.images import ImageDataset, Images, fingerprint
from gan_jax.diagnostics.detector import LABELS
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.experiment.examples import tiny_dcgan
from gan_jax.experiment.experiment import Discriminator, Generator
from gan_jax.networks.dcgan import DCGANDiscriminator, DCGANGenerator
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from gan_jax.networks.resnet import ResNetDiscriminator, ResNetGenerator
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.train import train

NETWORKS = {
    "mlp": (MLPGenerator(widths=(8,), output="tanh"), MLPDiscriminator(widths=(8,))),
    "dcgan": (DCGANGenerator(width=4), DCGANDiscriminator(width=4)),
    "resnet": (ResNetGenerator(width=4), ResNetDiscriminator(width=4)),
    "progressive": (ProgressiveGenerator(width=8), ProgressiveDiscriminator(width=8)),
}


def colour_set(size: int, num: int = 64) -> ImageDataset:
    pixels = np.random.default_rng(0).integers(0, 256, (num, size, size, 3), dtype=np.uint8)
    return ImageDataset(jnp.asarray(pixels), None, jnp.asarray(pixels), None)


@pytest.mark.parametrize(
    ("kind", "size"),
    [("mlp", 28), ("dcgan", 16), ("dcgan", 28), ("dcgan", 32), ("dcgan", 64), ("resnet", 32), ("progressive", 32)],
)
def test_every_network_trains_on_three_channels(kind, size):
    generator, discriminator = NETWORKS[kind]
    experiment = tiny_dcgan(
        data=Images("made", image_size=size, channels=3),
        generator=Generator(network=generator, latent_dim=8),
        discriminator=Discriminator(network=discriminator),
    )
    dataset = colour_set(size)
    reference = experiment.detector.reference(experiment.data, dataset)
    result = jax.eval_shape(train, experiment, LoadedData(dataset, reference), jax.random.key(0))
    assert result.state.generator.variables.params
    samples = jax.eval_shape(
        lambda variables: generator.apply(variables, jnp.zeros((5, 8)), experiment.data.shape, train=False)[0],
        result.state.generator.variables,
    )
    assert samples.shape == (5, size, size, 3)


def test_without_a_classifier_the_pixels_decide():
    detector, dataset = ImageDetector(num_samples=64), colour_set(16)
    data = Images("made", image_size=16, channels=3)
    reference = detector.reference(data, dataset)
    assert reference.classifier is None
    source = data.source(dataset)
    real = source.sample(jax.random.key(0), 64)
    for samples, label in ((real, "healthy"), (jnp.broadcast_to(real[:1], real.shape), "total")):
        seen = detector.observe(source, reference, detector.measure(source, reference, samples))
        assert LABELS[int(seen.label)] == label
    assert (
        "a collapse to one picture is seen, and one to a few classes is not"
        in detector.definition(data, reference)["rule"]
    )
    assert set(detector.bounds(source, reference)) == {"pairwise_ratio", "pixel_std"}


def test_channels_are_grey_or_colour_and_count_in_the_fingerprint():
    with pytest.raises(ValueError, match=r"Images.channels is 2, and must be 1 \(grey\) or 3 \(colour\)"):
        Images(channels=2)
    dataset = colour_set(16)
    assert fingerprint(dataset) != fingerprint(dataset._replace(test_images=dataset.test_images[..., :1]))
