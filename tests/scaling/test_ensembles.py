"""Mixtures of generators: what they sample, what a round is made of, and that members are the single runs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.mixtures import Ring, Temperatures
from gan_jax.data.weighted import Weighted, reweighted
from gan_jax.experiment.examples import tiny_ring
from gan_jax.experiment.experiment import Generator
from gan_jax.experiment.settings import override
from gan_jax.networks.mlp import MLPDiscriminator
from gan_jax.networks.network import Variables
from gan_jax.networks.points import PointGenerator
from gan_jax.scaling.boosting import star_weights
from gan_jax.scaling.ensembles import (
    DensityRatioClassifier,
    DensityRatioFit,
    Ensemble,
    bag,
    boost,
    coverage,
    first,
    independent,
    measure,
    member,
    ratios,
    rounds,
    sample,
)
from gan_jax.training.evaluations import load_data

CLASSIFIER = DensityRatioClassifier(num_steps=20, batch_size=32)


def tiny(**changes):
    return tiny_ring(data=Weighted(Ring(), num_points=200), num_steps=5, **changes)


def points_mixture(experiment, positions, weights):
    """A mixture of generators that each make one point."""
    num, shape = len(weights), experiment.data.shape
    values = jnp.stack([jnp.full(shape, float(position)) for position in positions])
    known = experiment.generator.network.init(jax.random.key(0), 1, shape)
    params = jax.tree.map(lambda leaf: values.reshape(num, *leaf.shape), known.params)
    nothing = jnp.full(num, jnp.nan)
    data_weights = jnp.full((num, 2), 0.5)
    return Ensemble(
        Variables(params, known.statistics), jnp.asarray(weights), data_weights, DensityRatioFit(nothing, nothing)
    )


def of_points(data):
    return tiny_ring(data=data, generator=Generator(network=PointGenerator(), latent_dim=1))


# --- Mixtures ---------------------------------------------------------------------------------------------------------


def test_components_are_sampled_by_weight(key):
    experiment = of_points(Weighted(Ring(), num_points=10))
    weights = np.array([0.5, 0.0, 0.3, 0.2])
    mixture = points_mixture(experiment, [0, 1, 2, 3], weights)
    num = 20_000
    samples = sample(experiment, mixture, key, num)
    shares = np.bincount(np.asarray(samples[:, 0]).astype(int), minlength=4) / num
    # Key 0: within 5 standard errors of each weight, and never where it is 0.
    assert np.all(np.abs(shares - weights) <= 5 * np.sqrt(weights * (1 - weights) / num))
    assert shares[1] == 0
    np.testing.assert_array_equal(samples, sample(experiment, mixture, key, num))
    assert np.all(np.asarray(sample(experiment, member(mixture, 3), key, 100)) == 3)


def test_a_mixture_is_measured_by_the_detector(key):
    experiment = of_points(Weighted(Ring(num_modes=1, radius=1.0), num_points=10))
    resources = load_data(experiment)
    mode = experiment.data.source(resources.dataset).modes[0]
    mixture = points_mixture(experiment, [0, 5], [0.75, 0.25])
    params = jax.tree.map(lambda leaf: leaf.at[0].set(mode.reshape(leaf[0].shape)), mixture.generators.params)
    seen = measure(experiment, resources, mixture._replace(generators=Variables(params, {})), key)
    assert int(seen.modes) == 1
    # Key 0, 256 samples: 5 standard errors.
    assert float(seen.high_quality) == pytest.approx(0.75, abs=5 * np.sqrt(0.75 * 0.25 / 256))


def test_coverage_is_the_mass_of_the_modes_that_a_model_has(key):
    source = Ring(num_modes=8, std=0.05).source(())
    points, same = (source.sample(k, 2_000) for k in jax.random.split(key))
    quarter = same[jnp.linalg.norm(same[None] - source.modes[:2, None], axis=-1).min(0) < 0.5]
    full, some = (float(coverage(samples, points, 0.05)) for samples in (same, quarter))
    # Key 0, 2,000 samples: both the threshold and the share are estimated; 5 standard errors of a difference.
    error = np.sqrt(2 * 0.95 * 0.05 / 2_000)
    assert abs(full - 0.95) < 5 * error + 0.01  # each sample's own kernel counts: a little less than 95 %
    assert abs(some - 0.95 / 4) < 5 * np.sqrt(0.25 * 0.75 / 2_000)
    assert float(coverage(jnp.full((10, 2), 9.0), points, 0.05)) == 0
    assert float(coverage(jnp.full((10, 2), jnp.nan), points, 0.05)) == 0


# --- Rounds -----------------------------------------------------------------------------------------------------------


def test_a_judge_finds_the_ratio_of_two_densities(key):
    # Data: -1 and 1 in equal parts, nearly exact; mixture: 3 parts of 4 at 1. So d is 1/2 and 3/2.
    data = Weighted(Temperatures(cold=-1.0, hot=1.0, std=1e-3), num_points=400)
    experiment = of_points(data)
    dataset = data.load()
    mixture = points_mixture(experiment, [-1, 1], [0.25, 0.75])
    classifier = DensityRatioClassifier(
        network=MLPDiscriminator(widths=(16,)), num_steps=400, batch_size=256, learning_rate=1e-2
    )
    ratio, seen = ratios(experiment, dataset, mixture, key, classifier)
    share_hot = float(jnp.mean(dataset.points > 0))
    truth = jnp.where(dataset.points[:, 0] > 0, 0.75 / share_hot, 0.25 / (1 - share_hot))
    np.testing.assert_allclose(ratio, truth, rtol=0.15)
    assert float(seen.mean_ratio) == pytest.approx(1, abs=0.1)
    assert 1.2 < float(seen.loss) < 1.386


@pytest.mark.parametrize("weighting", ["star", "dagger"])
def test_two_rounds(weighting, key):
    experiment = tiny()
    resources = load_data(experiment)
    history = list(rounds(experiment, resources, key, 2, weighting=weighting, classifier=CLASSIFIER))
    one, two = history
    np.testing.assert_allclose(one.weights, [1, 0])
    np.testing.assert_allclose(two.weights, [0.5, 0.5])
    np.testing.assert_allclose(two.data_weights[0], jnp.full(200, 1 / 200), rtol=1e-6)
    assert float(jnp.sum(two.data_weights[1])) == pytest.approx(1, abs=1e-5)
    assert float(jnp.std(two.data_weights[1])) > 1e-6
    assert np.isnan(two.fits.loss[0])
    assert float(two.fits.loss[1]) > 0
    again = boost(experiment, resources, key, 2, weighting=weighting, classifier=CLASSIFIER)
    jax.tree.map(np.testing.assert_array_equal, two, again)
    before = first(two, 1)
    np.testing.assert_array_equal(
        sample(experiment, before, key, 64), sample(experiment, one._replace(generators=two.generators), key, 64)
    )
    other = boost(experiment, resources, jax.random.key(1), 2, weighting=weighting, classifier=CLASSIFIER)
    assert not np.array_equal(other.data_weights[1], two.data_weights[1])


def test_a_rounds_weights_are_the_theorems_of_what_the_judge_says(key):
    experiment = tiny()
    resources = load_data(experiment)
    one, two = rounds(experiment, resources, key, 2, beta=0.3, classifier=CLASSIFIER)
    judge_key = jax.random.fold_in(jax.random.fold_in(key, 1), 1)
    ratio, _ = ratios(experiment, resources.dataset, one, judge_key, CLASSIFIER)
    np.testing.assert_allclose(
        two.data_weights[1], star_weights(resources.dataset.weights, ratio, 0.3).weights, rtol=1e-3, atol=1e-6
    )
    np.testing.assert_allclose(two.weights, [0.7, 0.3], rtol=1e-6)


def test_a_missed_mode_gets_the_weight(key):
    # The mixture makes one of two equal modes: with beta = 1/2 = delta the other one gets everything.
    data = Weighted(Temperatures(cold=-1.0, hot=1.0, std=0.01), num_points=400)
    experiment = of_points(data)
    dataset = data.load()
    classifier = DensityRatioClassifier(network=MLPDiscriminator(widths=(16,)), num_steps=300, learning_rate=1e-2)
    ratio, _ = ratios(experiment, dataset, points_mixture(experiment, [-1], [1.0]), key, classifier)
    weights = star_weights(dataset.weights, ratio, 0.5).weights
    assert float(jnp.sum(jnp.where(dataset.points[:, 0] > 0, weights, 0))) > 0.97


# --- Members ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["vmap", "map"])
def test_members_are_the_single_runs(strategy, key):
    experiment = tiny()
    resources = load_data(experiment)
    bagged, apart = (train(experiment, resources, key, 2, strategy=strategy) for train in (bag, independent))
    np.testing.assert_allclose(bagged.weights, [0.5, 0.5])
    counts = bagged.data_weights * 200
    np.testing.assert_allclose(counts, jnp.round(counts), atol=1e-3)
    assert not np.array_equal(counts[0], counts[1])

    def single(dataset):
        return boost(experiment, resources._replace(dataset=dataset), key, 1).generators

    # 5 steps of Adam at 1e-3 in float32; vmap takes sums in another order.
    tolerance = {"vmap": 1e-4, "map": 0}[strategy]
    alone = single(resources.dataset), single(reweighted(resources.dataset, bagged.data_weights[0]))
    for ensemble, generators in zip((apart, bagged), alone, strict=True):
        jax.tree.map(
            lambda many, one: np.testing.assert_allclose(many[0], one[0], rtol=0, atol=tolerance),
            ensemble.generators,
            generators,
        )


def test_wrong_arguments_are_told_with_their_remedy(key):
    experiment = tiny()
    resources = load_data(experiment)
    for train in (boost, bag, independent):
        with pytest.raises(ValueError, match="an ensemble of 0 components: give at least 1"):
            train(experiment, resources, key, 0)
        with pytest.raises(ValueError, match=r"use data=Weighted\(Ring\(...\)\)"):
            train(tiny_ring(), resources, key, 1)
    with pytest.raises(ValueError, match="no strategy for members of an ensemble 'pmap'; did you mean"):
        bag(experiment, resources, key, 1, strategy="pmap")
    with pytest.raises(ValueError, match="no weighting 'sta'; did you mean 'star'"):
        rounds(experiment, resources, key, 1, weighting="sta")
    for beta in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="above 0 and at most 1"):
            rounds(experiment, resources, key, 1, beta=beta)
    with pytest.raises(ValueError, match="no weight"):
        first(boost(experiment, resources, key, 2, beta=1.0, classifier=CLASSIFIER), 1)


def test_a_component_that_breaks_is_named(key):
    broken = override(tiny(), "generator.learning_rate", 1e38)
    with pytest.raises(FloatingPointError, match="component 0 stopped being finite at step"):
        boost(broken, load_data(broken), key, 1)
