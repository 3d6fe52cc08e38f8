"""D's landscape over a plane or a line: its surface, the field that moves fakes, and whether it sees the real modes.

Everything is a function of a score, [n, d] -> [n] (`gan_jax.diagnostics.scans.Score`), and of arrays, with d = 1 or 2.

"Attention" is made precise with a radius r around each mode (3 standard deviations, where 98.9 % of a mode's points in
the plane are). D pays attention to a mode if it has a peak there: gradient ascent of D from the mode's mean ends
within r of it, at a point that is above the whole circle of radius r around that end. A D that only separates the real
side from where the fakes are rises past the modes, and ascent leaves them.

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
"""Directions in which a point of the plane is compared with its surroundings."""
ASCENT_STEPS = 120
"""Steps of an ascent, each of r / 40: it can leave a mode three times over."""


class Attention(NamedTuple):
    """Whether D has a peak at each of K modes. All [K].

    Attributes:
        seen: whether D pays attention to the mode, as defined at the head of this module.
        distance: from the mode to where the ascent from it ends, in radii.
        prominence: D at the mode minus its highest value on the circle of radius r, over the standard deviation of D's
            scores in the surroundings; above 0 if the mode itself is a maximum at this scale.
        slope: |dD/dx| at the mode, over the root mean square of |dD/dx| in the surroundings.
    """

    seen: Array
    distance: Array
    prominence: Array
    slope: Array


def plane_points(low: Array, high: Array, num: int) -> Array:
    """A grid of num x num points from corner `low` [2] to corner `high` [2]: [num^2, 2], rows of equal y."""
    across, up = (jnp.linspace(low[i], high[i], num) for i in (0, 1))
    return jnp.stack(jnp.meshgrid(across, up), axis=-1).reshape(-1, 2)


def surface(score: Score, low: Array, high: Array, num: int, *, size: int = 4096) -> Array:
    """D's scores on `plane_points`: [num, num], by y and x."""
    return in_blocks(score, plane_points(low, high, num), size=size).reshape(num, num)


def generator_field(losses: Callable[[Array], Array], points: Array) -> Array:
    """-dL_G/dx at points: where a fake there is sent, and how hard.

    Args:
        losses: points [n, d] -> G's loss of each, [n]: its loss of a score, after D.
        points: [n, d].

    Returns:
        [n, d], in the loss's unit per data unit.

    Example:
        >>> generator_field(lambda x: 0.5 * jnp.sum(x**2, axis=1), jnp.array([[1.0, -2.0]])).tolist()
        [[-1.0, 2.0]]
    """
    return -input_gradients(losses, points)


def step_field(samples: Callable[[Any], Array], before: Any, after: Any) -> tuple[Array, Array]:
    """Where fakes are, and how far they move: (samples, their moves), both [n, d].

    Args:
        samples: a generator's parameters (or variables) -> its samples of fixed latents, [n, d].
        before: the parameters before a step.
        after: those after it.
    """
    start = samples(before)
    return start, samples(after) - start


def ascend(score: Score, points: Array, stride: Array, num_steps: int = ASCENT_STEPS) -> Array:
    """Where steps of a fixed length along dD/dx lead: points [n, d], stride [n] -> [n, d].

    Around a peak the steps go to and fro, so the end is within a stride or so of it. Where the gradient is 0 nothing
    moves.
    """

    def step(at: Array, _: None) -> tuple[Array, None]:
        return at + stride[:, None] * unit(input_gradients(score, at, size=4096)), None

    return jax.lax.scan(step, points, length=num_steps)[0]


def circle_scores(score: Score, points: Array, radii: Array) -> Array:
    """D around points, at a distance: points [n, d], radii [n] -> [n, 16] in the plane, [n, 2] on a line.

    Raises:
        ValueError: in more than two dimensions, which few directions do not surround.
    """
    dims = points.shape[1]
    if dims > 2:
        raise ValueError(f"the points have {dims} dimensions, and are surrounded in 1 or 2: use scans")
    angles = 2 * jnp.pi * jnp.arange(NUM_AROUND) / NUM_AROUND
    circle = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1) if dims == 2 else jnp.array([[-1.0], [1.0]])
    around = points[:, None] + radii[:, None, None] * circle[None]
    return in_blocks(score, around.reshape(-1, dims), size=4096).reshape(points.shape[0], -1)


def is_peak(score: Score, points: Array, radii: Array) -> Array:
    """Whether D is higher at a point than everywhere on the circle of its radius: bool [n].

    At a distance e from the top of a round bump that is so if e < radius / 2.
    """
    return score(points) > jnp.max(circle_scores(score, points, radii), axis=1)


def attention(score: Score, modes: Array, radii: Array, surroundings: Array) -> Attention:
    """Whether D pays attention to modes; see `Attention`.

    Args:
        score: D.
        modes: [K, d] their means.
        radii: [K] r, in data units.
        surroundings: [n, d] points over which D's scores and slopes are normal, such as `plane_points`.
    """
    end = ascend(score, modes, radii * (3 / ASCENT_STEPS))
    distance = lengths(end - modes) / radii
    scores = in_blocks(score, surroundings, size=4096)
    slopes = lengths(input_gradients(score, surroundings, size=4096))
    usual = jnp.sqrt(jnp.mean(slopes**2))
    rise = score(modes) - jnp.max(circle_scores(score, modes, radii), axis=1)
    return Attention(
        seen=(distance <= 1) & is_peak(score, end, radii),
        distance=distance,
        prominence=_relative(rise, jnp.std(scores)),
        slope=_relative(lengths(input_gradients(score, modes)), usual),
    )


def attracted(score: Score, points: Array, centres: Array, radii: Array) -> Array:
    """Whether ascent of D from a point ends within the radius of its centre: points and centres [n, d] -> bool [n].

    For a real point and its mode: whether the point is in a basin that leads to the mode.
    """
    end = ascend(score, points, radii * (3 / ASCENT_STEPS))
    return lengths(end - centres) <= radii


def nearest(points: Array, modes: Array) -> Array:
    """The index of the nearest mode: points [n, d], modes [K, d] -> int [n]."""
    return jnp.argmin(jnp.sum((points[:, None] - modes[None]) ** 2, axis=-1), axis=1)


def _relative(value: Array, scale: Array) -> Array:
    """Value / scale; 0 for a D that is constant."""
    return jnp.where(scale > 0, value / jnp.where(scale > 0, scale, 1), 0)
