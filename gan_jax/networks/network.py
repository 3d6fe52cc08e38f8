"""The interfaces of generator and discriminator networks, and their implementation by a Flax module.

Parameters and statistics (of batch norm, of spectral norm) are explicit inputs and outputs; there is no other state.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key


class Variables(NamedTuple):
    """The arrays of a network.

    Attributes:
        params: pytree of the parameters that the optimiser updates.
        statistics: running statistics by collection; {} for networks without any.
        memory: state of the player's remedies (earlier fakes, averages of scores), which networks do not read.

    Example:
        >>> from gan_jax.networks.points import PointGenerator
        >>> variables = PointGenerator(start=2.0).init(None, latent_dim=1, shape=(3,))
        >>> variables.params["point"].tolist(), variables.statistics, variables.memory
        ([2.0, 2.0, 2.0], {}, ())
    """

    params: Any
    statistics: Any
    memory: Any = ()


@runtime_checkable
class GeneratorNetwork(Protocol):
    """A map from latents to samples. The experiment gives `latent_dim` and `shape` (of one sample)."""

    def init(self, key: Array, latent_dim: int, shape: tuple[int, ...]) -> Variables:
        """Initial parameters and statistics.

        Args:
            key: typed PRNG key.
            latent_dim: dimensions of the latent.
            shape: of one sample.

        Returns:
            The variables.
        """
        ...

    def apply(
        self, variables: Variables, latent: Array, shape: tuple[int, ...], *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        """The samples of latents.

        Args:
            variables: parameters and statistics.
            latent: [batch, latent_dim].
            shape: of one sample.
            train: whether batch norm uses the batch's statistics, and the running ones advance.
            axis_name: mapped axis over which batch statistics are shared, or None.

        Returns:
            (samples [batch, *shape], new statistics).
        """
        ...

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises ValueError if the network cannot make samples of this shape; the message says what to use instead."""
        ...


@runtime_checkable
class DiscriminatorNetwork(Protocol):
    """A map from samples to raw scores and, on request, to the hidden features behind them."""

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables: ...

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        """The raw scores of samples.

        Args:
            variables: parameters and statistics.
            samples: [batch, *shape].
            train: whether batch norm uses the batch's statistics, and running statistics advance.
            axis_name: mapped axis over which batch statistics are shared, or None.

        Returns:
            (scores [batch], new statistics).
        """
        ...

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """The raw scores, and the hidden activations behind them.

        Args:
            variables: parameters and statistics.
            samples: [batch, *shape].
            train: whether batch norm uses the batch's statistics.
            axis_name: mapped axis over which batch statistics are shared, or None.

        Returns:
            (scores [batch], activations by layer name, in the order of the layers).
        """
        ...

    def check(self, shape: tuple[int, ...]) -> None:
        """Raises ValueError if the network cannot score samples of this shape; the message says what to use instead."""
        ...


@runtime_checkable
class FlaxGenerator(Protocol):
    """A generator network of one Flax module; `init_generator`, `apply_images` and `image_features` are its methods."""

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> nn.Module: ...


def init_generator(self: FlaxGenerator, key: Key[Array, ""], latent_dim: int, shape: tuple[int, ...]) -> Variables:
    """`GeneratorNetwork.init` of a network that has a Flax module.

    Args:
        self: the network.
        key: typed PRNG key.
        latent_dim: dimensions of the latent.
        shape: of one sample.

    Returns:
        The variables.
    """
    return init_module(self._module(shape, None), key, jnp.zeros((1, latent_dim)))


def apply_images(
    self: FlaxGenerator,
    variables: Variables,
    latent: Float[Array, "n latent_dim"],
    shape: tuple[int, ...],
    *,
    train: bool,
    axis_name: str | None = None,
) -> tuple[Float[Array, "n *shape"], Any]:
    """`GeneratorNetwork.apply` of a network that has a Flax module, in the latents' dtype.

    Args:
        self: the network.
        variables: parameters and statistics.
        latent: [batch, latent_dim].
        shape: of one sample.
        train: whether batch norm uses the batch's statistics, and the running ones advance.
        axis_name: mapped axis over which batch statistics are shared, or None.

    Returns:
        (samples [batch, *shape], new statistics).
    """
    images, statistics = apply_module(self._module(shape, axis_name), variables, latent, train=train)
    return images.astype(jnp.result_type(latent)), statistics


def image_features(
    self: FlaxGenerator,
    variables: Variables,
    latent: Float[Array, "n latent_dim"],
    shape: tuple[int, ...],
    *,
    train: bool,
    axis_name: str | None = None,
) -> tuple[Float[Array, "n *shape"], dict[str, Float[Array, "n ..."]]]:
    """The samples of a network that has a Flax module, and the hidden activations behind them.

    Args:
        self: the network.
        variables: parameters and statistics.
        latent: [batch, latent_dim].
        shape: of one sample.
        train: whether batch norm uses the batch's statistics.
        axis_name: mapped axis over which batch statistics are shared, or None.

    Returns:
        (samples [batch, *shape], activations by the name that the module sows them under, in the order of the layers).
    """
    images, features = module_features(self._module(shape, axis_name), variables, latent, train=train)
    return images.astype(jnp.result_type(latent)), features


