"""Multi-layer perceptrons for the mixtures: the nets of the unrolled-GAN paper, of its notebook, of VEEGAN."""

from __future__ import annotations

import math
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.component import component, setting
from gan_jax.networks.network import Variables, apply_module, compute_dtype, init_module, module_features

Activation = Literal["relu", "tanh", "leaky_relu"]
Init = Literal["orthogonal", "lecun_normal", "he_normal", "normal"]
_WIDTHS = "units of each hidden layer"
_GAIN = "factor of the initial weights (of `normal`: their standard deviation)"


class MLPModule(nn.Module):
    """Dense layers with an activation between them. The hidden ones are sown as features `hidden_i`."""

    widths: tuple[int, ...]
    num_outputs: int
    activation: Activation
    init_name: Init
    gain: Any
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        act = {"relu": nn.relu, "tanh": jnp.tanh, "leaky_relu": lambda v: nn.leaky_relu(v, 0.2)}[self.activation]
        kernel_init = _initializer(self.init_name, self.gain)
        for index, width in enumerate(self.widths):
            x = act(nn.Dense(width, kernel_init=kernel_init, dtype=self.dtype, name=f"dense_{index}")(x))
            self.sow("features", f"hidden_{index}", x)
        return nn.Dense(self.num_outputs, kernel_init=kernel_init, dtype=self.dtype, name="output")(x)


def _initializer(name: Init, gain: Any) -> nn.initializers.Initializer:
    def normal(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return gain * jax.random.normal(key, shape, dtype)

    variances = {"lecun_normal": 1.0, "he_normal": 2.0}
    if name in variances:
        base = nn.initializers.variance_scaling(variances[name], "fan_in", "truncated_normal")
        return lambda key, shape, dtype=jnp.float32: gain * base(key, shape, dtype)
    return nn.initializers.orthogonal(gain) if name == "orthogonal" else normal


@component
class MLPGenerator:
    """Latent to a vector (or, reshaped, to an image), with a linear output times `output_scale`."""

    widths: tuple[int, ...] = setting(default=(128, 128), doc=_WIDTHS)
    activation: Activation = setting(default="relu", doc="of the hidden layers")
    init_name: Init = setting(default="orthogonal", doc="distribution of the initial weights")
    gain: float = setting(default=1.0, above=0, doc=_GAIN)
    output_scale: float = setting(default=1.0, above=0, doc="multiplies the output: the scale of the data")
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="arithmetic of the layers")

    def validate(self) -> None:
        _check_widths("MLPGenerator", self.widths)

    def check(self, shape: tuple[int, ...]) -> None:
        """An MLP makes data of any shape."""

    def _module(self, shape: tuple[int, ...]) -> MLPModule:
        dtype = compute_dtype(self.compute_dtype)
        return MLPModule(self.widths, math.prod(shape), self.activation, self.init_name, self.gain, dtype)

    def init(self, key: Array, latent_dim: int, shape: tuple[int, ...]) -> Variables:
        return init_module(self._module(shape), key, jnp.zeros((1, latent_dim)))

    def apply(
        self, variables: Variables, latent: Array, shape: tuple[int, ...], *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        outputs, statistics = apply_module(self._module(shape), variables, latent, train=train)
        return (self.output_scale * outputs).reshape(latent.shape[0], *shape), statistics


@component
class MLPDiscriminator:
    """A vector (or a flattened image), times `input_scale`, to one raw score."""

    widths: tuple[int, ...] = setting(default=(128, 128), doc=_WIDTHS)
    activation: Activation = setting(default="relu", doc="of the hidden layers")
    init_name: Init = setting(default="orthogonal", doc="distribution of the initial weights")
    gain: float = setting(default=1.0, above=0, doc=_GAIN)
    input_scale: float = setting(
        default=1.0, above=0, doc="multiplies the input; the unrolled-GAN paper's ring uses 1/4"
    )
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="arithmetic of the layers")

    def validate(self) -> None:
        _check_widths("MLPDiscriminator", self.widths)

    def check(self, shape: tuple[int, ...]) -> None:
        """An MLP scores data of any shape."""

    def _module(self) -> MLPModule:
        dtype = compute_dtype(self.compute_dtype)
        return MLPModule(self.widths, 1, self.activation, self.init_name, self.gain, dtype)

    def _inputs(self, samples: Array) -> Array:
        return self.input_scale * samples.reshape(samples.shape[0], -1)

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables:
        return init_module(self._module(), key, jnp.zeros((1, math.prod(shape))))

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        scores, statistics = apply_module(self._module(), variables, self._inputs(samples), train=train)
        return scores[:, 0], statistics

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        scores, features = module_features(self._module(), variables, self._inputs(samples), train=train)
        return scores[:, 0], features


def _check_widths(owner: str, widths: tuple[int, ...]) -> None:
    if not widths or min(widths) < 1:
        raise ValueError(f"{owner}.widths is {widths}, and must be one or more positive whole numbers, like 128,128")
