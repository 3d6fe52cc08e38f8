"""The record of a metric of samples: definition, values, a perfect sampler's values, least number of samples."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

from gan_jax.metrics.sample_sets import SampleSet

NUM_CELLS = 10
"""k-means cells of the training set in which the test of copying is made."""


class Known(NamedTuple):
    """What metrics are given besides the two sets; a tree of arrays.

    Attributes:
        key: PRNG key of the metrics' own draws.
        weights: [K] true shares of the modes, or None.
        mixture: a source with `log_prob`, or None.
        held_out: `CopyingDistances` of held-out examples, or None.

    Example:
        A thousand samples of a perfect sampler have all of four equal modes:

        >>> import jax
        >>> from gan_jax.metrics import SAMPLE_METRICS
        >>> modes = next(metric for metric in SAMPLE_METRICS if metric.name == "modes")
        >>> known = Known(jax.random.key(0), weights=jax.numpy.full(4, 0.25))
        >>> round(modes.floors(SampleSet(), known, 1_000, 1_000)["modes"], 3)
        4.0
    """

    key: Array
    weights: Any = None
    mixture: Any = None
    held_out: Any = None


class MetricValue(NamedTuple):
    """One value of a metric.

    Attributes:
        name: the value's name.
        better: "low", "high", or "real": as near to the value of real data as possible.
        meaning: a phrase for tables.
        least, most: bounds of the value, to which its interval is cut.
        has_interval: False for a test statistic, whose standard deviation is 1 by construction.

    Example:
        >>> MetricValue("recall", "high", "share of real examples that lie among samples", 0.0, 1.0).most
        1.0
    """

    name: str
    better: str
    meaning: str
    least: float = -math.inf
    most: float = math.inf
    has_interval: bool = True


class SampleMetric(NamedTuple):
    """A metric.

    Attributes:
        name: the name by which it is chosen.
        needs: fields of `SampleSet`, and of `Known`, without which it cannot be measured.
        values: its values, in the order of the table.
        definition: the published rule in one line.
        compute: (samples, real, known) -> scalars by the values' names.
        floors: (real, known, n, m) -> a perfect sampler's expected values, where they are known.
        least: d features -> the least number of samples with which it is defined and useful.
        errors: (values, n, m) -> their standard errors in closed form; None estimates them from halves of both sets.

    Example:
        The Frechet distance of 96 features needs more samples than features:

        >>> from gan_jax.metrics import SAMPLE_METRICS
        >>> frechet = next(metric for metric in SAMPLE_METRICS if metric.name == "frechet")
        >>> frechet.needs, frechet.least(96)
        (('features',), 97)
    """

    name: str
    needs: tuple[str, ...]
    values: tuple[MetricValue, ...]
    definition: str
    compute: Callable[[SampleSet, SampleSet, Known], dict[str, Array]]
    floors: Callable[[SampleSet, Known, int, int], dict[str, Any]]
    least: Callable[[int], int] = lambda dims: 50
    errors: Callable[[dict[str, float], int, int], dict[str, float]] | None = None