@runtime_checkable
class FlaxDiscriminator(Protocol):
    """A discriminator of one Flax module; `init_discriminator`, `apply_scores` and `score_features` are its methods."""

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> nn.Module: ...


def init_discriminator(self: FlaxDiscriminator, key: Key[Array, ""], shape: tuple[int, ...]) -> Variables:
    """`DiscriminatorNetwork.init` of a network that has a Flax module.

    Args:
        self: the network.
        key: typed PRNG key.
        shape: of one sample.

    Returns:
        The variables.
    """
    return init_module(self._module(shape, None), key, jnp.zeros((1, *shape)))


def apply_scores(
    self: FlaxDiscriminator,
    variables: Variables,
    samples: Float[Array, "n *shape"],
    *,
    train: bool,
    axis_name: str | None = None,
) -> tuple[Float[Array, " n"], Any]:
    """`DiscriminatorNetwork.apply` of a network that has a Flax module.

    Args:
        self: the network.
        variables: parameters and statistics.
        samples: [batch, *shape].
        train: whether batch norm uses the batch's statistics, and running statistics advance.
        axis_name: mapped axis over which batch statistics are shared, or None.

    Returns:
        (scores [batch], new statistics).
    """
    return apply_module(self._module(samples.shape[1:], axis_name), variables, samples, train=train)


def score_features(
    self: FlaxDiscriminator,
    variables: Variables,
    samples: Float[Array, "n *shape"],
    *,
    train: bool,
    axis_name: str | None = None,
) -> tuple[Float[Array, " n"], dict[str, Float[Array, "n ..."]]]:
    """`DiscriminatorNetwork.features` of a network that has a Flax module.

    Args:
        self: the network.
        variables: parameters and statistics.
        samples: [batch, *shape].
        train: whether batch norm uses the batch's statistics.
        axis_name: mapped axis over which batch statistics are shared, or None.

    Returns:
        (scores [batch], activations by the name that the module sows them under, in the order of the layers).
    """
    return module_features(self._module(samples.shape[1:], axis_name), variables, samples, train=train)


def init_module(module: nn.Module, key: Key[Array, ""], example: Float[Array, "1 *shape"]) -> Variables:
    """A Flax module's initial variables, split into parameters and statistics.

    Args:
        module: called as `module(inputs, train=...)`.
        key: typed PRNG key.
        example: an input [1, ...].

    Returns:
        The variables; the collection "features" is dropped.
    """
    collections = dict(module.init(key, example, train=False))
    params = collections.pop("params")
    collections.pop("features", None)
    return Variables(params, collections)


def apply_module(
    module: nn.Module, variables: Variables, inputs: Float[Array, "n *shape"], *, train: bool
) -> tuple[Float[Array, "n ..."], Any]:
    """Runs a Flax module.

    Args:
        module: called as `module(inputs, train=...)`.
        variables: parameters and statistics.
        inputs: [batch, ...].
        train: whether the module is in training mode, in which its statistics advance.

    Returns:
        (outputs, statistics).
    """
    collections = {"params": variables.params, **variables.statistics}
    if not train or not variables.statistics:
        return cast(Array, module.apply(collections, inputs, train=train)), variables.statistics
    outputs, statistics = module.apply(collections, inputs, train=True, mutable=list(variables.statistics))
    return cast(Array, outputs), statistics


def module_features(
    module: nn.Module, variables: Variables, inputs: Float[Array, "n *shape"], *, train: bool
) -> tuple[Float[Array, "n ..."], dict[str, Float[Array, "n ..."]]]:
    """Runs a Flax module and returns the values that it sows into the collection "features"; statistics do not advance.

    Args:
        module: called as `module(inputs, train=...)`.
        variables: parameters and statistics.
        inputs: [batch, ...].
        train: whether the module is in training mode.

    Returns:
        (outputs, features by name, in the order in which they were sown).
    """
    collections = {"params": variables.params, **variables.statistics}
    outputs, sown = module.apply(collections, inputs, train=train, mutable=[*variables.statistics, "features"])
    return outputs, {name: values[-1] for name, values in sown.get("features", {}).items()}


def compute_dtype(name: str) -> Any:
    """The dtype argument of Flax layers: None (the parameters' own) for "float32", so float64 tests stay in float64."""
    return None if name == "float32" else jnp.dtype(name)


def output_dtype(dtype: Any) -> Any:
    """The dtype argument of a last layer: float32 where the layers before it compute in a narrower one.

    A bfloat16 has three digits. A score rounded to them moves a loss by up to 0.4 %, and a sample of a ring whose modes
    are 0.01 wide by half of that. A cast after the layer would be too late.

    Args:
        dtype: of the other layers; None takes the parameters' own.

    Returns:
        The dtype, at least float32; None for None.
    """
    return None if dtype is None else jnp.promote_types(dtype, jnp.float32)
