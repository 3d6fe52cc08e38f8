"""Mixtures as weighted training sets: what is drawn, how often, and that new weights are only new numbers."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.images import Images
from gan_jax.data.mixtures import Grid, Ring, Temperatures
from gan_jax.data.weighted import Weighted, reweighted
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.experiment import Data
from gan_jax.experiment.records import read_component
from gan_jax.experiment.settings import to_json
from gan_jax.scaling.programs import chunk_program, compiled_init
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.evaluations import load_data


def numbered(weights):
    """Points 0, 1, 2, ... on a line, with these weights."""
    data = Weighted(Temperatures(), num_points=len(weights))
    points = jnp.arange(float(len(weights)))[:, None]
    return data, reweighted(data.load()._replace(points=points), weights)


@pytest.mark.parametrize("mixture", [Ring(), Grid(side=3), Temperatures()])
def test_it_is_data_with_the_mixtures_truth(mixture, key):
    data = Weighted(mixture, num_points=50)
    assert isinstance(data, Data)
    dataset, truth = data.load(), mixture.source(())
    source = data.source(dataset)
    assert dataset.points.shape == (50, *data.shape)
    np.testing.assert_array_equal(dataset.points, data.load().points)
    for name in ("modes", "std", "weights", "noisy"):
        np.testing.assert_array_equal(getattr(source, name), getattr(truth, name))
    np.testing.assert_array_equal(source.log_prob(dataset.points), truth.log_prob(dataset.points))
    assert not np.array_equal(dataset.points, Weighted(mixture, num_points=50, points_seed=1).load().points)


def test_points_are_drawn_by_weight(key):
    weights = np.array([0.5, 0.0, 0.3, 0.2, 0.0])
    data, dataset = numbered(weights)
    num = 20_000
    drawn = np.asarray(data.source(dataset).sample(key, num))[:, 0].astype(int)
    shares = np.bincount(drawn, minlength=5) / num
    # Key 0: within 5 standard errors of each weight; exactly never where it is 0, the last point included.
    assert np.all(np.abs(shares - weights) <= 5 * np.sqrt(weights * (1 - weights) / num))
    assert shares[1] == shares[4] == 0


def test_many_points_of_weight_zero_are_never_drawn(key):
    weights = np.random.default_rng(0).random(64_000)
    weights[::2] = 0
    data, dataset = numbered(weights)
    drawn = np.asarray(data.source(dataset).sample(key, 100_000))[:, 0].astype(int)
    assert np.all(drawn % 2 == 1)
    assert np.all(np.diff(dataset.cumulative) >= 0)


def test_batches_depend_on_key_and_step_alone(key):
    data = Weighted(Ring(), num_points=100)
    source = data.source(data.load())
    np.testing.assert_array_equal(source.batch(key, 3, 16), source.batch(key, jnp.int32(3), 16))
    assert not np.array_equal(source.batch(key, 3, 16), source.batch(key, 4, 16))
    assert source.batch(key, 3, 16, count=5).shape == (5, 2)


def test_other_weights_run_the_same_program(key):
    experiment = tiny_ring(data=Weighted(Ring(), num_points=64))
    resources = load_data(experiment)
    program, kept = chunk_program(small=True), []
    for weights in (np.ones(64), np.arange(64.0)):
        data = resources._replace(dataset=reweighted(resources.dataset, weights))
        result = program(experiment, data, compiled_init(experiment, key), ChunkSpec(2))
        kept.append(program._cache_size())
    assert kept[0] == kept[1]
    assert bool(result.evaluation.metrics["running"].finite)


def test_it_survives_json():
    data = Weighted(Grid(side=3, std=0.1), num_points=10, points_seed=4)
    assert read_component(to_json(data)) == data


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        ([1.0, 1.0], r"shape \(2,\), and must have \(3,\)"),
        ([1.0, -1.0, 2.0], "not negative"),
        ([1.0, np.nan, 2.0], "finite"),
        ([0.0, 0.0, 0.0], "not all 0"),
    ],
)
def test_weights_that_are_none(weights, problem):
    dataset = Weighted(Ring(), num_points=3).load()
    with pytest.raises(ValueError, match=problem):
        reweighted(dataset, weights)


def test_only_mixtures_are_weighted():
    with pytest.raises(ValueError, match="must be one of Ring"):
        Weighted(Images("digits"))
    with pytest.raises(ValueError, match="leave out --data"):
        Weighted(Ring()).load("somewhere")
