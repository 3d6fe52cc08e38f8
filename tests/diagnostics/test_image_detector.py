"""The image detector on real images: injected collapses at known times, and healthy streams that never fire."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.images import Images
from gan_jax.diagnostics.detector import LABELS, init_detector, update_detector
from gan_jax.diagnostics.image_detector import ImageDetector
from gan_jax.diagnostics.verdict import verdict_on
from gan_jax.metrics.classifier import classify
from gan_jax.metrics.image_metrics import effective_classes, make_reference

EVERY = 938
NUM = 512


class Stream:
    """A generator that shows real held-out images, with weights over the images that change with time."""

    def __init__(self, name: str, location=None):
        self.detector = ImageDetector(num_samples=NUM)
        data = Images(name=name, image_size=28)
        self.dataset = data.load(location)
        self.reference = self.detector.reference(data, self.dataset)
        self.source = data.source(self.dataset)
        self.labels = np.asarray(self.dataset.test_labels)
        self.num_images = len(self.labels)

    @functools.cached_property
    def _step(self):
        @jax.jit
        def step(state, samples, index):
            metrics = self.detector.measure(self.source, self.reference, samples)
            seen = self.detector.observe(self.source, self.reference, metrics)
            return update_detector(self.detector, state, seen, (index + 1) * EVERY), metrics

        return step

    def watch(self, sampler, num_evals, seed=0):
        """Verdict on `sampler(rng, t) -> images [NUM, 28, 28, 1] uint8` over evaluations t = 0, 1, ..."""
        rng, state = np.random.default_rng(seed), init_detector()
        labels = []
        for index in range(num_evals):
            state, _ = self._step(state, jnp.asarray(sampler(rng, index)), index)
            labels.append(LABELS[int(state.label)])
        return verdict_on(state, last_step=num_evals * EVERY), labels

    def images(self, rng, weights=None):
        p = None if weights is None else weights[self.labels] / weights[self.labels].sum()
        return np.asarray(self.dataset.test_images)[rng.choice(self.num_images, NUM, p=p)]


@pytest.fixture(scope="module")
def digits():
    return Stream("digits")


def class_decay(stream, onset, classes):
    """From `onset` on only the given classes are shown."""

    def sampler(rng, index):
        weights = np.ones(10)
        if index >= onset:
            weights = np.isin(np.arange(10), classes).astype(float)
        return stream.images(rng, weights)

    return sampler


@pytest.mark.parametrize(("num_left", "seed"), [(1, 0), (2, 1), (3, 2), (4, 3)])
def test_lost_classes_are_detected_at_their_evaluation(digits, num_left, seed):
    rng = np.random.default_rng(seed)
    onset, classes = int(rng.integers(3, 8)), rng.choice(10, num_left, replace=False)
    verdict, _ = digits.watch(class_decay(digits, onset, classes), 12, seed)
    assert verdict.outcome == "collapsed"
    assert verdict.onset_step == (onset + 1) * EVERY
    assert verdict.onset_steps["collapse"] == verdict.onset_step
    # One class has little of the variance of all; several are told by their number.
    assert verdict.cause in (("total", "class") if num_left == 1 else ("class",))


def test_eight_classes_of_ten_are_not_a_collapse(digits):
    verdict, _ = digits.watch(class_decay(digits, 4, np.arange(8)), 12)
    assert verdict.onset_step is None


def test_one_picture_for_all_is_a_total_collapse_whatever_it_shows(digits):
    def sampler(rng, index):
        images = digits.images(rng)
        return np.repeat(images[:1], NUM, axis=0) if index >= 4 else images

    verdict, labels = digits.watch(sampler, 8)
    assert (verdict.cause, verdict.onset_step) == ("total", 5 * EVERY)
    assert labels[4:] == ["total"] * 4


def test_one_picture_a_class_is_detected_inside_the_classes_and_is_not_an_onset_of_any_cause(digits):
    first = [int(np.flatnonzero(digits.labels == c)[3]) for c in range(10)]

    def sampler(rng, index):
        if index < 4:
            return digits.images(rng)
        return np.asarray(digits.dataset.test_images)[rng.choice(first, NUM)]

    verdict, labels = digits.watch(sampler, 9)
    assert labels[4:] == ["intra"] * 5
    assert verdict.onset_steps == {"any": None, "collapse": None, "junk": None, "intra": 5 * EVERY}
    assert verdict.outcome == "censored"
    assert "shrunk inside the modes from step 4,690" in verdict.sentence()


def test_noise_is_junk_and_not_lost_modes(digits):
    def sampler(rng, index):
        if index < 4:
            return digits.images(rng)
        return rng.integers(0, 256, (NUM, 28, 28, 1), dtype=np.uint8)

    verdict, labels = digits.watch(sampler, 8)
    assert verdict.onset_steps == {"any": 5 * EVERY, "collapse": None, "junk": 5 * EVERY, "intra": None}
    assert verdict.cause == "junk"
    # The classifier's features of any noise are the same; the pixels differ.
    assert labels[4:] == ["junk"] * 4


def test_recovery_is_seen(digits):
    def sampler(rng, index):
        return digits.images(rng, np.eye(10)[3] if 4 <= index < 8 else None)

    verdict, _ = digits.watch(sampler, 12)
    assert verdict.onset_step == 5 * EVERY
    assert verdict.recovered_step == 9 * EVERY


def test_real_images_score_the_ceilings(digits):
    bounds = digits.detector.bounds(digits.source, digits.reference)
    assert bounds["effective_classes"]["ceiling"] > 9.95
    assert bounds["junk"]["ceiling"] < 0.05
    assert bounds["variance_ratio"]["ceiling"] == pytest.approx(1, abs=0.05)
    assert bounds["kl"]["floor"] == pytest.approx(9 / (2 * NUM))
    definition = digits.detector.definition(Images(name="digits"), digits.reference)
    assert definition["classifier"]["accuracy"] >= 0.97
    assert definition["classifier"]["name"] == "digits"


def of_classes(stream, rng, classes):
    return stream.images(rng, np.isin(np.arange(10), classes).astype(float))


ALL, SIX, THREE, ONE, JUNK, PICTURE = list(range(10)), [0, 1, 3, 4, 6, 7], [1, 4, 6], [1], "noise", "one noise"


@pytest.mark.parametrize(
    ("stages", "outcome", "when", "formed", "onset", "onto"),
    [
        ([ONE] * 3, "collapsed", "while forming", None, 1, "1 (100 %)"),
        ([SIX, THREE, ONE], "collapsed", "while forming", None, 5, "1 (100 %)"),
        ([JUNK, ONE, ONE], "collapsed", "while forming", None, 5, "1 (100 %)"),
        ([ONE, THREE, ALL], "healthy", None, 9, None, ""),
        ([ALL, ONE, ALL], "collapsed", "after forming", 1, 5, ""),
        ([ALL, SIX, ONE], "collapsed", "after forming", 1, 9, "1 (100 %)"),
        ([JUNK] * 3, "never formed", None, None, None, ""),
        ([PICTURE] * 3, "never formed", None, None, None, ""),
    ],
)
def test_streams_with_known_answers(digits, stages, outcome, when, formed, onset, onto):
    noise = np.random.default_rng(9).integers(0, 256, (NUM, 28, 28, 1), dtype=np.uint8)

    def sampler(rng, index):
        stage = stages[index // 4]
        if isinstance(stage, str):
            return noise if stage == JUNK else np.repeat(noise[:1], NUM, axis=0)
        return of_classes(digits, rng, stage)

    verdict, labels = digits.watch(sampler, 12)
    assert (verdict.outcome, verdict.when) == (outcome, when)
    assert (labels == ["junk"] * 12) == (verdict.cause == "junk") == (outcome == "never formed")
    assert (verdict.formed_step, verdict.onset_step) == tuple(n and n * EVERY for n in (formed, onset))
    assert (verdict.recovered_step is not None) == (stages == [ALL, ONE, ALL])
    # The classifier misreads a few of real images.
    name, _, share = verdict.onto_words().partition(" ")
    assert name == onto.partition(" ")[0]
    assert not onto or int(share.strip("(% )")) >= 97


def test_without_a_classifier_only_samples_that_are_all_alike_are_a_collapse(digits):
    unknown = digits.reference._replace(
        classifier=None, statistics=make_reference(None, digits.dataset.test_images, confidence=0.6)
    )
    rng, seen = np.random.default_rng(0), {}
    few, one = of_classes(digits, rng, ONE), digits.images(rng)[:1]
    for name, samples in {"few": few, "alike": np.repeat(one, NUM, axis=0)}.items():
        metrics = digits.detector.measure(digits.source, unknown, jnp.asarray(samples))
        seen[name] = digits.detector.observe(digits.source, unknown, metrics)
    assert (bool(seen["few"].collapsed_early), bool(seen["alike"].collapsed_early)) == (False, True)
    assert seen["alike"].top_modes.tolist() == [-1, -1, -1]


def test_real_images_do_not_fire_in_1000_evaluations(digits):
    """Resamples of the images' measured classes and features: the metrics of 1,000 evaluations in one program."""
    detector, reference, source = digits.detector, digits.reference, digits.source
    images, num = jnp.asarray(digits.dataset.test_images), 1000
    probabilities, features = classify(reference.classifier, images)

    def measured(key):
        chosen = jax.random.choice(key, images.shape[0], (NUM,))
        own, classes = probabilities[chosen], jnp.argmax(probabilities[chosen], axis=-1)
        sure = jnp.max(own, axis=-1) >= detector.confidence
        share = jnp.sum(jax.nn.one_hot(classes, 10) * sure[:, None], axis=0) / jnp.maximum(jnp.sum(sure), 1)
        spread = jnp.sum(jnp.var(features[chosen], axis=0)) / reference.statistics.feature_variance
        return reference.ceilings._replace(
            class_share=share,
            junk=1 - jnp.mean(sure),
            effective_classes=effective_classes(share),
            modes=jnp.sum(share >= 0.1 * reference.statistics.class_share),
            max_share=jnp.max(share),
            variance_ratio=spread,
        )

    @jax.jit
    def run(keys):
        def evaluate(state, scanned):
            index, key = scanned
            seen = detector.observe(source, reference, measured(key))
            state = update_detector(detector, state, seen, (index + 1) * EVERY)
            return state, (state.label, seen.collapsed_early)

        return jax.lax.scan(evaluate, init_detector(), (jnp.arange(num), keys))

    state, (labels, early) = run(jax.random.split(jax.random.key(0), num))
    assert verdict_on(state, last_step=num * EVERY).outcome == "healthy"
    assert int(state.formed_step) == EVERY
    assert np.sum(np.asarray(labels) == LABELS.index("healthy")) == num - 1
    assert not np.any(early)


