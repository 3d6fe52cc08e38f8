"""Inception features from a file against an implementation in NumPy, written from the architecture's tables."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import gan_jax as gj
from gan_jax.data.found_set import DataError
from gan_jax.metrics import inception
from gan_jax.metrics.inception import inception_features, inception_space, kernel_shapes, load_inception


@pytest.fixture(scope="module")
def arrays():
    """Random weights that keep the scale of the signal."""
    rng = np.random.default_rng(0)
    made = {"fc.weight": np.zeros((3, 3), np.float32)}
    for name, shape in kernel_shapes().items():
        made[f"{name}.conv.weight"] = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32)
        for part, low, high in (("weight", 0.8, 1.2), ("bias", -0.1, 0.1), ("running_mean", -0.1, 0.1)):
            made[f"{name}.bn.{part}"] = rng.uniform(low, high, shape[0]).astype(np.float32)
        made[f"{name}.bn.running_var"] = rng.uniform(0.8, 1.2, shape[0]).astype(np.float32)
    return made


def test_the_network_has_the_published_number_of_weights():
    """21,768,352 trained (without gains) and 34,432 others in Keras's InceptionV3 without its top."""
    shapes = kernel_shapes().values()
    channels = sum(shape[0] for shape in shapes)
    assert channels == 34_432 // 2
    assert sum(int(np.prod(shape)) for shape in shapes) == 21_768_352 - channels


class Reference:
    """Loops over kernel positions on [c, h, w]; padding and strides are given call by call, as PyTorch's tables do."""

    def __init__(self, weights):
        self.weights = {name: value.astype(float) for name, value in weights.items()}

    def conv(self, x, name, stride=1, pad=(0, 0)):
        kernel = self.weights[f"{name}.conv.weight"]
        x = np.pad(x, ((0, 0), (pad[0],) * 2, (pad[1],) * 2))
        height = (x.shape[1] - kernel.shape[2]) // stride + 1
        width = (x.shape[2] - kernel.shape[3]) // stride + 1
        out = np.zeros((kernel.shape[0], height, width))
        for i in range(kernel.shape[2]):
            for j in range(kernel.shape[3]):
                part = x[:, i : i + stride * height : stride, j : j + stride * width : stride]
                out += np.tensordot(kernel[:, :, i, j], part[:, :height, :width], 1)
        norm = {part: self.weights[f"{name}.bn.{part}"][:, None, None] for part in ("weight", "bias")}
        mean, variance = (self.weights[f"{name}.bn.running_{part}"][:, None, None] for part in ("mean", "var"))
        return np.maximum((out - mean) / np.sqrt(variance + 0.001) * norm["weight"] + norm["bias"], 0)

    def pool(self, x, how, stride=1):
        if stride == 1:
            x = np.pad(x, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::stride, ::stride]
        return how(windows, axis=(-2, -1))

    def features(self, x):
        conv, pool, same = self.conv, self.pool, (1, 1)
        x = conv(x, "Conv2d_1a_3x3", 2)
        x = conv(conv(x, "Conv2d_2a_3x3"), "Conv2d_2b_3x3", 1, same)
        x = conv(conv(pool(x, np.max, 2), "Conv2d_3b_1x1"), "Conv2d_4a_3x3")
        x = pool(x, np.max, 2)
        for m in ("Mixed_5b.", "Mixed_5c.", "Mixed_5d."):
            five = conv(conv(x, m + "branch5x5_1"), m + "branch5x5_2", 1, (2, 2))
            three = conv(conv(x, m + "branch3x3dbl_1"), m + "branch3x3dbl_2", 1, same)
            three = conv(three, m + "branch3x3dbl_3", 1, same)
            x = np.concatenate([conv(x, m + "branch1x1"), five, three, conv(pool(x, np.nanmean), m + "branch_pool")])
        three = conv(conv(x, "Mixed_6a.branch3x3dbl_1"), "Mixed_6a.branch3x3dbl_2", 1, same)
        three = conv(three, "Mixed_6a.branch3x3dbl_3", 2)
        x = np.concatenate([conv(x, "Mixed_6a.branch3x3", 2), three, pool(x, np.max, 2)])
        for m in ("Mixed_6b.", "Mixed_6c.", "Mixed_6d.", "Mixed_6e."):
            seven = conv(conv(x, m + "branch7x7_1"), m + "branch7x7_2", 1, (0, 3))
            seven = conv(seven, m + "branch7x7_3", 1, (3, 0))
            double = conv(x, m + "branch7x7dbl_1")
            for number, pad in ((2, (3, 0)), (3, (0, 3)), (4, (3, 0)), (5, (0, 3))):
                double = conv(double, f"{m}branch7x7dbl_{number}", 1, pad)
            x = np.concatenate([conv(x, m + "branch1x1"), seven, double, conv(pool(x, np.nanmean), m + "branch_pool")])
        three = conv(conv(x, "Mixed_7a.branch3x3_1"), "Mixed_7a.branch3x3_2", 2)
        seven = conv(conv(x, "Mixed_7a.branch7x7x3_1"), "Mixed_7a.branch7x7x3_2", 1, (0, 3))
        seven = conv(conv(seven, "Mixed_7a.branch7x7x3_3", 1, (3, 0)), "Mixed_7a.branch7x7x3_4", 2)
        x = np.concatenate([three, seven, pool(x, np.max, 2)])
        for m, how in (("Mixed_7b.", np.nanmean), ("Mixed_7c.", np.nanmax)):
            three = conv(x, m + "branch3x3_1")
            double = conv(conv(x, m + "branch3x3dbl_1"), m + "branch3x3dbl_2", 1, same)
            parts = [conv(x, m + "branch1x1")]
            for y, name in ((three, "branch3x3_2"), (double, "branch3x3dbl_3")):
                parts += [conv(y, f"{m}{name}a", 1, (0, 1)), conv(y, f"{m}{name}b", 1, (1, 0))]
            x = np.concatenate([*parts, conv(pool(x, how), m + "branch_pool")])
        return x.mean(axis=(1, 2))


