"""Every remedy on several devices computes what one device computes on the whole batch."""

from __future__ import annotations

import dataclasses

import pytest

from gan_jax.experiment.remedies import REMEDIES, apply_remedy
from gan_jax.experiment.settings import override
from gan_jax.losses.penalties import DISCRIMINATOR_PENALTIES, DRAGAN, Equilibrium
from tests.helpers import assert_parallel, small_ring, unrolled

# Where a mean over a device's share is not all that is needed: means of features, gathered fakes, batch layers.
QUICK = (
    "lecam",
    "elastic_weights",
    "dragan",
    "consistency",
    "feature_matching",
    "replay_reservoir",
    "past_generators",
    "minibatch_discrimination",
    "packing_2",
    "gman",
    "mgan",
    "ali",
    "instance_noise",
    "top_k",
    "began",
)


def made(name):
    """A remedy on a small ring: two devices, batch 16, and memories that are used within three steps."""
    experiment = apply_remedy(small_ring(), name)
    if name == "elastic_weights":
        experiment = override(experiment, "discriminator.penalties.0.every_steps", 1)
    if name == "past_generators":
        experiment = override(experiment, "discriminator.replay.every_steps", 1)
    if name == "past_discriminators":
        experiment = override(experiment, "generator.replay.window", 1)
        experiment = override(experiment, "generator.replay.every_steps", 1)
    if name.startswith("replay"):
        experiment = override(experiment, "discriminator.replay.size", 16)
    return experiment


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in REMEDIES if name not in QUICK]


@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_every_remedy(name):
    assert_parallel(made(name), num_devices=2, tolerance=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("cls", DISCRIMINATOR_PENALTIES)
def test_every_penalty_inside_an_unroll(cls):
    if cls is Equilibrium:
        pytest.skip("belongs to BEGAN, which test_every_remedy has")
    penalties = (cls(), DRAGAN(variant="compare_gan"))
    base = small_ring()
    base = dataclasses.replace(base, discriminator=dataclasses.replace(base.discriminator, penalties=penalties))
    assert_parallel(unrolled(base=base, num_steps=2), num_devices=2, tolerance=1e-10)
