"""The collapse detector: from a label at each evaluation to an onset, in the carry of the compiled program.

A detector is a component with thresholds as floats, so one compiled program serves a whole grid of thresholds. The
detector of the data at hand (`mixture_detector`, `image_detector`, `stacked_detector`) defines what a label means. This
module defines how labels become an onset:

* `formed_step`: first evaluation of the first run of `forming_window` consecutive healthy ones.
* `onset_step[cause]`: first evaluation of the first run of `window` consecutive bad ones after the run had formed.
* `recovered_step`: first evaluation of the first run of `window` consecutive healthy ones after an onset.
* `early_step`: first evaluation of the first run of `window` consecutive ones whose samples are well made and of few
  modes, in a run that has not formed: it has collapsed while forming. A run that forms later clears it.

A run that does neither by its end is censored there, and one that never formed is counted apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

LABELS = (
    "forming",
    "healthy",
    "between",
    "partial",
    "total",
    "class",
    "intra",
    "junk",
    "nonfinite",
    "collapsed early",
)
"""What an evaluation can say. `partial` and `total`: modes of a mixture; `total`, `class` and `intra`: of images.

`forming` and `collapsed early` take the place of the others in a run that has not formed. Indices are stored, so new
labels come last.
"""

CAUSES = ("any", "collapse", "junk", "intra")
"""Onsets are kept for failure of any cause (but the last), for mode collapse, for samples that are no data at all, and
for collapse inside the classes or modes, which leaves their number alone."""

MODE_NAMES = ("mode {}", "{}", "{:03d}")
"""How a mode's number is written: a mode of a mixture; a class of images; the classes of the three channels."""

NUM_TOP = 3
"""Modes of an evaluation whose shares are kept, from the largest down."""

HISTORY = 10
"""Evaluations over which the dominant mode must change for `cycling`."""


class Observation(NamedTuple):
    """What a detector concludes from one evaluation.

    Attributes:
        label: index into `LABELS`, before `forming` is applied.
        healthy: whether it counts towards having formed.
        recovered: whether it counts towards having recovered.
        bad: [causes] whether it counts towards an onset of each cause.
        concentrated: whether very few modes are captured (for `cycling` and `few modes from the start`).
        credible: whether samples are data, however few the modes (for `few modes from the start`).
        dominant_mode: the mode with the most samples; -1 if no sample belongs to one.
        collapsed_early: whether samples are well made and of few modes (for a collapse while forming).
        top_modes: int32 [NUM_TOP] the modes with the most samples, from the largest down; -1 where there is none.
        top_shares: float32 [NUM_TOP] their shares of the samples that belong to a mode.
        mode_kind: index into `MODE_NAMES`.
    """

    label: Array
    healthy: Array
    recovered: Array
    bad: Array
    concentrated: Array
    credible: Array
    dominant_mode: Array
    collapsed_early: Array | np.bool_ = np.False_
    top_modes: Array | np.ndarray = np.full(NUM_TOP, -1, np.int32)
    top_shares: Array | np.ndarray = np.zeros(NUM_TOP, np.float32)
    mode_kind: int = 0


class DetectorState(NamedTuple):
    """Scalars (int32, -1 for "not yet") unless said otherwise; steps are generator steps.

    Attributes:
        label: of the last evaluation, an index into `LABELS`.
        healthy_run, healthy_start: length of the current run of healthy evaluations, and the step it began at.
        formed_step: see the module.
        bad_run, bad_start: [causes] the same for bad evaluations.
        onset_step: [causes].
        onset_label: label when the window of the onset of any cause was full.
        recovered_run, recovered_start, recovered_step: the same for recovery.
        concentrated_always: whether every evaluation so far was concentrated.
        credible_run: length of the current run of credible evaluations.
        dominant_mode: [HISTORY] the dominant modes of the last evaluations, newest last.
        concentrated_run: length of the current run of concentrated evaluations.
        cycling_step: first step at which the dominant mode had changed 3 times in `HISTORY` concentrated
            evaluations.
        early_run, early_start: length of the current run of early-collapsed evaluations, and the step it began at.
        early_step: see the module; -1 again once the run has formed.
        early_label: label when the window of the early collapse was full.
        top_modes, top_shares, mode_kind: of the last evaluation, as in `Observation`; float32 shares.
    """

    label: Array
    healthy_run: Array
    healthy_start: Array
    formed_step: Array
    bad_run: Array
    bad_start: Array
    onset_step: Array
    onset_label: Array
    recovered_run: Array
    recovered_start: Array
    recovered_step: Array
    concentrated_always: Array
    credible_run: Array
    dominant_mode: Array
    concentrated_run: Array
    cycling_step: Array
    early_run: Array
    early_start: Array
    early_step: Array
    early_label: Array
    top_modes: Array
    top_shares: Array
    mode_kind: Array


