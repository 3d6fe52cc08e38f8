"""Landscapes of analytic discriminators: fields, peaks and basins in closed form."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.mixtures import Ring, Temperatures
from gan_jax.diagnostics import landscape
from gan_jax.losses.objectives import LeastSquares, Minimax, NonSaturating, Wasserstein

RING = Ring(num_modes=6, radius=2.0, std=0.1).source(())
RADII = 3 * RING.std


def bumps(modes, width=0.4):
    """A round bump at each mode: the D of the picture without collapse."""
    return lambda x: jnp.sum(
        jnp.exp(-0.5 * jnp.sum((x[:, None] - modes[None]) ** 2, axis=-1) / width**2),
        axis=1,
    )


def slope(x):
    """A D that rises to one side: the D of the picture with collapse."""
    return x @ jnp.array([3.0, -1.0])


SURROUNDINGS = landscape.plane_points(jnp.full(2, -3.0), jnp.full(2, 3.0), 41)


def test_bumps_at_the_modes_are_seen_and_a_slope_sees_none():
    seen = landscape.local_maximum_test(bumps(RING.modes), RING.modes, RADII, SURROUNDINGS)
    assert np.all(seen.seen)
    assert np.all(seen.distance < 0.1)
    assert np.all(seen.prominence > 0)
    np.testing.assert_allclose(seen.slope, 0, atol=1e-3)  # other bumps, 5 widths away, tilt a top by 2e-5
    ignored = landscape.local_maximum_test(slope, RING.modes, RADII, SURROUNDINGS)
    assert not np.any(ignored.seen)
    np.testing.assert_allclose(ignored.distance, 3, rtol=1e-4)  # as far as the ascent goes
    np.testing.assert_allclose(ignored.slope, 1, rtol=1e-4)
    assert np.all(ignored.prominence < 0)


def test_the_prominence_of_a_bump_is_its_fall_to_the_circle():
    one = RING.modes[:1]
    seen = landscape.local_maximum_test(bumps(one), one, RADII[:1], SURROUNDINGS)
    fall = 1 - math.exp(-0.5 * 0.3**2 / 0.4**2)
    assert float(seen.prominence[0]) == pytest.approx(fall / float(jnp.std(bumps(one)(SURROUNDINGS))), rel=1e-4)


def test_only_the_modes_with_a_bump_are_seen():
    seen = landscape.local_maximum_test(bumps(RING.modes[:2]), RING.modes, RADII, SURROUNDINGS)
    assert seen.seen.tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("constant", lambda x: 0 * x[:, 0]),
        ("plateau", lambda x: jnp.maximum(0.5, bumps(RING.modes, width=0.05)(x + 1.0))),
        # On its crest the ascent stays where it began, and the crest is no peak.
        ("ridge", lambda x: -jnp.abs(x[:, 1])),
        ("bowl", lambda x: jnp.sum(x**2, axis=1)),
    ],
)
def test_flat_places_ridges_and_valleys_are_no_peaks(name, score):
    modes = jnp.array([[0.0, 0.0], [1.0, 0.0]])
    seen = landscape.local_maximum_test(score, modes, jnp.full(2, 0.3), SURROUNDINGS)
    assert not np.any(seen.seen)
    assert all(np.all(np.isfinite(part)) for part in seen)


def test_a_peak_beside_the_mode_counts_up_to_the_radius():
    for shift, expected in ((0.2, True), (0.5, False)):
        off = RING.modes + jnp.array([[shift, 0.0]])
        seen = landscape.local_maximum_test(bumps(off), RING.modes, RADII, SURROUNDINGS)
        assert np.all(seen.seen == expected)
        np.testing.assert_allclose(seen.distance, shift / 0.3, atol=0.1)


def test_the_share_of_real_points_at_peaks_is_the_closed_form_where_every_mode_is_a_round_peak(key):
    num = 4000
    real = RING.sample(key, num)
    mode = landscape.nearest_mode(real, RING.modes)
    for scale in (1.0, 2.0):
        share = float(jnp.mean(landscape.is_peak(bumps(RING.modes), real, scale * RING.std[mode])))
        # A point at distance e from the top is a peak at the scale if e < scale / 2: Rayleigh. 16 directions instead of
        # all make it e < scale / (2 cos(pi / 16)) at most.
        least, most = (1 - math.exp(-0.5 * (0.5 * scale / c) ** 2) for c in (1.0, math.cos(math.pi / 16)))
        error = 4 * math.sqrt(least * (1 - least) / num)
        assert least - error < share < most + error
    assert not np.any(landscape.is_peak(slope, real, RADII[mode]))


def test_real_points_are_attracted_by_bumps_and_left_by_a_slope(key):
    real = RING.sample(key, 500)
    mode = landscape.nearest_mode(real, RING.modes)
    assert np.all(landscape.attracted(bumps(RING.modes), real, RING.modes[mode], RADII[mode]))
    assert not np.any(landscape.attracted(slope, real, RING.modes[mode], RADII[mode]))


def test_ascent_reaches_the_top_and_walks_as_far_as_it_may():
    start = jnp.array([[1.3, 0.4], [-0.5, 0.2]])
    end = landscape.ascend(lambda x: -jnp.sum((x - 1.0) ** 2, axis=1), start, jnp.full(2, 0.02), 200)
    np.testing.assert_allclose(end, 1.0, atol=0.03)
    far = landscape.ascend(slope, start, jnp.array([0.01, 0.02]), 50)
    np.testing.assert_allclose(jnp.linalg.norm(far - start, axis=1), [0.5, 1.0], rtol=1e-4)


@pytest.mark.parametrize(
    ("objective", "derivative"),
    [
        (NonSaturating(), lambda s: -1 / (1 + np.exp(s))),
        (Minimax(), lambda s: -1 / (1 + np.exp(-s))),
        (Wasserstein(), lambda s: -np.ones_like(s)),
        (LeastSquares(), lambda s: s - 1),
    ],
)
def test_the_field_is_minus_the_closed_form_gradient_of_the_generators_loss(key, objective, derivative):
    centre, width = jnp.array([0.3, -0.2]), 0.8
    criterion = objective.criterion()

    def score(x):
        return 2 - jnp.sum((x - centre[None]) ** 2, axis=1) / (2 * width**2)

    points = jax.random.normal(key, (200, 2))
    field = landscape.generator_field(lambda x: criterion.generator(score(x), key, jnp.int32(0)), points)
    scores = np.asarray(score(points))
    expected = -derivative(scores)[:, None] * -(np.asarray(points) - np.asarray(centre)) / width**2
    np.testing.assert_allclose(field, expected, rtol=1e-4, atol=1e-5)


def test_the_step_field_is_the_move_of_each_sample():
    latent = jnp.array([[1.0, 0.0], [0.0, 2.0]])
    start, moves = landscape.step_field(lambda w: latent * w[None], jnp.array([1.0, 3.0]), jnp.array([0.5, 3.5]))
    np.testing.assert_allclose(start, [[1, 0], [0, 6]])
    np.testing.assert_allclose(moves, [[-0.5, 0], [0, 1]])


def test_the_surface_is_by_y_and_x():
    grid = landscape.surface(lambda x: x[:, 0] + 10 * x[:, 1], jnp.array([0.0, 0.0]), jnp.array([2.0, 4.0]), 3, size=4)
    np.testing.assert_allclose(grid, [[0, 1, 2], [20, 21, 22], [40, 41, 42]])


def test_on_a_line_both_sides_are_looked_at():
    source = Temperatures().source(())
    radii = 3 * source.std
    grid = jnp.linspace(-60.0, 70.0, 201)[:, None]
    near = bumps(source.modes, width=10.0)
    assert landscape.local_maximum_test(near, source.modes, radii, grid).seen.tolist() == [True, True]
    only_hot = bumps(source.modes[1:], width=10.0)
    assert landscape.local_maximum_test(only_hot, source.modes, radii, grid).seen.tolist() == [False, True]
    rising = landscape.local_maximum_test(lambda x: x[:, 0], source.modes, radii, grid)
    assert not np.any(rising.seen)


def test_more_than_two_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"3 dimensions.*use scans"):
        landscape.circle_scores(lambda x: x[:, 0], jnp.zeros((2, 3)), jnp.ones(2))


def test_the_local_maximum_test_compiles_and_maps():
    def count(width):
        return landscape.local_maximum_test(bumps(RING.modes, width), RING.modes, RADII, SURROUNDINGS).seen.sum()

    assert jax.jit(jax.vmap(count))(jnp.array([0.2, 0.4])).tolist() == [6, 6]
