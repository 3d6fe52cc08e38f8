r"""Two-sample comparisons: the sliced Wasserstein distance, and the accuracy of a classifier of real and generated.

References:
    N. Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures", J. Math. Imaging and Vision 51, 2015.
    D. Lopez-Paz, M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017, arXiv 1610.06545: a network with one
        hidden layer of 20 units, 50 % of the data held out.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax import Array
from jaxtyping import Float, Key

_SLICES = 32
_HIDDEN = 20
_STEPS = 300
_LEARNING_RATE = 1e-2


def sliced_wasserstein(
    samples: Float[Array, "n d"], real: Float[Array, "m d"], key: Key[Array, ""], *, num_projections: int = 1_000
) -> Float[Array, ""]:
    """The sliced 2-Wasserstein distance: the root of the mean over directions u of the squared W2 of <u, x> and <u, y>.

    Of the larger set only the first points are used, as many as the smaller set has.

    Args:
        samples: [n, d].
        real: [m, d].
        key: PRNG key of the directions, which are uniform on the sphere.
        num_projections: number of directions, static.

    Returns:
        A scalar, in units of the points.

    Example:
        >>> points = jax.random.normal(jax.random.key(0), (500, 4))
        >>> round(float(sliced_wasserstein(points + 1.0, points, jax.random.key(1))), 1)
        1.0
    """
    num = min(samples.shape[0], real.shape[0])
    directions = jax.random.normal(key, (num_projections, samples.shape[1]), samples.dtype)
    directions /= jnp.sqrt(jnp.sum(directions**2, axis=1, keepdims=True))

    def along(direction: Array) -> Array:
        first, second = jnp.sort(samples[:num] @ direction), jnp.sort(real[:num] @ direction)
        return jnp.mean(jnp.square(first - second))

    return jnp.sqrt(jnp.mean(jax.lax.map(along, directions, batch_size=min(_SLICES, num_projections))))


def classifier_two_sample(
    samples: Float[Array, "n d"], real: Float[Array, "m d"], key: Key[Array, ""]
) -> Float[Array, ""]:
    """C2ST: held-out accuracy of a small network that is trained to separate samples from real points.

    The network has one hidden layer of 20 ReLUs on standardised features, and 300 full-batch steps of Adam train it. As
    many points of each set are used as the smaller set has. Half of them are for training and half are held out.

    Args:
        samples: [n, d], n at least 4.
        real: [m, d], m at least 4.
        key: PRNG key of the halves and the initial weights.

    Returns:
        A scalar in [0, 1]: 1/2 for a perfect sampler, with a standard deviation of 1 / sqrt(4 n) for n held-out points.

    Example:
        Equal Gaussians cannot be separated. At a distance of sqrt 2 the best possible accuracy is 0.76::

            points = jax.random.normal(jax.random.key(0), (800, 2))
            classifier_two_sample(points[:400], points[400:], jax.random.key(1))  # 0.53
            classifier_two_sample(points[:400] + 1.0, points[400:], jax.random.key(1))  # 0.75
    """
    num = min(samples.shape[0], real.shape[0])
    half = num // 2
    keys = jax.random.split(key, 4)
    fake, true = (
        samples[jax.random.permutation(keys[0], samples.shape[0])[:num]],
        real[jax.random.permutation(keys[1], real.shape[0])[:num]],
    )
    train, held = (jnp.concatenate([fake[part], true[part]]) for part in (slice(0, half), slice(half, num)))
    mean, std = jnp.mean(train, axis=0, keepdims=True), jnp.std(train, axis=0, keepdims=True)
    train, held = ((part - mean) / jnp.maximum(std, 1e-6) for part in (train, held))
    labels = jnp.concatenate([jnp.zeros(half), jnp.ones(half)])
    dims = samples.shape[1]
    params = {
        "hidden": jax.random.normal(keys[2], (dims, _HIDDEN)) * jnp.sqrt(2.0 / dims),
        "bias": jnp.zeros((1, _HIDDEN)),
        "out": jax.random.normal(keys[3], (_HIDDEN,)) * jnp.sqrt(1.0 / _HIDDEN),
        "shift": jnp.zeros(()),
    }
    optimiser = optax.adam(_LEARNING_RATE)

    def score(params: dict[str, Array], points: Array) -> Array:
        return jax.nn.relu(points @ params["hidden"] + params["bias"]) @ params["out"] + params["shift"]

    def loss(params: dict[str, Array]) -> Array:
        return jnp.mean(optax.sigmoid_binary_cross_entropy(score(params, train), labels))

    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        params, state = carry
        updates, state = optimiser.update(jax.grad(loss)(params), state)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, optimiser.init(params)), length=_STEPS)
    right = (score(params, held) > 0) == jnp.concatenate([jnp.zeros(num - half, bool), jnp.ones(num - half, bool)])
    return jnp.mean(right)
