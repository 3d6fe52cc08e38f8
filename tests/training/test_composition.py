"""Composition: any objective with any penalty, and any remedy, in every way that a step can be run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.experiment.configs import load_sweep
from gan_jax.experiment.examples import tiny_dcgan, tiny_ring
from gan_jax.experiment.experiment import Discriminator, Generator, Unroll
from gan_jax.experiment.remedies import REMEDIES, apply_remedy
from gan_jax.experiment.sweep import groups
from gan_jax.losses.aggregation import Hardest, SoftMixing
from gan_jax.losses.auxiliary import Classification, FeatureMatching, Reconstruction
from gan_jax.losses.inference import ALI, VEEGAN
from gan_jax.losses.objectives import (
    FGAN,
    OBJECTIVES,
    BoundaryEquilibrium,
    EnergyMargin,
    Hinge,
    RelativisticAverage,
)
from gan_jax.losses.penalties import DISCRIMINATOR_PENALTIES, DRAGAN, R1, Equilibrium, Lazy, Orthogonality
from gan_jax.losses.transforms import ExactFlips, GeneratorFlips, TopK
from gan_jax.networks.autoencoder import AutoencoderDiscriminator
from gan_jax.networks.committee import ClassifierHead, Committee
from gan_jax.networks.encoder import Bidirectional
from gan_jax.networks.generator_mixture import GeneratorMixture
from gan_jax.networks.minibatch import MinibatchStddev
from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_jax.networks.packing import Packed
from gan_jax.networks.points import LinearDiscriminator
from gan_jax.networks.spectral import SpectralNorm
from gan_jax.scaling.data_parallel import assert_replicas, make_parallel_chunk
from gan_jax.scaling.programs import compiled_chunk, compiled_init
from gan_jax.scaling.strategies import Strategy
from gan_jax.training.batches import disturbed, make_batch
from gan_jax.training.chunks import ChunkSpec
from gan_jax.training.context import step_context
from gan_jax.training.dynamics import Consensus
from gan_jax.training.evaluations import load_data
from gan_jax.training.optimizers import WeightClipping
from gan_jax.training.replay import FIFO, ImagePool, PastDiscriminators, PastGenerators

NUM_STEPS = 50


def named(objects):
    return {
        (f"{type(o).__name__}-{getattr(o, 'divergence', getattr(o, 'variant', ''))}").rstrip("-"): o for o in objects
    }


DIVERGENCES = ("reverse_kl", "pearson", "neyman", "squared_hellinger", "jensen_shannon", "gan", "alpha")
ALL_OBJECTIVES = named([o() for o in OBJECTIVES] + [FGAN(divergence=d) for d in DIVERGENCES])
ALL_PENALTIES = named(
    [p() for p in DISCRIMINATOR_PENALTIES]
    + [DRAGAN(variant=v) for v in ("compare_gan", "torchgan")]
    + [WeightClipping(limit=0.5)]
)
IMPOSSIBLE = {
    (o, p)
    for o, objective in ALL_OBJECTIVES.items()
    for p, penalty in ALL_PENALTIES.items()
    if isinstance(objective, BoundaryEquilibrium) != isinstance(penalty, Equilibrium)
}
PAIRS = [(o, p) for o in ALL_OBJECTIVES for p in ALL_PENALTIES if (o, p) not in IMPOSSIBLE]


def small_ring():
    """One hidden layer each, which compiles in half the time."""
    generator = Generator(network=MLPGenerator((16,)), latent_dim=8)
    return tiny_ring(generator=generator, discriminator=Discriminator(network=MLPDiscriminator((16,))))


def pair(objective, penalty, **changes):
    """A ring whose D has a penalty; where the objective is one of energies, D is an autoencoder."""
    objective, penalty = ALL_OBJECTIVES[objective], ALL_PENALTIES[penalty]
    base = small_ring()
    network = base.discriminator.network
    if isinstance(objective, (EnergyMargin, BoundaryEquilibrium)):
        network = AutoencoderDiscriminator(widths=(4,))
    part = {"optimizer": penalty} if isinstance(penalty, WeightClipping) else {"penalties": (penalty,)}
    disc = dataclasses.replace(base.discriminator, network=network, **part)
    return dataclasses.replace(base, objective=objective, discriminator=disc, **changes)


def unrolled(experiment):
    """With G unrolled by K = 2; as it is where that is refused."""
    if experiment.generator.replay is not None:
        with pytest.raises(ValueError, match="for an unrolled G is the result of updates"):
            _unrolled(experiment)
        return experiment
    return _unrolled(experiment)


def _unrolled(experiment):
    return dataclasses.replace(
        experiment, generator=dataclasses.replace(experiment.generator, unroll=Unroll(num_steps=2))
    )


def assert_trains(experiment, num_steps=NUM_STEPS):
    """Under jit, side by side on two devices, and unrolled with its batches split over two devices: all finite."""
    resources = load_data(experiment)
    starts = [compiled_init(experiment, key) for key in jax.random.split(jax.random.key(0), 3)]
    before = jax.device_get(starts[0].generator.variables.params)
    strategy = Strategy("pmap-vmap", jax.devices()[:2])
    members = strategy.place([experiment] * 3, starts)
    program = strategy.compile(
        members, strategy.place_resources(resources), ChunkSpec(num_steps, None, evaluates=False)
    )
    states = strategy.gather(program(members.experiments, resources, members.states).state, 3)
    assert np.all(states.nonfinite_step == -1)
    assert np.all(states.step == num_steps)
    ahead = experiment if experiment.generator.unroll is not None else unrolled(experiment)
    split = make_parallel_chunk(jax.devices()[:2])
    state = split(ahead, resources, starts[0], ChunkSpec(num_steps, evaluates=False)).state
    assert int(state.nonfinite_step) == -1
    assert_replicas(state)
    after = jax.device_get(state.generator.variables.params)
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True))


def diagonal():
    """Pairs in which every objective and every penalty comes at least once."""
    objectives, penalties = list(ALL_OBJECTIVES), list(ALL_PENALTIES)
    for index in range(max(len(objectives), len(penalties))):
        made = objectives[index % len(objectives)], penalties[(index * 7 + 3) % len(penalties)]
        if made not in IMPOSSIBLE:
            yield made


QUICK = list(diagonal())[::3]


@pytest.mark.parametrize(("objective", "penalty"), QUICK)
def test_some_pairs_of_objective_and_penalty_train(objective, penalty):
    assert_trains(pair(objective, penalty), num_steps=3)


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "penalty"), PAIRS)
def test_every_pair_of_objective_and_penalty_trains(objective, penalty):
    assert_trains(pair(objective, penalty))


@pytest.mark.parametrize(("objective", "penalty"), sorted(IMPOSSIBLE))
def test_pairs_that_cannot_exist_are_refused(objective, penalty):
    with pytest.raises(ValueError, match="two halves of BEGAN, and each needs the other"):
        pair(objective, penalty)


@pytest.mark.slow
@pytest.mark.parametrize("name", REMEDIES)
def test_every_remedy_trains(name):
    assert_trains(apply_remedy(tiny_ring(), name))


@pytest.mark.parametrize("name", ["mgan", "veegan", "replay_pool", "past_generators", "gman", "elastic_weights"])
def test_some_remedies_train(name):
    assert_trains(apply_remedy(small_ring(), name), num_steps=3)


@pytest.mark.slow
@pytest.mark.parametrize("name", REMEDIES)
def test_every_remedy_trains_on_images(name):
    experiment = apply_remedy(tiny_dcgan(), name)
    state = compiled_init(experiment, jax.random.key(0))
    result = compiled_chunk(experiment, load_data(experiment), state, ChunkSpec(2))
    assert int(result.state.nonfinite_step) == -1
    assert result.evaluation is not None


def test_every_remedy_can_be_made_on_the_ring_and_on_images():
    for base in (tiny_ring(), tiny_dcgan()):
        for name in REMEDIES:
            assert apply_remedy(base, name).data == base.data
    with pytest.raises(ValueError, match="no remedy 'packing2'; did you mean 'packing_2'"):
        apply_remedy(tiny_ring(), "packing2")


def test_the_guide_names_every_remedy():
    text = (Path(__file__).parents[2] / "docs" / "remedies.md").read_text()
    families = {"fgan_kl", "fgan_reverse_kl", "fgan_pearson"}  # in one line of the guide
    assert [name for name in REMEDIES if f"`{name}`" not in text and name not in families] == []


@pytest.mark.parametrize("config", ["remedies_ring", "remedies_grid", "remedies_mnist"])
def test_the_studies_have_an_arm_a_remedy(config):
    study = load_sweep(config)
    assert {arm.name for arm in study.arms} <= set(REMEDIES)
    assert "plain" in {arm.name for arm in study.arms}
    assert len(groups(study.members())) == len(study.arms)
    assert len({arm.experiment.generator.updates_per_step for arm in study.arms}) == 1  # equal G updates


NET, MAKER = MLPDiscriminator(widths=(8,)), MLPGenerator(widths=(8,))
MIXTURE = GeneratorMixture(network=MAKER, num=4)
BAD = {
    "energies of an unbounded D": ({"objective": EnergyMargin()}, {}, {}, "set discriminator.network to Autoenc"),
    "labels of energies": (
        {"objective": EnergyMargin()},
        {},
        {"network": AutoencoderDiscriminator(widths=(4,)), "transforms": (ExactFlips(),)},
        "no labels to flip",
    ),
    "aggregation without a committee": ({}, {"aggregation": Hardest()}, {}, r"Committee\(network=..., num=3\)"),
    "harmonic mean of negative losses": (
        {"objective": Hinge()},
        {"aggregation": SoftMixing(mean="harmonic")},
        {"network": Committee(network=NET)},
        "takes losses of one sign",
    ),
    "one mean of several D": (
        {"objective": RelativisticAverage()},
        {},
        {"network": Committee(network=NET)},
        "use Relativistic, or one discriminator",
    ),
    "two terms in G's place": (
        {},
        {"penalties": (FeatureMatching(replaces=True), FeatureMatching(replaces=True, norm="l1"))},
        {},
        "replace G's own loss",
    ),
    "top-k of a loss that is not there": (
        {},
        {"penalties": (FeatureMatching(replaces=True),), "transforms": (TopK(),)},
        {},
        "set replaces=False",
    ),
    "features of a linear D": (
        {},
        {"penalties": (FeatureMatching(),)},
        {"network": LinearDiscriminator()},
        "LinearDiscriminator has none",
    ),
    "inference without an encoder": ({"inference": ALI()}, {}, {}, "set generator.network to Bidirectional"),
    "reconstruction without an encoder": ({}, {"penalties": (Reconstruction(),)}, {}, "needs an encoder"),
    "classes of one generator": ({}, {"penalties": (Classification(),)}, {}, "tells a mixture's generators apart"),
    "classes that do not match": (
        {},
        {"network": MIXTURE},
        {"network": ClassifierHead(network=NET, num_classes=3)},
        "the mixture has 4",
    ),
    "packs that do not divide": ({}, {}, {"network": Packed(network=NET, num=5)}, "packs of 5: set a multiple of 5"),
    "mixtures that do not divide": ({}, {"network": GeneratorMixture(network=MAKER, num=5)}, {}, "among 5 generators"),
    "a pool smaller than a batch": ({}, {}, {"replay": ImagePool(size=8)}, "less than a batch of 32"),
    "an average that is not kept": ({}, {"evaluated": "average"}, {}, "set generator.average_decay"),
    "a norm over a committee": (
        {},
        {},
        {"network": SpectralNorm(network=Committee(network=NET))},
        "use a Committee of SpectralNorm",
    ),
    "top-k of a committee": ({}, {"transforms": (TopK(),)}, {"network": Committee(network=NET)}, "no common scale"),
    "orthogonality of a mixture": (
        {},
        {"network": MIXTURE, "penalties": (Orthogonality(),)},
        {},
        "kernels of all members of a GeneratorMixture",
    ),
    "a minibatch layer of both sides": (
        {},
        {},
        {"network": MLPDiscriminator(widths=(8,), minibatch=MinibatchStddev()), "batch_statistics": "joint"},
        "use 'separate'",
    ),
    "an old D of an unrolled G": (
        {},
        {"unroll": Unroll(num_steps=2), "replay": PastDiscriminators()},
        {},
        "leave out generator.unroll, or generator.replay",
    ),
    "a trunk of packs": (
        {"inference": ALI()},
        {"network": Bidirectional(network=MAKER, trunk=Packed(network=NET, num=2))},
        {},
        "use the network inside Packed",
    ),
    "replay forward": (
        {},
        {"unroll": Unroll(num_steps=2, mode="forward")},
        {"replay": FIFO(size=64)},
        "replay has no forward derivative",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_parts_that_cannot_work_together_are_refused(case):
    experiment, generator, discriminator, message = BAD[case]
    base = tiny_ring()
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(
            base,
            generator=dataclasses.replace(base.generator, **generator),
            discriminator=dataclasses.replace(base.discriminator, **discriminator),
            **experiment,
        )


def test_veegan_needs_its_reconstruction():
    veegan = apply_remedy(tiny_ring(), "veegan")
    with pytest.raises(ValueError, match="learns from Reconstruction alone"):
        dataclasses.replace(veegan, generator=dataclasses.replace(veegan.generator, penalties=()))
    assert isinstance(veegan.inference, VEEGAN)
    assert veegan.discriminator_input_shape == (2 + 8,)


@pytest.mark.parametrize("inference", [VEEGAN(noise=2.0), ALI(noise=2.0)])
def test_the_latents_of_real_examples_are_drawn_around_the_encoder_s_outputs(inference):
    base = dataclasses.replace(apply_remedy(tiny_ring(), "veegan"), inference=inference)
    context = step_context(base, load_data(base).dataset, jnp.asarray(0))
    state = compiled_init(base, jax.random.key(0))
    real, latent = jnp.ones((4000, 2)), jnp.zeros((4000, 8))
    batch, _ = make_batch(context, state.generator.variables, real, latent)
    seen = disturbed(context, batch, jax.random.key(1))
    np.testing.assert_array_equal(seen.fake, batch.fake)
    np.testing.assert_array_equal(seen.real[:, :2], real)
    added = np.asarray(seen.real[:, 2:] - batch.real[:, 2:])
    assert abs(added.mean()) < 0.05
    np.testing.assert_allclose(added.std(axis=0), 2.0, rtol=0.06)
    assert not np.allclose(added, disturbed(context, batch, jax.random.key(2)).real[:, 2:] - batch.real[:, 2:])
    still = context.replace(dataclasses.replace(base, inference=dataclasses.replace(inference, noise=None)))
    np.testing.assert_array_equal(disturbed(still, batch, jax.random.key(1)).real, batch.real)


@pytest.mark.parametrize(
    ("player", "transform", "advice"),
    [("discriminator", GeneratorFlips(), "into generator.transforms"), ("generator", ExactFlips(), "GeneratorFlips")],
)
def test_transforms_of_the_other_player_s_loss_are_refused(player, transform, advice):
    base = tiny_ring()
    with pytest.raises(ValueError, match=advice):
        dataclasses.replace(base, **{player: dataclasses.replace(getattr(base, player), transforms=(transform,))})


@pytest.mark.parametrize("inference", [VEEGAN(), VEEGAN(noise=None), ALI(), ALI(noise=0.5)], ids=repr)
def test_games_with_an_encoder_train_as_one_program(inference):
    experiment = dataclasses.replace(apply_remedy(tiny_ring(), "veegan"), inference=inference)
    state = compiled_init(experiment, jax.random.key(0))
    result = compiled_chunk(experiment, load_data(experiment), state, ChunkSpec(2, evaluates=False))
    assert np.all(np.isfinite(result.metrics["generator_loss"]))


def test_the_present_discriminator_is_not_frozen_for_a_g_that_sometimes_faces_old_ones():
    # Consensus differentiates G's loss in D's parameters, so its direction sees a stopped gradient.
    base = tiny_ring(dynamics=Consensus())
    replayed = dataclasses.replace(base, generator=dataclasses.replace(base.generator, replay=PastDiscriminators()))
    first, second = (
        compiled_chunk(e, load_data(e), compiled_init(e, jax.random.key(0)), ChunkSpec(3, evaluates=False)).state
        for e in (base, replayed)
    )
    for a, b in zip(jax.tree.leaves(first.discriminator), jax.tree.leaves(second.discriminator), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_step_of_several_updates_takes_one_snapshot():
    base = tiny_ring()
    disc = dataclasses.replace(
        base.discriminator, updates_per_step=5, replay=PastGenerators(num=5, every_steps=2), penalties=(Lazy(),)
    )
    experiment = dataclasses.replace(base, discriminator=disc)
    state = compiled_init(experiment, jax.random.key(0))
    memory = compiled_chunk(experiment, load_data(experiment), state, ChunkSpec(4, evaluates=False)).state
    memory = memory.discriminator.variables.memory
    assert int(memory.replay.num_seen) == 2
    assert int(memory.penalties[0]) == 20


def test_the_bare_objective_of_an_unroll_leaves_memories_alone():
    base = apply_remedy(apply_remedy(tiny_ring(), "lecam"), "replay_fifo")
    ahead = dataclasses.replace(
        base, generator=dataclasses.replace(base.generator, unroll=Unroll(num_steps=2, inner_loss="objective"))
    )
    state = compiled_chunk(
        ahead, load_data(ahead), compiled_init(ahead, jax.random.key(0)), ChunkSpec(3, evaluates=False)
    ).state
    assert int(state.nonfinite_step) == -1
    assert int(state.discriminator.variables.memory.replay.num_seen) == 3 * 32


def test_a_penalty_of_weight_0_changes_nothing():
    base = small_ring()
    with_penalty = pair("NonSaturating", "R1")
    off = dataclasses.replace(
        with_penalty, discriminator=dataclasses.replace(with_penalty.discriminator, penalties=(R1(weight=0.0),))
    )
    key = jax.random.key(0)
    first = compiled_chunk(base, load_data(base), compiled_init(base, key), ChunkSpec(5, evaluates=False)).state
    second = compiled_chunk(off, load_data(off), compiled_init(off, key), ChunkSpec(5, evaluates=False)).state
    for a, b in zip(jax.tree.leaves(first.generator), jax.tree.leaves(second.generator), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
