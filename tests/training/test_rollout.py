"""Unrolled players: identities with the plain game, derivatives through every kind of D, and no work done twice."""

from __future__ import annotations

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from benchmarks.programs import matmul_flops
from gan_jax.diagnostics.state.hypergradients import in_float64
from gan_jax.experiment.examples import tiny_dcgan, tiny_images, tiny_ring
from gan_jax.experiment.experiment import Discriminator, Generator, Unroll
from gan_jax.experiment.settings import override
from gan_jax.losses.objectives import Minimax
from gan_jax.losses.transforms import BernoulliFlips, ExactFlips, ExpectedFlips
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.scaling.programs import compiled_chunk, compiled_init
from gan_jax.training.batches import sample_latent
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.context import StepContext
from gan_jax.training.dynamics import Alternating, Consensus, Extragradient, Simultaneous
from gan_jax.training.evaluations import load_data
from gan_jax.training.optimizers import SGD, Adam
from gan_jax.training.steps import (
    BEFORE_UNROLLING,
    discriminator_step,
    dynamics_step,
    generator_objective,
    generator_step,
    make_draws,
    shares_first_update,
    train_step,
    unrolled_step,
)
from gan_jax.unroll import Exact, FirstOrder, Implicit, Truncated
from tests.helpers import leaves_equal, run_steps, step_of

RING = tiny_ring(
    batch_size=16,
    generator=Generator(network=MLPGenerator((8,)), latent_dim=8),
    discriminator=Discriminator(network=MLPDiscriminator((8,))),
)
"""One hidden layer each: an unrolled step is long, and tracing it takes as long as it is."""


def ring(**changes):
    return dataclasses.replace(RING, **changes)


def descending(experiment):
    """G by gradient descent: Adam's first step is the same for gradients of the same signs."""
    return override(override(experiment, "generator.optimizer", SGD()), "generator.learning_rate", 1.0)


def looking(experiment, **settings):
    return override(experiment, "generator.unroll", Unroll(**settings))


@jax.jit
def generator_step_of(experiment, dataset, state, real, latent, key):
    """(G's parameters after its step, its loss), in one program for all experiments of a structure."""
    source = experiment.data.source(dataset)
    after, metrics = step_of(generator_step, experiment, source)(state, real, latent, key, inner_key=key)
    return after.generator.variables.params, metrics["generator_loss"]


@jax.jit
def jit_discriminator_step(experiment, state, real, latent, key):
    return step_of(discriminator_step, experiment)(state, real, latent, key)


@jax.jit
def discriminator_step_of(experiment, state, real, latent, key):
    after, metrics = jit_discriminator_step(experiment, state, real, latent, key)
    return after.discriminator.variables.params, metrics["discriminator_loss"]


def players(experiment, dataset=(), seed=0, x64=False):
    """A state, and a batch for it."""
    state = compiled_init(experiment, jax.random.key(seed))
    key = jax.random.key(seed + 1)
    real = experiment.data.source(dataset).sample(key, experiment.batch_size)
    latent = sample_latent(experiment, key, experiment.batch_size)
    return *(in_float64(part) if x64 else part for part in (state, real, latent)), key


@pytest.mark.parametrize("dynamics", [Alternating(), Simultaneous(), Extragradient()], ids=lambda d: type(d).__name__)
def test_no_steps_are_the_plain_game_bit_for_bit(dynamics):
    plain = ring(dynamics=dynamics)
    both = override(looking(plain, num_steps=0), "discriminator.unroll", Unroll(num_steps=0))
    assert leaves_equal(run_steps(plain, 3), run_steps(both, 3))


@pytest.mark.parametrize("dynamics", [Alternating(), Simultaneous(), Extragradient()], ids=lambda d: type(d).__name__)
def test_the_loss_before_unrolling_is_that_of_the_plain_game(dynamics):
    plain = ring(dynamics=dynamics)
    expected, found = (
        compiled_chunk(e, load_data(e), compiled_init(e, jax.random.key(0)), ChunkSpec(1, evaluates=False)).metrics
        for e in (plain, looking(plain, num_steps=3))
    )
    assert BEFORE_UNROLLING not in expected
    np.testing.assert_allclose(found[BEFORE_UNROLLING], expected["generator_loss"], rtol=1e-5)
    assert abs(float(found["generator_loss"][0] - found[BEFORE_UNROLLING][0])) > 1e-5


SHARED = {
    "exact": {},
    "truncated": {"gradient": Truncated(2)},
    "implicit": {"gradient": Implicit()},
    "first order, fresh": {"gradient": FirstOrder(), "inner_data": "fresh"},
    "blocks, fresh": {"memory": "sqrt", "inner_data": "fresh"},
}


