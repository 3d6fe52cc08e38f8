"""The rows of metrics.jsonl and signals.jsonl, of runs and of sweeps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gan_jax.diagnostics.verdict import verdict_on
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.sweep import Member
from gan_jax.training.evaluations import Evaluation


def metrics_row(
    experiment: Experiment,
    step: int,
    evaluation: Evaluation,
    series: dict[str, list[Any]],
    label: str,
    speed: float | None,
) -> dict[str, Any]:
    """One row of metrics.jsonl: means, and 10 % and 90 % quantiles, of the training metrics since the last row.

    Args:
        experiment: the settings.
        step: steps done.
        evaluation: the evaluation at that step.
        series: training metrics by name, in parts [steps] since the last row.
        label: the label of the detector.
        speed: steps per second; None if it is not known.

    Returns:
        JSON.
    """
    joined = {name: np.concatenate(parts) for name, parts in series.items()}
    return {
        "step": step,
        "label": label,
        "train": {name: _number(np.mean(values)) for name, values in joined.items()},
        "train_band": {name: [_number(q) for q in np.quantile(values, (0.1, 0.9))] for name, values in joined.items()},
        "evaluation": {mode: named_numbers(values) for mode, values in evaluation.metrics.items()},
        "rule": experiment.detector.describe(),
        "steps_per_second": speed,
    }


def signals_rows(signals: dict[str, Any], end: int, num_steps: int) -> list[dict[str, Any]]:
    """Rows of signals.jsonl, one per probe.

    Args:
        signals: the signals of a chunk, each [probes].
        end: step of the last probe.
        num_steps: number of full steps of the chunk, which the probes divide into equal parts.

    Returns:
        JSON, one row per probe.
    """
    series = {name: np.asarray(values) for name, values in signals.items()}
    num = len(next(iter(series.values())))
    return [
        {
            "step": end - (num - 1 - index) * (num_steps // num),
            "signals": {name: _number(values[index]) for name, values in series.items()},
        }
        for index in range(num)
    ]


def member_row(
    number: int, member: Member, state: dict[str, Any], window: float, last: dict[str, Any], ends: bool
) -> dict[str, Any]:
    """A row of members.jsonl: arm, settings and seed of a member of a sweep, its verdict so far, its last metrics.

    Args:
        number: the number of the member.
        member: its arm and seed.
        state: its detector, step and nonfinite_step.
        window: the window of its detector, in evaluations.
        last: its last evaluation, as in metrics.jsonl.
        ends: whether its batch has ended.

    Returns:
        JSON.
    """
    nonfinite, step = int(state["nonfinite_step"]), int(state["step"])
    verdict = verdict_on(state["detector"], last_step=step, nonfinite_step=nonfinite, credible_window=window)
    return {
        "member": number,
        "arm": member.arm.name,
        "settings": dict(member.arm.settings),
        "seed": member.seed,
        "ended": nonfinite >= 0 or ends,
        "last_step": step,
        "verdict": verdict.to_json(),
        "last": {mode: without_long_lists(values) for mode, values in last.items()},
    }


def named_numbers(values: Any) -> dict[str, Any]:
    """A NamedTuple of arrays as numbers and lists, with None for what is not a number (JSON has no NaN)."""
    return {name: _number(value) for name, value in values._asdict().items()}


def _number(value: Any) -> Any:
    array = np.asarray(value)
    if array.ndim:
        return [_number(part) for part in array]
    number = array.item()
    return number if isinstance(number, (bool, int)) or math.isfinite(number) else None


def watched(evaluation: dict[str, Any]) -> Any:
    """The metrics that the detector watched: those by the statistics of batches where G has batch norm.

    Args:
        evaluation: metrics by mode of G's batch norm ("batch", "running"), as in the rows and in `Evaluation.metrics`.

    Returns:
        The metrics of one mode; {} if there are none.

    Example:
        >>> watched({"batch": {"modes": 3}, "running": {"modes": 8}})
        {'modes': 3}
        >>> watched({"running": {"modes": 8}})
        {'modes': 8}
    """
    return evaluation.get("batch") or evaluation.get("running") or {}


def without_long_lists(values: dict[str, Any]) -> dict[str, Any]:
    """The metrics without long lists, such as the counts of 1,000 modes, which are only in metrics.jsonl."""
    return {name: value for name, value in values.items() if not (isinstance(value, list) and len(value) > 100)}
