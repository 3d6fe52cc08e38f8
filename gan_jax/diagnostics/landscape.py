"""D's landscape over a plane or a line: its surface, the field that moves fakes, and local maxima at the real modes.

Every function takes a score, [n, d] -> [n] (`gan_jax.diagnostics.scans.Score`), and arrays, with d = 1 or 2.

The local-maximum test of a mode uses a radius r, by convention 3 standard deviations, which hold 98.9 % of a mode's
points in the plane. D passes the test if gradient ascent of D from the mode's mean ends within r of the mean, at a
point where D is higher than anywhere on the circle of radius r around it. A D that only separates the side of the real
points from that of the fakes keeps rising beyond the modes, and the ascent leaves them.

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
from jaxtyping import Bool, Float, Int

from gan_jax.diagnostics.scans import Score, in_blocks, input_gradients, lengths, unit

NUM_AROUND = 16
"""Number of points on the circle with which a point of the plane is compared."""
ASCENT_STEPS = 120
"""Number of steps of an ascent. Each has length r / 40, so that an ascent can move by 3 r."""


class LocalMaxima(NamedTuple):
    """Result of the local-maximum test at K modes. All [K].

    Attributes:
        seen: whether D has a local maximum at the mode, as this module defines it.
        distance: from the mode to the end of the ascent, in radii.
        prominence: D at the mode minus its greatest value on the circle of radius r, divided by the standard deviation
            of D's scores in the surroundings. It is above 0 if the mode itself is a maximum at this scale.
        slope: |dD/dx| at the mode, divided by the root mean square of |dD/dx| in the surroundings.

    Example:
        >>> seen, distance = jnp.array([True, True, False]), jnp.array([0.1, 0.4, 3.0])
        >>> found = LocalMaxima(seen, distance, prominence=1.5 - distance, slope=distance / 3)
        >>> int(jnp.sum(found.seen))  # modes of three that D sees
        2
    """

    seen: Array
    distance: Array
    prominence: Array
    slope: Array


def plane_points(low: Float[Array, " 2"], high: Float[Array, " 2"], num: int) -> Float[Array, "n 2"]:
    """A grid of points of the plane.

    Args:
        low: [2], the corner of the least coordinates.
        high: [2], the opposite corner.
        num: points along a side.

    Returns:
        [num^2, 2], in data units; x varies fastest.

    Example:
        >>> plane_points(jnp.array([0.0, 0.0]), jnp.array([1.0, 2.0]), 2).tolist()
        [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0], [1.0, 2.0]]
    """
    across, up = (jnp.linspace(low[i], high[i], num) for i in (0, 1))
    return jnp.stack(jnp.meshgrid(across, up), axis=-1).reshape(-1, 2)


def surface(
    score: Score, low: Float[Array, " 2"], high: Float[Array, " 2"], num: int, *, size: int = 4096
) -> Float[Array, "num num"]:
    """D's scores on a grid of the plane.

    Args:
        score: D.
        low: [2], a corner, see `plane_points`.
        high: [2], the opposite corner.
        num: points along a side.
        size: points that are scored at once.

    Returns:
        [num, num] raw scores, by y and x.

    Example:
        >>> surface(lambda x: x[:, 0] + 10 * x[:, 1], jnp.zeros(2), jnp.ones(2), 2).tolist()
        [[0.0, 1.0], [10.0, 11.0]]
    """
    return in_blocks(score, plane_points(low, high, num), size=size).reshape(num, num)


def generator_field(
    losses: Callable[[Float[Array, "n d"]], Float[Array, " n"]], points: Float[Array, "n d"]
) -> Float[Array, "n d"]:
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


def step_field(
    samples: Callable[[Any], Float[Array, "n d"]], before: Any, after: Any
) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
    """Fakes before a training step and their displacement by it.

    Args:
        samples: a generator's parameters (or variables) -> its samples of fixed latents, [n, d].
        before: parameters before the step.
        after: parameters after the step.

    Returns:
        (samples before the step, displacements), both [n, d], in data units.

    Example:
        >>> latent = jnp.array([[1.0], [2.0]])
        >>> start, moves = step_field(lambda weight: weight * latent, 2.0, 2.5)
        >>> start.tolist(), moves.tolist()
        ([[2.0], [4.0]], [[0.5], [1.0]])
    """
    start = samples(before)
    return start, samples(after) - start


def ascend(
    score: Score, points: Float[Array, "n d"], stride: Float[Array, " n"], num_steps: int = ASCENT_STEPS
) -> Float[Array, "n d"]:
    """Gradient ascent of D with steps of a fixed length.

    Near a maximum the steps go to and fro, so that the ascent ends about a stride from it. A point stays where the
    gradient is 0.

    Args:
        score: D.
        points: [n, d], where the ascents start.
        stride: [n], length of each step, in data units.
        num_steps: number of steps.

    Returns:
        [n, d], where the ascents end.

    Example:
        >>> ascend(lambda x: 3 * x[:, 0], jnp.array([[1.0]]), jnp.array([0.5]), num_steps=4).tolist()
        [[3.0]]
    """

    def step(at: Array, _: None) -> tuple[Array, None]:
        return at + stride[:, None] * unit(input_gradients(score, at, size=4096)), None

    return jax.lax.scan(step, points, length=num_steps)[0]


def circle_scores(score: Score, points: Float[Array, "n d"], radii: Float[Array, " n"]) -> Float[Array, "n m"]:
    """D's scores on the circle around each point; on a line, at the two points at that distance.

    Args:
        score: D.
        points: [n, d].
        radii: [n], in data units.

    Returns:
        [n, 16] raw scores in the plane, [n, 2] on a line.

    Raises:
        ValueError: if d is above 2, where few directions do not surround a point.

    Example:
        >>> circle_scores(lambda x: x[:, 0] ** 2, jnp.array([[3.0]]), jnp.array([1.0])).tolist()
        [[4.0, 16.0]]
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


