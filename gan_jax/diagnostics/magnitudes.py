"""Magnitudes inside a player, layer by layer: parameters, gradients, singular values. Pure functions of pytrees.

A layer is a module that owns parameters: "dense_0" owns a kernel and a bias. The keys of the results are the layers'
names, with slashes between nested modules.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Key


def rms(x: Float[Array, " ..."]) -> Float[Array, ""]:
    """Root mean square of all entries; a scalar.

    Example:
        >>> float(rms(jnp.array([[1.0, 7.0]])))
        5.0
    """
    return jnp.sqrt(jnp.mean(jnp.square(x)))


def layer_rms(params: Any) -> dict[str, Float[Array, ""]]:
    """Root mean square of all entries of each layer, for parameters or their gradients.

    Example:
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


def relative_change(before: Any, after: Any) -> Float[Array, ""]:
    """|after - before| / |before| over all leaves of two pytrees: the update-to-parameter ratio, a scalar.

    Example:
        >>> before = {"kernel": jnp.array([3.0]), "bias": jnp.array([4.0])}
        >>> round(float(relative_change(before, {"kernel": jnp.array([3.0]), "bias": jnp.array([5.0])})), 4)
        0.2
    """
    squares = [
        jnp.stack([jnp.sum(jnp.square(new - old)), jnp.sum(jnp.square(old))])
        for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    ]
    change, length = jnp.sum(jnp.stack(squares), axis=0)
    return jnp.sqrt(change) / jnp.sqrt(jnp.maximum(length, jnp.finfo(length.dtype).tiny))


def kernels(params: Any) -> dict[str, Float[Array, "_inputs _outputs"]]:
    """Weights of each layer as a matrix [inputs, outputs]: parameters of two or more axes; the last one is the outputs.

    The inputs of a convolution are the values under its window. (The singular values of this matrix bound those of the
    convolution as a map of images; they are not equal to them.)

    Example:
        >>> matrices = kernels({"conv_0": {"kernel": jnp.ones((4, 4, 1, 8)), "bias": jnp.zeros(8)}})
        >>> {name: matrix.shape for name, matrix in matrices.items()}
        {'conv_0': (16, 8)}
    """
    found: dict[str, Array] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if leaf.ndim >= 2:
            name = _name(path[:-1]) or _name(path)
            found[name if name not in found else _name(path)] = leaf.reshape(-1, leaf.shape[-1])
    return found


def init_vectors(params: Any, key: Key[Array, ""]) -> dict[str, Float[Array, " _outputs"]]:
    """Initial vectors of power iteration: a random unit vector [outputs] for each layer.

    Example:
        >>> vectors = init_vectors({"dense_0": {"kernel": jnp.ones((3, 2))}}, jax.random.key(0))
        >>> vectors["dense_0"].shape, round(float(jnp.linalg.norm(vectors["dense_0"])), 4)
        ((2,), 1.0)
    """
    matrices = kernels(params)
    keys = jax.random.split(key, max(len(matrices), 1))
    return {
        name: _unit(jax.random.normal(k, matrix.shape[-1:], matrix.dtype))
        for k, (name, matrix) in zip(keys, matrices.items(), strict=False)
    }


def top_singular_values(
    params: Any, vectors: dict[str, Float[Array, " _outputs"]], num_iterations: int = 1
) -> tuple[dict[str, Float[Array, ""]], dict[str, Float[Array, " _outputs"]]]:
    """Estimates of the largest singular value of each layer's weights by power iteration.

        u <- W^T W u / |W^T W u|,   sigma = |W u|

    The estimate is never above the true value. Each iteration shrinks its error by the squared ratio of the second
    singular value to the first. Weights change little between two probes, so that one or two iterations per probe,
    which start from the vectors of the previous probe, track the singular values.

    Args:
        params: of a network.
        vectors: from `init_vectors`, or from the previous call.
        num_iterations: of power iteration; static.

    Returns:
        (scalars by layer, unit vectors [outputs] by layer).

    Example:
        >>> params = {"dense_0": {"kernel": jnp.diag(jnp.array([3.0, 1.0]))}}
        >>> values, vectors = top_singular_values(params, init_vectors(params, jax.random.key(0)), 5)
        >>> round(float(values["dense_0"]), 3)
        3.0
    """
    values, advanced = {}, {}
    for name, matrix in kernels(params).items():
        u = vectors[name]
        for _ in range(num_iterations):
            u = _unit((matrix @ u) @ matrix)
        values[name], advanced[name] = jnp.linalg.norm(matrix @ u), u
    return values, advanced


def leading_singular_values(params: Any, num: int = 5) -> dict[str, list[float]]:
    """The `num` largest singular values of each layer's weights, exact and in decreasing order; on the host.

    Example:
        >>> leading_singular_values({"dense_0": {"kernel": jnp.diag(jnp.array([1.0, 3.0, 2.0]))}}, num=2)
        {'dense_0': [3.0, 2.0]}
    """
    return {
        layer: np.linalg.svd(np.asarray(matrix, np.float64), compute_uv=False)[:num].tolist()
        for layer, matrix in kernels(params).items()
    }


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), jnp.finfo(vector.dtype).tiny ** 0.5)


def _name(path: tuple[Any, ...]) -> str:
    return "/".join(str(getattr(part, "key", getattr(part, "idx", getattr(part, "name", part)))) for part in path)
