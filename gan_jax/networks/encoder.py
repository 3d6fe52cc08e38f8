"""Networks for GANs with an encoder: a generator that also maps samples to latents, and a joint discriminator.

References:
    V. Dumoulin et al., "Adversarially Learned Inference", ICLR 2017, arXiv 1606.00704.
    A. Srivastava et al., "VEEGAN: Reducing Mode Collapse in GANs using Implicit Variational Learning", NeurIPS 2017,
        arXiv 1705.07761.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.networks.committee import last_features, last_features_size
from gan_jax.networks.layers import init_linear, linear
from gan_jax.networks.network import DiscriminatorNetwork, GeneratorNetwork, Variables


@component
class Bidirectional:
    """A generator G(z) and an encoder F(x) that are trained as one player. VEEGAN calls F the reconstructor.

    `apply` is the generator; `encode` is the encoder, a linear map of the trunk's last hidden features. The trunk's own
    score is not used, and the parameters of its output layer get no gradient.

    Params are {"generator", "encoder": {"trunk", "head": {"kernel", "bias"}}}; statistics {"generator", "trunk"}.

    Example:
        >>> from gan_jax.networks.mlp import MLPDiscriminator, MLPGenerator
        >>> network = Bidirectional(network=MLPGenerator(widths=(8,)), trunk=MLPDiscriminator(widths=(8,)))
        >>> variables = jax.eval_shape(lambda: network.init(jax.random.key(0), latent_dim=3, shape=(2,)))
        >>> jax.eval_shape(lambda v: network.encode(v, jnp.ones((5, 2)), 3, train=False), variables).shape
        (5, 3)
    """

    network: GeneratorNetwork = setting(doc="the generator")
    trunk: DiscriminatorNetwork = setting(doc="the encoder without its last layer: an MLP, a DCGAN, ...")

    def check(self, shape: tuple[int, ...]) -> None:
        self.network.check(shape)
        self.trunk.check(shape)

    def init(self, key: Array, latent_dim: int, shape: tuple[int, ...]) -> Variables:
        key_generator, key_trunk, key_head = jax.random.split(key, 3)
        generator = self.network.init(key_generator, latent_dim, shape)
        trunk = self.trunk.init(key_trunk, shape)
        head = init_linear(key_head, last_features_size("Bidirectional", self.trunk, shape), latent_dim)
        params = {"generator": generator.params, "encoder": {"trunk": trunk.params, "head": head}}
        return Variables(params, {"generator": generator.statistics, "trunk": trunk.statistics})

    def apply(
        self, variables: Variables, latent: Array, shape: tuple[int, ...], *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        generator = Variables(variables.params["generator"], variables.statistics["generator"])
        samples, statistics = self.network.apply(generator, latent, shape, train=train, axis_name=axis_name)
        return samples, {**variables.statistics, "generator": statistics}

    def encode(
        self, variables: Variables, samples: Array, latent_dim: int, *, train: bool, axis_name: str | None = None
    ) -> Array:
        """The encoder's latents of samples.

        Args:
            variables: parameters and statistics.
            samples: [batch, *shape].
            latent_dim: dimensions of the latent; those that `init` got.
            train: whether batch norm uses the batch's statistics.
            axis_name: mapped axis over which batch statistics are shared, or None.

        Returns:
            [batch, latent_dim].

        Raises:
            ValueError: if the encoder was initialised with another `latent_dim`.
        """
        head = variables.params["encoder"]["head"]
        if head["bias"].shape[-1] != latent_dim:
            raise ValueError(
                f"latent_dim is {latent_dim} and the encoder gives {head['bias'].shape[-1]} numbers: "
                "initialise it with this latent_dim"
            )
        _, features = self.trunk.features(self._trunk(variables), samples, train=train, axis_name=axis_name)
        return linear(head, last_features("Bidirectional", self.trunk, features))

    def advance(self, variables: Variables, samples: Array, *, axis_name: str | None = None) -> Any:
        """The statistics after a batch was encoded in training mode.

        Args:
            variables: parameters and statistics.
            samples: [batch, *shape], the batch.
            axis_name: mapped axis over which batch statistics are shared, or None.

        Returns:
            The new statistics, in the form of `variables.statistics`.
        """
        _, statistics = self.trunk.apply(self._trunk(variables), samples, train=True, axis_name=axis_name)
        return {**variables.statistics, "trunk": statistics}

    def _trunk(self, variables: Variables) -> Variables:
        return Variables(variables.params["encoder"]["trunk"], variables.statistics["trunk"])


@component
class JointDiscriminator:
    """D(x, z) on joint vectors: a sample x of the given shape, flattened, followed by a latent z.

    The last hidden features of `network` on x are joined with z. One layer of `width` leaky ReLUs maps them to the
    score. (For data that are vectors an MLPDiscriminator takes the joint vector itself.) The network's own score is not
    used, and the parameters of its output layer get no gradient.

    Params are {"network", "hidden", "output"}; the statistics are the network's.

    Example:
        >>> from gan_jax.networks.mlp import MLPDiscriminator
        >>> network = JointDiscriminator(network=MLPDiscriminator(widths=(8,)), shape=(2, 2), width=8)
        >>> variables = jax.eval_shape(lambda: network.init(jax.random.key(0), (7,)))  # 2 x 2 numbers and a latent of 3
        >>> variables.params["hidden"]["kernel"].shape  # from 8 features of the sample and the latent
        (11, 8)
    """

    network: DiscriminatorNetwork = setting(doc="network whose hidden features describe the sample")
    shape: tuple[int, ...] = setting(doc="shape of one sample")
    width: int = setting(default=128, at_least=1, doc="units of the layer on the sample's features and the latent")

    num_heads = 1  # even if the network has several

    def check(self, shape: tuple[int, ...]) -> None:
        self._latent_dim(shape)
        self.network.check(self.shape)

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables:
        key_network, key_hidden, key_output = jax.random.split(key, 3)
        network = self.network.init(key_network, self.shape)
        size = last_features_size("JointDiscriminator", self.network, self.shape) + self._latent_dim(shape)
        hidden, output = init_linear(key_hidden, size, self.width), init_linear(key_output, self.width, 1)
        return Variables({"network": network.params, "hidden": hidden, "output": output}, network.statistics)

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        scores, _ = self.features(variables, samples, train=train, axis_name=axis_name)
        inner, x = self._network(variables), self._split(samples)[0]
        # `features` computes the same hidden layers; the compiler computes them once.
        _, statistics = self.network.apply(inner, x, train=train, axis_name=axis_name)
        return scores, statistics

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        x, latent = self._split(samples)
        _, features = self.network.features(self._network(variables), x, train=train, axis_name=axis_name)
        seen = last_features("JointDiscriminator", self.network, features)
        hidden = linear(variables.params["hidden"], jnp.concatenate([seen, latent], axis=1))
        hidden = jax.nn.leaky_relu(hidden, 0.2)
        return linear(variables.params["output"], hidden)[:, 0], {**features, "joint": hidden}

    def _network(self, variables: Variables) -> Variables:
        return Variables(variables.params["network"], variables.statistics)

    def _split(self, samples: Array) -> tuple[Array, Array]:
        size = math.prod(self.shape)
        return samples[:, :size].reshape(-1, *self.shape), samples[:, size:]

    def _latent_dim(self, shape: tuple[int, ...]) -> int:
        size = math.prod(self.shape)
        if len(shape) != 1 or shape[0] <= size:
            what = " x ".join(str(n) for n in shape)
            raise ValueError(
                f"JointDiscriminator takes vectors of more than {size} numbers (a sample and a latent), and its inputs "
                f"are {what}: set its shape to that of one sample, which is {self.shape} now"
            )
        return shape[0] - size
