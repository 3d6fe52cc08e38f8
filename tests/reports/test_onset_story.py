"""The account of a collapse: made-up signals with known answers."""

from __future__ import annotations

import json

import numpy as np

from gan_jax.diagnostics.precursors import departures, find_event
from gan_jax.reports.onset_story import headline_of_onset, story_of_onset


def result_of(signals, modes, *, event=None, left=()) -> dict:
    """A result of `gan-jax diagnose onset` over 200 steps, as it is stored."""
    replay = {
        "steps": list(range(200)),
        "signals": {name: values.tolist() for name, values in signals.items()},
        "metrics": {"modes": modes.tolist()},
    }
    result = {
        "step": 150,
        "quantity": "modes",
        "event": event._asdict() if event else None,
        "departures": [departure._asdict() for departure in left],
        "step_by_step": [],
        "replay": replay,
        "close": None,
    }
    return json.loads(json.dumps(result))


def test_the_account_answers_from_the_signals():
    """D overshoots first, magnitudes follow in both players, then G's gradient vanishes."""
    at = np.arange(200)
    noise = np.random.default_rng(0).normal(size=(8, 200)) * 0.01

    def jump(level, step, factor, row):
        return level * np.where(at >= step, factor, 1.0) * (1 + noise[row])

    signals = {
        "scores/real_mean": jump(1.0, 120, 4.0, 0),
        "scores/fake_mean": jump(-1.0, 120, 4.0, 1),
        "training/discriminator_loss": jump(1.0, 130, 3.0, 2),
        "generator/activation/hidden_0": jump(0.5, 140, 2.0, 3),
        "discriminator/activation_fake/hidden_0": jump(0.5, 135, 3.0, 4),
        "training/generator_grad_norm": jump(0.2, 145, 0.01, 5),
        "training/discriminator_grad_norm": jump(0.2, 300, 1.0, 6),
    }
    modes = np.where(at < 150, 8.0, 1.0)
    event = find_event(at, modes, 160)
    gap = {"scores/gap": signals["scores/real_mean"] - signals["scores/fake_mean"]}
    left = departures(at, signals | gap, event.step)
    collapse = result_of(signals, modes, event=event, left=left)
    lines = story_of_onset(collapse)
    assert "from 8 to 1 took 1 step, 149 to 150" in lines[0]
    assert lines[1].startswith("D's loss jumped: it left its band 20 steps before it, and came to 3")
    assert lines[2].startswith(
        "D overshot before the event: the gap between its scores of real and fake widened 30 steps"
    )
    assert lines[3].startswith("Magnitudes escalated in both players: G's rose in 1 of 1 layers")
    assert lines[4].startswith("A gradient vanished: G's gradient left its band 5 steps before it, and came to 0.00")
    assert lines[5].startswith("In order: scores/fake_mean (-30")
    assert "by 30 steps" in headline_of_onset(collapse)
    calm = {name: np.full(200, 1.0) * (1 + noise[0]) for name in signals}
    quiet = story_of_onset(result_of(calm, np.full(200, 8.0)))
    assert quiet[0].startswith("Nothing fell")
    assert "varies between 0 and 8" in headline_of_onset(result_of(calm, np.where(at % 2, 8.0, 0.0)))
    assert quiet[4].startswith("No gradient vanished")
    assert quiet[5] == "In order: no signal left its band."
    early = story_of_onset(result_of(signals, modes, event=event._replace(step=6)))
    assert "too few probes" in early[1]
    close = {**collapse, "close": collapse["replay"], "step_by_step": collapse["departures"][:1]}
    assert story_of_onset(close)[-1] == "Step by step: scores/fake_mean (-30 down)."
