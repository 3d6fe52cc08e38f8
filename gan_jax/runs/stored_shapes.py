"""The fields of each JSON file in a folder, with their types. Readers rely on values that passed these checks.

A shape is a function that checks a value, or a dict of shapes by field. A "?" after the name of a field means that the
field may be absent.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gan_jax.diagnostics.verdict import OUTCOMES

Fields = Mapping[str, Any]
Shape = Callable[[Any], bool] | Fields

_MOST_STEPS = 2**31 - 1
_LARGEST = 1e39
"""A bound above the largest float32, the type of all computations."""


def damaged_field(value: Any, shape: Shape, name: str = "") -> str | None:
    """The first field of a JSON value that is missing or has another type.

    Args:
        value: JSON.
        shape: the shape that it should have.
        name: the name of the value, for the result.

    Returns:
        The dotted name of the field, or "" for the value itself; None if the value is correct.

    Example:
        >>> damaged_field({"step": 3, "train": {"loss": "x"}}, {"step": is_step, "train": {"loss?": is_number}})
        'train.loss'
    """
    if not isinstance(shape, Mapping):
        return None if shape(value) else name
    if not isinstance(value, dict):
        return name
    for field, inside in shape.items():
        plain = field.removesuffix("?")
        if plain in value:
            found = damaged_field(value[plain], inside, f"{name}.{plain}".removeprefix("."))
            if found is not None:
                return found
        elif plain == field:
            return f"{name}.{plain}".removeprefix(".")
    return None


def refuse_damage(value: Any, shape: Shape) -> None:
    """Checks the shape of a JSON value.

    Raises:
        ValueError: if it has another shape; the message names the field.
    """
    field = damaged_field(value, shape)
    if field is not None:
        raise ValueError(f"it has no valid {field}" if field else "it is not a JSON object of this kind")


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def is_whole(value: Any) -> bool:
    """A whole number of at most 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63


def is_step(value: Any) -> bool:
    return is_whole(value) and 0 <= value <= _MOST_STEPS


def is_number(value: Any) -> bool:
    """A number that is finite as a float32."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST


def is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def optional(shape: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Accepts the shape, or null."""
    return lambda value: value is None or shape(value)


def listed(shape: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Accepts a list of values of the shape."""
    return lambda value: isinstance(value, list) and all(map(shape, value))


def named(shape: Shape) -> Callable[[Any], bool]:
    """Accepts an object with any names whose values have the shape."""
    return lambda value: isinstance(value, dict) and all(damaged_field(part, shape) is None for part in value.values())


def _is_metric(value: Any) -> bool:
    """A number, a flag, null, or an array of them as lists."""
    if isinstance(value, list):
        return all(map(_is_metric, value)) and len({np.shape(part) for part in value}) <= 1
    return value is None or is_flag(value) or is_number(value)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(part is None or is_number(part) for part in value)


def _is_share(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and is_text(value[0]) and is_number(value[1])


_is_number_or_null, _is_step_or_null, _is_text_or_null = optional(is_number), optional(is_step), optional(is_text)
_EVALUATION = named(named(_is_metric))

MEMBER_METRICS_ROW: Fields = {
    "member": is_step,
    "step": is_step,
    "label?": is_text,
    "train": named(_is_number_or_null),
    "train_band?": named(_is_pair),
    "samples?": named(_is_number_or_null),
    "evaluation": _EVALUATION,
    "rule?": is_text,
    "steps_per_second": _is_number_or_null,
}
METRICS_ROW: Fields = {
    **{name: shape for name, shape in MEMBER_METRICS_ROW.items() if name != "member"},
    "label": is_text,
    "rule": is_text,
}
SIGNALS: Fields = {"step": is_step, "signals": named(_is_metric)}
VERDICT: Fields = {
    "outcome": lambda value: value in OUTCOMES,
    "last_step": is_step,
    "sentence": is_text,
    "onset_step": _is_step_or_null,
    "onset_steps?": named(_is_step_or_null),
    "cause": _is_text_or_null,
    "formed_step": _is_step_or_null,
    "recovered_step?": _is_step_or_null,
    "cycling_step?": _is_step_or_null,
    "from_start?": is_flag,
    "when?": _is_text_or_null,
    "persists?": optional(is_flag),
    "onto?": listed(_is_share),
}
RUN_VERDICT: Fields = {
    **VERDICT,
    "message": _is_text_or_null,
    "evaluation": _EVALUATION,
    "bounds": named(named(_is_number_or_null)),
    "stopped_at_collapse?": is_flag,
    "steps_per_second?": _is_number_or_null,
}
MEMBER: Fields = {
    "member": is_step,
    "arm": is_text,
    "settings?": named(lambda value: True),
    "seed": is_whole,
    "ended": is_flag,
    "last_step": is_step,
    "verdict": VERDICT,
    "last": _EVALUATION,
    "samples?": named(_is_number_or_null),
}
RECORD: Fields = {
    "data?": is_text,
    "config?": is_text,
    "location?": _is_text_or_null,
    "environment?": {"versions?": named(is_text), "device?": is_text},
    "command?": is_text,
    "source?": {"config?": is_text, "files?": named(is_text)},
    "continued?": listed(is_text),
}
RUN_RECORD: Fields = {
    **RECORD,
    "seed": is_whole,
    "parent?": _is_text_or_null,
    "keep_every_steps?": _is_step_or_null,
    "first_step?": is_step,
}
SWEEP_RECORD: Fields = {
    **RECORD,
    "data?": named(is_text),
    "steps_per_epoch?": optional(lambda value: is_number(value) and value > 0),
    "strategy?": is_text,
    "max_members?": optional(is_whole),
    "seeds": listed(is_whole),
    "arms": listed(lambda arm: damaged_field(arm, {"name": is_text, "settings": named(lambda value: True)}) is None),
}
PLAN: Fields = {
    "strategy": is_text,
    "num_devices": is_step,
    "batches": listed(listed(is_step)),
    "timings?": named(is_number),
    "convolution?": _is_text_or_null,
}


def damaged_verdict(value: Any, shape: Shape = VERDICT) -> str | None:
    """`damaged_field` for a verdict; it also checks that a failure has an onset, and a healthy run a forming step."""
    found = damaged_field(value, shape)
    if found is None and value["outcome"] in ("collapsed", "non-finite") and value["onset_step"] is None:
        return "onset_step"
    if found is None and value["outcome"] == "healthy" and value["formed_step"] is None:
        return "formed_step"
    return found


def damaged_member(value: Any) -> str | None:
    """The first field of a row of members.jsonl that is missing or has a wrong type; None if the row is correct."""
    found = damaged_field(value, MEMBER)
    verdict = damaged_verdict(value["verdict"]) if found is None else None
    return found if verdict is None else f"verdict.{verdict}"


damaged_metrics = functools.partial(damaged_field, shape=METRICS_ROW)
damaged_member_metrics = functools.partial(damaged_field, shape=MEMBER_METRICS_ROW)
damaged_signals = functools.partial(damaged_field, shape=SIGNALS)
damaged_member_signals = functools.partial(damaged_field, shape={**SIGNALS, "member": is_step})
