"""`gan-jax diagnose onset RUN`: replays a collapse step by step, to see what changed before it and what prevents it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gan_jax.cli.code_options import allowed_code
from gan_jax.data.stacked import ImageData
from gan_jax.diagnostics.detector import LABELS, first_onset
from gan_jax.diagnostics.precursors import departures, find_event, refine_event
from gan_jax.reports.diagnosis_onset import sentence
from gan_jax.reports.onset_story import story_of_onset
from gan_jax.runs.branches import branch, chosen_variations
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_states import RunStates, open_states
from gan_jax.runs.window_replay import ReplayedWindow, nearest, replay_window, restored_nearest

_CLOSE = 12
_CLOSE_BEFORE = {False: 120, True: 24}
"""Steps around the event, and before it for vector and image data, that are replayed one by one."""
_MAX_PROBES = {False: 400, True: 60}
"""Probes of the window, for vector and image data."""

_QUANTITIES = {
    "junk": ("high_quality", "junk"),
    "class": ("effective_classes",),
    "intra": ("intra_class_ratio", "spread"),
    "total": ("variance_ratio", "modes", "pairwise_ratio"),
    "partial": ("modes",),
    "nonfinite": ("modes", "variance_ratio"),
}
"""Metrics that show a collapse, by its cause; the first one that the detector measures is used."""


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Replays the window around a run's onset, and with `--branch` trains variations from before it.

    Raises:
        RunError: for a run without an onset (and without `--step`), or without a checkpoint before it.
    """
    variations = chosen_variations(options.branch) if options.branch is not None else []
    states = open_states(options.run, options.data, allowed_code(options))
    centre, cause = _centre(states, options.step)
    every, window = states.experiment.eval_every_steps, int(states.experiment.detector.window)
    if variations:
        _check_branches(states, centre, options, least=window * every)
    last = max(states.steps[-1], _last_step(states))
    start = max(centre - (options.before or (window + 3) * every), states.steps[0])
    stop = min(centre + (options.after or window * every), last)
    images = isinstance(states.experiment.data, ImageData)
    stride = max(1, -(-(stop - start) // _MAX_PROBES[images]))
    say(f"replaying steps {start:,} to {stop:,}, a probe every {stride}")
    seen = replay_window(states, start, stop, stride)
    quantity = next(name for name in (*_QUANTITIES.get(cause, ()), "modes", "pairwise_ratio") if name in seen.metrics)
    event = find_event(seen.steps, _height(seen, quantity), centre, (window - 1) * every)
    close = None
    if event is not None and stride > 1:
        around = max(_CLOSE, 2 * stride)
        first, end = event.step - max(_CLOSE_BEFORE[images], around), event.step + around
        say(f"replaying steps {first:,} to {end:,} one by one")
        close = replay_window(states, max(first, start), min(end, stop), 1)
        event = refine_event(event, close.steps, _height(close, quantity))
    moment = event.step if event is not None else centre
    left = departures(seen.steps, _with_score_gap(seen.signals), moment)
    closely = departures(close.steps, _with_score_gap(close.signals), moment) if close is not None else []
    rows, begin, horizon = [], None, 0
    if variations:
        begin, _ = restored_nearest(states, moment - 1 if options.branch_at is None else options.branch_at)
        horizon = options.horizon or max(centre + (window + 1) * every - begin, 2 * window * every)
        rows = [branch(states, begin, begin + horizon, name, options.branches, say) for name in variations]
    bits = {**seen.checked, **(close.checked if close else {})}
    result = {
        "step": centre,
        "cause": cause,
        "quantity": quantity,
        "event": event._asdict() if event is not None else None,
        "departures": [departure._asdict() for departure in left],
        "step_by_step": [departure._asdict() for departure in closely],
        "bit_for_bit": {str(step): same for step, same in sorted(bits.items())},
        "branched_from": begin,
        "horizon": horizon if rows else None,
        "branches": rows,
        "replay": _json(seen),
        "close": _json(close) if close is not None else None,
    }
    return {**result, "sentence": sentence(result), "story": story_of_onset(result)}


def _check_branches(states: RunStates, centre: int, options: argparse.Namespace, least: int) -> None:
    """Checks the options of branches before the replay, which takes a while.

    Raises:
        RunError: if there is no checkpoint to branch from, or the branches are too short to show an onset.
    """
    nearest(states, centre - 1 if options.branch_at is None else options.branch_at)
    if options.branch_at is not None and options.branch_at >= centre:
        raise RunError(f"--branch-at is {options.branch_at}, and must be below {centre}, the step of the collapse")
    if options.horizon is not None and options.horizon < least:
        raise RunError(
            f"--horizon is {options.horizon}, and must be at least {least}, the steps of a detector's window"
        )


def _centre(states: RunStates, step: int | None) -> tuple[int, str]:
    """The step at the centre of the window, and the cause of the collapse."""
    verdict = states.verdict
    cause = (verdict or {}).get("cause") or "total"
    if step is not None:
        if not states.steps[0] <= step <= max(states.steps[-1], _last_step(states)):
            raise RunError(
                f"--step is {step}, and must be between {states.steps[0]}, the first checkpoint, and the run's end"
            )
        return step, cause
    onset = (verdict or {}).get("onset_step")
    if verdict is None:  # an unfinished run: its newest state may hold an onset
        detector = restored_nearest(states, states.steps[-1])[1].detector
        known = int(first_onset(detector))
        if known >= 0:
            early = int(detector.onset_step[0]) < 0
            onset, cause = known, LABELS[int(detector.early_label if early else detector.onset_label)]
    if onset is None:
        what = verdict["sentence"] if verdict else "it has not ended"
        raise RunError(f"{states.name} has no onset ({what}): choose the step to replay with --step")
    return int(onset), cause


def _last_step(states: RunStates) -> int:
    return int(states.verdict["last_step"]) if states.verdict else states.steps[-1]


def _height(seen: ReplayedWindow, quantity: str) -> np.ndarray:
    """The metric, negated if necessary, so that a healthy run has high values."""
    return -seen.metrics[quantity] if quantity == "junk" else seen.metrics[quantity]


def _with_score_gap(signals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The signals, and the gap between D's mean scores of real and fake."""
    return {**signals, "scores/gap": signals["scores/real_mean"] - signals["scores/fake_mean"]}


def _json(seen: ReplayedWindow) -> dict[str, Any]:
    def numbers(series: np.ndarray) -> list[float | None]:
        return [float(f"{value:.5g}") if np.isfinite(value) else None for value in series.tolist()]

    return {
        "steps": seen.steps.tolist(),
        "signals": {name: numbers(series) for name, series in seen.signals.items()},
        "metrics": {name: numbers(series) for name, series in seen.metrics.items()},
    }