def healthy_stream_never_fires(stream, num_evals):
    verdict, labels = stream.watch(lambda rng, index: stream.images(rng), num_evals, seed=1)
    assert verdict.outcome == "healthy"
    assert verdict.formed_step == EVERY
    assert labels.count("healthy") == num_evals - 1  # the first still forms


def test_a_healthy_stream_never_fires_in_60_evaluations(digits):
    healthy_stream_never_fires(digits, 60)


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("name", ["digits", "mnist", "fashion_mnist"])
def test_a_healthy_stream_never_fires_in_1000_evaluations(name, real_data):
    healthy_stream_never_fires(Stream(name, None if name == "digits" else real_data / name), 1000)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_collapses_of_real_data_are_detected_and_its_test_images_score_the_ceilings(name, real_data):
    stream = Stream(name, real_data / name)
    for num_left in (1, 2, 4):
        verdict, _ = stream.watch(class_decay(stream, 3, np.arange(num_left) * 2), 6, num_left)
        assert verdict.onset_step == 4 * EVERY
    ceilings = stream.detector.bounds(stream.source, stream.reference)
    # n = 512: V and P within 5 standard errors of about 1 / sqrt(n); the KL is chi-square with 9 degrees of freedom.
    for metric in ("variance_ratio", "pairwise_ratio"):
        assert ceilings[metric]["ceiling"] == pytest.approx(1, abs=5 / math.sqrt(NUM))
    assert ceilings["effective_classes"]["ceiling"] > 9.6
    assert ceilings["kl"]["ceiling"] < (9 + 5 * math.sqrt(18)) / (2 * NUM)
