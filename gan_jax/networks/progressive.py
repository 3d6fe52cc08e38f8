"""Networks that grow from 4x4 pixels to the data's size in stages, with one tree of parameters for all stages.

Stage s works at r = 4 * 2^s pixels. G enlarges its image to the data's size and D averages its input down, so samples
always have the data's shape. All parameters of the full network exist from the start, and blocks that a stage does not
use get gradients of 0: growth changes the function, but not the structure of the state. A new block is faded in:

    G: image_s = (1 - fade) up(to_image_{r/2}(h_{r/2})) + fade to_image_r(h_r)
    D: h_{r/2} = (1 - fade) from_image_{r/2}(down(x)) + fade down(block_r(from_image_r(x)))

Maps have `width` channels up to 16 pixels, and half as many with every further doubling, but at least 8 (published: 512
up to 32 pixels, then halved).

References:
    T. Karras, T. Aila, S. Laine, J. Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and
        Variation", ICLR 2018, arXiv 1710.10196, section 2, figure 2, appendix A.1 (table 2).
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, Self

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gan_jax.experiment.component import component, setting
from gan_jax.experiment.schedules import SCHEDULES, Schedule
from gan_jax.networks.convolution import IMPLEMENTATION_DOC, Implementation
from gan_jax.networks.equalised import EqualisedConv, EqualisedDense, MinibatchStddevChannel, pixel_norm
from gan_jax.networks.network import (
    Variables,
    apply_images,
    apply_scores,
    compute_dtype,
    image_features,
    init_module,
    output_dtype,
    score_features,
)

PROGRESSIVE_SIZES = (16, 32, 64)
_SMALLEST = 4
_SLOPE = 0.2
_MIN_CHANNELS = 8
_WIDEST_UP_TO = 16

_WIDTH = "channels of the maps up to 16 pixels; 512 as published"
_EQUALISED = "weights N(0, 1) scaled at run time; if not, He initialisation"
_STAGE = "stage, at 4 * 2^stage pixels; None takes the last one, at the data's size"
_FADE = "weight of the newest block against the path around it; 1 once it is faded in"


@component
class ProgressiveGenerator:
    """The growing generator: pairs of 3x3 convolutions, LeakyReLU, pixel norm; a linear 1x1 convolution to the image.

    The output is linear, as published, so samples have no fixed range.

    Example:
        >>> network = ProgressiveGenerator()
        >>> network.num_stages((32, 32, 1))  # 4, 8, 16 and 32 pixels
        4
        >>> network.at_stage(1, fade=0.25).fade  # at 8 pixels, three quarters still the image of 4 pixels
        0.25
    """

    width: int = setting(default=64, at_least=_MIN_CHANNELS, doc=_WIDTH)
    pixel_norm: bool = setting(
        default=True, doc="scale latents, and features after every activation, to unit root mean square"
    )
    equalised: bool = setting(default=True, doc=_EQUALISED)
    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")
    stage: int | None = setting(default=None, at_least=0, doc=_STAGE)
    fade: float | Schedule = setting(default=1.0, at_least=0, at_most=1, choices=SCHEDULES, doc=_FADE)

    def check(self, shape: tuple[int, ...]) -> None:
        _check_shape("ProgressiveGenerator", shape, self.stage)

    def num_stages(self, shape: tuple[int, ...]) -> int:
        """Stages from 4 pixels to the data's size: 3, 4, 5 at 16, 32, 64."""
        return _num_stages("ProgressiveGenerator", shape)

    def at_stage(self, stage: int | None, fade: float | Schedule = 1.0) -> Self:
        """The same network, with the same variables, at another stage."""
        return dataclasses.replace(self, stage=stage, fade=fade)

    def _module(self, shape: tuple[int, ...], axis_name: str | None = None) -> ProgressiveGeneratorModule:
        self.check(shape)
        return ProgressiveGeneratorModule(
            image_size=shape[0],
            channels=shape[-1],
            width=self.width,
            stage=self.num_stages(shape) - 1 if self.stage is None else self.stage,
            fade=_weight("ProgressiveGenerator", self.fade),
            pixel_norm=self.pixel_norm,
            equalised=self.equalised,
            convolution=self.convolution,
            dtype=compute_dtype(self.compute_dtype),
        )

    def init(self, key: Array, latent_dim: int, shape: tuple[int, ...]) -> Variables:
        # The last stage has all parameters; the initial value of a parameter depends on its name alone.
        return init_module(self.at_stage(None)._module(shape), key, jnp.zeros((1, latent_dim)))

    apply, features = apply_images, image_features


