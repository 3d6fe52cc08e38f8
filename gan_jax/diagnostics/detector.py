"""The collapse detector: derives the onset of a collapse from the labels of evaluations, inside the compiled program.

A detector is a component whose thresholds are floats, so that one compiled program serves a whole grid of thresholds.
The detector of the data at hand (`mixture_detector`, `image_detector`, `stacked_detector`) defines what a label means.
This module defines how labels become an onset:

* `formed_step`: the first of `forming_window` consecutive healthy evaluations.
* `onset_step[cause]`: the first of `window` consecutive bad evaluations, once the run has formed.
* `recovered_step`: the first of `window` consecutive healthy evaluations after an onset.
* `early_step`: the first of `window` consecutive evaluations with well-made samples of few modes, in a run that has not
  formed: a collapse while forming. It is cleared if the run forms later.

A run without an onset is censored at its end; a run that never formed is counted separately.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int

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
    "collapsed while forming",
)
"""Labels of an evaluation. `partial` and `total` are of mixtures; `total`, `class` and `intra` are of images.

In a run that has not formed, `forming` and `collapsed while forming` replace most others. Runs store the indices, so
new labels are appended.
"""

CAUSES = ("any", "collapse", "junk", "intra")
"""Each cause has an onset: any failure except `intra`; mode collapse; samples unlike the data; and collapse inside the
classes or modes, which does not change their number."""

MODE_NAMES = ("mode {}", "{}", "{:03d}")
"""Formats of a mode's name: a mode of a mixture; a class of images; the classes of the three channels."""

NUM_TOP = 3
"""Number of modes whose shares an evaluation keeps: those with the largest."""

HISTORY = 10
"""Number of evaluations within which the dominant mode has to change three times for `cycling`."""


