"""The network of the image metrics' classifier: ten classes, 28x28 grey inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from jaxtyping import Float

CLASSIFIER_SIZE = 28
_NORMALIZATION_EPSILON = 1e-5


class ClassifierModule(nn.Module):
    """Three 3x3 convolutions with mean pooling between them, one hidden layer (the features), one linear layer.

    An image costs 3.0 million multiply-adds.

    Args:
        widths: channels after each convolution.
        num_features: units of the hidden layer.
        num_classes: number of logits.
        normalize: batch norm after each convolution, as in training. In the shipped weights it is folded into the
            convolutions (`fold_normalization`), so the output for an image depends on no other image.
        train: with `normalize`, whether batch statistics are used (and updated in `batch_stats`).
    """

    widths: tuple[int, ...] = (20, 40, 64)
    num_features: int = 96
    num_classes: int = 10
    normalize: bool = False
    train: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Logits `[batch, num_classes]` and features `[batch, num_features]` of images `[batch, 28, 28, 1]`."""
        # In [0, 1] the background of these images is 0, as is the convolutions' padding.
        x = 0.5 * (x + 1.0)
        for i, width in enumerate(self.widths):
            if i > 0:
                x = nn.avg_pool(x, (2, 2), (2, 2))
            x = nn.Conv(width, (3, 3), use_bias=not self.normalize, name=f"conv_{i}")(x)
            if self.normalize:
                x = nn.BatchNorm(
                    use_running_average=not self.train,
                    momentum=0.98,
                    epsilon=_NORMALIZATION_EPSILON,
                    name=f"norm_{i}",
                )(x)
            x = nn.relu(x)
        features = nn.relu(nn.Dense(self.num_features, name="hidden")(x.reshape(x.shape[0], -1)))
        return nn.Dense(self.num_classes, name="output")(features), features


def fold_normalization(params: Mapping[str, Any], batch_stats: Mapping[str, Any]) -> dict[str, Any]:
    r"""Parameters of the module without batch norm that equals one with frozen batch statistics.

    $$ W' = W \cdot s / \sqrt{v + \epsilon}, \qquad b' = \beta - m \cdot s / \sqrt{v + \epsilon} $$

    Args:
        params: parameters of `ClassifierModule(normalize=True)`.
        batch_stats: its running means m and variances v.

    Returns:
        Parameters of `ClassifierModule(normalize=False)`.
    """
    folded: dict[str, Any] = {name: dict(params[name]) for name in ("hidden", "output")}
    for name in params:
        if not name.startswith("conv_"):
            continue
        norm = name.replace("conv_", "norm_")
        gain = params[norm]["scale"] * jax.lax.rsqrt(batch_stats[norm]["var"] + _NORMALIZATION_EPSILON)
        kernel = params[name]["kernel"]
        folded[name] = {
            "kernel": kernel * jnp.broadcast_to(gain, kernel.shape),
            "bias": params[norm]["bias"] - batch_stats[norm]["mean"] * gain,
        }
    return folded


def resize_for_classifier(x: Float[Array, "n height width 1"]) -> Float[Array, "n 28 28 1"]:
    """Resizes images of any size to the classifier's 28x28, bilinear with antialiasing; the identity at 28.

    Args:
        x: images `[batch, height, width, 1]`.

    Returns:
        Images `[batch, 28, 28, 1]` in the same range: every output pixel is a convex combination of input pixels.
    """
    shape = (x.shape[0], CLASSIFIER_SIZE, CLASSIFIER_SIZE, x.shape[3])
    # This is two products with matrices [size, 28] that depend on the shape alone.
    return x if x.shape == shape else jax.image.resize(x, shape, "linear", antialias=True)
