"""Coverage of the 1,000 modes: closed forms, real stacked images at their ceilings, and samples of known modes."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.found_set import DataError
from gan_jax.data.stacked import StackedImages, StackedSource, stack_channels
from gan_jax.metrics.classifier import GATES, classify, load_classifier
from gan_jax.metrics.sample_cases import SampleError
from gan_jax.metrics.sample_evaluation import evaluate_samples
from gan_jax.metrics.sample_sets import class_modes, read_classes
from gan_jax.metrics.stacked_bounds import expected_divergence, stacked_bounds
from gan_jax.metrics.stacked_metrics import StackedRule, make_stacked_reference, stacked_metrics, triple_share

NUM = 100
UNIFORM = np.full(1000, 1e-3)
MNIST = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]) / 60_000  # the training set's classes


@pytest.fixture(scope="module")
def digits():
    """(dataset, classifier, reference, by class the training images that the classifier is sure of)."""
    dataset = StackedImages("digits").load()
    classifier = load_classifier("digits")
    reference = make_stacked_reference(classifier, dataset.labels, dataset.test_images)
    probabilities, _ = classify(classifier, dataset.images)
    sure = np.asarray(probabilities)[np.arange(1437), np.asarray(dataset.labels)] > 0.9
    return dataset, classifier, reference, [np.flatnonzero(sure & (np.asarray(dataset.labels) == c)) for c in range(10)]


def of_modes(digits, modes, seed=0):
    """Stacked digits, uint8, whose modes are the given ones, and which the classifier reads so."""
    dataset, _, _, by_class = digits
    rng = np.random.default_rng(seed)
    triples = [[rng.choice(by_class[int(c)]) for c in f"{mode:03d}"] for mode in modes]
    return stack_channels(dataset.images, jnp.asarray(np.array(triples, np.int32)))


def measure(digits, samples, rule=None):
    _, classifier, reference, _ = digits
    return stacked_metrics(classifier, reference, samples, rule or StackedRule())


# --- Closed forms -------------------------------------------------------------------------------------------


def test_floors_of_a_perfect_sampler():
    # (K - 1) / 2n to first order; the second is 1 / (12 n^2) sum (1 / w_k - 1), and what follows is of order n^-3.
    for num, error in ((25_600, 1e-5), (1_000_000, 1e-9)):
        series = 999 / (2 * num) + (1e6 - 1) / (12 * num**2)
        assert expected_divergence(UNIFORM, UNIFORM, num) == pytest.approx(series, abs=error)
    rng = np.random.default_rng(0)
    counts = rng.multinomial(2_500, UNIFORM, size=400)
    drawn = np.sum(counts / 2_500 * np.log(np.maximum(counts, 1) / 2.5), axis=1)
    # 400 draws: within 5 standard errors.
    assert expected_divergence(UNIFORM, UNIFORM, 2_500) == pytest.approx(drawn.mean(), abs=5 * drawn.std() / 20)


def test_class_imbalance_adds_three_times_its_own_divergence():
    true = np.asarray(triple_share(jnp.asarray(MNIST)), float)
    assert true.sum() == pytest.approx(1, abs=1e-6)
    assert true[123] == pytest.approx(MNIST[1] * MNIST[2] * MNIST[3])
    imbalance = 3 * np.sum(MNIST * np.log(10 * MNIST))
    assert imbalance == pytest.approx(0.0043, abs=1e-4)
    excess = expected_divergence(true, UNIFORM, 10**6) - expected_divergence(true, true, 10**6)
    assert excess == pytest.approx(imbalance, abs=1e-5)


def test_divergences_without_an_answer():
    half = np.array([0.5, 0.5])
    assert math.isnan(expected_divergence(half, half, 0))
    assert expected_divergence(half, np.array([1.0, 0.0]), 10) == math.inf


def test_ceilings_of_a_perfect_reader(digits):
    # Held-out images of equal classes, all read rightly and surely: what is left is the number of samples.
    reference = digits[2]._replace(
        class_share=jnp.full(10, 0.1), test_classes=jnp.arange(1000) % 10, test_confidence=jnp.ones(1000)
    )
    few, many = (stacked_bounds(reference, StackedRule(), num) for num in (2_500, 25_600))
    assert few["modes"].ceiling == pytest.approx(1000 * (1 - (1 - 1e-3) ** 2_500))
    assert few["modes"].ceiling == pytest.approx(918, abs=0.1)
    assert many["modes"].ceiling == pytest.approx(1000, abs=1e-6)
    for name in ("kl", "kl_data"):
        assert many[name].ceiling == pytest.approx(many[name].floor, rel=1e-5)
    strict = stacked_bounds(reference, StackedRule(confidence=0.9, min_count=10), 2_500)
    assert strict["modes"].ceiling < 1


# --- Real images --------------------------------------------------------------------------------------------


@pytest.mark.realdata
def test_real_stacked_mnist_scores_its_ceilings(real_data):
    num = 2_500
    dataset = StackedImages().load(real_data / "mnist")
    classifier = load_classifier("mnist")
    reference = make_stacked_reference(classifier, dataset.labels, dataset.test_images)
    assert np.mean(np.asarray(reference.test_classes) == np.asarray(dataset.test_labels)) >= GATES["mnist"]
    np.testing.assert_allclose(reference.class_share, MNIST, atol=1e-6)
    held_out = StackedSource(dataset._replace(images=dataset.test_images))
    rule = StackedRule()
    metrics = stacked_metrics(classifier, reference, held_out.sample(jax.random.key(0), num), rule)
    bounds = stacked_bounds(reference, rule, num)
    # key 0: within 5 standard errors. Occupied cells vary by less than independent ones; 2n KL is chi-square of 999.
    ceilings = {name: bound.ceiling for name, bound in bounds.items()}
    errors = {name: math.sqrt(ceilings[name] * (1 - ceilings[name] / 1000)) for name in ("modes", "modes_sure")}
    errors |= {name: math.sqrt(2 * 999) / (2 * num) for name in ("kl", "kl_data")}
    errors["high_quality"] = math.sqrt(ceilings["high_quality"] * (1 - ceilings["high_quality"]) / num)
    errors |= {name: 1 / math.sqrt(num) for name in ("pairwise_ratio", "intra_class_ratio", "pixel_std")}
    for name, error in errors.items():
        assert float(getattr(metrics, name)) == pytest.approx(ceilings[name], abs=5 * error), name
    assert ceilings["modes"] == pytest.approx(915, abs=3)  # 918 with equal classes
    assert ceilings["high_quality"] > 0.98
    assert int(jnp.sum(metrics.counts)) == num
    assert float(jnp.min(metrics.channel_classes)) > 9.9
    assert bool(metrics.finite)
    full = stacked_bounds(reference, rule, 25_600)
    assert full["modes"].ceiling > 999.99
    assert full["modes_held"].ceiling > 999.9
    assert full["kl"].floor == pytest.approx(999 / 51_200, rel=0.01)
    assert full["kl_data"].floor < full["kl_data"].ceiling < full["kl"].ceiling < 0.03


# --- Samples of known modes ---------------------------------------------------------------------------------


def test_a_triple_of_classes_is_a_mode(digits):
    metrics = measure(digits, of_modes(digits, [907, 907, 907, 12, 0] * 20))
    counts = np.asarray(metrics.counts)
    assert {int(mode): int(counts[mode]) for mode in np.flatnonzero(counts)} == {907: 60, 12: 20, 0: 20}
    assert (int(metrics.modes), int(metrics.modes_sure), int(metrics.dominant_mode)) == (3, 3, 907)
    assert float(metrics.max_share) == pytest.approx(0.6)
    assert float(metrics.high_quality) == 1
    # Channels: 9 9 9 0 0; 0 0 0 1 0; 7 7 7 2 0.
    entropies = [-sum(p * math.log(p) for p in shares) for shares in ((0.6, 0.4), (0.8, 0.2), (0.6, 0.2, 0.2))]
    np.testing.assert_allclose(metrics.channel_classes, np.exp(entropies), rtol=1e-5)


@pytest.mark.parametrize("num_modes", [1, 10, 50])
def test_few_modes(digits, num_modes):
    modes = np.random.default_rng(num_modes).choice(1000, num_modes, replace=False)
    metrics = measure(digits, of_modes(digits, np.tile(modes, NUM // num_modes)))
    assert int(metrics.modes) == int(metrics.modes_sure) == int(metrics.modes_held) == num_modes
    # The KL of equal shares of m modes to equal shares of 1,000 is ln(1000 / m).
    assert float(metrics.kl) == pytest.approx(math.log(1000 / num_modes), abs=1e-4)


def test_the_rule_decides_what_is_captured(digits):
    samples = of_modes(digits, np.repeat([111, 222, 333], [60, 30, 10]))
    assert int(measure(digits, samples).modes) == 3
    assert int(measure(digits, samples, StackedRule(min_count=11)).modes) == 2
    assert int(measure(digits, samples, StackedRule(min_count=61)).modes) == 0
    nothing = measure(digits, jnp.zeros((NUM, 28, 28, 3)), StackedRule(confidence=1.0))
    assert int(nothing.modes) == 0
    assert int(nothing.dominant_mode) == -1
    assert math.isnan(float(nothing.kl))


def test_strays_capture_modes_and_do_not_hold_them(digits):
    # Of 100 samples a mode that would get 20 is held by 2; the others by 1.
    _, classifier, reference, _ = digits
    share = jnp.full(10, 0.4 / 9).at[1].set(0.6)
    samples = of_modes(digits, [111, *[222] * 99])
    metrics = stacked_metrics(classifier, reference._replace(class_share=share), samples, StackedRule())
    assert (int(metrics.modes), int(metrics.modes_held)) == (2, 1)


def test_noise_captures_modes_by_the_published_rule_and_has_no_quality(digits):
    metrics = measure(digits, jax.random.uniform(jax.random.key(0), (NUM, 28, 28, 3), minval=-1.0))
    assert int(metrics.modes) >= 1
    assert int(jnp.sum(metrics.counts)) == NUM
    assert float(metrics.high_quality) < 0.05


def test_copies_inside_the_classes_have_no_variance(digits):
    dataset, _, _, by_class = digits
    modes = np.random.default_rng(0).choice([a + b + c for a in (0, 300) for b in (0, 30) for c in (0, 3)], NUM)
    one_each = [[by_class[int(c)][0] for c in f"{mode:03d}"] for mode in modes]
    copies = measure(digits, stack_channels(dataset.images, jnp.asarray(np.array(one_each, np.int32))))
    various = measure(digits, of_modes(digits, modes))
    assert float(copies.intra_class_ratio) < 1e-3
    assert 0.5 < float(various.intra_class_ratio) < 1.5
    assert int(copies.modes) == int(various.modes) == 8


def test_blocks_add_up_and_floats_are_as_integers(digits):
    modes = np.random.default_rng(1).integers(0, 1000, NUM)  # one whole block, and one filled up
    samples = of_modes(digits, modes)
    for images in (samples, samples.astype(jnp.float32) / 127.5 - 1):
        np.testing.assert_array_equal(measure(digits, images).counts, np.bincount(modes, minlength=1000))


def test_pixels_that_are_not_finite_are_told_and_spoil_no_number(digits):
    samples = of_modes(digits, [3] * NUM).astype(jnp.float32) / 127.5 - 1
    metrics = measure(digits, samples.at[0, 0, 0, 0].set(jnp.nan).at[1, 2, 3, 1].set(jnp.inf))
    assert not bool(metrics.finite)
    assert all(np.all(np.isfinite(np.asarray(value))) for value in metrics)


def test_without_a_classifier_pixels_are_measured_alone(digits):
    dataset, _, _, _ = digits
    reference = make_stacked_reference(None, dataset.labels, dataset.test_images)
    samples = of_modes(digits, np.random.default_rng(2).integers(0, 1000, NUM))
    metrics = stacked_metrics(None, reference, samples, StackedRule())
    assert float(metrics.pairwise_ratio) == pytest.approx(1, abs=0.1)
    assert all(math.isnan(float(getattr(metrics, name))) for name in ("modes", "kl", "high_quality"))
    same = stacked_metrics(None, reference, jnp.ones((NUM, 28, 28, 3)), StackedRule())
    assert (float(same.pairwise_ratio), float(same.pixel_std)) == (0, 0)


def test_thresholds_are_traced(digits):
    samples = of_modes(digits, np.repeat([5, 700], [99, 1]))
    programs = stacked_metrics._cache_size()
    found = [int(measure(digits, samples, StackedRule(min_count=least)).modes) for least in (1, 2, 100)]
    assert found == [2, 1, 0]
    assert stacked_metrics._cache_size() <= programs + 1


@pytest.mark.parametrize("shape", [(5, 28, 28, 1), (28, 28, 3), (1, 28, 28, 3)])
def test_other_shapes_are_refused(digits, shape):
    with pytest.raises(ValueError, match=r"must be \[n, size, size, 3\] with n at least 2"):
        measure(digits, jnp.zeros(shape))


def test_wrong_rules_are_told_in_a_line():
    for settings, words in (
        ({"min_count": 0}, "min_count is 0.0, and must be at least 1"),
        ({"confidence": 1.5}, "confidence is 1.5, and must be at most 1"),
    ):
        with pytest.raises(ValueError, match=words):
            StackedRule(**settings)
    assert "count>=1" in StackedRule().describe(25_600)
    assert StackedRule(min_count=10).describe(25_600) != StackedRule().describe(25_600)


# --- Through the evaluation of anybody's samples ---------------------------------------------------------------


def evaluated(digits, samples, names="modes", **options):
    dataset = digits[0]
    options = {"metrics": names, "dataset": dataset, "intervals": False, **options}
    return evaluate_samples(samples, StackedImages("digits", image_size=dataset.images.shape[1]), **options)


def test_samples_of_known_modes_are_counted_and_have_the_divergence_of_their_shares(digits):
    modes = np.repeat(np.arange(100), 4)
    found = evaluated(digits, of_modes(digits, modes))
    weights = np.asarray(triple_share(jnp.bincount(digits[0].labels, length=10) / len(digits[0].labels)), float)
    assert found["values"]["modes"]["value"] == 100
    assert found["values"]["kl"]["value"] == pytest.approx(np.sum(0.01 * np.log(0.01 / weights[:100])), rel=1e-4)
    grid = found["grid"]
    sure = grid["confidences"].index(0.9)
    # Four samples of each mode, all read with more than 0.9.
    assert dict(zip(grid["min_counts"], grid["modes"][sure], strict=True)) == {
        1: 100,
        2: 100,
        3: 100,
        5: 0,
        10: 0,
        20: 0,
    }


def test_the_product_of_three_probabilities_is_stricter_than_the_least(digits):
    real = StackedSource(digits[0]).sample(jax.random.key(3), 400)
    noisy = jnp.clip(real + 0.2 * jax.random.normal(jax.random.key(4), real.shape), -1, 1)
    grid = evaluated(digits, noisy)["grid"]
    least, product = np.array(grid["modes"]), np.array(grid["product_modes"])
    np.testing.assert_array_equal(least[0], product[0])  # every sample counts from 0 on
    assert np.all(product <= least)
    assert np.any(product[1:] < least[1:])
    probabilities, _ = read_classes(digits[1], noisy)
    joint = np.prod(np.asarray(probabilities).reshape(400, 3, 10).max(axis=2), axis=1)
    modes = np.asarray(class_modes(probabilities)[0])
    for row, least_product in zip(product, grid["confidences"], strict=True):
        assert row[0] == len(set(modes[joint >= least_product]))


def test_real_stacks_are_within_the_spread_of_real_stacks_and_dropped_modes_are_seen(digits):
    num = 600
    real = StackedSource(digits[0]).sample(jax.random.key(7), num)
    found = evaluated(digits, real, "modes,frechet,prdc")
    values = found["values"]
    assert found["reference"] == "600 stacked train images"
    # Occupied cells have a standard deviation of at most the root of their number; 5 of them.
    assert abs(values["modes"]["value"] - values["modes"]["floor"]) < 5 * math.sqrt(values["modes"]["floor"])
    assert values["frechet"]["value"] == pytest.approx(values["frechet"]["floor"], rel=0.2)
    few = evaluated(digits, of_modes(digits, np.arange(num) % 50), "modes,frechet,prdc")["values"]
    assert few["modes"]["value"] == 50
    assert few["frechet"]["value"] > 3 * values["frechet"]["value"]
    assert few["coverage"]["value"] < 0.5 < values["coverage"]["value"]


def test_what_is_not_defined_for_stacks_is_refused_and_left_out_of_all(digits):
    samples = of_modes(digits, np.arange(100))
    with pytest.raises(SampleError, match="memorisation takes a training set of single images"):
        evaluated(digits, samples, "memorisation")
    with pytest.raises(DataError, match="stacked images have no file as the reference"):
        evaluated(digits, samples, reference=np.asarray(samples))
    found = evaluated(digits, samples, "all")
    assert {"modes", "kid"} <= {row["metric"] for row in found["values"].values()}
    assert not {"memorisation", "likelihood"} & {row["metric"] for row in found["values"].values()}
