"""The two interfaces that every network has, and the passage from a Flax module to them.

Parameters and statistics (of batch norm, of spectral norm) go in and come out explicitly; nothing else is kept.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array


class Variables(NamedTuple):
    """What a network is made of.

    Attributes:
        params: the pytree that the optimiser moves.
        statistics: running statistics by collection; empty for networks without any.
        memory: what the player's remedies remember (old fakes, averages of scores); networks do not see it.
    """

    params: Any
    statistics: Any
    memory: Any = ()


@runtime_checkable
class GeneratorNetwork(Protocol):
    """Latents to samples. `latent_dim` and `shape` (of one sample) are given by the experiment."""

    def init(self, key: Array, latent_dim: int, shape: tuple[int, ...]) -> Variables: ...

    def apply(
        self, variables: Variables, latent: Array, shape: tuple[int, ...], *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        """(samples [batch, *shape], new statistics)."""
        ...

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises ValueError, with the remedy, for data that the network cannot make."""
        ...


@runtime_checkable
class DiscriminatorNetwork(Protocol):
    """Samples to raw scores, and on request the features behind them."""

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables: ...

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        """(scores [batch], new statistics)."""
        ...

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """(scores [batch], activations by layer name)."""
        ...

    def check(self, shape: tuple[int, ...]) -> None: ...


def init_module(module: nn.Module, key: Array, example: Array) -> Variables:
    """A Flax module's variables, split into parameters and statistics."""
    collections = dict(module.init(key, example, train=False))
    params = collections.pop("params")
    collections.pop("features", None)
    return Variables(params, collections)


def apply_module(module: nn.Module, variables: Variables, inputs: Array, *, train: bool) -> tuple[Array, Any]:
    """Runs a module; in training mode the statistics it returns are the advanced ones."""
    collections = {"params": variables.params, **variables.statistics}
    if not train or not variables.statistics:
        return cast(Array, module.apply(collections, inputs, train=train)), variables.statistics
    outputs, statistics = module.apply(collections, inputs, train=True, mutable=list(variables.statistics))
    return cast(Array, outputs), statistics


def module_features(
    module: nn.Module, variables: Variables, inputs: Array, *, train: bool
) -> tuple[Array, dict[str, Array]]:
    """Runs a module and also returns what it `sow`s into the collection "features"; statistics stay as they are."""
    collections = {"params": variables.params, **variables.statistics}
    outputs, sown = module.apply(collections, inputs, train=train, mutable=[*variables.statistics, "features"])
    return outputs, {name: values[-1] for name, values in sown.get("features", {}).items()}


def compute_dtype(name: str) -> Any:
    """The dtype argument of Flax layers: None (the parameters' own) for float32, so that float64 tests stay float64."""
    return None if name == "float32" else jnp.dtype(name)
