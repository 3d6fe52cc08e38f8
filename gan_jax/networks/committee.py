"""Several discriminators as one network, and a discriminator that also classifies samples."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax.experiment.component import component, setting
from gan_jax.networks.layers import init_linear, linear
from gan_jax.networks.network import DiscriminatorNetwork, Variables
from gan_jax.networks.packing import pack_size


@component
class Committee:
    """`num` independent discriminators D_1, ..., D_num of the same form, each of which scores every sample.

    Scores are flat, [batch * num], and example-major: `scores.reshape(-1, num)` has one row for each sample. The mean
    over all scores' losses is GMAN's arithmetic mean of the members' objectives; aggregations weight the columns.
    Features are those of all members, joined along the last axis.

    Every leaf of the parameters and statistics has a leading axis [num]. A wrapper that reads kernels, such as
    `SpectralNorm`, therefore goes inside a committee and not around it.

    Example:
        >>> from gan_jax.networks.points import LinearDiscriminator
        >>> network = Committee(network=LinearDiscriminator(start=2.0), num=3)
        >>> scores, _ = network.apply(network.init(jax.random.key(0), (1,)), jnp.array([[1.0], [5.0]]), train=True)
        >>> scores.reshape(-1, 3).tolist()  # one row for each sample
        [[2.0, 2.0, 2.0], [10.0, 10.0, 10.0]]

    References:
        I. Durugkar, I. Gemp, S. Mahadevan, "Generative Multi-Adversarial Networks", ICLR 2017, arXiv 1611.01673,
            sections 3 and 4.
    """

    network: DiscriminatorNetwork = setting(doc="network of each member")
    num: int = setting(default=3, at_least=1, doc="number of members")

    @property
    def num_heads(self) -> int:
        """Number of scores for each sample."""
        return self.num * num_heads(self.network)

    def check(self, shape: tuple[int, ...]) -> None:
        self.network.check(shape)

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables:
        return jax.vmap(lambda k: self.network.init(k, shape))(jax.random.split(key, self.num))

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        def one(params: Any, statistics: Any) -> tuple[Array, Any]:
            return self.network.apply(Variables(params, statistics), samples, train=train, axis_name=axis_name)

        scores, statistics = jax.vmap(one)(variables.params, variables.statistics)
        return self._flat(scores), statistics

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        names: list[str] = []

        def one(params: Any, statistics: Any) -> tuple[Array, tuple[Array, ...]]:
            member = Variables(params, statistics)
            scores, features = self.network.features(member, samples, train=train, axis_name=axis_name)
            names[:] = features  # vmap would sort the names, and the last layer must stay last
            return scores, tuple(features.values())

        scores, values = jax.vmap(one)(variables.params, variables.statistics)
        joined = [jnp.moveaxis(value, 0, -2).reshape(*value.shape[1:-1], -1) for value in values]
        return self._flat(scores), dict(zip(names, joined, strict=True))

    def _flat(self, scores: Array) -> Array:
        inner = num_heads(self.network)
        return scores.reshape(self.num, -1, inner).swapaxes(0, 1).reshape(-1)


def num_heads(network: Any) -> int:
    """Number of scores that a discriminator, inside any wrappers, gives each sample or pack; 1 by default.

    Example:
        >>> from gan_jax.networks.mlp import MLPDiscriminator
        >>> from gan_jax.networks.spectral import SpectralNorm
        >>> num_heads(SpectralNorm(network=Committee(network=MLPDiscriminator(), num=5)))
        5
    """
    if hasattr(network, "num_heads"):
        return network.num_heads
    return num_heads(network.network) if hasattr(network, "network") else 1


@component
class ClassifierHead:
    """A discriminator with a classifier: one linear map from its last features to the logits of `num_classes` classes.

    Scores are the network's. `features` has the logits as "class_logits" [batch, num_classes]. In MGAN the classes are
    the components that made the fakes, and their cross-entropy trains the classifier C and the generators.

    Params are {"network", "head": {"kernel", "bias"}}.

    Example:
        >>> from gan_jax.networks.mlp import MLPDiscriminator
        >>> network = ClassifierHead(network=MLPDiscriminator(widths=(8,)), num_classes=4)
        >>> scores, features = jax.eval_shape(
        ...     lambda: network.features(network.init(jax.random.key(0), (2,)), jnp.ones((6, 2)), train=False)
        ... )
        >>> scores.shape, features["class_logits"].shape
        ((6,), (6, 4))

    References:
        Q. Hoang, T. D. Nguyen, T. Le, D. Phung, "MGAN: Training Generative Adversarial Nets with Multiple Generators",
            ICLR 2018, section 3, equation 2: C and D share all layers but the last.
    """

    network: DiscriminatorNetwork = setting(doc="with hidden features: an MLP, a DCGAN, ...")
    num_classes: int = setting(at_least=2, doc="number of classes: in MGAN, the number of generators")

    def check(self, shape: tuple[int, ...]) -> None:
        self.network.check(shape)

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables:
        key_network, key_head = jax.random.split(key)
        network = self.network.init(key_network, shape)
        head = init_linear(key_head, last_features_size("ClassifierHead", self.network, shape), self.num_classes)
        return Variables({"network": network.params, "head": head}, network.statistics)

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        return self.network.apply(_inner(variables), samples, train=train, axis_name=axis_name)

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        scores, features = self.network.features(_inner(variables), samples, train=train, axis_name=axis_name)
        logits = linear(variables.params["head"], last_features("ClassifierHead", self.network, features))
        return scores, {**features, "class_logits": logits}


def _inner(variables: Variables) -> Variables:
    return Variables(variables.params["network"], variables.statistics)


def last_features(
    owner: str, network: DiscriminatorNetwork, features: dict[str, Float[Array, "n ..."]]
) -> Float[Array, "n d"]:
    """The activations of a network's last hidden layer, flattened.

    Args:
        owner: name of the component that needs them, for the message.
        network: the network.
        features: its activations [batch, ...] by layer name, in the order of the layers.

    Returns:
        [batch, size].

    Raises:
        ValueError: if the network has no hidden layers.
    """
    if not features:
        name = type(network).__name__
        raise ValueError(f"{owner}.network is a {name}, which has no hidden layers: use an MLP or a DCGAN")
    last = list(features.values())[-1]
    return last.reshape(last.shape[0], -1)


def last_features_size(owner: str, network: DiscriminatorNetwork, shape: tuple[int, ...]) -> int:
    """The size of `last_features`, from shapes alone.

    Args:
        owner: name of the component that needs them, for the message.
        network: the network.
        shape: of one sample.

    Returns:
        The number of features of a sample (or a pack).
    """

    def run() -> Array:
        samples = jnp.zeros((pack_size(network), *shape))
        _, features = network.features(network.init(jax.random.key(0), shape), samples, train=False)
        return last_features(owner, network, features)

    return jax.eval_shape(run).shape[1]
