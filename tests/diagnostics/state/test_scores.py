"""D's score of single samples: G's loss of each, committees, and discriminators without one."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.diagnostics.state.scores import check_scored, generator_losses, score_at
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.experiment import Discriminator
from gan_jax.losses.inference import ALI
from gan_jax.losses.objectives import NonSaturating, Relativistic, RelativisticAverage
from gan_jax.networks.committee import Committee
from gan_jax.networks.encoder import Bidirectional
from gan_jax.networks.minibatch import MinibatchStddev
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.packing import Packed
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.scaling.programs import compiled_init


def test_the_loss_of_each_fake_is_that_of_training(key):
    real = jax.random.normal(key, (6, 2))
    fake = jax.random.normal(jax.random.fold_in(key, 1), (4, 2))

    def score(x):
        return x[:, 0] - 2 * x[:, 1]

    def losses(objective):
        return generator_losses(tiny_ring(objective=objective), score, real)(fake)

    np.testing.assert_allclose(losses(NonSaturating()), jax.nn.softplus(-score(fake)), rtol=1e-6)
    apart = score(fake)[:, None] - score(real)[None]
    pairs = jax.nn.softplus(-apart) + jax.nn.softplus(apart * -1.0)
    np.testing.assert_allclose(losses(Relativistic()), jnp.mean(pairs, axis=1), rtol=1e-5)
    average = score(fake) - jnp.mean(score(real))
    mean_real = jnp.mean(jax.nn.softplus(score(real)[None] - score(fake)[:, None]), axis=1)
    np.testing.assert_allclose(losses(RelativisticAverage()), jax.nn.softplus(-average) + mean_real, rtol=1e-5)


def test_a_committees_score_is_the_mean_of_its_members(key):
    network = Committee(network=MLPDiscriminator(widths=(4,)), num=2)
    experiment = tiny_ring(discriminator=Discriminator(network=network))
    state = compiled_init(experiment, key)
    points = jax.random.normal(key, (5, 2))
    flat, _ = network.apply(state.discriminator.variables, points, train=False)
    np.testing.assert_allclose(score_at(experiment, state)(points), flat.reshape(5, 2).mean(axis=1), rtol=1e-6)


MLP = MLPDiscriminator(widths=(8,))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": Packed(network=MLP, num=2)}, "scores 2 at once: train without packing"),
        ({"network": SpectralNorm(network=Packed(network=MLP, num=4))}, "scores 4 at once"),
        ({"network": MLPDiscriminator(widths=(8,), minibatch=MinibatchStddev())}, "depends on the batch around it"),
    ],
)
def test_a_discriminator_without_a_score_of_one_sample_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        check_scored(tiny_ring(discriminator=Discriminator(**changes)), "the landscape")


def test_a_discriminator_of_pairs_with_latents_is_refused():
    network = Bidirectional(network=MLPGenerator(widths=(8,)), trunk=MLP)
    experiment = tiny_ring()
    generator = dataclasses.replace(experiment.generator, network=network)
    with pytest.raises(ValueError, match=r"pairs of a sample and a latent \(ALI\): train without inference"):
        check_scored(dataclasses.replace(experiment, generator=generator, inference=ALI()), "the landscape")
