"""The DCGAN family at 16, 28, 32 and 64 pixels.

The generator goes from the latent to a 4x4 (at 28 pixels: 7x7) map by one transposed convolution and doubles it until
the image size is reached; the discriminator mirrors it. With batch norm no convolution has a bias: batch norm would
cancel it, and the published first and last layers have none either.

References:
    Radford, Metz and Chintala, Unsupervised Representation Learning with DCGANs, arXiv 1511.06434, section 3.
    The PyTorch DCGAN example, which defines the initialisers (section 4) and the first and last layers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.experiment.component import component, setting
from gan_jax.networks.attention import SelfAttention
from gan_jax.networks.convolution import IMPLEMENTATION_DOC, Conv, ConvTranspose, Implementation
from gan_jax.networks.dropout import Dropout
from gan_jax.networks.equalised import pixel_norm
from gan_jax.networks.layers import BatchNorm, Norm, SelfModulation
from gan_jax.networks.minibatch import MinibatchDiscrimination, MinibatchLayer, MinibatchStddev
from gan_jax.networks.network import (
    apply_images,
    apply_scores,
    compute_dtype,
    image_features,
    init_discriminator,
    init_generator,
    output_dtype,
    score_features,
)
from gan_jax.networks.virtual_batch_norm import VirtualBatchNorm, with_reference

# image size -> (size of the smallest map, widths from there to the image in multiples of `width`)
_SIZES: dict[int, tuple[int, tuple[int, ...]]] = {
    16: (4, (2, 1)),
    28: (7, (2, 1)),
    32: (4, (4, 2, 1)),
    64: (4, (8, 4, 2, 1)),
}

# "identity" is that of the published label-noise code: LeakyReLU(True) has slope 1, so its generator is linear between
# batch norms.
_ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "identity": lambda x: x,
    "leaky_relu": lambda x: nn.leaky_relu(x, 0.2),
    "tanh": jnp.tanh,
    "elu": nn.elu,
    "softplus": nn.softplus,
}


_WIDTH = "channels of the widest map; 64 as published"
_ATTENTION = "self-attention on the map of a quarter of the image's side"


@component
class DCGANGenerator:
    """The DCGAN generator: transposed convolutions, batch norm, tanh; no biases (Radford et al., ICLR 2016).

    At 64 pixels and width 64 this is the network of the label-noise study. `activation="identity"` is that of its
    published code: `LeakyReLU(True)` has slope 1, so G is linear between batch norms. The README there says ReLU.

    `norm` is the published batch norm, virtual batch norm in its place, feature vectors of unit mean square after each
    activation ("pixel"), batch norm with scales and biases that depend on the latent ("self_modulated"), or none. With
    "pixel" and "none" convolutions have biases.

    Example:
        >>> variables = jax.eval_shape(lambda: DCGANGenerator().init(jax.random.key(0), 100, (64, 64, 3)))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables.params))  # that of the PyTorch example
        3576704
    """

    width: int = setting(default=64, at_least=1, doc=_WIDTH)
    activation: Literal["relu", "identity"] = setting(
        default="relu", doc="relu, as documented; or identity, as the published code runs"
    )
    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")
    norm: Norm = setting(default="batch", doc="normalisation of the maps between convolutions")
    num_reference: int = setting(
        default=64, at_least=2, doc="number of samples in virtual batch norm's reference batch"
    )
    attention: bool = setting(default=False, doc=_ATTENTION)

    def check(self, shape: tuple[int, ...]) -> None:
        _check_shape("DCGANGenerator", shape)

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> DCGANGeneratorModule:
        return DCGANGeneratorModule(
            image_size=shape[0],
            channels=shape[-1],
            width=self.width,
            activation=self.activation,
            convolution=self.convolution,
            dtype=compute_dtype(self.compute_dtype),
            axis_name=axis_name,
            norm=self.norm,
            num_reference=self.num_reference,
            attention=self.attention,
        )

    init, apply, features = init_generator, apply_images, image_features


@component
class DCGANDiscriminator:
    """The DCGAN discriminator: strided convolutions, batch norm after all but the first, LeakyReLU; no biases.

    With `norm="none"` there is no batch norm, and the hidden convolutions have biases.

    A linear map of the features that `minibatch` appends is added to the score.

    Example:
        >>> variables = jax.eval_shape(lambda: DCGANDiscriminator().init(jax.random.key(0), (64, 64, 3)))
        >>> sum(leaf.size for leaf in jax.tree.leaves(variables.params))  # that of the PyTorch example
        2765568
    """

    width: int = setting(default=64, at_least=1, doc=_WIDTH)
    negative_slope: float = setting(
        default=0.2, at_least=0, at_most=1, doc="slope of the LeakyReLU for negative values"
    )
    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")
    minibatch: MinibatchLayer | None = setting(
        default=None,
        choices=(MinibatchDiscrimination, MinibatchStddev),
        doc="layer that compares the samples of a batch before the last convolution; None disables it",
    )
    attention: bool = setting(default=False, doc=_ATTENTION)
    dropout_rate: float | None = setting(
        default=None,
        at_least=0,
        below=1,
        doc="share of each block's output that is dropped in training; None disables it",
    )
    norm: Literal["batch", "none"] = setting(default="batch", doc="normalisation of all hidden maps but the first")

    def check(self, shape: tuple[int, ...]) -> None:
        _check_shape("DCGANDiscriminator", shape)

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> DCGANDiscriminatorModule:
        return DCGANDiscriminatorModule(
            image_size=shape[0],
            width=self.width,
            negative_slope=self.negative_slope,
            convolution=self.convolution,
            dtype=compute_dtype(self.compute_dtype),
            axis_name=axis_name,
            minibatch=self.minibatch,
            attention=self.attention,
            dropout_rate=self.dropout_rate,
            norm=self.norm,
        )

    init, apply, features = init_discriminator, apply_scores, score_features


def _check_shape(owner: str, shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[0] not in _SIZES:
        what = " x ".join(str(n) for n in shape)
        raise ValueError(
            f"{owner} is for images of {', '.join(map(str, _SIZES))} pixels and the data are {what}: "
            "set data.image_size to one of these, or use an MLP"
        )


class DCGANGeneratorModule(nn.Module):
    """Latent vectors to images: ConvT-BN-act blocks, then ConvT-tanh.

    Args:
        image_size: 16, 28, 32 or 64.
        channels: channels of the image.
        width: w, the channels of the last block; the published network at 64 pixels has 8w, 4w, 2w, w = 512, ..., 64.
        activation: a name; "relu" as in the paper, "identity" as in the published label-noise code.
        convolution: the implementation, as in `convolution.conv`.
        dtype: dtype of the computation; parameters and statistics are float32.
        axis_name: the mapped axis over which batch statistics are shared, or None.
        norm: "batch", "virtual" or "self_modulated" before each activation, "pixel" after it, or "none".
        num_reference: number of samples in the reference batch of "virtual".
        attention: whether `SelfAttention` is applied to the map of a quarter of the image's side.

    Raises:
        ValueError: if the image size or the activation is unknown.
    """

    image_size: int
    channels: int
    width: int = 64
    activation: str = "relu"
    convolution: str = "auto"
    dtype: Any = jnp.float32
    axis_name: str | None = None
    norm: str = "batch"
    num_reference: int = 64
    attention: bool = False

    @nn.compact
    def __call__(self, latent: jax.Array, *, train: bool) -> jax.Array:
        """[batch, latent_dim] -> [batch, image_size, image_size, channels] in (-1, 1)."""
        smallest, multiples = _family(self.image_size)
        if self.activation not in _ACTIVATIONS:
            raise ValueError(f"activation is {self.activation!r}; the known ones are {', '.join(_ACTIVATIONS)}")
        num_reference = self.num_reference if self.norm == "virtual" else 0
        if num_reference:
            latent = with_reference(self, latent, num_reference)
        h = latent.reshape(latent.shape[0], 1, 1, latent.shape[-1])
        for i, multiple in enumerate(multiples):
            h = self._conv(i, multiple * self.width, smallest if i == 0 else 4, i > 0)(h)
            h = _ACTIVATIONS[self.activation](self._normalise(i, h, latent, train))
            if self.norm == "pixel":
                h = pixel_norm(h)
            if self.attention and 4 * h.shape[1] == self.image_size:
                h = SelfAttention(dtype=self.dtype, name="attention")(h)
            _keep(self, i, h[num_reference:])
        return jnp.tanh(self._conv(len(multiples), self.channels, 4, True)(h[num_reference:]))

    def _normalise(self, i: int, h: jax.Array, latent: jax.Array, train: bool) -> jax.Array:
        if self.norm == "batch":
            return _norm(self, i)(h, train=train)
        if self.norm == "virtual":
            return VirtualBatchNorm(self.num_reference, scale_init=_scale_init, dtype=self.dtype, name=f"norm_{i}")(h)
        if self.norm == "self_modulated":
            return SelfModulation(self.axis_name, dtype=self.dtype, name=f"norm_{i}")(h, latent, train=train)
        return h

    def _conv(self, i: int, features: int, size: int, double: bool) -> ConvTranspose:
        settings = {**_settings(double), **_conv_settings(self)}
        # The last convolution never has a bias, as published.
        settings["use_bias"] = self.norm in ("none", "pixel") and i < len(_family(self.image_size)[1])
        return ConvTranspose(features, (size, size), **settings, name=f"conv_{i}")


class DCGANDiscriminatorModule(nn.Module):
    """Images to raw scores: Conv-LeakyReLU, Conv-BN-LeakyReLU blocks, then Conv to one number.

    Args:
        image_size: 16, 28, 32 or 64.
        width: w, the channels of the first block; they double with every further block.
        negative_slope: slope of the LeakyReLU for negative values.
        convolution, dtype, axis_name, attention: as in `DCGANGeneratorModule`.
        minibatch: layer on the last block's flattened output; a linear map of the features that it appends is added to
            the score. None disables it.
        dropout_rate: share of each block's output that is dropped, after it is sown. None disables it.
        norm: "batch"; or "none", with which the hidden convolutions have biases.

    Raises:
        ValueError: if the image size or the norm is unknown, or the image size is not that of the input.
    """

    image_size: int
    width: int = 64
    negative_slope: float = 0.2
    convolution: str = "auto"
    dtype: Any = jnp.float32
    axis_name: str | None = None
    minibatch: MinibatchLayer | None = None
    attention: bool = False
    dropout_rate: Any = None
    norm: str = "batch"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[batch, image_size, image_size, channels] -> scores [batch], float32, without a sigmoid."""
        smallest, multiples = _family(self.image_size)
        if x.shape[1:3] != (self.image_size, self.image_size):
            raise ValueError(f"x {x.shape} is not [batch, {self.image_size}, {self.image_size}, channels]")
        if self.norm not in ("batch", "none"):
            raise ValueError(f"norm is {self.norm!r}; the known ones are batch, none")
        h = x
        for i, multiple in enumerate(reversed(multiples)):
            h = self._conv(i, multiple * self.width, 4, True)(h)
            if i > 0 and self.norm == "batch":
                h = _norm(self, i)(h, train=train)
            h = nn.leaky_relu(h, self.negative_slope)
            if self.attention and 4 * h.shape[1] == self.image_size:
                h = SelfAttention(dtype=self.dtype, name="attention")(h)
            _keep(self, i, h)
            if self.dropout_rate is not None:
                h = Dropout(self.dropout_rate, self.axis_name, name=f"dropout_{i}")(h, train=train)
        score = self._conv(len(multiples), 1, smallest, False)(h).reshape(-1)
        if self.minibatch is not None:
            flat = h.reshape(h.shape[0], -1)
            seen = self.minibatch.module("minibatch", self.axis_name)(flat)[:, flat.shape[1] :]
            dtype = output_dtype(self.dtype)
            score = score + nn.Dense(1, use_bias=False, dtype=dtype, name="minibatch_output")(seen)[:, 0]
        return score

    def _conv(self, i: int, features: int, size: int, halve: bool) -> Conv:
        settings = {**_settings(halve), **_conv_settings(self)}
        if features == 1:
            settings["dtype"] = output_dtype(self.dtype)
        settings["use_bias"] = self.norm == "none" and halve
        return Conv(features, (size, size), **settings, name=f"conv_{i}")


_Module = DCGANGeneratorModule | DCGANDiscriminatorModule


def _family(image_size: int) -> tuple[int, tuple[int, ...]]:
    if image_size not in _SIZES:
        raise ValueError(f"image_size is {image_size}; DCGAN is defined for {', '.join(map(str, _SIZES))}")
    return _SIZES[image_size]


def _settings(resample: bool) -> dict[str, Any]:
    return {"stride": 2, "padding": 1} if resample else {"stride": 1, "padding": 0}


def _conv_settings(module: _Module) -> dict[str, Any]:
    return {
        "use_bias": False,
        "kernel_init": nn.initializers.normal(0.02),
        "dtype": module.dtype,
        "implementation": module.convolution,
    }


def _norm(module: _Module, i: int) -> BatchNorm:
    return BatchNorm(module.axis_name, scale_init=_scale_init, dtype=module.dtype, name=f"norm_{i}")


def _keep(module: _Module, i: int, h: jax.Array) -> None:
    # At init, `sow` would put the activations among the variables.
    if not module.is_initializing():
        module.sow("features", f"block_{i}", h)


def _scale_init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    return 1 + 0.02 * jax.random.normal(key, shape, dtype)
