"""Cosines of estimated gradients with the exact one."""

import jax

from benchmarks.evolution import measured
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.experiment import Discriminator, Generator
from gan_jax.networks.mlp import MLPDiscriminator
from gan_jax.networks.points import PointGenerator
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.optimizers import SGD


def test_the_cosine_grows_with_the_pairs():
    game = tiny_ring(
        batch_size=16,
        generator=Generator(network=PointGenerator(), latent_dim=2, optimizer=SGD()),
        discriminator=Discriminator(network=MLPDiscriminator(widths=(8,)), learning_rate=0.2, optimizer=SGD()),
    )
    first_order, few, many = measured(game, compiled_init(game, jax.random.key(0)), 5, [1, 2_000], 0.01)
    assert first_order["parameters"] == 2
    assert few["cosine"] < many["cosine"]
    assert many["cosine"] > 0.98
    assert 0.99 < first_order["cosine"] < 0.99995  # the part that goes through D is small in this game
    assert abs(few["expected"] - 0.5) < 1e-9