@component
class ProgressiveDiscriminator:
    """The growing discriminator: pairs of 3x3 convolutions, LeakyReLU, mean pooling; minibatch stddev at 4x4.

    With `minibatch_stddev` a score depends on the other samples of its batch, in training and in evaluation.

    `features` has the last activation of every block in use by the name `block_{pixels}`.

    Example:
        >>> images = jnp.tile(jnp.arange(16.0)[None, None, :, None], (1, 16, 1, 1))
        >>> ProgressiveDiscriminator().at_stage(1, fade=1.0).faded(images)[0, 0, ::2, 0].tolist()  # 8 pixels
        [0.5, 2.5, 4.5, 6.5, 8.5, 10.5, 12.5, 14.5]
        >>> ProgressiveDiscriminator().at_stage(1, fade=0.0).faded(images)[0, 0, ::2, 0].tolist()  # still 4 pixels
        [1.5, 1.5, 5.5, 5.5, 9.5, 9.5, 13.5, 13.5]
    """

    width: int = setting(default=64, at_least=_MIN_CHANNELS, doc=_WIDTH)
    equalised: bool = setting(default=True, doc=_EQUALISED)
    minibatch_stddev: bool = setting(default=True, doc="append the batch's mean standard deviation as a channel at 4x4")
    convolution: Implementation = setting(default="auto", doc=IMPLEMENTATION_DOC)
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")
    stage: int | None = setting(default=None, at_least=0, doc=_STAGE)
    fade: float | Schedule = setting(default=1.0, at_least=0, at_most=1, choices=SCHEDULES, doc=_FADE)

    def check(self, shape: tuple[int, ...]) -> None:
        _check_shape("ProgressiveDiscriminator", shape, self.stage)

    def num_stages(self, shape: tuple[int, ...]) -> int:
        """Stages from 4 pixels to the data's size: 3, 4, 5 at 16, 32, 64."""
        return _num_stages("ProgressiveDiscriminator", shape)

    def at_stage(self, stage: int | None, fade: float | Schedule = 1.0) -> Self:
        """The same network, with the same variables, at another stage."""
        return dataclasses.replace(self, stage=stage, fade=fade)

    def _module(self, shape: tuple[int, ...], axis_name: str | None) -> ProgressiveDiscriminatorModule:
        self.check(shape)
        return ProgressiveDiscriminatorModule(
            width=self.width,
            stage=self.num_stages(shape) - 1 if self.stage is None else self.stage,
            fade=_weight("ProgressiveDiscriminator", self.fade),
            equalised=self.equalised,
            minibatch_stddev=self.minibatch_stddev,
            convolution=self.convolution,
            dtype=compute_dtype(self.compute_dtype),
            axis_name=axis_name,
        )

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables:
        return init_module(self.at_stage(None)._module(shape, None), key, jnp.zeros((1, *shape)))

    apply, features = apply_scores, score_features

    def faded(self, images: Array) -> Array:
        """Real images [batch, *shape] at this stage's resolution; its new details fade in, as in G's images."""
        stage = self.num_stages(images.shape[1:]) - 1 if self.stage is None else self.stage
        if stage == 0:
            return images
        fine = images
        while fine.shape[1] > _sizes(stage)[-1]:
            fine = average_pool(fine)
        blended = _blend(_weight("ProgressiveDiscriminator", self.fade), upsample(average_pool(fine)), fine)
        return upsample(blended, images.shape[1] // blended.shape[1])


def upsample(x: Float[Array, "n height width channels"], factor: int = 2) -> Float[Array, "n _ _ channels"]:
    """Repeats each pixel of [batch, height, width, channels] `factor` times along both axes (nearest neighbour)."""
    return jnp.repeat(jnp.repeat(x, factor, axis=1), factor, axis=2) if factor > 1 else x


def average_pool(x: Float[Array, "n height width channels"]) -> Float[Array, "n height//2 width//2 channels"]:
    """Means of 2x2 blocks: [batch, height, width, channels] -> [batch, height / 2, width / 2, channels]."""
    batch, height, width, channels = x.shape
    return jnp.mean(x.reshape(batch, height // 2, 2, width // 2, 2, channels), axis=(2, 4))


class ProgressiveGeneratorModule(nn.Module):
    """See `ProgressiveGenerator`; here `stage` is a number, and only the blocks that it uses have parameters."""

    image_size: int
    channels: int
    width: int
    stage: int
    fade: Any
    pixel_norm: bool
    equalised: bool
    convolution: str
    dtype: Any

    @nn.compact
    def __call__(self, latent: Array, *, train: bool) -> Array:
        """[batch, latent_dim] -> [batch, image_size, image_size, channels], linear, without a fixed range."""
        h = pixel_norm(latent) if self.pixel_norm else latent
        images = []
        for size in _sizes(self.stage):
            if size == _SMALLEST:
                h = EqualisedDense(size**2 * self.width, equalised=self.equalised, dtype=self.dtype, name="dense")(h)
                h = self._activate(h.reshape(-1, size, size, self.width))
            else:
                h = self._activate(self._conv(f"conv_{size}_0", size)(upsample(h)))
            h = self._activate(self._conv(f"conv_{size}_1", size)(h))
            _keep(self, size, h)
            # All images are computed and the last two are used: the compiler removes the others.
            images.append(EqualisedDense(self.channels, 1.0, self.equalised, self.dtype, name=f"to_image_{size}")(h))
        image = images[-1] if self.stage == 0 else _blend(self.fade, upsample(images[-2]), images[-1])
        return upsample(image, self.image_size // image.shape[1])

    def _activate(self, h: Array) -> Array:
        h = nn.leaky_relu(h, _SLOPE)
        return pixel_norm(h) if self.pixel_norm else h

    def _conv(self, name: str, size: int) -> EqualisedConv:
        return _conv(self, name, _channels(self.width, size))


class ProgressiveDiscriminatorModule(nn.Module):
    """See `ProgressiveDiscriminator`; here `stage` is a number."""

    width: int
    stage: int
    fade: Any
    equalised: bool
    minibatch_stddev: bool
    convolution: str
    dtype: Any
    axis_name: str | None

    @nn.compact
    def __call__(self, x: Array, *, train: bool) -> Array:
        """[batch, image_size, image_size, channels] -> scores [batch], float32 or wider, without a sigmoid."""
        sizes = _sizes(self.stage)
        while x.shape[1] > sizes[-1]:
            x = average_pool(x)
        h = self._from_image(sizes[-1], x)
        for size in reversed(sizes[1:]):
            h = self._block(h, size)
            x = average_pool(x)
            skip = self._from_image(size // 2, x)
            h = _blend(self.fade, skip, average_pool(h)) if size == sizes[-1] else average_pool(h)
        if self.minibatch_stddev:
            h = MinibatchStddevChannel(self.axis_name)(h)
        h = nn.leaky_relu(_conv(self, f"conv_{_SMALLEST}", self.width)(h), _SLOPE)
        hidden = EqualisedDense(self.width, equalised=self.equalised, dtype=self.dtype, name="dense")
        h = nn.leaky_relu(hidden(h.reshape(h.shape[0], -1)), _SLOPE)
        _keep(self, _SMALLEST, h)
        score = EqualisedDense(1, 1.0, self.equalised, output_dtype(self.dtype), name="output")(h)
        return score[:, 0]

    def _from_image(self, size: int, x: Array) -> Array:
        features = _channels(self.width, size)
        layer = EqualisedDense(features, equalised=self.equalised, dtype=self.dtype, name=f"from_image_{size}")
        return nn.leaky_relu(layer(x), _SLOPE)

    def _block(self, h: Array, size: int) -> Array:
        for i, width_at in enumerate((size, size // 2)):
            h = nn.leaky_relu(_conv(self, f"conv_{size}_{i}", _channels(self.width, width_at))(h), _SLOPE)
        _keep(self, size, h)
        return h


_Module = ProgressiveGeneratorModule | ProgressiveDiscriminatorModule


def _conv(module: _Module, name: str, features: int) -> EqualisedConv:
    return EqualisedConv(
        features,
        equalised=module.equalised,
        dtype=module.dtype,
        implementation=module.convolution,
        name=name,
    )


def _keep(module: _Module, size: int, h: Array) -> None:
    if not module.is_initializing():
        module.sow("features", f"block_{size}", h)


def _sizes(stage: int) -> list[int]:
    return [_SMALLEST * 2**s for s in range(stage + 1)]


def _channels(width: int, size: int) -> int:
    return width if size <= _WIDEST_UP_TO else max(_MIN_CHANNELS, width * _WIDEST_UP_TO // size)


def _blend(fade: Any, old: Array, new: Array) -> Array:
    # Not old + fade (new - old), which at fade 1 has rounding errors of the old path. A bfloat16 fade has three digits.
    return ((1.0 - fade) * old + fade * new).astype(new.dtype)


def _weight(owner: str, fade: float | Schedule) -> Any:
    if isinstance(fade, Schedule):
        raise ValueError(
            f"{owner}.fade is {fade}, which changes with the step, and a network needs its value at the step: use "
            "at_stage(stage, value_at(fade, step))"
        )
    return fade


def _check_shape(owner: str, shape: tuple[int, ...], stage: int | None) -> None:
    last = _num_stages(owner, shape) - 1
    if stage is not None and stage > last:
        raise ValueError(
            f"{owner}.stage is {stage}, which is {_SMALLEST * 2**stage} pixels, and data of {shape[0]} pixels have "
            f"stages 0 to {last}: set the stage to one of these, or to None for the last"
        )


def _num_stages(owner: str, shape: tuple[int, ...]) -> int:
    if len(shape) != 3 or shape[0] not in PROGRESSIVE_SIZES or shape[1] != shape[0]:
        what = " x ".join(str(n) for n in shape)
        raise ValueError(
            f"{owner} is for square images of {', '.join(map(str, PROGRESSIVE_SIZES))} pixels and the data are {what}: "
            "set data.image_size to one of these, or use a DCGAN"
        )
    return (shape[0] // _SMALLEST).bit_length()
