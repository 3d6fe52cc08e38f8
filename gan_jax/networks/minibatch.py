"""Layers that compare the samples of a batch: minibatch discrimination and the minibatch standard deviation.

Each is a component that a discriminator takes as its setting `minibatch`. It makes a Flax module [batch, features] ->
[batch, features + k], which is applied to the last hidden features.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array, lax

from gan_jax.experiment.component import component, setting


@runtime_checkable
class MinibatchLayer(Protocol):
    """A component that makes a minibatch layer."""

    def module(self, name: str, axis_name: str | None) -> nn.Module:
        """A module [batch, features] -> [batch, features + k]; the batch may be split over a mapped axis."""
        ...


@component
class MinibatchDiscrimination:
    """Appends to each sample measures of its closeness to the others; see `MinibatchDiscriminationModule`.

    Example:
        >>> layer = MinibatchDiscrimination(num_kernels=1, kernel_dim=1).module("minibatch", None)
        >>> samples = layer.apply({"params": {"kernel": jnp.ones((1, 1))}}, jnp.array([[0.0], [0.0], [2.0]]))
        >>> [round(float(value), 4) for value in samples[:, 1]]  # 1 + exp(-2) twice, and 2 exp(-2)
        [1.1353, 1.1353, 0.2707]
    """

    num_kernels: int = setting(default=16, at_least=1, doc="B, number of features appended; 100 as published")
    kernel_dim: int = setting(default=5, at_least=1, doc="C, dimension in which samples are compared")

    def module(self, name: str, axis_name: str | None) -> nn.Module:
        return MinibatchDiscriminationModule(self.num_kernels, self.kernel_dim, axis_name, name=name)


@component
class MinibatchStddev:
    """Appends the mean standard deviation over the batch to every sample; see `MinibatchStddevModule`.

    Example:
        >>> layer, features = MinibatchStddev().module("minibatch", None), jnp.array([[0.0], [2.0]])
        >>> layer.apply({}, features).tolist()
        [[0.0, 1.0], [2.0, 1.0]]
    """

    def module(self, name: str, axis_name: str | None) -> nn.Module:
        return MinibatchStddevModule(axis_name, name=name)


class MinibatchDiscriminationModule(nn.Module):
    r"""Minibatch discrimination, for features f(x_i) of A numbers and a learnt tensor T [A, B, C].

    $$ M_i = f(x_i) T, \qquad o(x_i)_b = \sum_{j \ne i} \exp(-\|M_{i,b} - M_{j,b}\|_1) $$

    o(x_i) [B] is appended to f(x_i). The paper's sum includes j = i, which adds 1; here it is left out, so a batch of
    one gives 0. Time and memory grow as batch^2 B.

    Args:
        num_kernels: B.
        kernel_dim: C.
        axis_name: the mapped axis over which the batch is split, or None; each sample is compared with all shards.

    References:
        T. Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, arXiv 1606.03498, section 3.2.
    """

    num_kernels: int
    kernel_dim: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, features] -> [batch, features + num_kernels]."""
        # The kernels have about unit length for any number of features.
        shape = (x.shape[1], self.num_kernels * self.kernel_dim)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        wide, kernel = nn.dtypes.promote_dtype(x, kernel)
        rows = (wide @ kernel).reshape(-1, self.num_kernels, self.kernel_dim)
        others = rows
        if self.axis_name is not None and not self.is_initializing():
            others = lax.all_gather(rows, self.axis_name, tiled=True)
        distances = jnp.sum(jnp.abs(rows[:, None] - others[None]), axis=-1)
        closeness = jnp.sum(jnp.exp(-distances), axis=1) - 1.0
        return jnp.concatenate([x, closeness.astype(x.dtype)], axis=1)


class MinibatchStddevModule(nn.Module):
    """The standard deviation of each feature over the batch, averaged over the features, as one more feature.

    Args:
        axis_name: the mapped axis over which the batch is split, or None.
        epsilon: added to the variances; without it the root's derivative would be infinite where nothing varies.

    References:
        T. Karras et al., "Progressive Growing of GANs", ICLR 2018, arXiv 1710.10196, section 3.
    """

    axis_name: str | None = None
    epsilon: float = 1e-8

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """[batch, features] -> [batch, features + 1]."""
        wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
        variances = self._mean((wide - self._mean(wide)) ** 2)
        deviation = jnp.mean(jnp.sqrt(variances + self.epsilon))
        return jnp.concatenate([x, jnp.broadcast_to(deviation.astype(x.dtype), (x.shape[0], 1))], axis=1)

    def _mean(self, x: Array) -> Array:
        mean = jnp.mean(x, axis=0, keepdims=True)
        return mean if self.axis_name is None or self.is_initializing() else lax.pmean(mean, self.axis_name)
