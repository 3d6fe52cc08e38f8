"""Discriminators that are autoencoders: the reconstruction error is the score."""

from __future__ import annotations

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting
from gan_jax.networks.mlp import _GAIN, Activation, Init, MLPModule
from gan_jax.networks.network import Variables, apply_module, compute_dtype, init_module, module_features


@component
class AutoencoderDiscriminator:
    r"""score(x) = -energy(x), where the energy is the reconstruction error of a flattened sample x times `input_scale`.

    $$ energy(x) = \frac{1}{d} \sum_{k=1}^{d} |Dec(Enc(x))_k - x_k|^p, \qquad p = 2 (EBGAN), 1 (BEGAN) $$

    Scores are at most 0. The energy's unit is that of the scaled data, squared for p = 2. The code is the narrowest
    layer of `widths`; it is linear, and so is the output. `features` are the encoder's hidden layers and, last, "code".

    Params are {"encoder", "decoder"}, each of an MLP.

    Example:
        >>> AutoencoderDiscriminator(widths=(64, 8, 64)).code_dim
        8

    References:
        J. Zhao, M. Mathieu, Y. LeCun, "Energy-based Generative Adversarial Networks", ICLR 2017, arXiv 1609.03126,
            section 2.3.
        D. Berthelot, T. Schumm, L. Metz, "BEGAN", arXiv 1703.10717, section 3.1.
    """

    widths: tuple[int, ...] = setting(
        default=(128, 32, 128), doc="units of the hidden layers; the narrowest is the code"
    )
    activation: Activation = setting(default="relu", doc="activation of the hidden layers except the code")
    loss: Literal["squared", "absolute"] = setting(
        default="squared", doc="reconstruction error: squared (EBGAN) or absolute (BEGAN)"
    )
    init_name: Init = setting(default="orthogonal", doc="distribution of the initial weights")
    gain: float = setting(default=1.0, above=0, doc=_GAIN)
    input_scale: float = setting(default=1.0, above=0, doc="factor of the input before it is reconstructed")
    compute_dtype: Literal["float32", "bfloat16"] = setting(default="float32", doc="dtype of the layers' arithmetic")

    def validate(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise ValueError(
                f"AutoencoderDiscriminator.widths is {self.widths}, and must be one or more positive whole numbers, "
                "like 128,32,128"
            )

    @property
    def code_dim(self) -> int:
        """Dimensions of the code."""
        return min(self.widths)

    def check(self, shape: tuple[int, ...]) -> None:
        """Accepts data of any shape."""

    def _modules(self, num_inputs: int) -> tuple[MLPModule, MLPModule]:
        at = self.widths.index(self.code_dim)
        settings = (self.activation, self.init_name, self.gain, compute_dtype(self.compute_dtype))
        encoder = MLPModule(self.widths[:at], self.code_dim, *settings)
        return encoder, MLPModule(self.widths[at + 1 :], num_inputs, *settings)

    def init(self, key: Array, shape: tuple[int, ...]) -> Variables:
        encoder, decoder = self._modules(math.prod(shape))
        key_encoder, key_decoder = jax.random.split(key)
        params = {
            "encoder": init_module(encoder, key_encoder, jnp.zeros((1, math.prod(shape)))).params,
            "decoder": init_module(decoder, key_decoder, jnp.zeros((1, self.code_dim))).params,
        }
        return Variables(params, {})

    def apply(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, Any]:
        return self.features(variables, samples, train=train)[0], variables.statistics

    def features(
        self, variables: Variables, samples: Array, *, train: bool, axis_name: str | None = None
    ) -> tuple[Array, dict[str, Array]]:
        inputs = self.input_scale * samples.reshape(samples.shape[0], -1)
        encoder, decoder = self._modules(inputs.shape[1])
        code, features = module_features(encoder, Variables(variables.params["encoder"], {}), inputs, train=train)
        outputs, _ = apply_module(decoder, Variables(variables.params["decoder"], {}), code, train=train)
        error = outputs - inputs
        energy = jnp.mean(error**2 if self.loss == "squared" else jnp.abs(error), axis=1)
        return -energy, {**features, "code": code}
