"""Runs: chunks, epochs, evaluations, and that every way through them gives the same bits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.configs import load
from gan_jax.experiment.examples import tiny_dcgan, tiny_images, tiny_ring
from gan_jax.experiment.settings import override
from gan_jax.scaling.programs import chunk_program, compiled_chunk, compiled_init
from gan_jax.training import evaluations
from gan_jax.training.chunks import ChunkSpec, chunks, plan
from gan_jax.training.evaluations import LoadedData, load_data
from tests.helpers import jit_step, leaves_equal


def finish(experiment, resources, state):
    for _, result in chunks(compiled_chunk, experiment, resources, state):
        state = result.state
    return state


def test_chunks_are_the_same_as_single_steps():
    experiment = tiny_ring(num_steps=12, eval_every_steps=4)
    resources = load_data(experiment)
    chunked = finish(experiment, resources, compiled_init(experiment, jax.random.key(0)))
    state = compiled_init(experiment, jax.random.key(0))
    for _ in range(12):
        state, _ = jit_step(experiment, resources.dataset, state)
    # Not bit for bit: XLA fuses a lone step otherwise than the body of a scan. 12 steps of 1e-3 move weights by 1e-2.
    for a, b in zip(jax.tree.leaves(chunked.generator), jax.tree.leaves(state.generator), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("num_steps", [8, 7])
def test_several_steps_in_an_iteration_of_the_loop_are_the_same_steps(num_steps):
    experiment, spec = tiny_ring(), ChunkSpec(num_steps, evaluates=False)
    one, several = (
        compiled_chunk(experiment, load_data(experiment), compiled_init(experiment, jax.random.key(0)), each)
        for each in (spec, spec._replace(steps_per_iteration=4))
    )
    assert int(one.state.step) == int(several.state.step) == num_steps
    for a, b in zip(jax.tree.leaves(one.metrics), jax.tree.leaves(several.metrics), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_a_run_depends_on_its_key_alone():
    experiment = tiny_ring(num_steps=8, eval_every_steps=4)
    resources = load_data(experiment)
    first, again, other = (
        finish(experiment, resources, compiled_init(experiment, jax.random.key(s))) for s in (0, 0, 1)
    )
    assert leaves_equal(first, again)
    assert not leaves_equal(first.generator, other.generator)


def test_changing_floats_compiles_no_new_chunk():
    experiment = tiny_ring(num_steps=6, eval_every_steps=3)
    resources = load_data(experiment)
    finish(experiment, resources, compiled_init(experiment, jax.random.key(0)))
    programs = chunk_program(small=True)._cache_size()
    for path in ("discriminator.learning_rate", "data.std", "generator.optimizer.b1", "detector.rule.radius"):
        changed = override(experiment, path, 0.123)
        finish(changed, resources, compiled_init(changed, jax.random.key(0)))
    assert chunk_program(small=True)._cache_size() == programs


def test_evaluations_are_at_the_same_steps_wherever_a_run_starts():
    experiment = tiny_ring(num_steps=25, eval_every_steps=10)
    resources = load_data(experiment)
    parts = [tuple(p)[:3] for p in plan(experiment, resources, 0)]
    assert parts == [(10, None, True), (10, None, True), (5, None, True)]
    assert list(plan(experiment, resources, 10)) == list(plan(experiment, resources, 0))[1:]
    assert list(plan(experiment, resources, 25)) == []


@pytest.mark.parametrize(("num_examples", "parts"), [(40, [(2, 8, True)] * 3), (48, [(3, None, True)] * 3)])
def test_epochs_with_a_short_last_batch_end_in_a_short_step(num_examples, parts):
    experiment = override(tiny_dcgan(num_steps=9, eval_every_steps=3), "data.last_batch", "short")
    resources = LoadedData(tiny_images(num_examples), ())
    assert [tuple(p)[:3] for p in plan(experiment, resources, 0)] == parts


def test_chunks_are_cut_at_epoch_ends_even_between_evaluations():
    experiment = override(tiny_dcgan(num_steps=7, eval_every_steps=7), "data.last_batch", "short")
    resources = LoadedData(tiny_images(40), ())
    assert [tuple(p)[:3] for p in plan(experiment, resources, 0)] == [(2, 8, False), (2, 8, False), (1, None, True)]


def test_a_short_epoch_shows_every_example_once():
    experiment = override(tiny_dcgan(), "data.last_batch", "short")
    dataset = tiny_images(40)
    source = experiment.data.source(dataset)
    key = jax.random.key(3)
    for epoch in range(2):
        index = [source.batch_index(key, 3 * epoch + i, 16, count=c) for i, c in enumerate((16, 16, 8))]
        assert sorted(np.concatenate(index).tolist()) == list(range(40))


def test_evaluations_use_one_bank_of_latents_in_both_modes_of_batch_norm():
    experiment = tiny_dcgan()
    resources = load_data(experiment)
    state = compiled_init(experiment, jax.random.key(0))
    evaluate = jax.jit(evaluations.evaluate)
    first, second = evaluate(experiment, resources, state), evaluate(experiment, resources, state)
    assert set(first.metrics) == {"batch", "running"}
    np.testing.assert_array_equal(first.samples, second.samples)
    assert first.samples.shape == (experiment.detector.num_samples, 16, 16, 1)
    moved = evaluate(experiment, resources, state._replace(step=jnp.int32(7)))
    np.testing.assert_array_equal(first.samples, moved.samples)


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(ValueError, match="more than the 1437 training examples of digits"):
        load_data(tiny_dcgan(batch_size=2048, detector=tiny_dcgan().detector.__class__(num_samples=2048)))


def test_a_short_ring_run_reaches_the_stated_coverage():
    # Key 0: the shipped ring config has captured 6 of its 8 modes in some evaluation of its first 3,000 steps, with a
    # third of its samples on them. (Of keys 0 and 1, both had by step 2,000.)
    experiment = override(override(load("ring"), "num_steps", 3000), "eval_every_steps", 250)
    resources = load_data(experiment)
    seen = []
    for _, result in chunks(compiled_chunk, experiment, resources, compiled_init(experiment, jax.random.key(0))):
        metrics = result.evaluation.metrics["running"]
        seen.append((int(metrics.modes), float(metrics.high_quality)))
    assert max(modes for modes, _ in seen) >= 6
    assert max(quality for _, quality in seen) > 1 / 3
