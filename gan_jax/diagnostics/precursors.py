"""What led to a collapse, and what followed: when it happened, and when each signal left its usual band. On the host.

A signal has left its band at the first of `hold` values in a row that lie further from its median over the baseline
than `width` times its spread there (1.4826 median absolute deviations, the standard deviation of a normal
distribution). The baseline is the first half of what is known from before the event. With a width of 6 a quiet signal
is not expected to leave its band by chance within thousands of values; a cyclic one has a wide band.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

WIDTH, HOLD = 6.0, 3
_MAGNITUDES = ("activation", "gradient", "grad_norm", "singular", "update")
_LEAST_LOOKS = 4


class Event(NamedTuple):
    """When a quantity that should stay high fell.

    Attributes:
        step: the first step of the fall's low side: from there on, or until the hint, it stays below the middle between
            its levels before and after.
        begins, ends: the last step before it at the level before or above, and the first from there at the level after
            or below: the fall lies between them.
        before, after: its median over the first half of what comes before the hint, and over the `length` steps from
            the hint on.
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
        step: where it left.
        direction: "up" or "down".
        level: its median over the baseline.
        extreme: its furthest value in that direction from there on.
        extreme_step: where it had that.
        factor: extreme / level; None if the level is 0 or of another sign.
    """

    name: str
    step: int
    direction: str
    level: float
    extreme: float
    extreme_step: int
    factor: float | None


def find_event(steps: np.ndarray, quantity: np.ndarray, hint: int, length: int | None = None) -> Event | None:
    """When the quantity fell, near the step at which a detector saw that it had.

    A detector looks now and then, and calls an onset where it has been bad at several looks in a row; between them the
    quantity may still go to and fro. The fall is the last passage of the middle up to the hint; if the quantity is high
    at the hint itself, the first one after it.

    Args:
        steps: [n], ascending.
        quantity: [n], high where all is well.
        hint: the step of the detector's first bad look.
        length: steps from the hint on over which it was bad; None: to the end.

    Returns:
        None if the level after is not below the level before, or the middle is never passed.
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


def baseline_length(steps: np.ndarray, event: int) -> int:
    """Looks that make the baseline: half of those before the event."""
    return int(np.sum(steps < event)) // 2


def has_baseline(steps: np.ndarray, event: int) -> bool:
    """Whether there are looks enough before the event to say what a signal's band is."""
    return baseline_length(steps, event) >= _LEAST_LOOKS


def departures(
    steps: np.ndarray,
    signals: Mapping[str, np.ndarray],
    event: int,
    *,
    width: float = WIDTH,
    hold: int = HOLD,
) -> list[Departure]:
    """The signals that left their bands, in the order in which they did.

    Args:
        steps: [n], ascending.
        signals: by name, [n]; NaN where there is no value.
        event: the step of the collapse: the baseline is the first half of what comes before it.
        width: of the band, in standard deviations.
        hold: values in a row outside of it.
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
    # Log 0 would be far from anything: a magnitude counts as no less than a billionth of its largest value.
    scaled = np.log(np.maximum(values, 1e-9 * np.max(known))) if logarithmic else values
    baseline = scaled[:count][np.isfinite(scaled[:count])]
    if len(baseline) < _LEAST_LOOKS:
        return None
    middle = float(np.median(baseline))
    spread = 1.4826 * float(np.median(np.abs(baseline - middle)))
    # A signal that stood still, as a share at 0 or 1 does, has left when it has moved at all.
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
    """Where the first `hold` trues in a row begin."""
    if len(outside) < hold:
        return None
    starts = np.flatnonzero(np.convolve(outside, np.ones(hold), "valid") == hold)
    return int(starts[0]) if len(starts) else None
