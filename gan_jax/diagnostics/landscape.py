"""D's landscape over a plane or a line: its surface, the field that moves fakes, and local maxima at the real modes.

Every function takes a score, [n, d] -> [n] (`gan_jax.diagnostics.scans.Score`), and arrays, with d = 1 or 2.

The local-maximum test of a mode uses a radius r, by convention 3 standard deviations, which hold 98.9 % of a mode's
points in the plane. D passes it if gradient ascent of D from the mode's mean ends within r of the mean, at a point that
is above the whole circle of radius r around it. A D that only separates the real side from the fakes keeps rising
beyond the modes, and the ascent leaves them.

References:
    A. Gainetdinov, "GAN Mode Collapse Explanation", Towards AI, 2023, figure 1: six Gaussians on a ring.
    H. Thanh-Tung, T. Tran, "Catastrophic forgetting and mode collapse in GANs", IJCNN 2020, arXiv 1807.04015.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.diagnostics.scans import Score, in_blocks, input_gradients, lengths, unit

NUM_AROUND = 16
"""Points on the circle with which a point of the plane is compared."""
ASCENT_STEPS = 120
"""Steps of an ascent, each of length r / 40: an ascent can move by 3 r."""


class LocalMaxima(NamedTuple):
    """Result of the local-maximum test at K modes. All [K].

    Attributes:
        seen: whether D has a local maximum at the mode, as this module defines it.
        distance: from the mode to the end of the ascent, in radii.
        prominence: D at the mode minus its greatest value on the circle of radius r, divided by the standard deviation
            of D's scores in the surroundings. Above 0 if the mode itself is a maximum at this scale.
        slope: |dD/dx| at the mode, divided by the root mean square of |dD/dx| in the surroundings.
    """

    seen: Array
    distance: Array
    prominence: Array
    slope: Array


def plane_points(low: Array, high: Array, num: int) -> Array:
    """A grid of points of the plane.

    Args:
        low: [2], the corner of the least coordinates.
        high: [2], the opposite corner.
        num: points along a side.

    Returns:
        [num^2, 2], in data units; x varies fastest.
    """
    across, up = (jnp.linspace(low[i], high[i], num) for i in (0, 1))
    return jnp.stack(jnp.meshgrid(across, up), axis=-1).reshape(-1, 2)


def surface(score: Score, low: Array, high: Array, num: int, *, size: int = 4096) -> Array:
    """D's scores on a grid of the plane.

    Args:
        score: D.
        low: [2], a corner, see `plane_points`.
        high: [2], the opposite corner.
        num: points along a side.
        size: points that are scored at once.

    Returns:
        [num, num] raw scores, by y and x.
    """
    return in_blocks(score, plane_points(low, high, num), size=size).reshape(num, num)


def generator_field(losses: Callable[[Array], Array], points: Array) -> Array:
    """-dL_G/dx: the direction in which G's loss moves a fake at each point.

    Args:
        losses: points [n, d] -> G's loss of each, [n].
        points: [n, d].

    Returns:
        [n, d], in units of the loss per data unit.

    Example:
        >>> generator_field(lambda x: 0.5 * jnp.sum(x**2, axis=1), jnp.array([[1.0, -2.0]])).tolist()
        [[-1.0, 2.0]]
    """
    return -input_gradients(losses, points)


def step_field(samples: Callable[[Any], Array], before: Any, after: Any) -> tuple[Array, Array]:
    """Fakes before a training step and their displacement by it.

    Args:
        samples: a generator's parameters (or variables) -> its samples of fixed latents, [n, d].
        before: parameters before the step.
        after: parameters after the step.

    Returns:
        (samples before the step, displacements), both [n, d], in data units.
    """
    start = samples(before)
    return start, samples(after) - start


def ascend(score: Score, points: Array, stride: Array, num_steps: int = ASCENT_STEPS) -> Array:
    """Gradient ascent of D with steps of a fixed length.

    Near a maximum the steps alternate, so that the end is about a stride from it. Where the gradient is 0, a point
    stays.

    Args:
        score: D.
        points: [n, d], where the ascents start.
        stride: [n], length of each step, in data units.
        num_steps: number of steps.

    Returns:
        [n, d], where the ascents end.
    """

    def step(at: Array, _: None) -> tuple[Array, None]:
        return at + stride[:, None] * unit(input_gradients(score, at, size=4096)), None

    return jax.lax.scan(step, points, length=num_steps)[0]


def circle_scores(score: Score, points: Array, radii: Array) -> Array:
    """D's scores on the circle around each point; on a line, at both sides.

    Args:
        score: D.
        points: [n, d].
        radii: [n], in data units.

    Returns:
        [n, 16] raw scores in the plane, [n, 2] on a line.

    Raises:
        ValueError: if d is above 2: few directions do not surround a point there.
    """
    dims = points.shape[1]
    if dims > 2:
        raise ValueError(
            f"the points have {dims} dimensions, and the local-maximum test works in 1 or 2: use scans D(x + k u)"
        )
    angles = 2 * jnp.pi * jnp.arange(NUM_AROUND) / NUM_AROUND
    circle = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1) if dims == 2 else jnp.array([[-1.0], [1.0]])
    around = points[:, None] + radii[:, None, None] * circle[None]
    return in_blocks(score, around.reshape(-1, dims), size=4096).reshape(points.shape[0], -1)


def is_peak(score: Score, points: Array, radii: Array) -> Array:
    """Whether D is higher at a point than on the circle around it.

    For a radially symmetric bump this holds at distances below radius / 2 from its top.

    Args:
        score: D.
        points: [n, d].
        radii: [n], in data units.

    Returns:
        bool [n].
    """
    return score(points) > jnp.max(circle_scores(score, points, radii), axis=1)


def local_maximum_test(score: Score, modes: Array, radii: Array, surroundings: Array) -> LocalMaxima:
    """Whether D has a local maximum at each mode.

    Args:
        score: D.
        modes: [K, d], means of the modes.
        radii: [K], r in data units.
        surroundings: [n, d], points that give the scale of D's scores and slopes, such as `plane_points`.

    Returns:
        `LocalMaxima`, leaves [K].
    """
    end = ascend(score, modes, radii * (3 / ASCENT_STEPS))
    distance = lengths(end - modes) / radii
    scores = in_blocks(score, surroundings, size=4096)
    slopes = lengths(input_gradients(score, surroundings, size=4096))
    usual = jnp.sqrt(jnp.mean(slopes**2))
    rise = score(modes) - jnp.max(circle_scores(score, modes, radii), axis=1)
    return LocalMaxima(
        seen=(distance <= 1) & is_peak(score, end, radii),
        distance=distance,
        prominence=_relative(rise, jnp.std(scores)),
        slope=_relative(lengths(input_gradients(score, modes)), usual),
    )


def attracted(score: Score, points: Array, centres: Array, radii: Array) -> Array:
    """Whether gradient ascent of D from each point ends near its centre.

    For a real point and its mode: whether the point lies in a basin of attraction of the mode.

    Args:
        score: D.
        points: [n, d].
        centres: [n, d].
        radii: [n], greatest distance from the centre, in data units.

    Returns:
        bool [n].
    """
    end = ascend(score, points, radii * (3 / ASCENT_STEPS))
    return lengths(end - centres) <= radii


def nearest_mode(points: Array, modes: Array) -> Array:
    """Index of the nearest mode: points [n, d], modes [K, d] -> int [n]."""
    return jnp.argmin(jnp.sum((points[:, None] - modes[None]) ** 2, axis=-1), axis=1)


def _relative(value: Array, scale: Array) -> Array:
    """Value / scale; 0 where the scale is 0, as for a constant D."""
    return jnp.where(scale > 0, value / jnp.where(scale > 0, scale, 1), 0)
