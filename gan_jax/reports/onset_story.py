"""An account of a collapse in sentences, from the result of `gan-jax diagnose onset`.

Each sentence answers a question of the literature: Did D's loss jump? Did D overshoot? Did magnitudes escalate in both
players? Whose gradient vanished? In what order did signals leave their bands?
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gan_jax.diagnostics.precursors import Departure, Event, has_baseline

_QUANTITIES = {
    "modes": "modes captured",
    "variance_ratio": "the variance of features",
    "pairwise_ratio": "the distance between samples",
    "effective_classes": "effective classes",
    "high_quality": "the high-quality share",
    "junk": "the share of junk",
    "spread": "the spread inside the modes",
    "intra_class_ratio": "the variance inside the classes",
}
_VANISHED, _ESCALATED, _JUMPED = 0.1, 1.5, 1.5
"""Factors relative to the baseline: at most for a vanished gradient, at least for escalation and for a jump."""


class _Onset(NamedTuple):
    """The parts of the result from which the account is written.

    Attributes:
        event: the fall of the metric; None if it did not fall within the window.
        moment: step of the event, or the centre of the window.
        quantity: the metric that fell, in words.
        departures: signals that left their bands, by step.
        steps: the steps of the probes in the window.
        values: the metric at these steps.
        signals: names of all signals.
    """

    event: Event | None
    moment: int
    quantity: str
    departures: list[Departure]
    steps: np.ndarray
    values: np.ndarray
    signals: list[str]


def story_of_onset(result: dict[str, Any]) -> list[str]:
    """The account of a collapse in sentences.

    Args:
        result: the result of `gan-jax diagnose onset`, of which "event", "step", "quantity", "departures",
            "step_by_step", "replay" and "close" are used.

    Returns:
        Sentences; the last one is on the window that was replayed step by step, if there is one.
    """
    onset = _read(result)
    if has_baseline(onset.steps, onset.moment):
        story = [
            _fall(onset),
            _loss(onset),
            _overshoot(onset),
            _magnitudes(onset),
            _vanished(onset),
            _order(onset.departures, onset.moment, "In order"),
        ]
    else:
        story = [_fall(onset), "There are too few probes before it to define the usual band of a signal."]
    if result["close"] is not None:
        closely = [Departure(**departure) for departure in result["step_by_step"]]
        story.append(_order(closely, onset.moment, "Step by step"))
    return story


def headline_of_onset(result: dict[str, Any]) -> str:
    """A sentence: which quantity fell and when, and how many signals left their bands before."""
    onset = _read(result)
    if onset.event is None:
        return (
            f"There was no fall of {onset.quantity} within the window around step {onset.moment:,}: before and after "
            f"this step the value varies between {np.nanmin(onset.values):.3g} and {np.nanmax(onset.values):.3g}, so "
            "the detector has reported a run of low values, not a fall."
        )
    first = [d for d in onset.departures if d.step < onset.moment]
    levels = f"from {abs(onset.event.before):.3g} to {abs(onset.event.after):.3g}"
    fell = f"At step {onset.moment:,} {onset.quantity} fell {levels}"
    if not first:
        return f"{fell}; no signal left its band before."
    lead = first[0]
    return (
        f"{fell}; {len(first)} of the signals left their bands before, the first, {lead.name}, by "
        f"{_steps(onset.moment - lead.step)} ({lead.direction})."
    )


def _read(result: dict[str, Any]) -> _Onset:
    event = Event(**result["event"]) if result["event"] is not None else None
    return _Onset(
        event=event,
        moment=event.step if event is not None else result["step"],
        quantity=_QUANTITIES.get(result["quantity"], result["quantity"]),
        departures=[Departure(**departure) for departure in result["departures"]],
        steps=np.array(result["replay"]["steps"]),
        values=np.array(result["replay"]["metrics"][result["quantity"]], float),
        signals=list(result["replay"]["signals"]),
    )


def _when(step: int, moment: int) -> str:
    if step == moment:
        return "at the event"
    return f"{_steps(abs(step - moment))} {'before' if step < moment else 'after'} it"


def _steps(num: int) -> str:
    return f"{num:,} step{'' if num == 1 else 's'}"


def _course(departure: Departure, moment: int) -> str:
    """When a signal left its band, and its extreme value, in words."""
    if departure.factor is None:
        extreme = f"from {departure.level:.3g} to {departure.extreme:.3g}"
    else:
        extreme = f"to {departure.factor:.3g} times its level of {departure.level:.3g}"
    return f"{_when(departure.step, moment)}, and came {extreme} {_when(departure.extreme_step, moment)}"


def _fall(onset: _Onset) -> str:
    event = onset.event
    if event is None:
        return f"Nothing fell: {onset.quantity} did not decrease over the window."
    return (
        f"The fall of {onset.quantity} from {abs(event.before):.3g} to {abs(event.after):.3g} took "
        f"{_steps(event.ends - event.begins)}, {event.begins:,} to {event.ends:,}; the middle was passed at step "
        f"{event.step:,}."
    )


def _by_name(onset: _Onset) -> Mapping[str, Departure]:
    return {departure.name: departure for departure in onset.departures}


def _loss(onset: _Onset) -> str:
    loss = _by_name(onset).get("training/discriminator_loss")
    if loss is None:
        return "D's loss did not leave its band: it did not jump."
    jumped = loss.direction == "up" and (loss.factor is None or loss.factor >= _JUMPED)
    what = "jumped" if jumped else ("rose a little" if loss.direction == "up" else "fell")
    return f"D's loss {what}: it left its band {_course(loss, onset.moment)}."


def _overshoot(onset: _Onset) -> str:
    moment, by_name = onset.moment, _by_name(onset)
    gap, norm = by_name.get("scores/gap"), by_name.get("training/discriminator_grad_norm")
    also = f" Its gradient norm left its band {_course(norm, moment)}." if norm is not None else ""
    if gap is None:
        return f"D did not overshoot: the gap between its scores of real and fake stayed in its band.{also}"
    if gap.direction == "down":
        return f"D did not overshoot: the gap between its scores narrowed, {_course(gap, moment)}.{also}"
    what = "D overshot before the event" if gap.step < moment else "D did not overshoot before the event"
    return f"{what}: the gap between its scores of real and fake widened {_course(gap, moment)}.{also}"


def _magnitudes(onset: _Onset) -> str:
    answers = []
    for player, word in (("generator", "G"), ("discriminator", "D")):
        layers = [name for name in onset.signals if name.startswith(f"{player}/activation")]
        risen = [
            d
            for d in onset.departures
            if d.name in layers and d.direction == "up" and d.factor is not None and d.factor >= _ESCALATED
        ]
        if not layers:
            answers.append(f"{word}'s were not recorded")
        elif risen:
            most = max(risen, key=lambda d: d.factor or 0.0)
            answers.append(
                f"{word}'s rose in {len(risen)} of {len(layers)} layers, most {most.factor:.3g} times in "
                f"{most.name.split('/')[-1]}, first {_when(min(d.step for d in risen), onset.moment)}"
            )
        else:
            answers.append(f"{word}'s did not rise in any of {len(layers)} layers")
    both = all("rose in" in answer for answer in answers)
    return f"Magnitudes {'escalated in both players' if both else 'did not escalate in both'}: {'; '.join(answers)}."


def _vanished(onset: _Onset) -> str:
    names = {
        "training/generator_grad_norm": "G's gradient",
        "training/discriminator_grad_norm": "D's gradient",
        "input_gradient/fake": "D's input gradient at the fakes (dD/dx)",
    }
    gone = [
        f"{names[d.name]} left its band {_course(d, onset.moment)}"
        for d in onset.departures
        if d.name in names and d.direction == "down" and d.factor is not None and d.factor <= _VANISHED
    ]
    if gone:
        return f"A gradient vanished: {'; '.join(gone)}."
    return "No gradient vanished: neither player's, nor dD/dx at the fakes, fell to a tenth of its level."


def _order(departures: list[Departure], moment: int, title: str) -> str:
    """The first eight signals that left their bands, with their steps relative to the event."""
    if not departures:
        return f"{title}: no signal left its band."
    shown = ", ".join(f"{d.name} ({d.step - moment:+,} {d.direction})" for d in departures[:8])
    more = f", and {len(departures) - 8} more" if len(departures) > 8 else ""
    return f"{title}: {shown}{more}."
