r"""The Frechet distance between two sets of features: the 2-Wasserstein distance of the Gaussians with their moments.

$$|\mu_1 - \mu_2|^2 + \mathrm{Tr}(C_1 + C_2 - 2 (C_1^{1/2} C_2 C_1^{1/2})^{1/2})$$

With $C_i = R_i^T R_i$ the last trace is the sum of the singular values of $R_1 R_2^T$. The R come from the features
themselves, so that no covariance is formed, no root is taken of a rounded eigenvalue, and float32 suffices.

On the features of Inception this is the FID. On any other features it is not, and its numbers cannot be compared.

References:
    D. Dowson, B. Landau, "The Frechet Distance between Multivariate Normal Distributions", J. Multivariate Analysis 12,
        1982.
    M. Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017,
        arXiv 1706.08500.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


def frechet_distance(samples: Float[Array, "n d"], real: Float[Array, "m d"]) -> Float[Array, ""]:
    """The squared Frechet distance, with covariances over n - 1. It is 0 for equal sets.

    Args:
        samples: [n, d] features, n at least 2. Below n = d + 1 the covariance is singular and the distance biased.
        real: [m, d].

    Returns:
        A scalar, in squared units of the features.

    Example:
        >>> points = jax.random.normal(jax.random.key(0), (500, 3))
        >>> round(float(frechet_distance(points + 2.0, points)), 3)
        12.0
    """
    centre = jnp.mean(real, axis=0, keepdims=True)
    mean = jnp.mean(samples - centre, axis=0, keepdims=True)
    first, second = _root(samples - centre - mean), _root(real - centre)
    product = jnp.matmul(first, second.T, precision=jax.lax.Precision.HIGHEST)
    cross = jnp.sum(jnp.linalg.svd(product, compute_uv=False))
    return jnp.maximum(jnp.sum(mean**2) + jnp.sum(first**2) + jnp.sum(second**2) - 2 * cross, 0.0)


def frechet_floor(real: Float[Array, "m d"], num_samples: int, num_real: int) -> Float[Array, ""]:
    r"""Expected Frechet distance of a perfect sampler of Gaussian features, to first order in 1/n.

    With l the eigenvalues of the covariance it is
    $(1/n + 1/m) (\sum_i l_i + \frac12 \sum_{ij} l_i l_j (1 + \delta_{ij}) / (l_i + l_j))$:
    the means differ by chance, and so do the covariances (a Wishart matrix's variance in the metric of Bures).

    Args:
        real: [m, d] features, from which the covariance is estimated.
        num_samples: n, samples of the generator.
        num_real: m, of the reference.

    Returns:
        A scalar, in squared units of the features.

    Example:
        In one dimension, with variance s^2, it is (1/n + 1/m) 3 s^2 / 2. Here s^2 = 2.

        >>> round(float(frechet_floor(jnp.array([[-1.0], [1.0]]), 100, 100)), 3)
        0.06
    """
    values = jnp.square(jnp.linalg.svd(_root(real - jnp.mean(real, axis=0, keepdims=True)), compute_uv=False))
    pairs = values[:, None] * values[None] / jnp.maximum(values[:, None] + values[None], jnp.finfo(values.dtype).tiny)
    covariances = 0.5 * (jnp.sum(pairs) + jnp.sum(values) / 2)
    return (1 / num_samples + 1 / num_real) * (jnp.sum(values) + covariances)


def _root(centred: Array) -> Array:
    """R with R^T R the covariance of centred rows [n, d]; [min(n, d), d]."""
    rows = centred if centred.shape[0] <= centred.shape[1] else jnp.linalg.qr(centred, mode="r")
    return rows / jnp.sqrt(jnp.asarray(centred.shape[0] - 1, centred.dtype))