def test_features_are_those_of_an_independent_implementation(arrays, tmp_path):
    """In float64 with random weights; a grey image of the network's own size, so that nothing is resized."""
    np.savez(tmp_path / "weights.npz", **arrays)
    image = np.random.default_rng(1).uniform(-1, 1, (299, 299)).astype(np.float32)
    expected = Reference(arrays).features(np.repeat(image[None].astype(float), 3, axis=0))
    found = inception_features(load_inception(tmp_path / "weights.npz"), jnp.asarray(image)[None, :, :, None])[0]
    assert found.shape == (2048,)
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.max(expected))


def test_a_file_that_holds_something_else_is_refused(arrays, tmp_path):
    place = tmp_path / "weights.npz"
    np.savez(place, **{name: value for name, value in arrays.items() if name != "Mixed_7c.branch_pool.bn.bias"})
    with pytest.raises(DataError, match=r"Mixed_7c.branch_pool.bn.bias of shape \[192\] is not in it"):
        load_inception(place)
    np.savez(place, **arrays | {"Conv2d_1a_3x3.conv.weight": np.zeros((32, 1, 3, 3))})
    with pytest.raises(DataError, match=r"has the shape \[32, 1, 3, 3\] there"):
        load_inception(place)
    place.write_text("weights", encoding="utf-8")
    with pytest.raises(DataError, match=r"cannot be read: File is not a zip file"):
        load_inception(place)
    with pytest.raises(DataError, match=r"does not exist"):
        load_inception(tmp_path / "missing.npz")


def test_samples_are_evaluated_on_them(arrays, tmp_path, monkeypatch):
    """On the smallest images that the network takes, for time. Digits, and as many of uniform noise."""
    monkeypatch.setattr(inception, "INPUT_SIZE", 75)
    inception_features.clear_cache()
    np.savez(tmp_path / "weights.npz", **arrays)
    images = np.asarray(gj.load_data(gj.load("digits_collapse")).dataset.test_images[:50])
    place = str(tmp_path / "weights.npz")
    result = gj.evaluate_samples(images, "digits", metrics="kid", features=place, intervals=False)
    assert result["features"]["dims"] == 2048
    assert result["features"]["name"] == inception_space(place).name
    assert result["features"]["name"].startswith("Inception v3 of weights.npz, sha256 ")
    noise = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
    other = gj.evaluate_samples(noise, "digits", metrics="kid", features=place, intervals=False)
    assert other["values"]["kid"]["value"] > 10 * abs(result["values"]["kid"]["value"])
    inception_features.clear_cache()
