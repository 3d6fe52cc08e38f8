"""Vendi and classifier score, SSIM, sliced Wasserstein and C2ST against closed forms and scipy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression

from gan_jax.data.image_files import load_arrays
from gan_jax.metrics.diversity import classifier_score, pair_similarity, ssim, vendi_of_kernel, vendi_score
from gan_jax.metrics.two_samples import classifier_two_sample, sliced_wasserstein


def test_the_published_examples_of_the_vendi_score():
    points = np.array([0, 0, 10, 10, 20, 20], np.float32)
    kernel = np.exp(-np.abs(points[:, None] - points[None]))
    assert float(vendi_of_kernel(jnp.asarray(kernel))) == pytest.approx(2.9999, abs=2e-4)
    kernel = jnp.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    assert float(vendi_of_kernel(kernel)) == pytest.approx(2.1573, abs=1e-4)


@pytest.mark.parametrize(("num", "dims"), [(30, 6), (6, 30)])
def test_vendi_by_cosines_is_that_of_the_full_kernel_in_float64(num, dims):
    rows = np.random.default_rng(0).normal(size=(num, dims))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    values = np.clip(np.linalg.eigvalsh(unit @ unit.T / num), 1e-300, None)
    assert float(vendi_score(jnp.asarray(rows))) == pytest.approx(np.exp(-np.sum(values * np.log(values))), rel=1e-4)


@pytest.mark.realdata
def test_vendi_of_the_digits_of_mnist(real_data):
    """Pixels of the test images by digit, as published (two decimals), enlarged to 32x32 by Pillow's bicubic filter."""
    arrays = load_arrays("mnist", real_data)
    large = [Image.fromarray(image[..., 0]).resize((32, 32)) for image in arrays.test_images]
    rows = np.stack([np.asarray(image, np.float32).reshape(-1) for image in large])
    found = [float(vendi_score(jnp.asarray(rows[arrays.test_labels == digit]))) for digit in range(10)]
    published = [7.68, 5.31, 12.18, 9.97, 11.10, 13.51, 9.06, 9.58, 9.69, 8.56]
    np.testing.assert_allclose(found, published, atol=0.006)


def test_the_classifier_score_is_1_for_a_constant_and_10_for_balanced_and_sure_classes():
    assert float(classifier_score(jnp.full((50, 10), 0.1))) == pytest.approx(1.0)
    assert float(classifier_score(jnp.tile(jnp.eye(10)[:1], (50, 1)))) == pytest.approx(1.0)
    assert float(classifier_score(jnp.tile(jnp.eye(10), (5, 1)))) == pytest.approx(10.0, rel=1e-5)
    assert float(classifier_score(jnp.tile(jnp.eye(10)[:4], (5, 1)))) == pytest.approx(4.0, rel=1e-5)


def ssim_by_scipy(x, y):
    """Wang et al.'s rule with scipy's Gaussian filter, range 2, over pixels whose window is inside."""
    x, y = np.asarray(x, float), np.asarray(y, float)

    def blur(z):
        return gaussian_filter(z, 1.5, truncate=3.5)

    mx, my = blur(x), blur(y)
    vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = 0.02**2, 0.06**2
    full = ((2 * mx * my + c1) * (2 * vxy + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return full[5:-5, 5:-5].mean()


def test_ssim_is_that_of_scipys_filter():
    images = np.random.default_rng(0).uniform(-1, 1, (6, 16, 20, 1)).astype(np.float32)
    blurred = np.stack([gaussian_filter(image, (1, 1, 0)) for image in images])
    found = ssim(jnp.asarray(images), jnp.asarray(blurred))
    expected = [ssim_by_scipy(a[..., 0], b[..., 0]) for a, b in zip(images, blurred, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(ssim(jnp.asarray(images), jnp.asarray(images)), 1.0, rtol=1e-5)
    copies = jnp.tile(jnp.asarray(images[:1]), (8, 1, 1, 1))
    assert float(pair_similarity(copies)) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(copies[:, :8], copies[:, :8])


def test_the_sliced_distance_of_gaussians_has_its_closed_form():
    """A shift of length 3 in 9 dimensions: E <u, shift>^2 = 9 / 9. A scale of 2 of N(0, I): E W2^2 = (2 - 1)^2."""
    points, key = jax.random.normal(jax.random.key(0), (2000, 9)), jax.random.key(1)
    assert float(sliced_wasserstein(points + 1.0, points, key, num_projections=500)) == pytest.approx(1.0, rel=0.06)
    assert float(sliced_wasserstein(2 * points, points, key, num_projections=64)) == pytest.approx(1.0, rel=0.03)
    assert float(sliced_wasserstein(points, points, key, num_projections=8)) == 0.0


def test_the_accuracy_of_the_two_sample_network_is_near_that_of_logistic_regression():
    """Gaussians 1.5 apart: the best accuracy is Phi(0.75) = 0.773; 1,000 held-out points: standard error 0.013."""
    x = jax.random.normal(jax.random.key(0), (1000, 3)) + jnp.array([[1.5, 0.0, 0.0]])
    y = jax.random.normal(jax.random.key(1), (1000, 3))
    found = float(jax.jit(classifier_two_sample)(x, y, jax.random.key(2)))
    both, labels = np.concatenate([x, y]), np.repeat([0, 1], 1000)
    oracle = LogisticRegression().fit(both[::2], labels[::2]).score(both[1::2], labels[1::2])
    assert found == pytest.approx(oracle, abs=0.05)
    same = float(jax.jit(classifier_two_sample)(jax.random.normal(jax.random.key(3), (1000, 3)), y, jax.random.key(2)))
    assert abs(same - 0.5) < 4 / (4 * 1000) ** 0.5
