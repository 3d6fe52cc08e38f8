"""Spectral normalisation of any discriminator, with exact derivatives of the power iteration."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.networks.network import DiscriminatorNetwork, Variables


@component
class SpectralNorm:
    """A discriminator whose kernels W are each divided by an estimate of their largest singular value.

        v = W u / |W u|,   u' = W^T v / |W^T v|,   sigma = |W u'|,   W_SN = W / sigma

    W is a kernel as a matrix [inputs, outputs]. u [outputs] is a statistic: in training mode `num_iterations` rounds of
    the power iteration advance it; otherwise sigma is computed from the stored u, which does not change. Kernels are
    the parameters of two or more axes; biases and the scales of batch norm are not normalised.

    The derivative includes the iteration. Published code holds u and v constant, which is right only for first
    derivatives at the fixed point; second derivatives, which an unrolled G needs, are then wrong.

    (Algorithm 1 of the paper has sigma = v^T W u', half an iteration earlier; both converge to the same value from
    below.)

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from gan_jax.networks.mlp import MLPDiscriminator
        >>> network = SpectralNorm(network=MLPDiscriminator(widths=(8,), gain=100.0), num_iterations=20)
        >>> scores, _ = network.apply(network.init(jax.random.key(0), (2,)), jnp.ones((1, 2)), train=True)
        >>> bool(abs(scores[0]) < 2**0.5)  # 1-Lipschitz, and biases are 0
        True

    References:
        T. Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018, algorithm 1.
    """

    network: DiscriminatorNetwork = setting(doc="network whose kernels are normalised")
    num_iterations: int = setting(default=1, at_least=1, doc="rounds of the power iteration; 1 as published")

    def check(self, shape: tuple[int, ...]) -> None:
        self.network.check(shape)

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables:
        key_network, key_vectors = jax.random.split(key)
        params, statistics, _ = self.network.init(key_network, shape)
        kernels = {name: kernel for name, kernel in _leaves(params) if kernel.ndim >= 2}
        keys = jax.random.split(key_vectors, len(kernels))
        vectors = {
            name: _unit(jax.random.normal(k, kernel.shape[-1:], kernel.dtype))
            for k, (name, kernel) in zip(keys, kernels.items(), strict=True)
        }
        return Variables(params, {"network": statistics, "vectors": vectors})

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        normalised, vectors = self._normalise(variables, train)
        scores, statistics = self.network.apply(normalised, samples, train=train, axis_name=axis_name)
        return scores, {"network": statistics, "vectors": vectors}

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        return self.network.features(self._normalise(variables, train)[0], samples, train=train, axis_name=axis_name)

    def _normalise(self, variables: Variables, train: bool) -> tuple[Variables, dict[str, Array]]:
        vectors = dict(variables.statistics["vectors"])

        def divide(name: str, kernel: Array) -> Array:
            if kernel.ndim < 2:
                return kernel
            matrix, u = kernel.reshape(-1, kernel.shape[-1]), vectors[name].astype(kernel.dtype)
            for _ in range(self.num_iterations if train else 0):
                u = _unit(_unit(matrix @ u) @ matrix)
            vectors[name] = u
            product = matrix @ u
            return kernel / jnp.sqrt(jnp.sum(product**2) + 1e-12)

        params = jax.tree.unflatten(
            jax.tree.structure(variables.params), [divide(name, leaf) for name, leaf in _leaves(variables.params)]
        )
        return Variables(params, variables.statistics["network"]), vectors


def _leaves(params: Any) -> list[tuple[str, Array]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)]


def _unit(vector: Array) -> Array:
    return vector / jnp.sqrt(jnp.sum(vector**2) + 1e-12)
