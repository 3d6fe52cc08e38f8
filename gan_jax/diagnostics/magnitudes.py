"""Magnitudes inside a player, layer by layer: parameters, gradients, singular values. Pure functions of pytrees.

A layer is the module that owns parameters: "dense_0" owns a kernel and a bias. Results are keyed by the layer's name,
with slashes between nested modules.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


def rms(x: Array) -> Array:
    """Root mean square of all entries; a scalar."""
    return jnp.sqrt(jnp.mean(jnp.square(x)))


def layer_rms(params: Any) -> dict[str, Array]:
    """Root mean square of all entries of each layer, for parameters or their gradients.

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
    """|after - before| / |before| over all leaves of two pytrees: the update-to-parameter ratio, a scalar."""
    squares = [
        jnp.stack([jnp.sum(jnp.square(new - old)), jnp.sum(jnp.square(old))])
        for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    ]
    change, length = jnp.sum(jnp.stack(squares), axis=0)
    return jnp.sqrt(change) / jnp.sqrt(jnp.maximum(length, jnp.finfo(length.dtype).tiny))


def kernels(params: Any) -> dict[str, Array]:
    """Weights of each layer as a matrix [inputs, outputs]: parameters of two or more axes, the last one the outputs.

    The inputs of a convolution are the values under its window. (The singular values of this matrix bound those of the
    convolution as a map of images; they are not equal to them.)
    """
    found: dict[str, Array] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if leaf.ndim >= 2:
            name = _name(path[:-1]) or _name(path)
            found[name if name not in found else _name(path)] = leaf.reshape(-1, leaf.shape[-1])
    return found


def init_vectors(params: Any, key: Array) -> dict[str, Array]:
    """Initial vectors of power iteration: a random unit vector [outputs] for each layer."""
    matrices = kernels(params)
    keys = jax.random.split(key, max(len(matrices), 1))
    return {
        name: _unit(jax.random.normal(k, matrix.shape[-1:], matrix.dtype))
        for k, (name, matrix) in zip(keys, matrices.items(), strict=False)
    }


def top_singular_values(
    params: Any, vectors: dict[str, Array], num_iterations: int = 1
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Estimates of the largest singular value of each layer's weights by power iteration.

        u <- W^T W u / |W^T W u|,   sigma = |W u|

    The estimate is never above the true value. Its error shrinks per iteration by the squared ratio of the second
    singular value to the first. Weights change little between two probes, so that one or two iterations a probe, from
    the vectors of the last one, track them.

    Args:
        params: of a network.
        vectors: from `init_vectors`, or from the last call.
        num_iterations: of power iteration; static.

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


def leading_singular_values(params: Any, num: int = 5) -> dict[str, list[float]]:
    """The `num` largest singular values of each layer's weights, exact and in decreasing order; on the host."""
    return {
        layer: np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)[:num].tolist()
        for layer, matrix in kernels(params).items()
    }


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), jnp.finfo(vector.dtype).tiny ** 0.5)


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(str(getattr(part, "key", getattr(part, "idx", getattr(part, "name", part)))) for part in path)
