"""Multi-layer perceptrons: the networks of the unrolled-GAN paper, of its notebook, and of VEEGAN for mixtures."""

from __future__ import annotations

import math
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.networks.dropout import Dropout
from gan_jax.networks.equalised import pixel_norm
from gan_jax.networks.layers import BatchNorm, Norm, SelfModulation, fan_in_uniform
from gan_jax.networks.minibatch import MinibatchDiscrimination, MinibatchLayer, MinibatchStddev
from gan_jax.networks.network import (
    Variables,
    apply_module,
    compute_dtype,
    init_module,
    module_features,
    output_dtype,
)
from gan_jax.networks.virtual_batch_norm import VirtualBatchNorm, with_reference

Activation = Literal["relu", "tanh", "leaky_relu"]
Init = Literal["orthogonal", "lecun_normal", "he_normal", "glorot_uniform", "normal", "torch_default"]
Output = Literal["linear", "tanh"]
_WIDTHS = "units of each hidden layer"
_NORM = (
    "normalisation between layers: batch norm, features of unit mean square (pixel), virtual batch norm, or batch norm "
    "with scales and biases that depend on the latent (self_modulated)"
)
_INIT = "distribution of the initial weights; torch_default: uniform on +-1 / sqrt(inputs), biases too"
_GAIN = "factor of the initial weights; for `normal` their standard deviation"


class MLPModule(nn.Module):
    """Dense layers with an activation between them. Hidden layers are sown as features `hidden_i`.

    Args:
        widths, num_outputs: units of the hidden layers and of the linear output.
        activation: a name; "maxout" takes the largest of `pieces` linear maps for every unit.
        init_name, gain: distribution of the initial kernels, and its factor. With "torch_default" kernels and biases
            are uniform on +-gain / sqrt(inputs), as PyTorch's linear layers begin; with the others biases are 0.
        dtype: dtype of the hidden layers; None takes the parameters' own. The output has at least float32.
        norm: "batch", "virtual" and "self_modulated" come before the activation and replace the bias; "pixel" comes
            after it.
        num_reference: number of samples in the reference batch of "virtual".
        pieces: number of linear maps of "maxout".
        minibatch: layer on the last hidden layer, sown as feature `hidden_minibatch`. None disables it.
        axis_name: the mapped axis over which batch statistics are shared, or None.
        dropout_rate: share of each hidden layer that is dropped, after it is sown. None disables it.
    """

    widths: tuple[int, ...]
    num_outputs: int
    activation: Activation | Literal["maxout"]
    init_name: Init
    gain: Any
    dtype: Any
    norm: Norm = "none"
    num_reference: int = 64
    pieces: int = 1
    minibatch: MinibatchLayer | None = None
    axis_name: str | None = None
    dropout_rate: Any = None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """[batch, inputs] -> [batch, num_outputs]."""
        num_reference, latent = 0, x
        if self.norm == "virtual":
            x, num_reference = with_reference(self, x, self.num_reference), self.num_reference
        for index, width in enumerate(self.widths):
            x = nn.Dense(
                width * self.pieces,
                use_bias=self.norm in ("none", "pixel"),
                **self._initializers(x.shape[-1]),
                dtype=self.dtype,
                name=f"dense_{index}",
            )(x)
            x = self._activate(self._normalise(index, x, latent, train))
            self.sow("features", f"hidden_{index}", x[num_reference:])
            if self.dropout_rate is not None:
                x = Dropout(self.dropout_rate, self.axis_name, name=f"dropout_{index}")(x, train=train)
        x = x[num_reference:]
        if self.minibatch is not None:
            x = self.minibatch.module("minibatch", self.axis_name)(x)
            self.sow("features", "hidden_minibatch", x)
        dtype = output_dtype(self.dtype)
        return nn.Dense(self.num_outputs, **self._initializers(x.shape[-1]), dtype=dtype, name="output")(x)

    def _initializers(self, num_inputs: int) -> dict[str, Any]:
        if self.init_name == "torch_default":
            uniform = fan_in_uniform(num_inputs, self.gain)
            return {"kernel_init": uniform, "bias_init": uniform}
        return {"kernel_init": _initializer(self.init_name, self.gain)}

    def _normalise(self, index: int, x: Array, latent: Array, train: bool) -> Array:
        if self.norm == "batch":
            return BatchNorm(self.axis_name, dtype=self.dtype, name=f"norm_{index}")(x, train=train)
        if self.norm == "virtual":
            return VirtualBatchNorm(self.num_reference, dtype=self.dtype, name=f"norm_{index}")(x)
        if self.norm == "self_modulated":
            modulation = SelfModulation(self.axis_name, dtype=self.dtype, name=f"norm_{index}")
            return modulation(x, latent, train=train)
        return x

    def _activate(self, x: Array) -> Array:
        if self.activation == "maxout":
            return jnp.max(x.reshape(x.shape[0], -1, self.pieces), axis=-1)
        act = {"relu": nn.relu, "tanh": jnp.tanh, "leaky_relu": lambda v: nn.leaky_relu(v, 0.2)}[self.activation]
        return pixel_norm(act(x)) if self.norm == "pixel" else act(x)


