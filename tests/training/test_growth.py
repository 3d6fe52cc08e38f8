"""Growth: stages, their chunks, and a state that is carried over them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.examples import tiny_dcgan, tiny_ring
from gan_jax.experiment.experiment import Discriminator, Generator
from gan_jax.experiment.schedules import Linear
from gan_jax.experiment.settings import override
from gan_jax.losses.penalties import R1
from gan_jax.networks.progressive import ProgressiveDiscriminator, ProgressiveGenerator
from gan_jax.scaling.programs import compiled_chunk, compiled_init
from gan_jax.training.chunks import chunks, plan
from gan_jax.training.evaluations import load_data
from gan_jax.training.growth import Growth, at_stage, at_step, num_stages
from gan_jax.training.train import train


def growing(**changes):
    settings = {
        "generator": Generator(
            network=ProgressiveGenerator(width=8), latent_dim=8, average_decay=0.9, evaluated="average"
        ),
        "discriminator": Discriminator(network=ProgressiveDiscriminator(width=8), penalties=(R1(),)),
        "growth": Growth(stage_steps=2, fade_steps=2.0),
        "num_steps": 6,
        "eval_every_steps": 3,
    }
    return tiny_dcgan(**{**settings, **changes})


def test_chunks_are_cut_at_stages_and_at_evaluations():
    experiment = growing()
    parts = [(p.num_steps, p.evaluates, p.stage) for p in plan(experiment, load_data(experiment), 0)]
    assert parts == [(2, False, 0), (1, True, 1), (1, False, 1), (2, True, 2)]
    assert next(iter(plan(experiment, load_data(experiment), 3))).stage == 1


def test_train_goes_through_the_stages():
    experiment = growing()
    result = jax.eval_shape(train, experiment, load_data(experiment), jax.random.key(0))
    assert result.metrics["generator_loss"].shape == (6,)
    assert result.evaluations.step.shape == (2,)
    assert result.samples.shape == (experiment.detector.num_samples, 16, 16, 1)


def test_a_block_fades_in_over_the_start_of_its_stage():
    experiment = at_stage(growing(growth=Growth(stage_steps=100, fade_steps=50.0)), 1)
    assert experiment.generator.network.stage == experiment.discriminator.network.stage == 1
    for step, wanted in ((100, 0.0), (125, 0.5), (150, 1.0), (199, 1.0)):
        fade = at_step(experiment, jnp.int32(step)).generator.network.fade
        assert float(fade) == pytest.approx(wanted)
    assert at_stage(experiment, None) is experiment
    assert at_stage(growing(), 0).generator.network.fade == 1.0


def test_a_run_grows_in_one_state_and_its_new_blocks_learn_when_their_stage_comes():
    experiment = growing()
    assert num_stages(experiment) == 3
    resources = load_data(experiment)
    state = compiled_init(experiment, jax.random.key(0))
    structure = jax.tree.structure(state)
    states = [jax.device_get(state.generator.variables.params)]
    for _, result in chunks(compiled_chunk, experiment, resources, state):
        assert jax.tree.structure(result.state) == structure
        states.append(jax.device_get(result.state.generator.variables.params))
    assert int(result.state.step) == 6
    assert int(result.state.nonfinite_step) == -1
    assert bool(jnp.all(jnp.isfinite(result.evaluation.samples)))

    def moved(name, one, other):
        pairs = zip(jax.tree.leaves(one[name]), jax.tree.leaves(other[name]), strict=True)
        return any(bool(np.any(a != b)) for a, b in pairs)

    last = [name for name in states[0] if name.endswith("16")]
    first = [name for name in states[0] if name.endswith("4")]
    assert last
    assert first
    assert not any(moved(name, states[0], states[3]) for name in last)  # until step 4
    assert any(moved(name, states[3], states[4]) for name in last)
    assert any(moved(name, states[0], states[1]) for name in first)


def test_growth_that_cannot_work_is_refused():
    with pytest.raises(ValueError, match="growth takes networks with stages: use ProgressiveGenerator"):
        tiny_ring(growth=Growth())
    with pytest.raises(ValueError, match=r"fade_steps is 500.0, longer than a stage of 100 steps"):
        Growth(stage_steps=100, fade_steps=500.0)


def test_a_fade_may_be_a_schedule_of_its_own():
    network = ProgressiveGenerator(width=8, fade=Linear(start=0.0, stop=1.0, duration_steps=4))
    experiment = override(growing(growth=None), "generator.network", network)
    assert float(at_step(experiment, jnp.int32(1)).generator.network.fade) == pytest.approx(0.25)