@runtime_checkable
class Detector(Protocol):
    """Measures samples, and says what the measurement means."""

    num_samples: int
    window: float
    forming_window: float

    def reference(self, data: Any, dataset: Any) -> Any:
        """What measuring needs beside the samples, made once on the host: a classifier and statistics of real data."""
        ...

    def measure(self, source: Any, reference: Any, samples: Array) -> Any:
        """The metrics of samples, a NamedTuple of arrays.

        Args:
            source: of the data.
            reference: from `reference`.
            samples: [n, *shape].

        Returns:
            A NamedTuple of arrays.
        """
        ...

    def observe(self, source: Any, reference: Any, metrics: Any) -> Observation:
        """What the metrics say.

        Args:
            source: of the data.
            reference: from `reference`.
            metrics: from `measure`.

        Returns:
            The observation that `update_detector` takes.
        """
        ...

    def describe(self) -> str:
        """The rule of the measurement in one line."""
        ...

    def definition(self, data: Any, reference: Any) -> dict[str, Any]:
        """Everything that defines the measurement and the labels, for the record."""
        ...

    def bounds(self, source: Any, reference: Any) -> dict[str, dict[str, float | None]]:
        """By metric: its `ceiling` (what real data get) and its `floor` (what finite samples make of them)."""
        ...


def init_detector() -> DetectorState:
    """The state before the first evaluation."""
    none, zero = jnp.int32(-1), jnp.int32(0)
    causes = len(CAUSES)
    return DetectorState(
        label=zero,
        healthy_run=zero,
        healthy_start=none,
        formed_step=none,
        bad_run=jnp.zeros(causes, jnp.int32),
        bad_start=jnp.full(causes, -1, jnp.int32),
        onset_step=jnp.full(causes, -1, jnp.int32),
        onset_label=none,
        recovered_run=zero,
        recovered_start=none,
        recovered_step=none,
        concentrated_always=jnp.array(True),
        credible_run=zero,
        dominant_mode=jnp.full(HISTORY, -1, jnp.int32),
        concentrated_run=zero,
        cycling_step=none,
        early_run=zero,
        early_start=none,
        early_step=none,
        early_label=none,
        top_modes=jnp.full(NUM_TOP, -1, jnp.int32),
        top_shares=jnp.zeros(NUM_TOP, jnp.float32),
        mode_kind=zero,
    )


def top_modes(counts: Array) -> tuple[Array, Array]:
    """The modes with the most samples, for `Observation`.

    Args:
        counts: [modes] samples by mode, or their shares.

    Returns:
        (int32 [NUM_TOP] modes, -1 where there is none; float32 [NUM_TOP] shares of all counts).

    Example:
        >>> modes, shares = top_modes(jnp.array([1, 0, 3]))
        >>> modes.tolist(), shares.tolist()
        ([2, 0, -1], [0.75, 0.25, 0.0])
    """
    counts = jnp.asarray(counts, jnp.float32)
    counts = jnp.where(jnp.isfinite(counts), counts, 0.0)
    padded = jnp.concatenate([counts, jnp.zeros(NUM_TOP, jnp.float32)])
    largest, modes = jax.lax.top_k(padded, NUM_TOP)
    shares = largest / jnp.maximum(jnp.sum(counts), 1e-12)
    return jnp.where(largest > 0, modes, -1).astype(jnp.int32), shares


def first_onset(state: DetectorState) -> Array:
    """The onset of any cause, or of the collapse while forming; -1 for neither. Leading axes of runs are kept."""
    return jnp.where(state.onset_step[..., 0] >= 0, state.onset_step[..., 0], state.early_step)


