"""`gan-jax diagnose magnitudes RUN`: magnitudes inside both players, and the signals that moved before an onset.

It reads the probe records of the run's recorder, if it has one, and otherwise probes each checkpoint. The singular
values of the last state are exact.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from gan_jax.cli.code_options import allowed_code
from gan_jax.diagnostics.magnitudes import leading_singular_values
from gan_jax.diagnostics.precursors import departures
from gan_jax.reports.diagnosis_magnitudes import sentence
from gan_jax.runs.run_states import RunStates, chosen_steps, open_states
from gan_jax.runs.window_replay import probe_values_of, with_recorder


def diagnose(options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Magnitudes over training, the largest singular values, and the signals that left their bands before an onset."""
    states = open_states(options.run, options.data, allowed_code(options))
    rows = states.stored.read_signals() if options.step is None else []
    source = f"{len(rows)} probes of the run's recorder"
    if not rows:
        chosen = chosen_steps(states, options)
        source = f"probes at {len(chosen)} checkpoints"
        rows = [_row(states, step) for step in chosen]
    say(source)
    steps = [row["step"] for row in rows]
    signals = {name: [row["signals"].get(name) for row in rows] for name in rows[-1]["signals"]}
    signals |= _update_ratios(states, steps)
    last = states.restore(states.steps[-1] if options.step is None else options.step)
    players = {"generator": last.generator, "discriminator": last.discriminator}
    singular = {
        f"{name}/{layer}": values
        for name, player in players.items()
        for layer, values in leading_singular_values(player.variables.params).items()
    }
    onset = (states.verdict or {}).get("onset_step")
    left = []
    if onset is not None:
        series = {name: np.array(values, float) for name, values in signals.items()}
        left = [departure._asdict() for departure in departures(np.array(steps), series, onset)]
    result = {
        "source": source,
        "steps": steps,
        "signals": signals,
        "singular_step": int(last.step),
        "singular_values": singular,
        "onset_step": onset,
        "departures": left,
    }
    return {**result, "sentence": sentence(result)}


def _row(states: RunStates, step: int) -> dict[str, Any]:
    signals = probe_values_of(with_recorder(states.experiment), states.resources, states.restore(step))
    return {"step": step, "signals": {k: float(v) if np.isfinite(v) else None for k, v in signals.items()}}


def _update_ratios(states: RunStates, steps: list[int]) -> dict[str, list[float | None]]:
    """The update ratios at each probe, from metrics.jsonl: means over the steps between evaluations."""
    rows = [row for row in states.stored.read_metrics() if "generator_update_ratio" in row["train"]]
    found: dict[str, list[float | None]] = {}
    for name in ("generator_update_ratio", "discriminator_update_ratio"):
        values: list[float | None] = []
        for step in steps:
            row = next((row for row in rows if row["step"] >= step), None)
            values.append(row["train"][name] if row else None)
        if rows:
            found[f"training/{name}"] = values
    return found