@pytest.mark.parametrize("case", SHARED)
def test_the_shared_first_update_changes_nothing(case):
    base = override(ring(dynamics=Simultaneous(), objective=Minimax()), "generator.optimizer", SGD())
    base = override(base, "discriminator.transforms", (ExactFlips(0.25),))
    experiment = looking(base, num_steps=3, **SHARED[case])
    assert shares_first_update(experiment)
    source = experiment.data.source(())
    with jax.enable_x64(True):
        state, real, latent, key = players(experiment, x64=True)
        step = step_of(unrolled_step, experiment, source=source)
        shared, _ = jax.jit(step)(state, real, latent, key, key)
        step = step_of(generator_step, experiment, source=source)
        gen, _ = jax.jit(step)(state, real, latent, key, inner_key=key)
        # What G looks at is nothing to D's own step, so that one program serves all cases.
        disc, _ = jit_discriminator_step(base, state, real, latent, key)
    for got, wanted in ((shared.generator, gen.generator), (shared.discriminator, disc.discriminator)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), got, wanted)


def test_what_cannot_be_shared_is_not():
    experiment = looking(tiny_ring(dynamics=Simultaneous()), num_steps=3)
    assert shares_first_update(experiment)
    for path, value in [
        ("dynamics", Alternating()),
        ("reuse_fakes", False),
        ("discriminator.updates_per_step", 2),
        ("discriminator.unroll", Unroll()),
        ("generator.unroll.optimizer", SGD()),
        ("generator.unroll.inner_loss", "objective"),
        ("generator.unroll.num_steps", 0),
    ]:
        assert not shares_first_update(override(experiment, path, value)), path


def test_truncation_in_the_game_counts_all_steps():
    """A rollout on fresh data is in two parts, its first update and the rest, and is cut where one in a piece is."""
    base = override(RING, "generator.optimizer", SGD())
    with jax.enable_x64(True):
        state, real, latent, key = players(base, x64=True)

        def after(gradient):
            experiment = looking(base, num_steps=3, inner_data="fresh", gradient=gradient)
            return ravel_pytree(generator_step_of(experiment, (), state, real, latent, key)[0])[0]

        exact, none = after(Exact()), after(FirstOrder())
        cut = [after(Truncated(j)) for j in range(4)]
    np.testing.assert_allclose(cut[0], none, rtol=1e-12)
    np.testing.assert_allclose(cut[3], exact, rtol=1e-12)
    assert all(not np.allclose(a, b, rtol=1e-9, atol=0) for a, b in itertools.pairwise(cut))


def spectral(experiment):
    return override(experiment, "discriminator", Discriminator(network=SpectralNorm(network=MLPDiscriminator((16,)))))


CASES = {
    "minimax": (override(RING, "objective", Minimax()), ()),
    "bernoulli flips": (override(RING, "discriminator.transforms", (BernoulliFlips(0.2),)), ()),
    "spectral norm": (spectral(RING), ()),
    "batch norm": (tiny_dcgan(batch_size=4, generator=tiny_dcgan().generator), tiny_images()),
    "joint batch norm": (override(tiny_dcgan(batch_size=4), "discriminator.batch_statistics", "joint"), tiny_images()),
}


@pytest.mark.parametrize("case", CASES)
def test_unrolled_gradients_agree_with_central_differences(case):
    """Through each kind of network, objective and transform: G's gradient is that of the loss that it computes."""
    base, dataset = CASES[case]
    experiment = looking(override(base, "generator.optimizer", SGD()), num_steps=3, inner_data="fresh")
    # Leaky and plain ReLUs have kinks, which a difference may straddle; what is tested here has none at this step.
    with jax.enable_x64(True):
        state, real, latent, key = players(experiment, dataset, x64=True)

        def after(params):
            player = state.generator._replace(variables=state.generator.variables._replace(params=unravel(params)))
            moved, loss = generator_step_of(experiment, dataset, state._replace(generator=player), real, latent, key)
            return ravel_pytree(moved)[0], loss

        params, unravel = ravel_pytree(state.generator.variables.params)
        gradient = (params - after(params)[0]) / experiment.generator.learning_rate
        for seed in range(2):
            direction = jax.random.normal(jax.random.key(seed), params.shape, params.dtype)
            direction /= jnp.linalg.norm(direction)
            size = 1e-6
            slope = (after(params + size * direction)[1] - after(params - size * direction)[1]) / (2 * size)
            assert abs(float(gradient @ direction) - float(slope)) < 2e-5 * float(jnp.linalg.norm(gradient))


