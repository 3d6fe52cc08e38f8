"""A detector with other thresholds, applied to stored evaluations: the verdict that it would have reached."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.diagnostics.detector import Detector, DetectorState, init_detector, update_detector


def reread(detector: Detector, source: Any, reference: Any, metrics: Any, steps: Array) -> DetectorState:
    """The detector's state after the evaluations of a run. Traceable; maps over runs and over stacked detectors.

    Args:
        detector: with the new thresholds. Settings of the measurement itself, such as `confidence` of images, must be
            the ones that the metrics were measured with.
        source: of the data.
        reference: of the detector, as in `Detector.observe`.
        metrics: what `Detector.measure` returns, each leaf with a leading axis [evaluations].
        steps: int32 [evaluations], steps done at each; -1 for rows that only pad the array, which are skipped.

    Returns:
        The state after the last evaluation, the same as after training with this detector.
    """

    def read(state: DetectorState, row: tuple[Any, Array]) -> tuple[DetectorState, None]:
        measured, step = row
        seen = detector.observe(source, reference, measured)
        after = update_detector(detector, state, seen, step)
        return jax.tree.map(lambda new, old: jnp.where(step >= 0, new, old), after, state), None

    return jax.lax.scan(read, init_detector(), (metrics, jnp.asarray(steps, jnp.int32)))[0]
