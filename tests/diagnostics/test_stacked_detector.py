"""The detector of stacked images: injected collapses are named and dated; real stacked images never fire."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.image_arrays import NUM_CLASSES
from gan_jax.data.images import Images
from gan_jax.data.stacked import StackedImages, stack_channels
from gan_jax.diagnostics.detector import LABELS, Detector, init_detector, update_detector
from gan_jax.diagnostics.stacked_detector import StackedDetector
from gan_jax.diagnostics.verdict import verdict_on
from gan_jax.experiment.examples import tiny_stacked
from gan_jax.experiment.records import read_component
from gan_jax.metrics.classifier import classify
from gan_jax.runs.finished_run import headline
from gan_jax.training.evaluations import LoadedData, evaluate
from gan_jax.training.state import init

EVERY, NUM = 2_000, 1_600
update = jax.jit(update_detector)


@pytest.fixture(scope="module")
def setting():
    """The detector with its reference and source on digits, and an observation of each kind of samples."""
    detector, data = StackedDetector(num_samples=NUM), StackedImages("digits")
    dataset = data.load()
    reference, source = detector.reference(data, dataset), data.source(dataset)
    probabilities, _ = classify(reference.classifier, dataset.images)
    labels, rng = np.asarray(dataset.labels), np.random.default_rng(0)
    sure = np.asarray(probabilities)[np.arange(len(labels)), labels] > 0.9
    by_class = [np.flatnonzero(sure & (labels == c)) for c in range(NUM_CLASSES)]

    def of_modes(modes, pick=rng.choice):
        triples = [[pick(by_class[int(c)]) for c in f"{mode:03d}"] for mode in rng.choice(modes, NUM)]
        return stack_channels(dataset.images, jnp.asarray(np.array(triples, np.int32)))

    samples = {
        "real": source.sample(jax.random.key(1), NUM),
        "half": of_modes(rng.choice(1000, 400, replace=False)),
        "few": of_modes(rng.choice(1000, 40, replace=False)),
        "one": of_modes([123]),
        "copies": of_modes(np.arange(1000), pick=lambda images: images[0]),
        "blot": jnp.repeat(jax.random.uniform(jax.random.key(3), (1, 28, 28, 3), minval=-1.0), NUM, axis=0),
        "noise": jax.random.uniform(jax.random.key(2), (NUM, 28, 28, 3), minval=-1.0),
    }
    samples["broken"] = samples["real"].at[7, 3, 3, 1].set(jnp.nan)

    @jax.jit
    def look(samples):
        metrics = detector.measure(source, reference, samples)
        return metrics, detector.observe(source, reference, metrics)

    seen = {name: look(s.astype(jnp.float32) / 127.5 - 1 if s.dtype == jnp.uint8 else s) for name, s in samples.items()}
    return detector, data, source, reference, seen


def watch(setting, names):
    """The verdict on a run whose evaluations saw these samples, and the labels."""
    detector, *_, seen = setting
    state, labels = init_detector(), []
    for index, name in enumerate(names):
        state = update(detector, state, seen[name][1], (index + 1) * EVERY)
        labels.append(LABELS[int(state.label)])
    return verdict_on(state, last_step=len(names) * EVERY), labels


@pytest.mark.parametrize(
    ("name", "label", "cause"),
    [
        ("half", "partial", "collapse"),
        ("few", "total", "collapse"),
        ("one", "total", "collapse"),
        ("noise", "junk", "junk"),
    ],
)
def test_injected_collapses_are_named_and_dated(setting, name, label, cause):
    verdict, labels = watch(setting, ["real"] * 4 + [name] * 6)
    assert labels == ["forming"] * 2 + ["healthy"] * 2 + [label] * 6
    assert verdict.outcome == "collapsed"
    assert (verdict.formed_step, verdict.onset_step, verdict.cause) == (EVERY, 5 * EVERY, label)
    assert verdict.onset_steps["any"] == verdict.onset_steps[cause] == 5 * EVERY
    assert verdict.onset_steps[{"collapse": "junk", "junk": "collapse"}[cause]] is None


def test_one_picture_a_class_is_its_own_onset(setting):
    verdict, labels = watch(setting, ["real"] * 3 + ["copies"] * 6)
    assert labels[3:] == ["intra"] * 6
    assert verdict.onset_steps == {"any": None, "collapse": None, "junk": None, "intra": 4 * EVERY}


def test_lapses_shorter_than_the_window_are_no_onset_and_recovery_is_seen(setting):
    verdict, _ = watch(setting, ["real"] * 3 + ["few"] * 4 + ["real"] * 3)
    assert verdict.outcome == "healthy"
    verdict, _ = watch(setting, ["real"] * 3 + ["few"] * 5 + ["real"] * 5)
    assert (verdict.onset_step, verdict.recovered_step) == (4 * EVERY, 9 * EVERY)


@pytest.mark.parametrize(
    ("stages", "outcome", "when", "formed", "onset", "onto", "cause"),
    [
        (["one"] * 3, "collapsed", "while forming", None, 1, "123 (100 %)", "total"),
        (["half", "few", "one"], "collapsed", "while forming", None, 1, "123 (100 %)", "partial"),
        (["noise", "one", "one"], "collapsed", "while forming", None, 6, "123 (100 %)", "total"),
        (["few", "half", "real"], "healthy", None, 11, None, "", None),
        (["real", "one", "real"], "collapsed", "after forming", 1, 6, "", "total"),
        (["noise"] * 3, "never formed", None, None, None, "", "junk"),
        (["blot"] * 3, "never formed", None, None, None, "", "junk"),
        (["real", "blot", "blot"], "collapsed", "after forming", 1, 6, "", "junk"),
    ],
)
def test_streams_with_known_answers(setting, stages, outcome, when, formed, onset, onto, cause):
    verdict, labels = watch(setting, [name for name in stages for _ in range(5)])
    assert (verdict.outcome, verdict.when) == (outcome, when)
    assert (verdict.formed_step, verdict.onset_step) == tuple(n and n * EVERY for n in (formed, onset))
    assert verdict.onto_words() == onto
    assert (verdict.recovered_step is not None) == (stages == ["real", "one", "real"])
    assert ("collapsed while forming" in labels) == (when == "while forming" or stages[0] == "few")
    assert verdict.cause == cause


def test_few_modes_from_the_start_are_told(setting):
    verdict, _ = watch(setting, ["few"] * 8)
    assert (verdict.outcome, verdict.when, verdict.from_start) == ("collapsed", "while forming", True)
    assert (verdict.onset_step, verdict.cause) == (EVERY, "total")


def test_triples_of_classes_are_written_with_three_digits():
    seen = {"top_modes": jnp.array([7, -1, -1]), "top_shares": jnp.array([0.9, 0.0, 0.0]), "mode_kind": jnp.int32(2)}
    state = init_detector()._replace(early_step=jnp.int32(5), early_run=jnp.int32(5), early_label=jnp.int32(4), **seen)
    assert verdict_on(state, last_step=9).onto == (("007", 0.9),)


def test_values_that_are_not_finite_are_labelled_at_once(setting):
    _, labels = watch(setting, ["broken"])
    assert labels == ["nonfinite"]


def test_real_stacked_images_are_healthy_and_at_the_ceilings(setting):
    detector, _, source, reference, seen = setting
    verdict, labels = watch(setting, ["real"] * 10)
    assert verdict.outcome == "healthy"
    assert labels[2:] == ["healthy"] * 8
    bounds, metrics = detector.bounds(source, reference), seen["real"][0]
    assert int(metrics.modes) == pytest.approx(bounds["modes"]["ceiling"], abs=40)
    assert bounds["modes"]["floor"] is None
    assert 999 / (2 * NUM) < bounds["kl"]["floor"] < bounds["kl"]["ceiling"]


def test_real_stacked_images_do_not_fire_in_1000_evaluations(setting):
    """Resamples of held-out images, stacked at random: the modes and qualities of 1,000 evaluations in one program."""
    detector, data, source, reference, seen = setting
    probabilities, features = classify(reference.classifier, data.load().test_images)
    known, num = seen["real"][0], 1000
    classes, sure_alone = jnp.argmax(probabilities, axis=-1), jnp.max(probabilities, axis=-1) >= detector.rule.quality

    def spread_inside(chosen):
        """The feature variance inside a class over that of all held-out images of it; the median over the classes."""

        def trace(weights):
            share = weights / jnp.sum(weights, axis=1, keepdims=True)
            mean = share @ features
            return jnp.sum(share @ features**2 - mean**2, axis=1)

        own = jax.nn.one_hot(classes, 10).T * sure_alone[None]
        times = jnp.zeros(len(classes)).at[chosen.ravel()].add(1.0)
        return jnp.median(trace(own * times[None]) / trace(own))

    def measured(key):
        chosen = jax.random.choice(key, probabilities.shape[0], (NUM, 3))
        sure = jnp.all(jnp.max(probabilities[chosen], axis=-1) >= detector.rule.quality, axis=-1)
        mode = jnp.argmax(probabilities[chosen], axis=-1) @ jnp.array([100, 10, 1])
        counts = jnp.zeros(1000).at[mode].add(sure)
        return known._replace(
            counts=counts,
            modes_held=jnp.sum(counts > 0),
            high_quality=jnp.mean(sure),
            dominant_mode=jnp.argmax(counts),
            intra_class_ratio=spread_inside(chosen),
        )

    @jax.jit
    def run(keys):
        def evaluate(state, scanned):
            index, key = scanned
            found = detector.observe(source, reference, measured(key))
            return update_detector(detector, state, found, (index + 1) * EVERY), found

        return jax.lax.scan(evaluate, init_detector(), (jnp.arange(num), keys))

    state, found = run(jax.random.split(jax.random.key(0), num))
    assert np.all(np.asarray(found.label) == LABELS.index("healthy"))
    assert not np.any(found.bad)
    assert not np.any(found.collapsed_early)
    assert verdict_on(state, last_step=num * EVERY).outcome == "healthy"


def test_results_are_stamped_with_their_definition(setting):
    detector, data, _, reference, _ = setting
    assert isinstance(detector, Detector)
    stamp = detector.definition(data, reference)
    assert json.loads(json.dumps(stamp)) == stamp
    assert stamp["classifier"]["name"] == "digits"
    assert stamp["classifier"]["accuracy"] >= 0.97
    assert f"n={NUM}" in stamp["rule"]
    assert read_component(stamp["detector"]) == detector


def test_without_a_classifier_only_pixels_are_judged(setting):
    _, data, source, known, _ = setting
    detector = StackedDetector(num_samples=NUM)
    dataset = data.load()
    unknown = detector.reference(StackedImages("letters"), dataset)
    assert unknown.classifier is None
    assert detector.bounds(source, unknown).keys() == {"pairwise_ratio", "pixel_std"}
    assert detector.definition(StackedImages("letters"), unknown)["classifier"] is None
    labels = []
    for samples in (
        source.sample(jax.random.key(0), 200),
        jnp.zeros((200, 28, 28, 3)),
        jnp.full((2, 28, 28, 3), jnp.nan),
    ):
        seen = detector.observe(source, unknown, detector.measure(source, unknown, samples))
        labels.append(LABELS[int(seen.label)])
    assert labels == ["healthy", "total", "nonfinite"]
    for field in ("pairwise_distance", "pixel_std"):
        assert float(getattr(unknown.statistics, field)) == pytest.approx(float(getattr(known.statistics, field)))


def test_a_run_is_measured_in_both_modes_of_batch_norm(setting):
    experiment = tiny_stacked()
    _, data, _, reference, _ = setting
    resources = LoadedData(data.load(), reference)
    state = jax.eval_shape(init, experiment, jax.random.key(0))
    evaluation = jax.eval_shape(evaluate, experiment, resources, state)
    assert evaluation.metrics.keys() == {"batch", "running"}
    assert evaluation.samples.shape == (64, 28, 28, 3)
    # What the host keeps: numbers of the same names and sizes in both.
    assert jax.tree.structure(evaluation.metrics["batch"]) == jax.tree.structure(evaluation.metrics["running"])
    assert evaluation.metrics["batch"].counts.shape == (1000,)


def test_the_headline_has_modes_and_says_pixels_only_where_that_is_so():
    known = {"modes": 3, "high_quality": 0.5, "kl": 5.8, "pairwise_ratio": 0.9}
    line = headline({"evaluation": {"batch": known}, "bounds": {"modes": {"ceiling": 1000.0, "floor": None}}})
    assert line == "modes 3 (ceiling 1000), high quality 50.0%, KL 5.8"
    line = headline({"evaluation": {"batch": {"modes": None, "kl": None, "pairwise_ratio": 0.9}}, "bounds": {}})
    assert line == "distance 0.9, pixels only: no validated classifier"


def test_wrong_settings_are_told_in_a_line():
    with pytest.raises(ValueError, match=r"partial_share \(0.9\) < healthy_share \(0.75\) must hold"):
        StackedDetector(partial_share=0.9)
    with pytest.raises(ValueError, match="num_samples is 1, and must be at least 2"):
        StackedDetector(num_samples=1)
    with pytest.raises(ValueError, match="do not go together"):
        tiny_stacked(data=Images("digits", image_size=28))
