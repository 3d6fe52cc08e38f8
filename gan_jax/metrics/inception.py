"""The 2,048 features of Inception v3 from a file of weights that the user brings; nothing is downloaded.

With the weights that FID is defined on, the Frechet distance on these features is the FID, up to rounding. The network
is FID's variant: averages in Inception blocks leave the border out, and the last block takes a maximum in their place.

The file is an .npz with the names and the layout of a PyTorch state dict, such as that of the package pytorch-fid:

    state = pytorch_fid.inception.fid_inception_v3().state_dict()
    numpy.savez("inception.npz", **{name: value.numpy() for name, value in state.items()})

References:
    C. Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, arXiv 1512.00567.
    M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017,
        arXiv 1706.08500.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float

from gan_jax.data.found_set import DataError
from gan_jax.data.numpy_files import npz_headers, read_npz_arrays
from gan_jax.metrics.sample_sets import FeatureSpace

Weights = Mapping[str, Array]
"""By PyTorch's names: kernels [out, in, height, width] and batch norm's vectors [out]."""
INPUT_SIZE, NUM_FEATURES = 299, 2048
_BLOCK = 16
_EPS = 1e-3
_NORM = ("weight", "bias", "running_mean", "running_var")


def kernel_shapes() -> dict[str, tuple[int, int, int, int]]:
    """The shape [out, in, height, width] of each convolution's kernel, by the convolution's name.

    Example:
        >>> shapes = kernel_shapes()
        >>> len(shapes), shapes["Conv2d_1a_3x3"], shapes["Mixed_6c.branch7x7_2"]
        (94, (32, 3, 3, 3), (160, 160, 1, 7))
    """
    stem = {
        "Conv2d_1a_3x3": (32, 3, 3, 3),
        "Conv2d_2a_3x3": (32, 32, 3, 3),
        "Conv2d_2b_3x3": (64, 32, 3, 3),
        "Conv2d_3b_1x1": (80, 64, 1, 1),
        "Conv2d_4a_3x3": (192, 80, 3, 3),
    }
    return stem | dict(_mixed_shapes())


def _mixed_shapes() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    def branch(name: str, width: int, *steps: tuple[str, int, int, int]) -> Iterator[tuple[str, tuple]]:
        for suffix, out, height, kernel_width in steps:
            yield f"{name}{suffix}", (out, width, height, kernel_width)
            width = out

    def double(name: str, width: int, *outs: int) -> Iterator[tuple[str, tuple]]:
        yield from branch(
            f"{name}.branch3x3dbl", width, ("_1", outs[0], 1, 1), ("_2", outs[1], 3, 3), ("_3", outs[2], 3, 3)
        )

    for name, width, pooled in (("Mixed_5b", 192, 32), ("Mixed_5c", 256, 64), ("Mixed_5d", 288, 64)):
        yield f"{name}.branch1x1", (64, width, 1, 1)
        yield from branch(f"{name}.branch5x5", width, ("_1", 48, 1, 1), ("_2", 64, 5, 5))
        yield from double(name, width, 64, 96, 96)
        yield f"{name}.branch_pool", (pooled, width, 1, 1)
    yield "Mixed_6a.branch3x3", (384, 288, 3, 3)
    yield from double("Mixed_6a", 288, 64, 96, 96)
    for name, mid in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        yield f"{name}.branch1x1", (192, 768, 1, 1)
        yield from branch(f"{name}.branch7x7", 768, ("_1", mid, 1, 1), ("_2", mid, 1, 7), ("_3", 192, 7, 1))
        yield from branch(
            f"{name}.branch7x7dbl",
            768,
            *(("_1", mid, 1, 1), ("_2", mid, 7, 1), ("_3", mid, 1, 7), ("_4", mid, 7, 1), ("_5", 192, 1, 7)),
        )
        yield f"{name}.branch_pool", (192, 768, 1, 1)
    yield from branch("Mixed_7a.branch3x3", 768, ("_1", 192, 1, 1), ("_2", 320, 3, 3))
    yield from branch(
        "Mixed_7a.branch7x7x3", 768, ("_1", 192, 1, 1), ("_2", 192, 1, 7), ("_3", 192, 7, 1), ("_4", 192, 3, 3)
    )
    for name, width in (("Mixed_7b", 1280), ("Mixed_7c", 2048)):
        yield f"{name}.branch1x1", (320, width, 1, 1)
        yield f"{name}.branch3x3_1", (384, width, 1, 1)
        yield from branch(f"{name}.branch3x3dbl", width, ("_1", 448, 1, 1), ("_2", 384, 3, 3))
        for split in ("branch3x3_2", "branch3x3dbl_3"):
            yield f"{name}.{split}a", (384, 384, 1, 3)
            yield f"{name}.{split}b", (384, 384, 3, 1)
        yield f"{name}.branch_pool", (192, width, 1, 1)


def load_inception(path: str | Path) -> dict[str, Array]:
    """Reads and checks a file of weights; entries that the features do not need are left out.

    Args:
        path: of the .npz.

    Returns:
        The weights by name.

    Raises:
        DataError: if the file cannot be read, or an array is missing or of another shape.

    Example:
        Weights of pytorch-fid, once written as above::

            features = inception_space("inception.npz")
            gan_jax.evaluate_samples(samples, "cifar10", features=features, metrics="frechet")
    """
    needed: dict[str, tuple[int, ...]] = {}
    for name, shape in kernel_shapes().items():
        needed[f"{name}.conv.weight"] = shape
        needed |= {f"{name}.bn.{part}": shape[:1] for part in _NORM}
    shapes = {name: shape for name, (_, shape) in npz_headers(Path(path)).items()}
    for name, wanted in needed.items():
        if shapes.get(name) != wanted:
            has = f"has the shape {list(shapes[name])} there" if name in shapes else "is not in it"
            raise DataError(
                f"{path} does not hold the weights of Inception v3: {name} of shape {list(wanted)} {has}. "
                "docs/evaluation.md says how to write the file"
            )
    found = read_npz_arrays(Path(path), list(needed))
    return {name: jnp.asarray(value, jnp.float32) for name, value in found.items()}


def inception_space(path: str | Path) -> FeatureSpace:
    """The feature space of a file of weights, as `evaluate_samples` takes it; it is named by the weights' hash.

    Raises:
        DataError: as `load_inception`.
    """
    weights = load_inception(path)
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(np.asarray(weights[name]).tobytes())
    name = f"Inception v3 of {Path(path).name}, sha256 {digest.hexdigest()[:12]}"

    def extract(samples: Array) -> Array:
        return _in_blocks(lambda block: inception_features(weights, block), samples)

    return FeatureSpace(name, extract)


def _in_blocks(function: Callable[[Array], Array], samples: Array) -> Array:
    """A function of samples [n, ...] in blocks, so that memory is that of a block."""
    return jnp.concatenate([function(samples[i : i + _BLOCK]) for i in range(0, samples.shape[0], _BLOCK)])


@jax.jit
def inception_features(weights: Weights, images: Float[Array, "n height width c"]) -> Float[Array, "n 2048"]:
    """The averages of the last block's channels, which the FID is taken on.

    Args:
        weights: from `load_inception`.
        images: in [-1, 1], with 1 or 3 channels; they are resized to 299 x 299 by linear interpolation.

    Returns:
        Features, float32.
    """
    num, *_, channels = images.shape
    x = jnp.broadcast_to(images, (*images.shape[:3], 3)) if channels == 1 else images
    x = jax.image.resize(x, (num, INPUT_SIZE, INPUT_SIZE, 3), "linear", antialias=False)

    def conv(x: Array, name: str, stride: int = 1, padding: str = "SAME") -> Array:
        gain, shift, mean, variance = (weights[f"{name}.bn.{part}"] for part in _NORM)
        scale = gain * lax.rsqrt(variance + _EPS)
        layout = ("NHWC", "OIHW", "NHWC")
        made = lax.conv_general_dilated(
            x, weights[f"{name}.conv.weight"], (stride, stride), padding, dimension_numbers=layout
        )
        return jax.nn.relu(made * scale[None, None, None] + (shift - mean * scale)[None, None, None])

    def chain(x: Array, name: str, suffixes: str, last_stride: int = 1) -> Array:
        *before, last = suffixes.split()
        for suffix in before:
            x = conv(x, f"{name}_{suffix}")
        return conv(x, f"{name}_{last}", last_stride, "SAME" if last_stride == 1 else "VALID")

    def joined(*branches: Array) -> Array:
        return jnp.concatenate(branches, axis=-1)

    x = conv(x, "Conv2d_1a_3x3", 2, "VALID")
    x = conv(conv(x, "Conv2d_2a_3x3", padding="VALID"), "Conv2d_2b_3x3")
    x = conv(conv(_max_pool(x, 2), "Conv2d_3b_1x1"), "Conv2d_4a_3x3", padding="VALID")
    x = _max_pool(x, 2)
    for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
        x = joined(
            conv(x, f"{name}.branch1x1"),
            chain(x, f"{name}.branch5x5", "1 2"),
            chain(x, f"{name}.branch3x3dbl", "1 2 3"),
            conv(_mean_pool(x), f"{name}.branch_pool"),
        )
    x = joined(
        conv(x, "Mixed_6a.branch3x3", 2, "VALID"), chain(x, "Mixed_6a.branch3x3dbl", "1 2 3", 2), _max_pool(x, 2)
    )
    for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
        x = joined(
            conv(x, f"{name}.branch1x1"),
            chain(x, f"{name}.branch7x7", "1 2 3"),
            chain(x, f"{name}.branch7x7dbl", "1 2 3 4 5"),
            conv(_mean_pool(x), f"{name}.branch_pool"),
        )
    x = joined(
        chain(x, "Mixed_7a.branch3x3", "1 2", 2), chain(x, "Mixed_7a.branch7x7x3", "1 2 3 4", 2), _max_pool(x, 2)
    )
    for name, pool in (("Mixed_7b", _mean_pool), ("Mixed_7c", _max_pool)):
        single, double = conv(x, f"{name}.branch3x3_1"), chain(x, f"{name}.branch3x3dbl", "1 2")
        x = joined(
            conv(x, f"{name}.branch1x1"),
            *(conv(single, f"{name}.branch3x3_2{side}") for side in "ab"),
            *(conv(double, f"{name}.branch3x3dbl_3{side}") for side in "ab"),
            conv(pool(x), f"{name}.branch_pool"),
        )
    return jnp.mean(x, axis=(1, 2))


def _max_pool(x: Array, stride: int = 1) -> Array:
    """Over 3 x 3; with a stride without padding."""
    padding = "SAME" if stride == 1 else "VALID"
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, stride, stride, 1), padding)


def _mean_pool(x: Array) -> Array:
    """Over 3 x 3, at the border over the pixels that are there."""

    def total(y: Array) -> Array:
        return lax.reduce_window(y, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")

    return total(x) / total(jnp.ones_like(x[:1, :, :, :1]))
