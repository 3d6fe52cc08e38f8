"""D's accuracies on training, held-out and fake examples: discriminators whose memory is known."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.mixtures import Ring
from gan_jax.data.stacked import StackedImages
from gan_jax.data.weighted import Weighted
from gan_jax.diagnostics.state.split_accuracies import loss_floors, split_accuracies, split_batches, split_examples
from gan_jax.experiment.component import component
from gan_jax.experiment.examples import tiny_dcgan, tiny_images, tiny_ring, tiny_stacked
from gan_jax.losses.transforms import ExactFlips
from gan_jax.networks.network import Variables
from gan_jax.networks.points import LinearDiscriminator, PointGenerator
from gan_jax.scaling.programs import compiled_init


def with_discriminator(experiment, **changes):
    return dataclasses.replace(experiment, discriminator=dataclasses.replace(experiment.discriminator, **changes))


@component
class LookUp:
    """A D that gives 3 to the points among its parameters, and -1 to all others."""

    def check(self, shape):
        pass

    def init(self, key, shape):
        return Variables({"points": jnp.zeros((1, *shape))}, {})

    def apply(self, variables, samples, *, train, axis_name=None):
        apart = jnp.sum((samples[:, None] - variables.params["points"][None]) ** 2, axis=-1)
        return jnp.where(jnp.min(apart, axis=1) == 0, 3.0, -1.0), variables.statistics

    def features(self, variables, samples, *, train, axis_name=None):
        return self.apply(variables, samples, train=train)[0], {}


def test_a_d_that_stores_its_training_points_memorises_them():
    data = Weighted(data=Ring(), num_points=200)
    dataset = data.load()
    experiment = with_discriminator(tiny_ring(data=data), network=LookUp(), transforms=(ExactFlips(rate=0.1),))
    state = compiled_init(experiment, jax.random.key(0))
    knowing = state.discriminator._replace(variables=Variables({"points": dataset.points}, {}))
    state = state._replace(discriminator=knowing)
    split = split_examples(experiment, dataset, 256, jax.random.key(1))
    assert "200 fixed training points" in split.note
    batches = split_batches(experiment, split, jax.random.key(2))
    found = jax.device_get(split_accuracies(experiment, state, *batches))["running"]
    plain = found["plain"]
    assert [float(share) for share in (plain.train, plain.held_out, plain.fake)] == [1.0, 0.0, 1.0]
    assert float(plain.overfitting) == 1
    p = math.floor(0.1 * 32) / 32

    def softplus(x):
        return math.log1p(math.exp(x))

    known, new = ((1 - p) * softplus(-s) + p * softplus(s) for s in (3, -1))
    assert float(found["noisy"].train_loss) == pytest.approx(known, rel=1e-5)
    assert float(found["noisy"].held_out_loss) == pytest.approx(new, rel=1e-5)
    floor = loss_floors(experiment, 0)
    assert floor["real"] == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p), abs=1e-5)
    assert known > floor["real"]


def test_a_linear_discriminator_agrees_with_a_hand_computation():
    experiment = tiny_ring()
    gen = dataclasses.replace(experiment.generator, network=PointGenerator(start=-0.5))
    experiment = with_discriminator(dataclasses.replace(experiment, generator=gen), network=LinearDiscriminator())
    split = split_examples(experiment, (), 320, jax.random.key(0))
    assert not split.known
    batches = split_batches(experiment, split, jax.random.key(1))
    found = jax.device_get(split_accuracies(experiment, compiled_init(experiment, jax.random.key(2)), *batches))
    assert found.keys() == {"running"}
    scores = {name: np.sum(np.asarray(getattr(split, name)), axis=1) for name in ("train", "held_out")}
    plain = found["running"]["plain"]
    for name, values in scores.items():
        assert float(getattr(plain, name)) == pytest.approx(np.mean(values > 0))
        assert float(getattr(plain, f"{name}_score")) == pytest.approx(np.mean(values), abs=1e-4)
        assert float(getattr(plain, f"{name}_loss")) == pytest.approx(np.mean(np.log1p(np.exp(-values))), rel=1e-4)
    assert float(plain.fake) == 1
    assert float(plain.fake_loss) == pytest.approx(math.log1p(math.exp(-1)), rel=1e-5)


def test_examples_of_images_are_different_ones_of_the_right_side():
    images = tiny_images(64)
    dataset = images._replace(test_images=255 - images.images[:40])
    split = split_examples(tiny_dcgan(), dataset, 50, jax.random.key(0))
    assert split.train.shape[0] == split.held_out.shape[0] == 40
    pools = [(2.0 * np.asarray(pool, np.float32) - 255) / 255 for pool in (dataset.images, dataset.test_images)]
    for part, pool in zip((split.train, split.held_out), pools, strict=True):
        where = [
            np.flatnonzero(np.all(np.isclose(pool, image, atol=1e-6), axis=(1, 2, 3))) for image in np.asarray(part)
        ]
        assert len({int(index[0]) for index in where}) == 40


@pytest.mark.parametrize("protocol", ["fresh", "fixed"])
def test_stacked_images_have_held_out_stacks(protocol):
    experiment = tiny_stacked(data=StackedImages(name="digits", protocol=protocol))
    split = split_examples(experiment, experiment.data.load(), 8, jax.random.key(0))
    assert split.train.shape == split.held_out.shape == (8, *experiment.data.shape)
    assert split.known


def test_both_modes_of_batch_norm_are_measured():
    experiment, dataset = tiny_dcgan(), tiny_images(64)
    network = experiment.discriminator.network
    split = split_examples(experiment, dataset, 32, jax.random.key(0))
    batches = split_batches(experiment, split, jax.random.key(1))
    state = compiled_init(experiment, jax.random.key(2))
    found = jax.device_get(split_accuracies(experiment, state, *batches))
    assert found.keys() == {"batch", "running"}
    variables, real = state.discriminator.variables, batches[0]

    @jax.jit
    def score(variables, samples):
        return network.apply(variables, samples, train=True)[0]

    direct = np.mean([np.mean(score(variables, batch)) for batch in real])
    assert float(found["batch"]["plain"].train_score) == pytest.approx(direct, rel=1e-3)
    assert float(found["running"]["plain"].train_score) != pytest.approx(direct, rel=1e-2)