def update_detector(detector: Detector, state: DetectorState, seen: Observation, step: Array) -> DetectorState:
    """The state after one more evaluation. Pure; no host; maps over runs and over thresholds.

    Args:
        detector: with its thresholds and windows.
        state: before this evaluation.
        seen: what the evaluation says.
        step: int32, steps done.

    Returns:
        The detector's next state.
    """
    step = jnp.asarray(step, jnp.int32)

    def count(run: Array, start: Array, condition: Array) -> tuple[Array, Array]:
        return jnp.where(condition, run + 1, 0), jnp.where(condition & (run == 0), step, start)

    def first(kept: Array, start: Array, condition: Array) -> Array:
        return jnp.where((kept < 0) & condition, start, kept)

    healthy_run, healthy_start = count(state.healthy_run, state.healthy_start, seen.healthy)
    formed_step = first(state.formed_step, healthy_start, healthy_run >= detector.forming_window)

    # Bad evaluations count from the forming on: a run of them that began before belongs to the forming.
    formed = state.formed_step >= 0
    bad_run, bad_start = count(state.bad_run, state.bad_start, seen.bad & formed)
    onset_step = first(state.onset_step, bad_start, bad_run >= detector.window)
    # The label when the window is full: a run may pass through junk on its way to a collapse.
    settled = (onset_step[0] >= 0) & (state.onset_step[0] < 0)
    onset_label = jnp.where(settled, seen.label, state.onset_label)

    # Forming undoes a collapse while forming; after it only `onset_step` counts.
    early_run, early_start = count(state.early_run, state.early_start, seen.collapsed_early & (formed_step < 0))
    early_step = jnp.where(formed_step < 0, first(state.early_step, early_start, early_run >= detector.window), -1)
    settled_early = (early_step >= 0) & (state.early_step < 0)
    early_label = jnp.where(settled_early, seen.label, jnp.where(early_step >= 0, state.early_label, -1))

    collapsed = state.onset_step[0] >= 0
    recovered_run, recovered_start = count(state.recovered_run, state.recovered_start, seen.recovered & collapsed)
    recovered_step = first(state.recovered_step, recovered_start, recovered_run >= detector.window)

    # A generator in transit between two modes has no dominant_mode one: the last that it had still counts.
    newest = jnp.where(seen.dominant_mode >= 0, jnp.asarray(seen.dominant_mode, jnp.int32), state.dominant_mode[-1])
    dominant_mode = jnp.concatenate([state.dominant_mode[1:], newest[None]])
    concentrated_run = jnp.where(seen.concentrated, state.concentrated_run + 1, 0)
    changes = jnp.sum((dominant_mode[1:] != dominant_mode[:-1]) & (dominant_mode[:-1] >= 0))
    cycling = (concentrated_run >= HISTORY) & (changes >= 3)
    nonfinite = seen.label == LABELS.index("nonfinite")
    junk_early = (seen.label == LABELS.index("junk")) & ~seen.credible
    fewer = (early_step >= 0) & seen.collapsed_early
    unformed = jnp.where(fewer, LABELS.index("collapsed early"), LABELS.index("forming"))
    shown = jnp.where((formed_step >= 0) | nonfinite | junk_early, seen.label, unformed)
    return DetectorState(
        label=jnp.asarray(shown, jnp.int32),
        healthy_run=healthy_run,
        healthy_start=healthy_start,
        formed_step=formed_step,
        bad_run=bad_run,
        bad_start=bad_start,
        onset_step=onset_step,
        onset_label=jnp.asarray(onset_label, jnp.int32),
        recovered_run=recovered_run,
        recovered_start=recovered_start,
        recovered_step=recovered_step,
        concentrated_always=state.concentrated_always & seen.concentrated,
        credible_run=jnp.where(seen.credible, state.credible_run + 1, 0),
        dominant_mode=dominant_mode,
        concentrated_run=concentrated_run,
        cycling_step=first(state.cycling_step, step, cycling),
        early_run=early_run,
        early_start=early_start,
        early_step=early_step,
        early_label=jnp.asarray(early_label, jnp.int32),
        top_modes=jnp.asarray(seen.top_modes, jnp.int32),
        top_shares=jnp.asarray(seen.top_shares, jnp.float32),
        mode_kind=jnp.asarray(seen.mode_kind, jnp.int32),
    )