def _initializer(name: Init, gain: Any) -> nn.initializers.Initializer:
    def normal(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return gain * jax.random.normal(key, shape, dtype)

    if name == "glorot_uniform":
        glorot = nn.initializers.glorot_uniform()
        return lambda key, shape, dtype=jnp.float32: gain * glorot(key, shape, dtype)
    variances = {"lecun_normal": 1.0, "he_normal": 2.0}
    if name in variances:
        base = nn.initializers.variance_scaling(variances[name], "fan_in", "truncated_normal")
        return lambda key, shape, dtype=jnp.float32: gain * base(key, shape, dtype)
    return nn.initializers.orthogonal(gain) if name == "orthogonal" else normal


@component
class MLPGenerator:
    """Maps a latent to a vector or, reshaped, to an image: `output_scale` times the last layer's output or its tanh.

    Images lie in [-1, 1], which the tanh keeps to.

    Example:
        >>> network = MLPGenerator(widths=(128, 128))
        >>> variables = jax.eval_shape(lambda: network.init(jax.random.key(0), latent_dim=16, shape=(28, 28, 1)))
        >>> [variables.params[name]["kernel"].shape for name in ("dense_0", "dense_1", "output")]
        [(16, 128), (128, 128), (128, 784)]
    """

    widths: tuple[int, ...] = setting(default=(128, 128), doc=_WIDTHS)
    activation: Activation = setting(default="relu", doc="activation of the hidden layers")
    init_name: Init = setting(default="orthogonal", doc=_INIT)
    gain: float = setting(default=1.0, above=0, doc=_GAIN)
    output: Output = setting(
        default="linear", doc="output of the last layer: linear, or its tanh for images in [-1, 1]"
    )
    output_scale: float = setting(default=1.0, above=0, doc="factor of the output: the scale of the data")
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")
    norm: Norm = setting(default="none", doc=_NORM)
    num_reference: int = setting(
        default=64, at_least=2, doc="number of samples in virtual batch norm's reference batch"
    )

    def validate(self) -> None:
        _check_widths("MLPGenerator", self.widths)

    def check(self, shape: tuple[int, ...]) -> None:
        """Accepts data of any shape."""

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> MLPModule:
        return MLPModule(
            self.widths,
            math.prod(shape),
            self.activation,
            self.init_name,
            self.gain,
            compute_dtype(self.compute_dtype),
            norm=self.norm,
            num_reference=self.num_reference,
            axis_name=axis_name,
        )

    def init(self, key: Array, latent_dim: int, shape: tuple[int, ...]) -> Variables:
        return init_module(self._module(shape, None), key, jnp.zeros((1, latent_dim)))

    def apply(
        self, variables: Variables, latent: Array, shape: tuple[int, ...], *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        outputs, statistics = apply_module(self._module(shape, axis_name), variables, latent, train=train)
        return self._outputs(outputs, shape), statistics

    def features(
        self, variables: Variables, latent: Array, shape: tuple[int, ...], *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        """The samples, and the hidden activations behind them.

        Args:
            variables: parameters and statistics.
            latent: [batch, latent_dim].
            shape: of one sample.
            train: whether batch norm uses the batch's statistics.
            axis_name: mapped axis over which batch statistics are shared, or None.

        Returns:
            (samples [batch, *shape], activations by layer name).
        """
        outputs, features = module_features(self._module(shape, axis_name), variables, latent, train=train)
        return self._outputs(outputs, shape), features

    def _outputs(self, outputs: Array, shape: tuple[int, ...]) -> Array:
        outputs = jnp.tanh(outputs) if self.output == "tanh" else outputs
        return (self.output_scale * outputs).reshape(outputs.shape[0], *shape)


@component
class MLPDiscriminator:
    """Maps a vector or a flattened image, multiplied by `input_scale`, to one raw score.

    `activation="maxout"` with five pieces is the D of PacGAN's ring and grid.

    Example:
        >>> network = MLPDiscriminator(widths=(8, 4))
        >>> scores, features = jax.eval_shape(
        ...     lambda: network.features(network.init(jax.random.key(0), (2,)), jnp.ones((5, 2)), train=False)
        ... )
        >>> scores.shape, {name: value.shape for name, value in features.items()}
        ((5,), {'hidden_0': (5, 8), 'hidden_1': (5, 4)})

    References:
        I. Goodfellow et al., "Maxout Networks", ICML 2013, arXiv 1302.4389, section 2.
    """

    widths: tuple[int, ...] = setting(default=(128, 128), doc=_WIDTHS)
    activation: Activation | Literal["maxout"] = setting(default="relu", doc="activation of the hidden layers")
    init_name: Init = setting(default="orthogonal", doc=_INIT)
    gain: float = setting(default=1.0, above=0, doc=_GAIN)
    input_scale: float = setting(
        default=1.0, above=0, doc="factor of the input; the unrolled-GAN paper's ring uses 1/4"
    )
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")
    pieces: int = setting(default=5, at_least=1, doc="number of linear maps of which a maxout unit takes the largest")
    minibatch: MinibatchLayer | None = setting(
        default=None,
        choices=(MinibatchDiscrimination, MinibatchStddev),
        doc="layer that compares the samples of a batch after the last hidden layer; None disables it",
    )
    dropout_rate: float | None = setting(
        default=None,
        at_least=0,
        below=1,
        doc="share of each hidden layer that is dropped in training; None disables it",
    )
    norm: Literal["none", "batch"] = setting(
        default="none", doc="normalisation of the hidden layers: none or batch norm"
    )

    def validate(self) -> None:
        _check_widths("MLPDiscriminator", self.widths)

    def check(self, shape: tuple[int, ...]) -> None:
        """Accepts data of any shape."""

    def _module(self, axis_name: str | None) -> MLPModule:
        return MLPModule(
            self.widths,
            1,
            self.activation,
            self.init_name,
            self.gain,
            compute_dtype(self.compute_dtype),
            norm=self.norm,
            pieces=self.pieces if self.activation == "maxout" else 1,
            minibatch=self.minibatch,
            axis_name=axis_name,
            dropout_rate=self.dropout_rate,
        )

    def _inputs(self, samples: Array) -> Array:
        return self.input_scale * samples.reshape(samples.shape[0], -1)

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables:
        return init_module(self._module(None), key, jnp.zeros((1, math.prod(shape))))

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        scores, statistics = apply_module(self._module(axis_name), variables, self._inputs(samples), train=train)
        return scores[:, 0], statistics

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        scores, features = module_features(self._module(axis_name), variables, self._inputs(samples), train=train)
        return scores[:, 0], features


def _check_widths(owner: str, widths: tuple[int, ...]) -> None:
    if not widths or min(widths) < 1:
        raise ValueError(f"{owner}.widths is {widths}, and must be one or more positive whole numbers, like 128,128")
