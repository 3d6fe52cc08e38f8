"""Scans of analytic discriminators: half-widths, shares, sharpness and flat regions in closed form."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.diagnostics.scans import (
    flat_share,
    in_blocks,
    lengths,
    measure_scans,
    offsets,
    random_directions,
    scan,
    score_gradients,
    unit,
)

STD = 0.7


def bumps(centres, std=STD):
    """A sum of round Gaussian bumps of height 1, far from each other."""

    def score(x):
        apart = x[:, None].reshape(x.shape[0], 1, -1) - centres.reshape(1, centres.shape[0], -1)
        return jnp.sum(jnp.exp(-0.5 * jnp.sum(apart**2, axis=-1) / std**2), axis=1)

    return score


def far_points(num, shape):
    """Points 20 standard deviations and more apart: on the axes of a space that is large enough."""
    size = math.prod(shape)
    return jnp.asarray(20 * STD * np.eye(num, size, dtype=np.float32)).reshape(num, *shape)


@pytest.mark.parametrize("shape", [(12,), (4, 4, 1)])
def test_bumps_have_their_true_half_width_and_every_scan_has_its_maximum_at_their_centres(key, shape):
    centres = far_points(9, shape)
    score = bumps(centres)
    ks = offsets(5 * STD, 50)
    measures = measure_scans(scan(score, centres, random_directions(key, centres.shape), ks), ks)
    assert float(jnp.mean(measures.peak)) == 1
    assert float(jnp.mean(measures.highest)) == 1
    # Interpolation between offsets std / 10 apart is within 1e-3; the least value, e^-12.5, adds 4e-6.
    np.testing.assert_allclose(measures.half_width, math.sqrt(2 * math.log(2)) * STD, rtol=2e-3)
    # 1 / std^2 times 1 - h^2 / 4 + ..., in closed form, with h the spacing over std.
    h = 0.1
    np.testing.assert_allclose(measures.sharpness, 2 * (1 - math.exp(-(h**2) / 2)) / (h * STD) ** 2, rtol=1e-3)
    np.testing.assert_allclose(measures.curvature, measures.sharpness, rtol=1e-3)


def test_the_half_width_of_a_cone_is_linear_and_does_not_depend_on_the_scale_of_scores():
    ks = offsets(4.0, 8)
    cone = 3 - jnp.minimum(jnp.abs(ks), 2.0)[None]
    for factor in (1.0, 1e-3, 1e3):
        measures = measure_scans(factor * cone, ks)
        assert float(measures.half_width[0]) == pytest.approx(1.0)
        assert float(measures.sharpness[0]) == pytest.approx((2 * 0.5 / 0.25) / 2)
        assert float(measures.curvature[0]) == pytest.approx(factor * 2 * 0.5 / 0.25)


def test_a_lopsided_peak_has_the_mean_of_its_two_half_widths():
    ks = offsets(8.0, 80)
    roof = -jnp.where(ks < 0, jnp.minimum(-ks, 2.0) / 2, jnp.minimum(ks, 6.0) / 6)
    assert float(measure_scans(roof[None], ks).half_width[0]) == pytest.approx((1 + 3) / 2, rel=1e-5)


def test_slopes_valleys_and_plateaus_are_no_peaks():
    ks = offsets(3.0, 6)
    measures = measure_scans(jnp.stack([ks, ks**2, jnp.zeros_like(ks)]), ks)
    assert not np.any(measures.peak)
    assert not np.any(measures.highest)
    for values in (measures.half_width, measures.curvature, measures.sharpness):
        assert np.all(np.isnan(values))


def test_a_lower_peak_is_a_peak_and_is_not_the_highest():
    ks = offsets(6.0, 60)
    curve = jnp.exp(-0.5 * ks**2) + 2 * jnp.exp(-0.5 * (ks - 5) ** 2)
    measures = measure_scans(curve[None], ks)
    assert bool(measures.peak[0])
    assert not bool(measures.highest[0])


def test_a_scan_is_the_score_on_the_line(key):
    centres = far_points(3, (5,))
    points = jax.random.normal(key, (7, 5))
    directions = random_directions(jax.random.fold_in(key, 1), (7, 5))
    ks = offsets(2.0, 4)
    score = bumps(centres, std=9.0)
    lines = scan(score, points, directions, ks, size=20)  # blocks of two, and one left over
    assert lines.shape == (7, 9)
    for index, k in enumerate(ks):
        np.testing.assert_allclose(lines[:, index], score(points + k * directions), rtol=1e-5)
    assert float(ks[4]) == 0


def test_directions_have_length_one_and_prefer_none(key):
    directions = random_directions(key, (4000, 3, 1))
    np.testing.assert_allclose(lengths(directions), 1, rtol=1e-6)
    # Each coordinate of a uniform direction in three dimensions has mean 0 and variance 1/3: 5 standard errors.
    np.testing.assert_allclose(np.mean(directions, axis=0), 0, atol=5 / math.sqrt(3 * 4000))
    assert np.all(unit(jnp.zeros((2, 3))) == 0)


def test_gradients_in_blocks_are_the_closed_form(key):
    centre = jnp.zeros((1, 6))
    points = jax.random.normal(key, (11, 6))
    score = bumps(centre)
    expected = -points * score(points)[:, None] / STD**2
    np.testing.assert_allclose(score_gradients(score, points, size=4), expected, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(score_gradients(score, points, size=100), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("size", [1, 3, 4, 7, 100])
def test_blocks_of_any_size_give_the_same_rows(size):
    rows = jnp.arange(14.0).reshape(7, 2)
    double, total = in_blocks(lambda x, y: (2 * x, jnp.sum(x, axis=1) + y), rows, jnp.arange(7.0), size=size)
    np.testing.assert_array_equal(double, 2 * rows)
    np.testing.assert_array_equal(total, jnp.sum(rows, axis=1) + jnp.arange(7.0))


def test_the_flat_share_is_as_computed(key):
    # |grad| of a bump is (d / std^2) e^(-d^2 / 2 std^2): 30 points at the steepest place, 10 far out where it is tiny.
    steep, flat = jnp.zeros((30, 2)).at[:, 0].set(STD), jnp.zeros((10, 2)).at[:, 0].set(6 * STD)
    points = jnp.concatenate([steep, flat])
    slopes = lengths(score_gradients(bumps(jnp.zeros((1, 2))), points))
    np.testing.assert_allclose(slopes[0], math.exp(-0.5) / STD, rtol=1e-5)
    assert float(flat_share(slopes, slopes)) == pytest.approx(10 / 40)
    assert float(flat_share(slopes[:30], slopes)) == 0
    assert float(flat_share(slopes[30:], slopes)) == 1
    # At a tenth of the median and just above it: the fraction is a bound, not a rule of thumb.
    assert float(flat_share(jnp.array([0.099, 0.101]), jnp.ones(3))) == 0.5


def test_scans_compile_and_map(key):
    centres = far_points(4, (6,))
    ks = offsets(4 * STD, 20)

    def shares(std):
        lines = scan(bumps(centres, std), centres, random_directions(key, centres.shape), ks)
        return jnp.median(measure_scans(lines, ks).half_width)

    widths = jax.jit(jax.vmap(shares))(jnp.array([0.3, 0.6]))
    np.testing.assert_allclose(widths, [shares(0.3), shares(0.6)], rtol=1e-5)
    assert float(widths[1] / widths[0]) == pytest.approx(2, rel=0.02)
