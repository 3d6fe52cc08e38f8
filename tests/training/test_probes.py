"""The recorder: it changes no number of the run, and what it notes is what it says."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.weighted import Weighted
from gan_jax.diagnostics.magnitudes import rms
from gan_jax.diagnostics.recorder import AGES, Recorder
from gan_jax.experiment.examples import tiny_dcgan, tiny_ring
from gan_jax.losses.objectives import EnergyMargin
from gan_jax.networks.autoencoder import AutoencoderDiscriminator
from gan_jax.networks.packing import Packed
from gan_jax.scaling.data_parallel import assert_replicas, make_parallel_chunk
from gan_jax.scaling.programs import compiled_chunk, compiled_init
from gan_jax.scaling.strategies import Strategy
from gan_jax.training.batches import generate, sample_latent
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.context import StepContext
from gan_jax.training.evaluations import load_data
from gan_jax.training.probes import held_out, record

RECORDER = Recorder(every_steps=2, num_examples=16)


def trained(experiment, num_steps=6, evaluates=False):
    resources = load_data(experiment)
    return resources, compiled_chunk(
        experiment, resources, compiled_init(experiment, jax.random.key(0)), ChunkSpec(num_steps, evaluates=evaluates)
    )


def same(first, second):
    leaves = [
        [
            jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x
            for x in jax.tree.leaves(t)
        ]
        for t in (first, second)
    ]
    return all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(*leaves, strict=True))


@pytest.mark.parametrize("make", [tiny_ring, tiny_dcgan])
def test_a_run_with_a_recorder_is_the_run_without_bit_for_bit(make):
    plain, recorded = (trained(make(recorder=recorder), evaluates=True)[1] for recorder in (None, RECORDER))
    assert plain.signals is None
    assert plain.state.probe_state == ()
    for part in ("generator", "discriminator", "detector"):
        assert same(getattr(plain.state, part), getattr(recorded.state, part)), part
    assert same(plain.evaluation, recorded.evaluation)
    assert same(plain.metrics, {name: recorded.metrics[name] for name in plain.metrics})
    assert all(series.shape == (3,) for series in recorded.signals.values())


@pytest.mark.parametrize(("num_steps", "looks"), [(0, 0), (1, 1), (3, 1), (4, 2), (10, 5), (7, 1), (9, 3)])
def test_looks_divide_a_chunk_into_equal_parts_not_shorter_than_asked(num_steps, looks):
    assert RECORDER.num_probes(num_steps) == looks


def test_signals_are_what_they_say():
    experiment = tiny_ring(recorder=RECORDER)
    _, result = trained(experiment)
    state = result.state
    looks = state.probe_state
    assert int(looks.num_done) == 3
    gen, disc = state.generator.variables, state.discriminator.variables
    latent = sample_latent(experiment, jax.random.key(5), 8)
    samples, _ = generate(StepContext(experiment, state.step), gen, latent, train=True)
    again, features = experiment.generator.network.features(gen, latent, (2,), train=True)
    np.testing.assert_array_equal(samples, again)
    assert set(features) == {"hidden_0", "hidden_1"}

    # The last look's fakes are in its memory: scores, accuracy and gradients follow from them.
    points = looks.points

    def score(x):
        return experiment.discriminator.network.apply(disc, x, train=False)[0]

    np.testing.assert_allclose(
        looks.gradients, jax.vmap(jax.grad(lambda x: score(x[None])[0]))(points), rtol=1e-4, atol=1e-6
    )
    signals = {name: series[-1] for name, series in result.signals.items()}
    np.testing.assert_allclose(signals["input_gradient/fake"], rms(looks.gradients[8:]), rtol=1e-6)
    np.testing.assert_array_equal(points[8:], looks.fakes[0])
    assert -1 <= float(signals["forgetting/cosine"]) <= 1
    np.testing.assert_allclose(signals["scores/fooled"], 1 - signals["memorisation/fake"])
    values = np.linalg.svd(np.asarray(disc.params["dense_1"]["kernel"]))[1]
    assert 0.5 * values[0] < float(signals["discriminator/singular/dense_1"]) <= values[0] * (1 + 1e-5)
    for player in ("generator", "discriminator"):
        assert result.metrics[f"{player}_update_ratio"].shape == (6,)
        assert np.all(result.metrics[f"{player}_update_ratio"] > 0)


def test_a_player_that_stands_still_has_turned_by_nothing():
    experiment = tiny_ring(recorder=RECORDER)
    resources, result = trained(experiment)
    state = result.state
    players = state.generator.variables, state.discriminator.variables
    memory, _ = record(experiment, resources.dataset, players, state.probe_state, state.key, state.step)
    _, signals = record(experiment, resources.dataset, players, memory, state.key, state.step)
    np.testing.assert_allclose(signals["forgetting/cosine"], 1.0, rtol=1e-5)
    assert float(signals["forgetting/reversed"]) == 0.0
    scores, _ = experiment.discriminator.network.apply(
        result.state.discriminator.variables, memory.fakes[0], train=False
    )
    assert float(signals["forgetting/old_fakes_1"]) == float(jnp.mean(scores < 0))


def test_old_fakes_are_as_old_as_they_say():
    experiment = tiny_ring(recorder=RECORDER)
    _, result = trained(experiment, num_steps=10)
    for age in AGES:
        series = np.asarray(result.signals[f"forgetting/old_fakes_{age}"])
        assert np.all(np.isnan(series[:age]))
        assert np.all(np.isfinite(series[age:]))
    assert np.isnan(result.signals["forgetting/cosine"][0])
    assert np.isnan(result.signals["forgetting/reversed"][0])


def test_memory_goes_on_over_chunks():
    experiment = tiny_ring(recorder=RECORDER)
    resources, whole = trained(experiment, num_steps=10)
    state = compiled_init(experiment, jax.random.key(0))
    parts = []
    for num_steps in (6, 4):
        result = compiled_chunk(experiment, resources, state, ChunkSpec(num_steps, evaluates=False))
        state = result.state
        parts.append(result.signals)
    assert same(state, whole.state)
    for name, series in whole.signals.items():
        np.testing.assert_array_equal(series, np.concatenate([part[name] for part in parts]), err_msg=name)


def test_images_have_held_out_examples_and_both_modes_of_batch_norm():
    experiment = tiny_dcgan(recorder=RECORDER)
    resources, result = trained(experiment, num_steps=2)
    for mode in ("", "_batch"):
        train, unseen, gap = (result.signals[f"memorisation/{what}{mode}"] for what in ("train", "held_out", "gap"))
        np.testing.assert_allclose(gap, train - unseen, atol=1e-6)
    examples = held_out(experiment, resources.dataset, jax.random.key(0), 5)
    tests = np.asarray(resources.dataset.test_images).reshape(-1, 256)
    for example in np.asarray(examples).reshape(5, 256):
        assert np.any(np.all(np.abs(tests / 127.5 - 1 - example) < 1e-5, axis=1))
    assert held_out(tiny_ring(), (), jax.random.key(0), 5) is None
    fixed = tiny_ring(data=Weighted(data=tiny_ring().data, num_points=50))
    assert held_out(fixed, load_data(fixed).dataset, jax.random.key(0), 5).shape == (5, 2)


def test_scores_without_a_boundary_have_no_accuracies():
    disc = dataclasses.replace(tiny_ring().discriminator, network=AutoencoderDiscriminator(widths=(16, 4, 16)))
    _, result = trained(tiny_ring(recorder=RECORDER, objective=EnergyMargin(), discriminator=disc), num_steps=2)
    assert not [name for name in result.signals if "memorisation" in name or "old_fakes" in name or "fooled" in name]
    assert "forgetting/cosine" in result.signals


def test_recorders_ride_along_in_sweeps_and_over_devices():
    experiment = tiny_ring(recorder=RECORDER)
    resources, single = trained(experiment)
    strategy = Strategy("map")
    starts = [compiled_init(experiment, jax.random.key(seed)) for seed in range(2)]
    members = strategy.place([experiment] * 2, starts)
    program = strategy.compile(members, strategy.place_resources(resources), ChunkSpec(6, None, evaluates=False))
    result = program(members.experiments, resources, members.states)
    swept = strategy.gather(result.signals, 2)
    for name, series in single.signals.items():
        np.testing.assert_array_equal(swept[name][0], series, err_msg=name)
    split = make_parallel_chunk(jax.devices()[:2])
    parallel = split(experiment, resources, compiled_init(experiment, jax.random.key(0)), ChunkSpec(6, evaluates=False))
    assert_replicas(parallel.state)
    np.testing.assert_allclose(
        parallel.signals["discriminator/gradient/output"], single.signals["discriminator/gradient/output"], rtol=1e-3
    )


def test_half_a_look_divides_into_packs():
    base = tiny_ring()
    disc = dataclasses.replace(base.discriminator, network=Packed(network=base.discriminator.network, num=4))
    _, result = trained(tiny_ring(discriminator=disc, recorder=RECORDER), num_steps=2)
    assert np.all(np.isfinite(result.signals["input_gradient/real"]))
    with pytest.raises(ValueError, match="half of it must divide into packs of 4: set a multiple of 8"):
        tiny_ring(discriminator=disc, recorder=Recorder(num_examples=12))
