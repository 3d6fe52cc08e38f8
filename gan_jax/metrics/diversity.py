r"""Diversity of samples without a reference set: Vendi score, classifier score, structural similarity of pairs.

References:
    D. Friedman, A. B. Dieng, "The Vendi Score", TMLR 2023, arXiv 2210.02410, definition 3.1.
    T. Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016, arXiv 1606.03498, section 4.
    Z. Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 13, 2004,
        equation 13; a Gaussian window of 11 pixels with a standard deviation of 1.5, at one scale.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import xlogy
from jaxtyping import Float

SSIM_WINDOW = 11
"""Pixels along a side of the window; the structural similarity of smaller images is not defined."""
_WINDOW_STD = 1.5
_RANGE = 2.0  # of pixels in [-1, 1]
_BLOCK = 256


def vendi_score(features: Float[Array, "n d"]) -> Float[Array, ""]:
    r"""The effective number of different samples: $\exp(-\sum_i \lambda_i \ln \lambda_i)$, by cosine similarity.

    $\lambda$ are the eigenvalues of K/n with K the cosines of all pairs. They are those of the [d, d] matrix
    $X^T X / n$ of rows of length 1, which is decomposed where it is smaller.

    Args:
        features: [n, d]; a row of zeros has similarity 0 to every row, itself included.

    Returns:
        A scalar: 1 for samples that are all alike, n for orthogonal ones.

    Example:
        >>> round(float(vendi_score(jnp.eye(4))), 3), round(float(vendi_score(jnp.ones((4, 3)))), 3)
        (4.0, 1.0)
    """
    length = jnp.sqrt(jnp.sum(features**2, axis=1, keepdims=True))
    rows = features / jnp.maximum(length, jnp.finfo(features.dtype).tiny)
    rows = rows if rows.shape[0] > rows.shape[1] else rows.T
    return vendi_of_kernel(jnp.matmul(rows.T, rows, precision=jax.lax.Precision.HIGHEST), features.shape[0])


def vendi_of_kernel(kernel: Float[Array, "k k"], num: int | None = None) -> Float[Array, ""]:
    """The Vendi score of a matrix of similarities.

    Args:
        kernel: [n, n], positive semidefinite with ones on the diagonal; or a smaller matrix with the same non-zero
            eigenvalues.
        num: n; None takes the size of the matrix.

    Returns:
        A scalar in 1..n.

    Example:
        >>> round(float(vendi_of_kernel(jnp.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]]))), 4)
        2.1573
    """
    values = jnp.maximum(jnp.linalg.eigvalsh(kernel / (kernel.shape[0] if num is None else num)), 0.0)
    return jnp.exp(-jnp.sum(xlogy(values, values)))


def classifier_score(probabilities: Float[Array, "n k"]) -> Float[Array, ""]:
    r"""$\exp E_x KL(p(y|x) || p(y))$, the "Inception score" of whatever classifier gave the probabilities.

    Args:
        probabilities: [n, K], rows that sum to 1.

    Returns:
        A scalar: 1 if all samples have the same probabilities, K if each is of one class with probability 1 and the
        classes are balanced.

    Example:
        >>> round(float(classifier_score(jnp.eye(10))), 3)
        10.0
    """
    marginal = jnp.mean(probabilities, axis=0)
    conditional = jnp.mean(jnp.sum(xlogy(probabilities, probabilities), axis=1))
    return jnp.exp(conditional - jnp.sum(xlogy(marginal, marginal)))


def ssim(first: Float[Array, "n height width c"], second: Float[Array, "n height width c"]) -> Float[Array, " n"]:
    """Structural similarity of n pairs of images: the mean over channels and over windows inside the image.

    Args:
        first: [n, height, width, channels], in [-1, 1], at least 11 pixels along a side.
        second: the same shape.

    Returns:
        [n], at most 1; equal images have 1.

    Raises:
        ValueError: if the images are smaller than the window.

    Example:
        Of a white and a black image only the luminance term differs from 1: (c - 2) / (c + 2) with c = 0.02^2.

        >>> white = jnp.ones((1, 11, 11, 1))
        >>> float(ssim(white, white)[0]), round(float(ssim(white, -white)[0]), 4)
        (1.0, -0.9996)
    """
    if min(first.shape[1:3]) < SSIM_WINDOW:
        raise ValueError(f"images are {first.shape[1:3]}, and SSIM takes at least {SSIM_WINDOW} pixels along a side")
    rows, columns = _window_matrix(first.shape[1]), _window_matrix(first.shape[2])

    def blurred(images: Array) -> Array:
        return jnp.einsum("ph,nhwc,qw->npqc", rows, images, columns, precision=jax.lax.Precision.HIGHEST)

    mean, other = blurred(first), blurred(second)
    variance, other_variance = blurred(first**2) - mean**2, blurred(second**2) - other**2
    covariance = blurred(first * second) - mean * other
    least, least_variance = (0.01 * _RANGE) ** 2, (0.03 * _RANGE) ** 2
    luminance = (2 * mean * other + least) / (mean**2 + other**2 + least)
    structure = (2 * covariance + least_variance) / (variance + other_variance + least_variance)
    return jnp.mean(luminance * structure, axis=(1, 2, 3))


def pair_similarity(images: Float[Array, "n height width c"]) -> Float[Array, ""]:
    """Mean SSIM of n/2 disjoint pairs of images [n, ...]: image i and image i + n/2 of a fixed permutation.

    Example:
        >>> round(float(pair_similarity(jnp.ones((4, 11, 11, 1)))), 3)
        1.0
    """
    half = images.shape[0] // 2
    order = jax.random.permutation(jax.random.key(0), images.shape[0])
    pairs = order[:half], order[half : 2 * half]
    return jnp.mean(
        jax.lax.map(lambda pair: ssim(images[pair[0]][None], images[pair[1]][None])[0], pairs, batch_size=_BLOCK)
    )


def _window_matrix(size: int) -> Array:
    """[size - 10, size]: row i weighs pixels i..i+10 by the Gaussian window."""
    offsets = np.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    window = np.exp(-0.5 * (offsets / _WINDOW_STD) ** 2)
    matrix = np.zeros((size - SSIM_WINDOW + 1, size), np.float32)
    for row in range(len(matrix)):
        matrix[row, row : row + SSIM_WINDOW] = window / window.sum()
    return jnp.asarray(matrix)