def test_an_unrolled_discriminator_looks_through_g():
    """Its gradient by central differences; and it is another one than the plain game's."""
    plain = override(override(RING, "discriminator.optimizer", SGD()), "generator.optimizer", SGD())
    experiment = override(plain, "discriminator.unroll", Unroll(num_steps=3))
    experiment = override(experiment, "generator.learning_rate", 1.0)
    with jax.enable_x64(True):
        state, real, latent, key = players(experiment, x64=True)

        def after(params, settings=experiment):
            variables = state.discriminator.variables._replace(params=unravel(params))
            player = state.discriminator._replace(variables=variables)
            moved, loss = discriminator_step_of(settings, state._replace(discriminator=player), real, latent, key)
            return ravel_pytree(moved)[0], loss

        params, unravel = ravel_pytree(state.discriminator.variables.params)
        moved, plainly = (after(params, settings)[0] for settings in (experiment, plain))
        gradient = (params - moved) / experiment.discriminator.learning_rate
        direction = jax.random.normal(key, params.shape, params.dtype) / params.size**0.5
        slope = (after(params + 1e-6 * direction)[1] - after(params - 1e-6 * direction)[1]) / 2e-6
        assert abs(float(gradient @ direction) - float(slope)) < 2e-5 * float(jnp.linalg.norm(gradient))
        assert not np.allclose(moved, plainly, rtol=1e-6)


def test_inner_settings_mean_what_they_say():
    base = descending(RING)
    flipped = override(base, "discriminator.transforms", (ExactFlips(0.25),))
    state, real, latent, key = players(base)

    def after(base, start=state, **settings):
        experiment = looking(base, num_steps=2, **settings)
        return ravel_pytree(generator_step_of(experiment, (), start, real, latent, key)[0])[0]

    plain = after(base)
    np.testing.assert_array_equal(after(flipped, inner_loss="objective"), plain)
    assert not np.array_equal(after(flipped), plain)
    # The initial state of D's own Adam is a fresh one, so another Adam of the same settings changes nothing.
    np.testing.assert_array_equal(after(base, optimizer=Adam()), plain)
    np.testing.assert_array_equal(after(base, optimizer=Adam(), learning_rate=1e-3), plain)
    assert not np.array_equal(after(base, optimizer=Adam(), learning_rate=1e-2), plain)
    moved = state.discriminator.opt_state
    moved = jax.tree.map(lambda leaf: leaf + leaf.dtype.type(1), moved)
    warm = state._replace(discriminator=state.discriminator._replace(opt_state=moved))
    assert not np.array_equal(after(base, start=warm), plain)
    # One update is on the batch at hand, whatever the later ones are on.
    fresh = [after(base, inner_data=data) for data in ("fresh_real", "fresh")]
    assert not any(np.array_equal(a, b) for a, b in ((fresh[0], plain), (fresh[1], plain), (fresh[0], fresh[1])))
    with pytest.raises(ValueError, match="draws real examples: give the step context a source"):
        step_of(generator_step, looking(RING, num_steps=2, inner_data="fresh"))(state, real, latent, key)


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_rules_on_both_gradients_take_unrolled_players(player):
    """Consensus of weight 0 is the simultaneous game by another road."""
    base = override(RING, f"{player}.unroll", Unroll(num_steps=2, optimizer=SGD()))
    with jax.enable_x64(True):
        state, real, latent, key = players(base, x64=True)
        both = step_of(dynamics_step, override(base, "dynamics", Consensus(0.0)))
        got, _ = jax.jit(both)(state, real, latent, key, key)
        gen, _ = jax.jit(step_of(generator_step, base))(state, real, latent, key, inner_key=key)
        disc, _ = jit_discriminator_step(base, state, real, latent, key)
    for one, other in ((got.generator, gen.generator), (got.discriminator, disc.discriminator)):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11), one, other)


def test_the_unrolled_loss_is_differentiable_in_the_experiment():
    """In D's learning rate and in a label-noise rate: leaves of the experiment like any other."""
    base = override(RING, "discriminator.transforms", (ExpectedFlips(0.1),))
    experiment = looking(base, num_steps=3)
    with jax.enable_x64(True):
        state, real, latent, key = players(experiment, x64=True)

        def loss(rate, noise):
            changed = override(experiment, "discriminator.learning_rate", rate)
            changed = override(changed, "discriminator.transforms.0.rate", noise)
            make = generator_objective(StepContext(changed, state.step), state, make_draws(real, latent, key, key))
            return make(state.generator.variables.params)[0]

        at = jnp.float64(1e-2), jnp.float64(0.1)
        value = jax.jit(loss)
        for index, slope in enumerate(jax.jit(jax.grad(loss, argnums=(0, 1)))(*at)):
            ahead, behind = ([x + s * 1e-6 * (i == index) for i, x in enumerate(at)] for s in (1, -1))
            assert float(slope) == pytest.approx(float(value(*ahead) - value(*behind)) / 2e-6, rel=1e-5)
            assert abs(float(slope)) > 1e-6


