"""The story of a collapse in sentences, from the signals of its replay: each of the published questions gets an answer.

Did D's loss jump? Did D overshoot? Did magnitudes escalate in both players? Whose gradient vanished? In what order?
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gan_jax.diagnostics.precursors import Departure, Event, has_baseline
from gan_jax.runs.window_replay import ReplayedWindow

WORDS = {
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


def signals_of_story(signals: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The signals, with the gap between D's mean scores of both sides beside them."""
    gap = signals["scores/real_mean"] - signals["scores/fake_mean"]
    return {**signals, "scores/gap": gap}


def tell(event: Event | None, moment: int, quantity: str, left: list[Departure], seen: ReplayedWindow) -> list[str]:
    """The answers, a sentence each.

    Args:
        event: what fell, or None if nothing did within the window.
        moment: the step of the event, or the centre of the window.
        quantity: the detector's metric that tells of it.
        left: the signals that left their bands.
        seen: the replay.
    """
    by_name = {departure.name: departure for departure in left}
    if not has_baseline(seen.steps, moment):
        return [_fall(event, quantity, seen), "There are too few looks before it to say what left its usual band."]
    return [
        _fall(event, quantity, seen),
        _loss(by_name, moment),
        _overshoot(by_name, moment),
        _magnitudes(left, seen, moment),
        _vanished(left, seen, moment),
        order(left, moment),
    ]


def headline(event: Event | None, moment: int, quantity: str, left: list[Departure], seen: ReplayedWindow) -> str:
    """One sentence: what fell when, and what went before it."""
    words, values = WORDS.get(quantity, quantity), seen.metrics[quantity]
    if event is None:
        return (
            f"No fall of {words} within the window around step {moment:,}: before and after it goes to and fro between "
            f"{np.nanmin(values):.3g} and {np.nanmax(values):.3g}, so that the detector saw a run of low ones."
        )
    first = [d for d in left if d.step < moment]
    fell = f"At step {moment:,} {words} fell from {abs(event.before):.3g} to {abs(event.after):.3g}"
    if not first:
        return f"{fell}; no signal left its band before."
    lead = first[0]
    return (
        f"{fell}; {len(first)} of the signals left their bands before, the first, {lead.name}, by "
        f"{_steps(moment - lead.step)} ({lead.direction})."
    )


def _when(step: int, moment: int) -> str:
    if step == moment:
        return "at the event"
    return f"{_steps(abs(step - moment))} {'before' if step < moment else 'after'} it"


def _steps(num: int) -> str:
    return f"{num:,} step{'' if num == 1 else 's'}"


def _course(departure: Departure, moment: int) -> str:
    """When it left its band, how far it came, and when."""
    if departure.factor is None:
        far = f"from {departure.level:.3g} to {departure.extreme:.3g}"
    else:
        far = f"to {departure.factor:.3g} times its level of {departure.level:.3g}"
    return f"{_when(departure.step, moment)}, and came {far} {_when(departure.extreme_step, moment)}"


def _fall(event: Event | None, quantity: str, seen: ReplayedWindow) -> str:
    words = WORDS.get(quantity, quantity)
    if event is None:
        return f"Nothing fell: {words} did not go down over the window."
    length = event.ends - event.begins
    return (
        f"The fall of {words} from {abs(event.before):.3g} to {abs(event.after):.3g} took {_steps(length)}, "
        f"{event.begins:,} to {event.ends:,}; the middle was passed at step {event.step:,}."
    )


def _loss(by_name: Mapping[str, Departure], moment: int) -> str:
    loss = by_name.get("training/discriminator_loss")
    if loss is None:
        return "D's loss did not leave its band: it did not jump."
    jumped = loss.direction == "up" and (loss.factor is None or loss.factor >= _JUMPED)
    what = "jumped" if jumped else ("rose a little" if loss.direction == "up" else "fell")
    return f"D's loss {what}: it left its band {_course(loss, moment)}."


def _overshoot(by_name: Mapping[str, Departure], moment: int) -> str:
    gap, norm = by_name.get("scores/gap"), by_name.get("training/discriminator_grad_norm")
    also = f" Its gradient norm left its band {_course(norm, moment)}." if norm is not None else ""
    if gap is None:
        return f"D did not overshoot: the gap between its scores of real and fake stayed in its band.{also}"
    if gap.direction == "down":
        return f"D did not overshoot: the gap between its scores narrowed, {_course(gap, moment)}.{also}"
    words = "D overshot before the event" if gap.step < moment else "D did not overshoot before the event"
    return f"{words}: the gap between its scores of real and fake widened {_course(gap, moment)}.{also}"


def _magnitudes(left: list[Departure], seen: ReplayedWindow, moment: int) -> str:
    answers = []
    for player, word in (("generator", "G"), ("discriminator", "D")):
        layers = [name for name in seen.signals if name.startswith(f"{player}/activation")]
        risen = [
            d
            for d in left
            if d.name in layers and d.direction == "up" and d.factor is not None and d.factor >= _ESCALATED
        ]
        if not layers:
            answers.append(f"{word}'s were not recorded")
        elif risen:
            most = max(risen, key=lambda d: d.factor or 0.0)
            answers.append(
                f"{word}'s rose in {len(risen)} of {len(layers)} layers, most {most.factor:.3g} times in "
                f"{most.name.split('/')[-1]}, first {_when(min(d.step for d in risen), moment)}"
            )
        else:
            answers.append(f"{word}'s did not rise in any of {len(layers)} layers")
    both = all("rose in" in answer for answer in answers)
    return f"Magnitudes {'escalated in both players' if both else 'did not escalate in both'}: {'; '.join(answers)}."


def _vanished(left: list[Departure], seen: ReplayedWindow, moment: int) -> str:
    names = {
        "training/generator_grad_norm": "G's gradient",
        "training/discriminator_grad_norm": "D's gradient",
        "input_gradient/fake": "what D teaches at the fakes (dD/dx)",
    }
    gone = [
        f"{names[d.name]} left its band {_course(d, moment)}"
        for d in left
        if d.name in names and d.direction == "down" and d.factor is not None and d.factor <= _VANISHED
    ]
    if gone:
        return f"A gradient vanished: {'; '.join(gone)}."
    return "No gradient vanished: neither player's, nor dD/dx at the fakes, fell to a tenth of its level."


def order(left: list[Departure], moment: int, title: str = "In order") -> str:
    """The signals that left their bands and when, relative to the event; the first eight."""
    if not left:
        return f"{title}: no signal left its band."
    listed = ", ".join(f"{d.name} ({d.step - moment:+,} {d.direction})" for d in left[:8])
    more = f", and {len(left) - 8} more" if len(left) > 8 else ""
    return f"{title}: {listed}{more}."