class Observation(NamedTuple):
    """What a detector concludes from one evaluation.

    Attributes:
        label: index into `LABELS`, before `forming` is applied.
        healthy: whether it counts towards having formed.
        recovered: whether it counts towards having recovered.
        bad: bool [causes], whether it counts towards an onset of each cause.
        concentrated: whether very few modes are captured (for `cycling` and `few modes from the start`).
        credible: whether samples resemble the data, however few the modes (for `few modes from the start`).
        dominant_mode: the mode with the most samples; -1 if no sample belongs to one.
        collapsed_early: whether samples are well made and of few modes (for a collapse while forming).
        top_modes: int32 [NUM_TOP], the modes with the most samples in decreasing order; -1 where there is none.
        top_shares: float32 [NUM_TOP], their shares of the samples that belong to a mode.
        mode_kind: index into `MODE_NAMES`.

    Example:
        >>> no, yes, bad = np.False_, np.True_, np.array([True, True, False, False])
        >>> seen = Observation(LABELS.index("total"), no, no, bad, concentrated=yes, credible=yes, dominant_mode=3)
        >>> [cause for cause, holds in zip(CAUSES, seen.bad) if holds]
        ['any', 'collapse']
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
    """What a detector carries from one evaluation to the next.

    Unless described otherwise, attributes are int32 scalars with -1 for "not yet". Steps are generator steps.

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

    Example:
        >>> state = init_detector()._replace(formed_step=jnp.int32(100), onset_step=jnp.array([900, 900, -1, -1]))
        >>> dict(zip(CAUSES, state.onset_step.tolist()))
        {'any': 900, 'collapse': 900, 'junk': -1, 'intra': -1}
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
    """Measures samples, and concludes from the measurement whether the generator has collapsed."""

    num_samples: int
    window: float
    forming_window: float

    def reference(self, data: Any, dataset: Any) -> Any:
        """What a measurement needs besides the samples, made once on the host: a classifier, real statistics."""
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
        """The conclusions from the metrics.

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
        """By metric: `ceiling`, the value of real data, and `floor`, the value that is due to finite samples."""
        ...


def init_detector() -> DetectorState:
    """The state before the first evaluation.

    Example:
        >>> int(init_detector().formed_step), LABELS[int(init_detector().label)]
        (-1, 'forming')
    """
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
    """The onset of any cause, or of a collapse while forming; -1 without either. Leading axes of runs are kept."""
    return jnp.where(state.onset_step[..., 0] >= 0, state.onset_step[..., 0], state.early_step)


def update_detector(
    detector: Detector, state: DetectorState, seen: Observation, step: int | Int[Array, ""]
) -> DetectorState:
    """The state after one more evaluation. A pure function, to be mapped over runs and over thresholds.

    Args:
        detector: its windows are used.
        state: before this evaluation.
        seen: conclusions from this evaluation.
        step: generator steps done.

    Returns:
        The detector's next state.

    Example:
        >>> from gan_jax.diagnostics import MixtureDetector
        >>> no, yes, label = jnp.array(False), jnp.array(True), jnp.int32(LABELS.index("healthy"))
        >>> healthy = Observation(label, yes, yes, jnp.zeros(len(CAUSES), bool), no, yes, jnp.int32(0))
        >>> detector, state = MixtureDetector(forming_window=2.0), init_detector()
        >>> for step in (100, 200):
        ...     state = jax.jit(update_detector)(detector, state, healthy, step)
        >>> int(state.formed_step)  # the first of two healthy evaluations
        100
    """
    step = jnp.asarray(step, jnp.int32)

    def count(run: Array, start: Array, condition: Array) -> tuple[Array, Array]:
        return jnp.where(condition, run + 1, 0), jnp.where(condition & (run == 0), step, start)

    def first(kept: Array, start: Array, condition: Array) -> Array:
        return jnp.where((kept < 0) & condition, start, kept)

    healthy_run, healthy_start = count(state.healthy_run, state.healthy_start, seen.healthy)
    formed_step = first(state.formed_step, healthy_start, healthy_run >= detector.forming_window)

    # Bad evaluations count only once the run has formed: earlier ones belong to its forming.
    formed = state.formed_step >= 0
    bad_run, bad_start = count(state.bad_run, state.bad_start, seen.bad & formed)
    onset_step = first(state.onset_step, bad_start, bad_run >= detector.window)
    # The label when the window is full: a run may pass through junk on its way to a collapse.
    settled = (onset_step[0] >= 0) & (state.onset_step[0] < 0)
    onset_label = jnp.where(settled, seen.label, state.onset_label)

    # A run that forms clears its collapse while forming; from then on only `onset_step` counts.
    early_run, early_start = count(state.early_run, state.early_start, seen.collapsed_early & (formed_step < 0))
    early_step = jnp.where(formed_step < 0, first(state.early_step, early_start, early_run >= detector.window), -1)
    settled_early = (early_step >= 0) & (state.early_step < 0)
    early_label = jnp.where(settled_early, seen.label, jnp.where(early_step >= 0, state.early_label, -1))

    collapsed = state.onset_step[0] >= 0
    recovered_run, recovered_start = count(state.recovered_run, state.recovered_start, seen.recovered & collapsed)
    recovered_step = first(state.recovered_step, recovered_start, recovered_run >= detector.window)

    # A generator in transit between two modes has no dominant mode: the last one that it had still counts.
    newest = jnp.where(seen.dominant_mode >= 0, jnp.asarray(seen.dominant_mode, jnp.int32), state.dominant_mode[-1])
    dominant_mode = jnp.concatenate([state.dominant_mode[1:], newest[None]])
    concentrated_run = jnp.where(seen.concentrated, state.concentrated_run + 1, 0)
    changes = jnp.sum((dominant_mode[1:] != dominant_mode[:-1]) & (dominant_mode[:-1] >= 0))
    cycling = (concentrated_run >= HISTORY) & (changes >= 3)
    nonfinite = seen.label == LABELS.index("nonfinite")
    # Of an image detector the label of one blurred picture is `total`: before forming, it is shown as junk.
    junk_early = seen.bad[CAUSES.index("junk")] & ~nonfinite
    fewer = (early_step >= 0) & seen.collapsed_early
    unformed = jnp.where(fewer, LABELS.index("collapsed while forming"), LABELS.index("forming"))
    unformed = jnp.where(junk_early, LABELS.index("junk"), unformed)
    shown = jnp.where((formed_step >= 0) | nonfinite, seen.label, unformed)
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