def test_frozen_statistics_stay_in_the_rollout_and_advance_outside():
    base = descending(spectral(ring(dynamics=Simultaneous())))
    frozen, advanced = (run_steps(looking(base, num_steps=2, inner_statistics=s), 1)[0] for s in ("frozen", "advanced"))
    start = compiled_init(base, jax.random.key(0)).discriminator.variables.statistics
    assert not leaves_equal(frozen.discriminator.variables.statistics, start)
    assert leaves_equal(frozen.discriminator.variables.statistics, advanced.discriminator.variables.statistics)
    assert not leaves_equal(frozen.generator.variables, advanced.generator.variables)


@pytest.mark.parametrize("num_steps", [1, 5])
def test_the_discriminators_own_update_costs_nothing_extra(num_steps):
    """Counted in the jaxpr: products of matrices, scans multiplied out."""
    experiment = looking(tiny_ring(dynamics=Simultaneous()), num_steps=num_steps, memory="all")
    state, real, latent, key = players(experiment)
    whole = matmul_flops(step_of(unrolled_step, experiment), state, real, latent, key, key)
    alone = matmul_flops(step_of(generator_step, experiment), state, real, latent, key)
    step = matmul_flops(step_of(discriminator_step, experiment), state, real, latent, key)
    if num_steps == 1:
        assert whole == alone
    # In one scan, the first update is also differentiated in its constant start, which as a step of its own it is not:
    # that saves more than a step of D costs.
    assert whole <= alone - (step if num_steps > 1 else 0)


def test_samples_are_made_once_a_rollout():
    """The generator's products do not grow with K where the latents stay the same, and do where they are fresh."""

    def flops(num_steps, inner_data):
        experiment = looking(
            tiny_ring(dynamics=Simultaneous()), num_steps=num_steps, inner_data=inner_data, memory="all"
        )
        state, real, latent, key = players(experiment)
        step = step_of(unrolled_step, experiment, source=experiment.data.source(()))
        # Of G's first layer alone: no other product has the latent's 8 columns.
        return matmul_flops(step, state, real, latent, key, key, having=8)

    forward, weights = (2 * 32 * 8 * 16,) * 2
    assert flops(2, "same") == flops(6, "same") == forward + weights
    assert flops(6, "fresh") == 6 * (forward + weights)


def test_runs_stack_under_vmap():
    experiment = looking(ring(dynamics=Simultaneous()), num_steps=2)
    states = [compiled_init(experiment, jax.random.key(seed)) for seed in (0, 1)]
    step = jax.jit(lambda state: train_step(experiment, (), state)[0])
    together = jax.vmap(step)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))
    for index, state in enumerate(states):
        one = step(state)
        for a, b in zip(jax.tree.leaves(together.generator), jax.tree.leaves(one.generator), strict=True):
            np.testing.assert_allclose(a[index], b, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("case", ["ring", "joint batch norm"])
def test_unrolled_data_parallel_steps_equal_one_device(case):
    base, dataset = (RING, ()) if case == "ring" else CASES[case]
    experiment = looking(override(base, "dynamics", Simultaneous()), num_steps=3)
    experiment = override(override(experiment, "generator.optimizer", SGD()), "discriminator.optimizer", SGD())
    with jax.enable_x64(True):
        state, real, latent, key = players(experiment, dataset, x64=True)
        whole, _ = jax.jit(step_of(unrolled_step, experiment))(state, real, latent, key, key)

        def part(real, latent):
            return step_of(unrolled_step, experiment, axis_name="devices")(state, real, latent, key, key)[0]

        halves = [x.reshape(2, -1, *x.shape[1:]) for x in (real, latent)]
        parts = jax.pmap(part, axis_name="devices")(*halves)
    for a, b in zip(jax.tree.leaves(parts.generator), jax.tree.leaves(whole.generator), strict=True):
        np.testing.assert_allclose(a[0], b, rtol=1e-9, atol=1e-11)
        np.testing.assert_array_equal(a[0], a[1])


def test_settings_that_cannot_work():
    with pytest.raises(ValueError, match=r"set Unroll\.optimizer, or leave out"):
        Unroll(learning_rate=0.1)
    with pytest.raises(ValueError, match=r"Unroll\.num_steps is -1"):
        Unroll(num_steps=-1)
    with pytest.raises(ValueError, match=r"Unroll\.memory is 'steps'"):
        Unroll(memory="steps")
    with pytest.raises(ValueError, match="Extragradient moves both players at once"):
        override(tiny_ring(dynamics=Extragradient()), "discriminator.updates_per_step", 2)
