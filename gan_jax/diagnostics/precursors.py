"""Precursors of a collapse: the step of the collapse, and the steps at which probe values leave their usual bands.

A signal is the series of one probe value. It leaves its band at the first of `hold` consecutive values that differ from
its median over the baseline by more than `width` times its spread there (1.4826 median absolute deviations, the
standard deviation of a normal distribution). The baseline is the first half of the values before the event. With a
width of 6 a stationary signal is not expected to leave its band by chance within thousands of values; a periodic signal
has a wide band. Everything runs on the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

BAND_WIDTH, HOLD = 6.0, 3
"""Half-width of a band, in standard deviations; number of consecutive values outside that count as leaving it."""
_MAGNITUDES = ("activation", "gradient", "grad_norm", "singular", "update")
_FEWEST_VALUES = 4


class Event(NamedTuple):
    """The fall of a quantity that is high in a healthy run.

    Attributes:
        step: first step below the midpoint between the levels before and after; up to the hint, if that is later, the
            quantity stays below.
        begins: last step before `step` at which the quantity is at the level before, or above.
        ends: first step from `step` on at which it is at the level after, or below.
        before: the level before, its median over the first half of the values before the hint.
        after: the level after, its median over the `length` steps from the hint on.

    Example:
        >>> steps, modes = np.arange(0, 800, 100), np.array([8, 8, 8, 8, 8, 3, 1, 1])
        >>> event = find_event(steps, modes, hint=600)
        >>> event.begins, event.step, event.ends
        (400, 500, 600)
    """

    step: int
    begins: int
    ends: int
    before: float
    after: float


class Departure(NamedTuple):
    """A signal that left its band.

    Attributes:
        name: of the signal.
        step: at which it left the band.
        direction: "up" or "down".
        level: median over the baseline.
        extreme: largest value from `step` on, or smallest for "down".
        extreme_step: step of the extreme.
        factor: extreme / level; None if the level is 0 or has the other sign.

    Example:
        >>> steps = np.arange(0, 1000, 50)
        >>> left = departures(steps, {"gap": np.where(steps < 600, 0.5, 2.0)}, event=800)[0]
        >>> left.name, left.step, left.direction, left.factor
        ('gap', 600, 'up', 4.0)
    """

    name: str
    step: int
    direction: str
    level: float
    extreme: float
    extreme_step: int
    factor: float | None


def find_event(steps: np.ndarray, quantity: np.ndarray, hint: int, length: int | None = None) -> Event | None:
    """The fall of a quantity near the step at which a detector dates the onset.

    A detector evaluates at intervals, and dates an onset at the first of several consecutive bad evaluations; between
    them the quantity may still fluctuate. The fall is the last crossing of the midpoint up to the hint. If the quantity
    is above the midpoint at the hint, the fall is the first crossing after it.

    Args:
        steps: [n], ascending.
        quantity: [n], high in a healthy run.
        hint: step of the detector's first bad evaluation.
        length: number of steps from the hint on over which the level after is taken. None takes all later steps.

    Returns:
        The event; None if the level after is not below the level before, or the midpoint is never crossed.

    Example:
        >>> steps = np.arange(0, 600, 100)
        >>> find_event(steps, np.array([8, 8, 8, 2, 1, 1]), hint=400)
        Event(step=300, begins=200, ends=400, before=8.0, after=1.0)
    """
    earlier = np.flatnonzero(steps < hint)
    later = np.flatnonzero((steps >= hint) & (steps <= (steps[-1] if length is None else hint + length)))
    if len(earlier) < 2 or not len(later):
        return None
    before = float(np.nanmedian(quantity[earlier[: max(len(earlier) // 2, 1)]]))
    after = float(np.nanmedian(quantity[later]))
    if not after < before:
        return None
    above = quantity > 0.5 * (before + after)
    if above[later[0]]:
        falls = np.flatnonzero(~above[later])
        if not len(falls):
            return None
        index = int(later[falls[0]])
    else:
        good = np.flatnonzero(above[: later[0]])
        if not len(good):
            return None
        index = int(good[-1]) + 1
    high = np.flatnonzero(quantity[:index] >= before)
    low = np.flatnonzero(quantity[index:] <= after)
    return Event(
        step=int(steps[index]),
        begins=int(steps[high[-1]]) if len(high) else int(steps[0]),
        ends=int(steps[index + low[0]]) if len(low) else int(steps[-1]),
        before=before,
        after=after,
    )


def refine_event(event: Event, steps: np.ndarray, quantity: np.ndarray) -> Event:
    """The event dated in a series with finer steps.

    The refined step is that of the last crossing of the same midpoint, at or before the event's step.

    Args:
        event: found in a series with coarser steps.
        steps: [n], ascending.
        quantity: [n], the same quantity at these steps.

    Returns:
        The event with `step`, `begins` and `ends` from the finer series; unchanged if the midpoint is not crossed.

    Example:
        >>> coarse = Event(step=300, begins=200, ends=400, before=8.0, after=1.0)
        >>> refine_event(coarse, np.arange(200, 300, 20), np.array([8, 8, 5, 1, 1])).step
        260
    """
    midpoint = 0.5 * (event.before + event.after)
    above = np.flatnonzero((quantity > midpoint) & (steps < event.step))
    if not len(above):
        return event
    index = int(above[-1]) + 1
    high = np.flatnonzero(quantity[:index] >= event.before)
    low = np.flatnonzero(quantity[index:] <= event.after)
    return event._replace(
        step=int(steps[index]),
        begins=int(steps[high[-1]]) if len(high) else event.begins,
        ends=int(steps[index + low[0]]) if len(low) else event.ends,
    )


def baseline_length(steps: np.ndarray, event: int) -> int:
    """Number of values in the baseline: half of those before the event.

    Example:
        >>> baseline_length(np.arange(0, 1000, 100), event=600)
        3
    """
    return int(np.sum(steps < event)) // 2


def has_baseline(steps: np.ndarray, event: int) -> bool:
    """Whether there are enough values before the event to define a signal's band: at least four in the baseline.

    Example:
        >>> has_baseline(np.arange(0, 1000, 100), event=600), has_baseline(np.arange(0, 1000, 100), event=800)
        (False, True)
    """
    return baseline_length(steps, event) >= _FEWEST_VALUES


def departures(
    steps: np.ndarray,
    signals: Mapping[str, np.ndarray],
    event: int,
    *,
    width: float = BAND_WIDTH,
    hold: int = HOLD,
) -> list[Departure]:
    """The signals that left their bands, sorted by the steps at which they did.

    Args:
        steps: [n], ascending.
        signals: [n] by name; NaN where there is no value.
        event: step of the collapse; the baseline is the first half of the values before it.
        width: half-width of the band, in standard deviations.
        hold: number of consecutive values outside the band.

    Returns:
        The departures; an empty list if there are too few values before the event, see `has_baseline`.

    Example:
        >>> steps = np.arange(0, 1000, 50)
        >>> late, early = np.where(steps < 700, 1.0, 3.0), np.where(steps < 600, 0.5, 0.1)
        >>> [(left.name, left.step) for left in departures(steps, {"late": late, "early": early}, event=800)]
        [('early', 600), ('late', 700)]
    """
    count = baseline_length(steps, event)
    if not has_baseline(steps, event):
        return []
    found = [_departure(name, steps, np.asarray(values, float), count, width, hold) for name, values in signals.items()]
    return sorted((departure for departure in found if departure is not None), key=lambda d: (d.step, d.name))


def _departure(
    name: str, steps: np.ndarray, values: np.ndarray, count: int, width: float, hold: int
) -> Departure | None:
    known = values[np.isfinite(values)]
    logarithmic = any(word in name for word in _MAGNITUDES) and bool(np.all(known >= 0)) and bool(np.any(known > 0))
    # log 0 is -inf: magnitudes are clipped at a billionth of the largest value.
    scaled = np.log(np.maximum(values, 1e-9 * np.max(known))) if logarithmic else values
    baseline = scaled[:count][np.isfinite(scaled[:count])]
    if len(baseline) < _FEWEST_VALUES:
        return None
    middle = float(np.median(baseline))
    spread = 1.4826 * float(np.median(np.abs(baseline - middle)))
    # A constant signal, such as a share of 0 or 1, leaves its band with any change.
    spread = max(spread, 1e-2 if logarithmic else 1e-3 * abs(middle), 1e-9)
    off = np.where(np.isfinite(scaled[count:]), (scaled[count:] - middle) / spread, 0.0)
    starts = {sign: _first_run(sign * off > width, hold) for sign in (1, -1)}
    left = [(start, sign) for sign, start in starts.items() if start is not None]
    if not left:
        return None
    start, sign = min(left)
    after = values[count + start :]
    furthest = int(np.nanargmax(sign * after))
    level, extreme = float(np.median(values[:count][np.isfinite(values[:count])])), float(after[furthest])
    return Departure(
        name,
        step=int(steps[count + start]),
        direction="up" if sign > 0 else "down",
        level=level,
        extreme=extreme,
        extreme_step=int(steps[count + start + furthest]),
        factor=extreme / level if extreme * level > 0 else None,
    )


def _first_run(outside: np.ndarray, hold: int) -> int | None:
    """Index at which the first run of `hold` trues begins."""
    if len(outside) < hold:
        return None
    starts = np.flatnonzero(np.convolve(outside, np.ones(hold), "valid") == hold)
    return int(starts[0]) if len(starts) else None
