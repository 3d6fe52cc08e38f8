"""Intervals of metrics: over the samples of one generator, and over seeds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Key, PyTree, Shaped
from scipy.stats import t  # type: ignore[import-untyped]

_NUM_HALVES = 10


class Interval(NamedTuple):
    """Ends of an interval; arrays of the statistic's shape.

    Example:
        >>> interval = bootstrap_interval(jnp.ones(5), jax.random.key(0), num=10)
        >>> float(interval.low), float(interval.high)
        (1.0, 1.0)
    """

    low: Array
    high: Array


def bootstrap_interval(
    values: Shaped[Array, n * shape],
    key: Key[Array, ""],
    *,
    statistic: Callable[[Shaped[Array, n * shape]], Shaped[Array, ...]] = jnp.mean,
    level: float = 0.95,
    num: int = 2_000,
) -> Interval:
    """The percentile bootstrap of a statistic of independent values, such as a metric's values of several seeds.

    Args:
        values: [n, ...], one for each seed.
        key: PRNG key of the draws with replacement.
        statistic: [n, ...] -> an array.
        level: confidence level of the interval, in (0, 1).
        num: number of draws, static.

    Returns:
        The interval. It is too narrow for fewer than about eight seeds, like all bootstrap intervals of few values.

    Example:
        >>> low, high = bootstrap_interval(jnp.arange(10.0), jax.random.key(0))
        >>> float(low) < 4.5 < float(high)
        True

    References:
        B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.
    """

    def one(key: Array) -> Array:
        return statistic(values[jax.random.randint(key, (values.shape[0],), 0, values.shape[0])])

    drawn = jax.vmap(one)(jax.random.split(key, num))
    tail = (1 - level) / 2
    return Interval(jnp.quantile(drawn, tail, axis=0), jnp.quantile(drawn, 1 - tail, axis=0))


def half_sample_errors(
    statistic: Callable[[Any, Any], Any],
    samples: PyTree[Shaped[Array, "n ..."]],
    real: PyTree[Shaped[Array, "m ..."]],
    key: Key[Array, ""],
    *,
    num: int = _NUM_HALVES,
) -> Any:
    """Standard errors of a statistic of two sets, from its spread over random halves of both.

    A bootstrap may draw a point twice. That gives the point a neighbour at distance 0 and biases distances between
    distributions. Halves drawn without replacement contain no point twice. The spread of a smooth statistic over halves
    equals that over new sets of the full size: a half is noisier by sqrt 2, which the overlap of the halves cancels.

    Args:
        statistic: (samples, real) -> a tree of scalars.
        samples: a tree of arrays [n, ...].
        real: a tree of arrays [m, ...], which may be empty.
        key: PRNG key of the halves.
        num: number of halves, static.

    Returns:
        A tree like the statistic's.

    Example:
        The standard error of a mean of 100 unit normal values is about 0.1:

        >>> values = jax.random.normal(jax.random.key(0), (100,))
        >>> error = half_sample_errors(lambda x, _: jnp.mean(x), values, (), jax.random.key(1), num=50)
        >>> round(float(error), 1)
        0.1

    References:
        J. Shao, C. Wu, "A General Theory for Jackknife Variance Estimation", Annals of Statistics 17, 1989: the
            delete-d jackknife, here with d = n / 2.
    """

    def half(rows: Any, key: Array) -> Any:
        count = max((leaf.shape[0] for leaf in jax.tree.leaves(rows)), default=0)
        chosen = jax.random.permutation(key, count)[: count // 2]
        return jax.tree.map(lambda part: part[chosen], rows)

    def one(key: Array) -> Any:
        first, second = jax.random.split(key)
        return statistic(half(samples, first), half(real, second))

    drawn = jax.lax.map(one, jax.random.split(key, num))
    return jax.tree.map(lambda values: jnp.std(values, axis=0, ddof=1), drawn)


def error_quantile(level: float = 0.95, num: int = _NUM_HALVES) -> float:
    """Half the width of an interval, in standard errors estimated from `num` halves: a quantile of Student's t.

    Example:
        >>> round(error_quantile(), 2)
        2.26
    """
    return float(t.ppf((1 + level) / 2, num - 1))
