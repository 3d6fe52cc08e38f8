"""`gan-jax diagnose onset`: a collapse replayed step by step; what led, what followed, what would have changed it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.data.stacked import ImageData
from gan_jax.diagnostics.detector import LABELS
from gan_jax.diagnostics.precursors import Event, departures, find_event
from gan_jax.reports.drawing import aligned, new_figure
from gan_jax.reports.onset_story import headline, order, signals_of_story, tell
from gan_jax.runs.branches import branch, chosen_variations, judgement
from gan_jax.runs.run_directory import RunError
from gan_jax.runs.run_states import RunStates, open_states
from gan_jax.runs.window_replay import ReplayedWindow, nearest, replay_window

_DOZEN = 12
_DOZENS_BEFORE = {False: 10, True: 2}
_MAX_LOOKS = {False: 400, True: 60}

QUANTITIES = {
    "junk": ("high_quality", "junk"),
    "class": ("effective_classes",),
    "intra": ("intra_class_ratio", "spread"),
    "total": ("variance_ratio", "modes", "pairwise_ratio"),
    "partial": ("modes",),
    "nonfinite": ("modes", "variance_ratio"),
}
"""By cause of a collapse, the metrics in which it shows; of these the first that the detector has."""


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Replays the window around a run's onset, and branches from before it if asked to.

    Raises:
        RunError: for a run without an onset (and without `--step`), or without a checkpoint before it.
    """
    states = open_states(Path(options.run), options.data)
    variations = chosen_variations(options.branch) if options.branch else []
    for name, least in (("before", 1), ("after", 1), ("branches", 1), ("horizon", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise RunError(f"--{name} is {value}, and must be at least {least}")
    centre, cause = _centre(states, options.step)
    every, window = states.experiment.eval_every_steps, int(states.experiment.detector.window)
    if variations:
        _check_branches(states, centre, options, least=window * every)
    last = max(states.steps[-1], _last_step(states))
    start = max(centre - (options.before or (window + 3) * every), states.steps[0])
    stop = min(centre + (options.after or window * every), last)
    images = isinstance(states.experiment.data, ImageData)
    stride = max(1, -(-(stop - start) // _MAX_LOOKS[images]))
    say(f"replaying steps {start:,} to {stop:,}, a look every {stride}")
    seen = replay_window(states, start, stop, stride)
    quantity = next(name for name in (*QUANTITIES.get(cause, ()), "modes", "pairwise_ratio") if name in seen.metrics)
    event = find_event(seen.steps, _height(seen, quantity), centre, (window - 1) * every)
    close = None
    if event is not None and stride > 1:
        around = max(_DOZEN, 2 * stride)
        first, end = event.step - max(_DOZENS_BEFORE[images] * _DOZEN, around), event.step + around
        say(f"and steps {first:,} to {end:,} one by one")
        close = replay_window(states, max(first, start), min(end, stop), 1)
        event = _closer(event, close, quantity)
    moment = event.step if event is not None else centre
    left = departures(seen.steps, signals_of_story(seen.signals), moment)
    story = tell(event, moment, quantity, left, seen)
    closely = departures(close.steps, signals_of_story(close.signals), moment) if close is not None else []
    if close is not None:
        story.append(order(closely, moment, "Step by step"))
    rows, begin, horizon = [], None, 0
    if variations:
        begin = nearest(states, moment - 1 if options.branch_at is None else options.branch_at)
        horizon = options.horizon or max(centre + (window + 1) * every - begin, 2 * window * every)
        rows = [branch(states, begin, begin + horizon, name, options.branches, say) for name in variations]
    bits = {**seen.checked, **(close.checked if close else {})}
    return {
        "step": centre,
        "cause": cause,
        "quantity": quantity,
        "sentence": " ".join(filter(None, [headline(event, moment, quantity, left, seen), judgement(rows, horizon)])),
        "story": story,
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


def _check_branches(states: RunStates, centre: int, options: argparse.Namespace, least: int) -> None:
    """Before the replay, which takes a while: whether branches can be made at all.

    Raises:
        RunError: if there is no checkpoint to branch from, or the branches are too short for an onset.
    """
    nearest(states, centre - 1 if options.branch_at is None else options.branch_at)
    if options.branch_at is not None and options.branch_at >= centre:
        raise RunError(f"--branch-at is {options.branch_at}, and must be before step {centre}")
    if options.horizon is not None and options.horizon < least:
        raise RunError(
            f"--horizon is {options.horizon}: an onset takes evaluations over {least} steps, give at least that"
        )


def _centre(states: RunStates, step: int | None) -> tuple[int, str]:
    """(the step at the window's centre, the cause of the collapse)."""
    verdict = states.verdict
    cause = (verdict or {}).get("cause") or "total"
    if step is not None:
        if not states.steps[0] <= step <= max(states.steps[-1], _last_step(states)):
            raise RunError(f"--step is {step}, and the run can be replayed from {states.steps[0]} on to its end")
        return step, cause
    onset = (verdict or {}).get("onset_step")
    if verdict is None:  # a run that goes on: its newest state may know of an onset
        detector = states.restore(states.steps[-1]).detector
        known = int(np.asarray(detector.onset_step)[0])
        if known >= 0:
            onset, cause = known, LABELS[int(np.asarray(detector.onset_label))]
    if onset is None:
        what = verdict["sentence"] if verdict else "it has not ended"
        raise RunError(f"{states.run.path} has no onset ({what}): give the step to look at with --step")
    return int(onset), cause


def _last_step(states: RunStates) -> int:
    return int(states.verdict["last_step"]) if states.verdict else states.steps[-1]


def _height(seen: ReplayedWindow, quantity: str) -> np.ndarray:
    """The metric as one that is high where all is well."""
    return -seen.metrics[quantity] if quantity == "junk" else seen.metrics[quantity]


def _closer(event: Event, close: ReplayedWindow, quantity: str) -> Event:
    """The event to the step: the last passage of the same middle in the closer replay, up to the coarse event."""
    height, middle = _height(close, quantity), 0.5 * (event.before + event.after)
    above = np.flatnonzero((height > middle) & (close.steps < event.step))
    if not len(above):
        return event
    index = int(above[-1]) + 1
    high = np.flatnonzero(height[:index] >= event.before)
    low = np.flatnonzero(height[index:] <= event.after)
    return event._replace(
        step=int(close.steps[index]),
        begins=int(close.steps[high[-1]]) if len(high) else event.begins,
        ends=int(close.steps[index + low[0]]) if len(low) else event.ends,
    )


def _json(seen: ReplayedWindow) -> dict[str, Any]:
    def numbers(series: np.ndarray) -> list[float | None]:
        return [float(f"{value:.5g}") if np.isfinite(value) else None for value in series.tolist()]

    return {
        "steps": seen.steps.tolist(),
        "signals": {name: numbers(series) for name, series in seen.signals.items()},
        "metrics": {name: numbers(series) for name, series in seen.metrics.items()},
    }


def table(result: dict[str, Any]) -> str:
    """The story, the signals in the order in which they left their bands, and the branches."""
    lines = [f"- {line}" for line in result["story"]]
    moment = result["event"]["step"] if result["event"] else result["step"]
    if result["departures"]:
        rows = [["signal", "left its band at", "from the event", "usual", "extreme", "factor"]]
        for found in result["departures"][:24]:
            factor = "-" if found["factor"] is None else f"{found['factor']:.3g}"
            rows.append(
                [
                    found["name"],
                    f"{found['step']:,} {found['direction']}",
                    f"{found['step'] - moment:+,}",
                    f"{found['level']:.3g}",
                    f"{found['extreme']:.3g}",
                    factor,
                ]
            )
        lines += ["", *aligned(rows)]
    if result["branches"]:
        where = f"branches from step {result['branched_from']:,}, of {result['horizon']:,} steps"
        rows = [[where, "collapsed", "bad at the end"]]
        for row in result["branches"]:
            if "refused" in row:
                rows.append([row["words"], f"refused: {row['refused']}", ""])
                continue
            rows.append([row["words"], f"{row['collapsed']} of {row['num']}", f"{row['bad_at_end']} of {row['num']}"])
        lines += ["", *aligned(rows)]
    bits = result["bit_for_bit"]
    if bits:
        lines += ["", f"replayed bit for bit at {sum(bits.values())} of {len(bits)} checkpoints on the way"]
    return "\n".join(lines)


def figure(result: dict[str, Any]) -> Any:
    """The window, and its middle step by step: what fell, losses, scores, gradients, magnitudes; the event marked."""
    moment = result["event"]["step"] if result["event"] else result["step"]
    windows = [window for window in (result["replay"], result["close"]) if window is not None]
    num = len(_panels(windows[0], result["quantity"]))
    picture = new_figure(9.6 if len(windows) == 1 else 13.0, 1.75 * num + 0.4)
    grid = picture.subplots(
        num, len(windows), sharex="col", sharey="row", squeeze=False, width_ratios=(5, 3)[: len(windows)]
    )
    for column, window in zip(grid.T, windows, strict=True):
        _draw_window(column, window, result["quantity"], moment)
    for axes in grid[:, -1]:
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axes, (title, *_) in zip(grid[:, 0], _panels(windows[0], result["quantity"]), strict=True):
        axes.set_ylabel(title, fontsize=8)
    grid[-1, 0].set_xlabel(f"step; the line is the event, step {moment:,}", fontsize=8)
    if len(windows) > 1:
        grid[-1, 1].set_xlabel("the same, step by step", fontsize=8)
    return picture


def _draw_window(column: Any, window: dict[str, Any], quantity: str, moment: int) -> None:
    colours = ("#2a78d6", "#e8590c", "#2f9e44", "#9c36b5", "#868e96", "#0b7285")
    for axes, (_, series, logarithmic) in zip(column, _panels(window, quantity), strict=True):
        for (name, values), colour in zip(series.items(), colours, strict=False):
            axes.plot(window["steps"], np.array(values, float), color=colour, linewidth=1.1, label=name)
        axes.axvline(moment, color="#c92a2a", linewidth=0.9)
        if logarithmic:
            axes.set_yscale("log")
        axes.tick_params(which="both", labelsize=7)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)


def _panels(seen: dict[str, Any], quantity: str) -> list[tuple[str, dict[str, Any], bool]]:
    signals = seen["signals"]

    def chosen(**names: str) -> dict[str, Any]:
        return {label.replace("_", " "): signals[name] for label, name in names.items() if name in signals}

    activations = {
        "G, last layer": max((n for n in signals if n.startswith("generator/activation/")), default=""),
        "D, last layer, fakes": max((n for n in signals if n.startswith("discriminator/activation_fake/")), default=""),
        "D, last layer, real": max((n for n in signals if n.startswith("discriminator/activation_real/")), default=""),
    }
    panels = [
        (quantity.replace("_", " "), {quantity.replace("_", " "): seen["metrics"][quantity]}, False),
        ("losses", chosen(D="training/discriminator_loss", G="training/generator_loss"), False),
        ("scores", chosen(real="scores/real_mean", fake="scores/fake_mean"), False),
        (
            "gradient norms",
            chosen(
                D="training/discriminator_grad_norm",
                G="training/generator_grad_norm",
                dD_dx_at_fakes="input_gradient/fake",
            ),
            True,
        ),
        ("activations", {label: signals[name] for label, name in activations.items() if name in signals}, True),
        (
            "D forgets",
            chosen(
                turned_round="forgetting/reversed",
                right_on_last_fakes="forgetting/old_fakes_1",
                fooled="scores/fooled",
            ),
            False,
        ),
    ]
    return [panel for panel in panels if panel[1]]
