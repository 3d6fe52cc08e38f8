"""Any order of settings that are valid together gives the same experiment, and any invalid value is refused."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gan_jax.cli.parser import split_overrides
from gan_jax.experiment.configs import load
from gan_jax.experiment.examples import tiny_dcgan, tiny_ring
from gan_jax.experiment.records import public_components
from gan_jax.experiment.settings import from_json, override_all, replace, to_json, walk
from gan_jax.experiment.sweep import grid, variations

TOGETHER = [
    ("ring", {"data.weights": "1,1,2", "data.num_modes": "3"}),
    ("ring", {"data.num-modes": "300", "detector.num-samples": "300"}),
    ("ring", {"data": "grid", "data.side": "30", "data.std": "0.1", "detector.num_samples": "900"}),
    ("ring", {"objective": "f-gan", "objective.divergence": "jensen_shannon"}),
    ("ring", {"discriminator.replay": "image-pool", "discriminator.replay.size": "64", "batch-size": "64"}),
    ("ring", {"discriminator.transforms": "exact-flips,side-weights", "discriminator.transforms.0.rate": "0.2"}),
    (
        "ring",
        {"generator.unroll": "unroll", "generator.unroll.optimizer": "sgd", "generator.unroll.learning-rate": "0.1"},
    ),
    ("ring", {"dynamics": "competitive", "generator.optimizer": "sgd", "discriminator.optimizer": "sgd"}),
    ("ring", {"generator.evaluated": "average", "generator.average-decay": "0.9"}),
    ("temperatures", {"data.cold": "50", "data.hot": "90", "data.std": "2"}),
    ("digits", {"batch-size": "100", "detector.num-samples": "1300"}),
    ("digits", {"data.name": "letters", "data.image-size": "16", "batch_size": "40", "detector.num-samples": "400"}),
]


@pytest.mark.parametrize(("config", "changes"), TOGETHER, ids=lambda value: value if isinstance(value, str) else None)
def test_every_order_gives_the_same_experiment(config, changes):
    base, found = load(config), []
    for order in itertools.permutations(changes.items()):
        words = [word for path, value in order for word in (f"--{path}", value)]
        _, pairs = split_overrides(words, {"--seed": 1})
        found.append(override_all(base, pairs))
        arm = variations(base, {"one": dict(order)}, 1).arms[0]
        axes = {path: [value] for path, value in order}
        half = len(order) // 2
        shared = grid(base, dict(list(axes.items())[half:]), 1, shared=order[:half]).arms[0]
        found += [arm.experiment, grid(base, axes, 1).arms[0].experiment, shared.experiment]
        plain = {path: _value(found[0], path) for path, _ in order if _is_plain(found[0], path)}
        assert replace(found[0], plain) == found[0]
    assert all(made == found[0] for made in found)
    assert found[0] != base


def _value(experiment, path):
    return next(place.value for place in walk(experiment) if place.path == path.replace("-", "_"))


def _is_plain(experiment, path):
    return any(place.path == path.replace("-", "_") for place in walk(experiment))


INDEPENDENT = {
    "batch_size": st.integers(8, 4096),
    "num_steps": st.integers(1, 2**31 - 1),
    "data.std": st.floats(1e-6, 1e6),
    "data.num_modes": st.integers(1, 8),
    "generator.learning_rate": st.floats(1e-9, 1e3),
    "generator.latent_dim": st.integers(1, 10_000),
    "generator.network.widths": st.lists(st.integers(1, 512), min_size=1, max_size=4),
    "discriminator.instance_noise": st.floats(0, 10),
    "detector.num_samples": st.integers(8, 10_000),
    "objective": st.sampled_from(["minimax", "least-squares", "hinge", "wasserstein"]),
    "discriminator.optimizer.b1": st.floats(0, 0.99),
    "reuse_fakes": st.booleans(),
}


def _text(value):
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_order_of_a_valid_set_is_one_experiment_and_survives_its_record(data):
    names = data.draw(st.lists(st.sampled_from(sorted(INDEPENDENT)), unique=True, min_size=1))
    pairs = [(name, _text(data.draw(INDEPENDENT[name]))) for name in names]
    shuffled = data.draw(st.permutations(pairs))
    made = override_all(tiny_ring(), pairs)
    assert override_all(tiny_ring(), [(name.replace("_", "-"), value) for name, value in shuffled]) == made
    assert from_json(to_json(made), public_components()) == made


SMALL = (tiny_ring(), tiny_dcgan())
PLACES = [(made, place) for made in SMALL for place in walk(made) if isinstance(place.value, (int, float))]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_invalid_value_is_refused_by_name(data):
    made, place = data.draw(st.sampled_from(PLACES))
    bounds = place.field.metadata.get("bounds", {})
    wrong = [st.sampled_from(["nan", "inf", "-inf", "1e999", "x", "", "1;2"])]
    if isinstance(place.value, bool):
        wrong = [st.sampled_from(["nan", "2", "maybe", ""])]
    elif isinstance(place.value, int):
        wrong += [st.integers(min_value=2**33).map(str), st.floats().map(str)]
    if "at least" in bounds:
        wrong.append(st.floats(max_value=math.nextafter(bounds["at least"], -math.inf), allow_nan=False).map(str))
    if "at most" in bounds:
        wrong.append(st.floats(min_value=math.nextafter(bounds["at most"], math.inf), allow_nan=False).map(str))
    text = data.draw(st.one_of(wrong))
    with pytest.raises(ValueError) as error:
        override_all(made, [(place.path, text)])
    assert place.field.name in str(error.value)
    assert "\n" not in str(error.value)
