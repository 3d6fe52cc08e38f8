"""Image metrics: closed forms, real images at their ceilings, injected collapses, purity."""

from __future__ import annotations

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.images import Images
from gan_jax.metrics.classifier import as_floats, classifier_hash, load_classifier
from gan_jax.metrics.image_metrics import (
    ImageMetrics,
    class_divergence,
    definition,
    effective_classes,
    image_ceilings,
    image_metrics,
    kl_floor,
    make_reference,
    present_modes,
)

UNIFORM = jnp.full(10, 0.1)


@pytest.fixture(scope="module")
def classifier():
    return load_classifier("digits")


@pytest.fixture(scope="module")
def digits():
    """All real digits in a fixed random order, in [-1, 1], and their classes; most were trained on."""
    data = Images(name="digits", image_size=28).load()
    images = np.concatenate([data.images, data.test_images])
    labels = np.concatenate([data.labels, data.test_labels])
    order = np.random.default_rng(0).permutation(len(labels))
    return as_floats(jnp.asarray(images[order])), labels[order]


@pytest.fixture(scope="module")
def reference(classifier, digits):
    return make_reference(classifier, digits[0])


def of_class(digits, label):
    return digits[0][np.flatnonzero(digits[1] == label)]


# --- Hand-made histograms -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "effective", "modes", "kl"),
    [
        (np.full(10, 0.1), 10.0, 10, 0.0),
        (np.eye(10)[3], 1.0, 1, math.log(10)),
        (np.repeat([0.5, 0.0], [2, 8]), 2.0, 2, math.log(5)),
        (np.repeat([0.2, 0.0], [5, 5]), 5.0, 5, math.log(2)),
        (
            np.array([0.991] + [0.001] * 9),
            math.exp(-0.991 * math.log(0.991) - 0.009 * math.log(0.001)),
            1,
            None,
        ),
        (np.array([0.82] + [0.02] * 9), math.exp(-0.82 * math.log(0.82) - 0.18 * math.log(0.02)), 10, None),
        (np.zeros(10), 0.0, 0, math.log(10)),
    ],
)
def test_closed_forms(share, effective, modes, kl):
    share = jnp.asarray(share, jnp.float32)
    assert float(effective_classes(share)) == pytest.approx(effective, rel=1e-5)
    assert float(present_modes(share, UNIFORM)) == modes
    if kl is not None:
        assert float(class_divergence(share, UNIFORM)) == pytest.approx(kl, abs=1e-6)


def test_divergence_is_against_the_real_shares_in_nats():
    real = jnp.asarray([0.75, 0.25] + [0.0] * 8)
    assert float(class_divergence(real, real)) == pytest.approx(0.0, abs=1e-6)
    half = jnp.asarray([0.5, 0.5] + [0.0] * 8)
    assert float(class_divergence(half, real)) == pytest.approx(
        0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(2), abs=1e-6
    )
    assert float(class_divergence(jnp.eye(10)[9], real)) == pytest.approx(math.log(1e6), rel=1e-4)


def test_kl_floor_is_met_by_draws_from_the_real_shares(key):
    n, draws = 2_560, 400
    assert kl_floor(n) == pytest.approx(0.001758, abs=1e-6)
    classes = jax.random.randint(key, (draws, n), 0, 10)
    shares = jnp.mean(jax.nn.one_hot(classes, 10), axis=1)
    divergences = jax.vmap(class_divergence, in_axes=(0, None))(shares, UNIFORM)
    error = float(jnp.std(divergences)) / math.sqrt(draws)
    assert abs(float(jnp.mean(divergences)) - kl_floor(n)) < 4 * error


# --- Real images --------------------------------------------------------------------------------------------


def test_real_digits_score_their_ceilings(classifier, digits, reference):
    ceilings = reference.ceilings
    assert 9.97 <= float(ceilings.effective_classes) <= 10.0
    assert float(ceilings.modes) == 10
    assert float(ceilings.kl) < 1e-6
    assert float(ceilings.junk) < 0.05
    assert float(ceilings.max_share) < 0.115
    for ratio in (ceilings.variance_ratio, ceilings.intra_class_ratio, ceilings.pairwise_ratio):
        assert float(ratio) == pytest.approx(1.0, abs=1e-5)
    assert float(ceilings.intra_classes) == 10
    assert bool(ceilings.finite)


def test_real_digits_that_the_reference_has_not_seen(classifier, digits):
    # Disjoint halves of 898. Standard deviations over 25 random halvings: 1.4 % (V), 3.7 % (V_c, the median of 10
    # classes of 90) and 1.1 % (P); four of them are allowed.
    images = digits[0]
    reference = make_reference(classifier, images[:898])
    metrics = image_metrics(classifier, reference, images[898:1796])
    assert abs(float(metrics.variance_ratio) - 1) < 4 * 0.014
    assert abs(float(metrics.intra_class_ratio) - 1) < 4 * 0.037
    assert abs(float(metrics.pairwise_ratio) - 1) < 4 * 0.011
    # Twice the floor: the reference's own shares have the same error. Nine degrees of freedom: a standard
    # deviation of 0.47 of the mean.
    assert float(metrics.kl) < 2 * kl_floor(898) * (1 + 4 * 0.47)
    assert float(metrics.modes) == 10
    assert float(metrics.effective_classes) > 9.9


