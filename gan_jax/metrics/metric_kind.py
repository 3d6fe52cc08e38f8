"""What a metric of samples is: its definition, its numbers, what a perfect sampler gets, how many samples it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from jax import Array

from gan_jax.metrics.sample_sets import SampleSet

NUM_CELLS = 10
"""k-means cells of the training set in which the test of copying is made."""


class Known(NamedTuple):
    """What metrics know beside the two sets; a tree of arrays.

    Attributes:
        key: of the metrics' own draws.
        weights: [K] true shares of the modes, or None.
        mixture: a source with `log_prob`, or None.
        held_out: `CopyingDistances` of held-out examples, or None.
    """

    key: Array
    weights: Any = None
    mixture: Any = None
    held_out: Any = None


class MetricValue(NamedTuple):
    """One number of a metric.

    Attributes:
        name: of the number.
        better: "low", "high", or "real": as near to the value of real data as may be.
        meaning: in one phrase.
        least, most: bounds of the number, for its interval.
        has_interval: False for a number that is a test statistic, whose spread is 1 as it is.
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
        name: by which it is asked for.
        needs: fields of `SampleSet`, and of `Known`, without which it cannot be measured.
        values: its numbers, in the order of the table.
        definition: the published rule in one line.
        compute: (samples, real, known) -> scalars by the values' names.
        floors: (real, known, n, m) -> what a perfect sampler gets in expectation, where that is known.
        least: d features -> samples from which it is defined and of use.
        errors: (values, n, m) -> their standard errors in closed form; None: from halves of both sets.
    """

    name: str
    needs: tuple[str, ...]
    values: tuple[MetricValue, ...]
    definition: str
    compute: Callable[[SampleSet, SampleSet, Known], dict[str, Array]]
    floors: Callable[[SampleSet, Known, int, int], dict[str, Any]]
    least: Callable[[int], int] = lambda dims: 50
    errors: Callable[[dict[str, float], int, int], dict[str, float]] | None = None
