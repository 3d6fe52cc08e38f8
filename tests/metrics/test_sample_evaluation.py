"""The metrics of samples together: faults that are put in are seen in proportion, real data are within their floor."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gan_jax.data.found_set import DataError
from gan_jax.data.images import Images
from gan_jax.data.mixtures import Ring
from gan_jax.metrics.classifier import load_classifier
from gan_jax.metrics.sample_cases import SampleError
from gan_jax.metrics.sample_evaluation import chosen_metrics, evaluate_samples
from gan_jax.metrics.sample_metrics import SAMPLE_METRICS
from gan_jax.metrics.sample_sets import classifier_space
from gan_jax.metrics.yardsticks import Yardstick, image_yardstick

NUM = 240
DATA = Images("digits", image_size=16)


@pytest.fixture(scope="module")
def digits():
    return DATA.load()


@pytest.fixture(scope="module")
def yardstick(digits) -> Yardstick:
    return image_yardstick(DATA, digits, NUM, 0)


def values(yardstick, images, names):
    """Numbers of metrics by name for images in [-1, 1]."""
    metrics = chosen_metrics(names)
    needed = {field for metric in metrics for field in metric.needs}
    samples, real = (yardstick.measured(jnp.asarray(part), needed) for part in (images, yardstick.reference))
    found = {}
    for metric in metrics:
        found |= {k: float(v) for k, v in jax.jit(metric.compute)(samples, real, yardstick.known).items()}
    return found


def signed(digits):
    return np.asarray(digits.images, np.float32) / 127.5 - 1, np.asarray(digits.labels)


def assert_worse(series, rising=(), falling=()):
    for name in rising:
        assert all(after[name] > before[name] for before, after in pairwise(series)), name
    for name in falling:
        assert all(after[name] < before[name] for before, after in pairwise(series)), name


DISTANCES = "frechet,kid,mmd,prdc,sliced_wasserstein,vendi,score,modes"


def test_dropped_modes_are_seen_in_proportion(digits, yardstick):
    images, labels = signed(digits)
    series = [values(yardstick, images[labels < kept][::kept][:NUM], DISTANCES) for kept in (10, 6, 3, 1)]
    sizes = [len(images[labels < kept][::kept][:NUM]) for kept in (10, 6, 3, 1)]
    assert min(sizes) > 100
    rising = ("frechet", "kid", "mmd", "sliced_wasserstein", "kl", "reverse_kl", "total_variation", "jensen_shannon")
    assert_worse(series, rising, ("coverage", "recall_k5", "vendi", "classifier_score", "modes"))
    assert [one["modes"] for one in series] == [10, 6, 3, 1]


def test_blur_is_seen_in_proportion(digits, yardstick):
    images, _ = signed(digits)
    chosen = images[np.random.default_rng(0).permutation(len(images))[:NUM]]
    series = [
        values(yardstick, np.stack([gaussian_filter(x, (s, s, 0)) for x in chosen]), "frechet,mmd,prdc,modes")
        for s in (0.0, 1.5, 3.0)
    ]
    assert_worse(series, ("frechet", "mmd"), ("precision_k5", "coverage", "high_quality"))


def test_duplicates_are_seen_in_proportion(digits, yardstick):
    images, _ = signed(digits)
    chosen = images[np.random.default_rng(1).permutation(len(images))[:NUM]]
    series = [
        values(yardstick, np.tile(chosen[:num], (NUM // num, 1, 1, 1)), "frechet,prdc,vendi,ssim")
        for num in (240, 12, 2)
    ]
    assert_worse(series, ("frechet", "ssim"), ("coverage", "vendi"))


def test_training_examples_are_seen_as_copies_and_held_out_ones_are_not(digits, yardstick):
    images, _ = signed(digits)
    held = np.asarray(digits.test_images, np.float32)[:NUM] / 127.5 - 1
    copies, fresh = (values(yardstick, part, "memorisation") for part in (images[::6][:NUM], held))
    assert copies["authenticity"] < 0.02
    assert copies["copying"] < -5 < fresh["copying"]
    assert copies["nearest_ratio"] < 0.01
    assert fresh["authenticity"] > 0.3
    assert 0.8 < fresh["nearest_ratio"] < 1.2


def test_real_data_are_within_their_floor_and_points_of_one_mode_are_not():
    ring, source = Ring(), Ring().source(())
    asked = "modes,frechet,mmd,likelihood"
    result = evaluate_samples(source.sample(jax.random.key(5), 400), ring, metrics=asked)["values"]
    for name in ("kl", "total_variation", "frechet"):
        row = result[name]
        assert row["value"] < 4 * row["floor"], name
        assert row["interval"][0] <= row["value"] <= row["interval"][1]
    assert result["mmd"]["interval"][0] < 0 < result["mmd"]["interval"][1]
    assert result["modes"]["value"] == result["modes"]["real"] == 8
    single = source.modes[:1] + 0.02 * jax.random.normal(jax.random.key(6), (400, 2))
    one = evaluate_samples(single, ring, metrics=asked, intervals=False)
    assert one["values"]["modes"]["value"] == 1
    assert one["values"]["modes"]["interval"] is None
    assert one["values"]["frechet"]["value"] > 100 * one["values"]["frechet"]["floor"]
    assert one["values"]["mmd"]["value"] > 0.1
    assert one["grid"]["modes"][1][0] == 1
    assert one["grid"]["real_modes"][1][0] == 8


def test_a_whole_evaluation_of_images_by_name(digits):
    """PyTorch's layout; every metric for images; a function of features; a reference of one's own."""
    images = np.moveaxis(np.asarray(digits.test_images)[:120], 3, 1).astype(np.float32) / 255
    result = evaluate_samples(images, "digits", intervals=False)
    assert any("channels first" in note for note in result["notes"])
    every = {value.name for metric in SAMPLE_METRICS for value in metric.values} - {"log_likelihood"}
    assert set(result["values"]) == every
    assert result["left_out"] == {}
    assert "not Inception" in result["features"]["name"]
    assert result["values"]["frechet"]["value"] < 2 * result["values"]["frechet"]["floor"]

    space = classifier_space(load_classifier("digits"), "digits")
    again = evaluate_samples(images, DATA, metrics="prdc", features=space.extract, intervals=False)
    assert again["values"]["coverage"]["value"] == pytest.approx(result["values"]["coverage"]["value"])
    own = evaluate_samples(images, DATA, metrics=["prdc"], reference=images, features="pixels", intervals=False)
    assert own["values"]["coverage"]["value"] == 1.0
    assert own["reference"] == "120 images of the given file"


def test_real_examples_may_be_an_array():
    points = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    result = evaluate_samples(points[:100] + 3, points, metrics="prdc", intervals=False)
    assert result["values"]["coverage"]["value"] < 0.2
    assert result["values"]["coverage"]["real"] > 0.8


@pytest.mark.parametrize(
    ("samples", "data", "options", "error", "words"),
    [
        (
            np.zeros((10, 16, 16)),
            "digits",
            {"metrics": "frechet"},
            SampleError,
            "at least 97 samples, and there are 10",
        ),
        (np.zeros((10, 16, 16)), "digits", {}, SampleError, "takes at least 50 samples, and there are 10"),
        (np.zeros((60, 2)), Ring(), {"metrics": "fid"}, SampleError, "there is no metric 'fid'"),
        (np.zeros((60, 2)), Ring(), {"metrics": "score"}, SampleError, "score takes a validated classifier"),
        (np.zeros((60, 2)), Ring(), {"reference": "valid"}, SampleError, "must be train, test"),
        (np.zeros((60, 2)), Ring(), {"features": "fid"}, SampleError, "must be auto, pixels, an .npz"),
        (np.zeros((60, 3)), Ring(), {}, DataError, "the data are points [n, 2]"),
        (np.zeros((60, 3)), np.zeros((60, 2)), {}, SampleError, "has the shape [60, 3]"),
        (np.zeros((60, 32, 32)), DATA, {}, DataError, "has images of (32, 32, 1)"),
        (np.zeros((60, 28, 28)), "nothing_such", {}, DataError, "no data set 'nothing_such'"),
    ],
)
def test_what_does_not_fit_is_refused(samples, data, options, error, words, monkeypatch, tmp_path):
    monkeypatch.delenv("GAN_JAX_DATA", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(error) as raised:
        evaluate_samples(samples, data, **options)
    assert words in str(raised.value)
    assert len(str(raised.value).splitlines()) <= 2


def test_every_metric_has_its_definition_and_every_number_its_meaning():
    names = [value.name for metric in SAMPLE_METRICS for value in metric.values]
    assert len(set(names)) == len(names)
    for metric in SAMPLE_METRICS:
        assert len(metric.definition) > 10
        for value in metric.values:
            assert value.better in ("low", "high", "real")
            assert 10 < len(value.meaning) < 90