def test_ceilings_of_fewer_images(classifier, digits, reference):
    ceilings = image_ceilings(classifier, reference, digits[0], 600)
    assert float(ceilings.modes) == 10
    assert float(ceilings.kl) < kl_floor(600) * (1 + 4 * 0.47)
    # Standard deviation of V over 25 random draws of 600: 0.8 %.
    assert float(ceilings.variance_ratio) == pytest.approx(1.0, abs=4 * 0.008)
    with pytest.raises(ValueError, match=r"5000 samples needs.*1797"):
        image_ceilings(classifier, reference, digits[0], 5_000)


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "image_size"), [("mnist", 28), ("mnist", 64), ("fashion_mnist", 28)])
def test_full_test_sets_score_their_ceilings(name, image_size, real_data):
    images = jnp.asarray(Images(name=name, image_size=image_size, num_examples=10).load(real_data).test_images)
    judge = load_classifier(name)
    reference = make_reference(judge, images)
    # Confident images only: Fashion-MNIST's shirts and coats are often unsure, which skews its shares.
    assert float(reference.ceilings.effective_classes) > {"mnist": 9.97, "fashion_mnist": 9.7}[name]
    ceilings = image_ceilings(judge, reference, images, 2_560)
    assert float(ceilings.modes) == 10
    assert float(ceilings.intra_classes) == 10
    assert float(ceilings.kl) < kl_floor(2_560) * (1 + 4 * 0.47)
    # Relative standard errors at 2,560: below 1 % each.
    for ratio in (ceilings.variance_ratio, ceilings.intra_class_ratio, ceilings.pairwise_ratio):
        assert abs(float(ratio) - 1) < 4 * 0.01


# --- Injected collapses -------------------------------------------------------------------------------------


def test_one_class(classifier, digits, reference):
    metrics = image_metrics(classifier, reference, of_class(digits, 0))
    assert float(metrics.effective_classes) == pytest.approx(1.0, abs=0.06)
    assert float(metrics.modes) == 1
    assert float(metrics.max_share) > 0.98
    assert float(metrics.kl) == pytest.approx(math.log(10), abs=0.1)
    assert float(metrics.variance_ratio) < 0.5
    assert float(metrics.intra_class_ratio) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("num_classes", [2, 4, 8])
def test_some_classes_equally_often(classifier, digits, reference, num_classes):
    samples = jnp.concatenate([of_class(digits, label)[:150] for label in range(num_classes)])
    metrics = image_metrics(classifier, reference, samples)
    # A few in a hundred are not confident or wrong: E moves by less than 3 %.
    assert float(metrics.effective_classes) == pytest.approx(num_classes, rel=0.03)
    assert float(metrics.modes) == num_classes


def test_one_repeated_image(classifier, digits, reference):
    metrics = image_metrics(classifier, reference, jnp.repeat(of_class(digits, 0)[:1], 640, axis=0))
    assert float(metrics.variance_ratio) == 0.0
    assert float(metrics.pairwise_ratio) == 0.0
    assert float(metrics.intra_class_ratio) == 0.0
    assert float(metrics.pixel_std) == 0.0
    assert float(metrics.effective_classes) == 1.0
    assert float(metrics.modes) == 1


def test_one_image_a_class(classifier, digits, reference):
    originals = [of_class(digits, label)[:1] for label in range(10)]
    metrics = image_metrics(classifier, reference, jnp.repeat(jnp.concatenate(originals), 64, axis=0))
    assert float(metrics.effective_classes) == pytest.approx(10.0, abs=1e-4)
    assert float(metrics.intra_class_ratio) < 1e-6
    assert float(metrics.intra_classes) == 10
    assert float(metrics.variance_ratio) > 0.5
    assert float(metrics.pairwise_ratio) > 0.7


def test_order_of_samples_matters_to_the_pairing_only(classifier, digits, reference):
    ordered = digits[0][np.argsort(digits[1], kind="stable")]
    metrics = image_metrics(classifier, reference, ordered)
    assert float(metrics.pairwise_ratio) == pytest.approx(1.0, abs=4 * 0.011)
    assert float(metrics.variance_ratio) == pytest.approx(1.0, abs=1e-4)
    np.testing.assert_allclose(metrics.class_share, reference.class_share, atol=1e-6)


def test_noise_is_junk(classifier, reference, key):
    metrics = image_metrics(classifier, reference, jax.random.uniform(key, (640, 28, 28, 1), minval=-1.0))
    assert float(metrics.junk) > 0.95


