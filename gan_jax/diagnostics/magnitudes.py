"""Magnitudes inside a player: activations, gradients, weights, layer by layer. Pure functions of pytrees.

A layer is the module that owns some parameters: "dense_0" owns a kernel and a bias. Numbers are keyed by its name, with
slashes where modules are nested.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def rms(x: Array) -> Array:
    """Root of the mean square of all entries; a scalar."""
    return jnp.sqrt(jnp.mean(jnp.square(x)))


def layer_rms(params: Any) -> dict[str, Array]:
    """By layer, the root mean square of all its entries (of parameters, or of their gradients).

    Example:
        >>> import jax.numpy as jnp
        >>> values = layer_rms({"dense_0": {"kernel": jnp.full((2, 3), 2.0), "bias": jnp.zeros(2)}})
        >>> {name: round(float(value), 4) for name, value in values.items()}
        {'dense_0': 1.7321}
    """
    squares: dict[str, Array] = {}
    counts: dict[str, int] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        name = _name(path[:-1]) or _name(path)
        squares[name] = squares.get(name, jnp.zeros(())) + jnp.sum(jnp.square(leaf))
        counts[name] = counts.get(name, 0) + leaf.size
    return {name: jnp.sqrt(square / counts[name]) for name, square in squares.items()}


def relative_change(before: Any, after: Any) -> Array:
    """Length of the difference of two pytrees, relative to the first one's length: the update-to-parameter ratio."""
    squares = [
        jnp.stack([jnp.sum(jnp.square(new - old)), jnp.sum(jnp.square(old))])
        for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    ]
    change, length = jnp.sum(jnp.stack(squares), axis=0)
    return jnp.sqrt(change) / jnp.sqrt(jnp.maximum(length, jnp.finfo(length.dtype).tiny))


def kernels(params: Any) -> dict[str, Array]:
    """By layer, its weights as a matrix [inputs, outputs]: parameters of two or more axes, the last of them outputs.

    A convolution's inputs are the values under its window. (The singular values of that matrix bound those of the
    convolution as a map of images, and are not equal to them.)
    """
    found: dict[str, Array] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if leaf.ndim >= 2:
            name = _name(path[:-1]) or _name(path)
            found[name if name not in found else _name(path)] = leaf.reshape(-1, leaf.shape[-1])
    return found


def init_vectors(params: Any, key: Array) -> dict[str, Array]:
    """Where power iteration starts: by layer, a random unit vector [outputs]."""
    matrices = kernels(params)
    keys = jax.random.split(key, max(len(matrices), 1))
    return {
        name: _unit(jax.random.normal(k, matrix.shape[-1:], matrix.dtype))
        for k, (name, matrix) in zip(keys, matrices.items(), strict=False)
    }


def top_singular_values(
    params: Any, vectors: dict[str, Array], num_iterations: int = 1
) -> tuple[dict[str, Array], dict[str, Array]]:
    """By layer, an estimate of the largest singular value of its weights, and the vectors to go on from.

        u <- W^T W u / |W^T W u|,   sigma = |W u|

    The estimate is never above the true value, and approaches it with each round at the square of the ratio of the
    second singular value to the first. Weights change little between two looks, so that one or two rounds a look, each
    going on from the last, follow them.

    Args:
        params: of a network.
        vectors: from `init_vectors`, or from the last call.
        num_iterations: rounds; static.

    Returns:
        (scalars by layer, unit vectors [outputs] by layer).
    """
    values, advanced = {}, {}
    for name, matrix in kernels(params).items():
        u = vectors[name]
        for _ in range(num_iterations):
            u = _unit((matrix @ u) @ matrix)
        values[name], advanced[name] = jnp.linalg.norm(matrix @ u), u
    return values, advanced


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), jnp.finfo(vector.dtype).tiny ** 0.5)


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(str(getattr(part, "key", getattr(part, "idx", getattr(part, "name", part)))) for part in path)
