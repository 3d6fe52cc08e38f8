"""Events and departures of made-up series with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from gan_jax.diagnostics.precursors import departures, find_event, refine_event


def test_the_step_of_a_fall_is_found_exactly():
    steps = np.arange(100, 200)
    quantity = np.where(steps < 163, 8.0, 2.0)
    event = find_event(steps, quantity, hint=170)
    assert (event.step, event.begins, event.ends, event.before, event.after) == (163, 162, 163, 8.0, 2.0)


def test_a_slow_fall_has_a_beginning_and_an_end():
    steps = np.arange(0, 100)
    quantity = np.clip(8.0 - 0.5 * (steps - 60), 2.0, 8.0)
    event = find_event(steps, quantity, hint=75)
    assert (event.begins, event.step, event.ends) == (60, 66, 72)


def test_the_passage_is_the_last_one_up_to_the_hint():
    steps = np.arange(0, 100)
    quantity = np.where((steps > 40) & (steps < 50), 1.0, 8.0)  # a dip before
    quantity[70:90] = 2.0  # the collapse, with a recovery after it
    assert find_event(steps, quantity, hint=75, length=10).step == 70
    quantity[78] = 8.0  # it may go to and fro between the detector's looks
    assert find_event(steps, quantity, hint=75, length=10).step == 70


def test_a_hint_from_a_person_may_come_before_the_fall():
    steps = np.arange(0, 100)
    assert find_event(steps, np.where(steps < 60, 8.0, 2.0), hint=50).step == 60


@pytest.mark.parametrize("quantity", [np.full(50, 3.0), np.linspace(1, 9, 50)])
def test_what_does_not_fall_is_no_event(quantity):
    assert find_event(np.arange(50), quantity, hint=40) is None


def test_signals_depart_in_their_order_and_direction():
    generator = np.random.default_rng(0)
    steps = np.arange(400)
    noise = generator.normal(size=(4, 400))
    signals = {
        "late up": 5 + 0.1 * noise[0] + np.where(steps >= 310, 5.0, 0.0),
        "early down": 1 + 0.01 * noise[1] - np.where(steps >= 250, 0.9, 0.0),
        "quiet": 3 + noise[2],
        "share": np.where(steps >= 290, 0.5, 0.0),
        "gone": np.full(400, np.nan),
    }
    found = departures(steps, signals, event=300)
    assert [(d.name, d.step, d.direction) for d in found] == [
        ("early down", 250, "down"),
        ("share", 290, "up"),
        ("late up", 310, "up"),
    ]
    assert found[0].factor == pytest.approx(0.1, abs=0.05)
    assert found[1].factor is None  # from 0 there is no factor
    assert found[2].factor == pytest.approx(2.05, abs=0.1)


def test_a_single_outlier_is_no_departure():
    values = np.random.default_rng(1).normal(size=300)
    values[200:202] = 50.0
    assert departures(np.arange(300), {"x": values}, event=250) == []


def test_noise_alone_does_not_depart():
    noise = {str(i): row for i, row in enumerate(np.random.default_rng(2).normal(size=(200, 1000)))}
    assert departures(np.arange(1000), noise, event=600) == []


def test_too_short_a_past_says_nothing():
    assert departures(np.arange(10), {"x": np.arange(10.0)}, event=5) == []
    assert find_event(np.arange(3), np.array([3.0, 2.0, 1.0]), hint=1) is None


def test_a_magnitude_can_vanish():
    """On a linear scale a norm whose logarithm has a spread of 0.3 is never six spreads below its level."""
    steps = np.arange(400)
    values = np.exp(np.random.default_rng(3).normal(size=400) * 0.3) * np.where(steps >= 320, 0.01, 1.0)
    (found,) = departures(steps, {"training/generator_grad_norm": values}, event=300)
    assert (found.step, found.direction) == (320, "down")
    assert found.factor == pytest.approx(np.min(values[320:]) / np.median(values[:150]))
    assert values[found.extreme_step] == found.extreme
    assert departures(steps, {"a share": values}, event=300) == []


def test_magnitudes_may_be_zero_and_may_have_gaps():
    values = np.full(200, 0.5)
    values[150:] = 0.0
    values[10:15] = np.nan
    (found,) = departures(np.arange(200), {"input_gradient/fake": values}, event=100)
    assert (found.step, found.direction, found.factor) == (150, "down", None)
    assert departures(np.arange(200), {"activation": np.zeros(200)}, event=100) == []


def test_an_event_is_dated_to_the_step_in_a_finer_series():
    fine = np.arange(100)
    quantity = np.where(fine < 37, 8.0, np.where(fine < 41, 3.0, 1.0))
    coarse = find_event(fine[::10], quantity[::10], hint=40)
    assert (coarse.step, coarse.before, coarse.after) == (40, 8.0, 1.0)
    event = refine_event(coarse, fine, quantity)
    assert (event.step, event.begins, event.ends) == (37, 36, 41)
    assert (event.before, event.after) == (coarse.before, coarse.after)
    assert refine_event(coarse, fine[50:], quantity[50:]) == coarse  # the crossing is not in the series