def test_confidence_one_leaves_no_class(classifier, digits, reference):
    metrics = image_metrics(classifier, reference, digits[0], confidence=1.5)
    assert float(metrics.junk) == 1.0
    assert float(metrics.effective_classes) == 0.0
    assert float(metrics.modes) == 0
    np.testing.assert_array_equal(metrics.class_share, 0.0)
    assert float(metrics.kl) == pytest.approx(float(-jnp.log(jnp.min(reference.class_share))), rel=1e-5)
    assert float(metrics.intra_class_ratio) == 1.0
    assert float(metrics.intra_classes) == 0


# --- Bad samples and missing classifiers --------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
def test_metrics_of_bad_samples_are_finite(classifier, digits, reference, bad):
    for samples in (digits[0][:200].at[7, 13].set(bad), jnp.full((200, 28, 28, 1), bad)):
        metrics = image_metrics(classifier, reference, samples)
        assert all(np.all(np.isfinite(np.asarray(x, np.float32))) for x in metrics)
        assert bool(metrics.finite) == bool(np.isfinite(bad))


def test_without_a_classifier_only_pixels_are_measured(digits, reference):
    blind = make_reference(None, digits[0])
    metrics = image_metrics(None, blind, digits[0][:900])
    measured = {"pairwise_ratio", "pixel_std", "finite"}
    for name, value in metrics._asdict().items():
        assert bool(np.all(np.isnan(np.asarray(value, np.float32)))) == (name not in measured)
    assert float(metrics.pairwise_ratio) == pytest.approx(1.0, abs=4 * 0.011)
    assert float(blind.pairwise_distance) == pytest.approx(float(reference.pairwise_distance))
    assert float(blind.ceilings.pairwise_ratio) == 1.0


def test_images_of_the_wrong_shape_are_named(classifier, reference):
    with pytest.raises(ValueError, match=r"\(64, 28, 28\)"):
        image_metrics(classifier, reference, jnp.zeros((64, 28, 28)))
    with pytest.raises(ValueError, match="at least 2"):
        image_metrics(classifier, reference, jnp.zeros((1, 28, 28, 1)))


# --- Purity -------------------------------------------------------------------------------------------------


def assert_metrics_close(a, b):
    for name, x, y in zip(ImageMetrics._fields, a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5, err_msg=name)


def test_jit_is_eager(classifier, digits, reference):
    with jax.disable_jit():
        eager = image_metrics(classifier, reference, digits[0][:200], confidence=0.8)
    assert_metrics_close(eager, image_metrics(classifier, reference, digits[0][:200], confidence=0.8))


def test_vmap_is_a_loop(classifier, digits, reference):
    stacks = digits[0][:900].reshape(3, 300, 28, 28, 1)
    joined = jax.vmap(lambda x: image_metrics(classifier, reference, x, confidence=0.9))(stacks)
    for i in range(3):
        alone = image_metrics(classifier, reference, stacks[i], confidence=0.9)
        assert_metrics_close(alone, jax.tree.map(lambda x, i=i: x[i], joined))


def test_scan_is_a_loop_and_confidence_is_traced(classifier, digits, reference):
    samples = digits[0][:300]

    def measure(carry, confidence):
        return carry, image_metrics(classifier, reference, samples, confidence=confidence)

    _, stacked = jax.lax.scan(measure, 0, jnp.asarray([0.5, 0.9]))
    before = image_metrics._cache_size()
    for i, confidence in enumerate((0.5, 0.9)):
        alone = image_metrics(classifier, reference, samples, confidence=jnp.float32(confidence))
        assert_metrics_close(alone, jax.tree.map(lambda x, i=i: x[i], stacked))
    assert image_metrics._cache_size() <= before + 1
    assert float(stacked.junk[0]) <= float(stacked.junk[1])


def test_uint8_samples_are_the_same(classifier, digits, reference):
    as_bytes = jnp.round((digits[0][:300] + 1.0) * 127.5).astype(jnp.uint8)
    floats = as_floats(as_bytes)
    assert_metrics_close(image_metrics(classifier, reference, as_bytes), image_metrics(classifier, reference, floats))


def test_definition_can_be_stored(classifier):
    stamp = definition(confidence=0.9, num_samples=2_560, name="digits", classifier=classifier, accuracy=0.98)
    assert json.loads(json.dumps(stamp)) == stamp
    assert stamp["classifier"] == {"name": "digits", "hash": classifier_hash(classifier), "accuracy": 0.98}
    assert ">= 0.9" in stamp["rule"]
    assert stamp["num_samples"] == 2_560
    assert stamp["kl_floor"] == kl_floor(2_560)
    blind = definition(confidence=0.9, num_samples=100)
    assert blind["classifier"] is None
    assert "junk" not in blind["rule"]