def is_peak(score: Score, points: Float[Array, "n d"], radii: Float[Array, " n"]) -> Bool[Array, " n"]:
    """Whether D is higher at a point than on the circle around it.

    For a radially symmetric bump this holds at distances below radius / 2 from its top.

    Args:
        score: D.
        points: [n, d].
        radii: [n], in data units.

    Returns:
        bool [n].

    Example:
        >>> is_peak(lambda x: -(x[:, 0] ** 2), jnp.array([[0.2], [0.8]]), jnp.ones(2)).tolist()
        [True, False]
    """
    return score(points) > jnp.max(circle_scores(score, points, radii), axis=1)


def local_maximum_test(
    score: Score, modes: Float[Array, "k d"], radii: Float[Array, " k"], surroundings: Float[Array, "n d"]
) -> LocalMaxima:
    """Whether D has a local maximum at each mode.

    Args:
        score: D.
        modes: [K, d], means of the modes.
        radii: [K], r in data units.
        surroundings: [n, d], points that give the scale of D's scores and slopes, such as `plane_points`.

    Returns:
        `LocalMaxima`, leaves [K].

    Example:
        >>> modes, grid = jnp.array([[-1.0], [1.0]]), jnp.linspace(-2.0, 2.0, 9)[:, None]
        >>> bump = lambda x: jnp.exp(-((x[:, 0] - 1.0) ** 2))  # at the second mode only
        >>> jax.jit(local_maximum_test, static_argnums=0)(bump, modes, jnp.full(2, 0.3), grid).seen.tolist()
        [False, True]
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


def attracted(
    score: Score, points: Float[Array, "n d"], centres: Float[Array, "n d"], radii: Float[Array, " n"]
) -> Bool[Array, " n"]:
    """Whether gradient ascent of D from each point ends near its centre.

    For a real point whose centre is its mode, this says whether the point lies in the mode's basin of attraction.

    Args:
        score: D.
        points: [n, d].
        centres: [n, d].
        radii: [n], greatest distance from the centre, in data units.

    Returns:
        bool [n].

    Example:
        >>> points, modes = jnp.array([[0.5], [-0.5]]), jnp.array([[1.0], [-1.0]])
        >>> attracted(lambda x: -((x[:, 0] - 1.0) ** 2), points, modes, jnp.ones(2)).tolist()
        [True, False]
    """
    end = ascend(score, points, radii * (3 / ASCENT_STEPS))
    return lengths(end - centres) <= radii


def nearest_mode(points: Float[Array, "n d"], modes: Float[Array, "k d"]) -> Int[Array, " n"]:
    """Index of the nearest mode: points [n, d], modes [K, d] -> int [n].

    Example:
        >>> nearest_mode(jnp.array([[0.9], [-3.0]]), jnp.array([[-1.0], [1.0]])).tolist()
        [1, 0]
    """
    return jnp.argmin(jnp.sum((points[:, None] - modes[None]) ** 2, axis=-1), axis=1)


def _relative(value: Array, scale: Array) -> Array:
    """Value / scale; 0 where the scale is 0, as for a constant D."""
    return jnp.where(scale > 0, value / jnp.where(scale > 0, scale, 1), 0)
