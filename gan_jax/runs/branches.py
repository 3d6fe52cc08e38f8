"""Training on from just before a collapse, with variations side by side: was it the state, or the luck?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from gan_jax.data.stacked import ImageData
from gan_jax.diagnostics.detector import LABELS, DetectorState, first_onset, init_detector
from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.losses.transforms import BernoulliFlips
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_states import RunStates
from gan_jax.runs.window_replay import agrees, without_recorder, without_recorder_state
from gan_jax.scaling.programs import compiled_chunk
from gan_jax.scaling.strategies import Strategy
from gan_jax.training.chunks import ChunkSpec, chunks, plan
from gan_jax.training.state import TrainState

_BRANCH = 0xB7A2
_FEWEST = 4


def _slower(experiment: Experiment) -> Experiment:
    gen, disc = experiment.generator, experiment.discriminator
    return dataclasses.replace(
        experiment,
        generator=dataclasses.replace(gen, learning_rate=gen.learning_rate / 2),
        discriminator=dataclasses.replace(disc, learning_rate=disc.learning_rate / 2),
    )


def _noisier(experiment: Experiment) -> Experiment:
    disc = experiment.discriminator
    noisy = dataclasses.replace(disc, transforms=(*disc.transforms, BernoulliFlips(rate=0.1)))
    return dataclasses.replace(experiment, discriminator=noisy)


def _unrolled(experiment: Experiment) -> Experiment:
    return dataclasses.replace(
        experiment, generator=dataclasses.replace(experiment.generator, unroll=Unroll(num_steps=5))
    )


VARIATIONS: dict[str, tuple[str, Callable[[Experiment], Experiment]]] = {
    "same": ("nothing changed", lambda experiment: experiment),
    "key": ("another key", lambda experiment: experiment),
    "learning_rate": ("both learning rates halved", _slower),
    "label_noise": ("10 % of D's labels flipped", _noisier),
    "unroll": ("G unrolled by 5 updates of D", _unrolled),
}
"""By name: a variation in words, and what it makes of the experiment. All but `same` have keys of their own."""


def chosen_variations(text: str) -> list[str]:
    """The variations that `--branch` names.

    Raises:
        RunError: for a name that is none.
    """
    names = list(VARIATIONS) if text == "all" else [name.replace("-", "_") for name in text.split(",") if name]
    for name in names:
        if name not in VARIATIONS:
            raise RunError(unknown_name("no variation", name, (*VARIATIONS, "all")))
    if not names:
        raise RunError(f"--branch is {text!r}, and takes {', '.join(VARIATIONS)}, or all")
    return names


def branch(states: RunStates, begin: int, horizon: int, name: str, num: int, say: Callable[[str], None]) -> Any:
    """Trains `num` branches of a variation from a checkpoint; `same` is one, compared with the run itself.

    Args:
        states: of the run.
        begin: step of the checkpoint.
        horizon: step at which the branches end.
        name: of the variation.
        num: branches.
        say: for progress.

    Returns:
        A row of JSON: labels at each evaluation, and how many branches collapsed by the detector's own rule.
    """
    words, change = VARIATIONS[name]
    try:
        experiment = change(without_recorder(states.experiment))
    except ValueError as error:
        return {"name": name, "words": words, "refused": str(error)}
    experiment = dataclasses.replace(experiment, num_steps=horizon)
    state = without_recorder_state(states.restore(begin))
    specs = list(plan(experiment, states.resources, begin))
    say(f"branch {name}: {1 if name == 'same' else num} x {horizon - begin:,} steps")
    if name == "same":
        return {"name": name, "words": words, **_same(states, experiment, state, specs)}
    state = state._replace(detector=without_onset(state.detector))
    keys = [jax.random.fold_in(jax.random.fold_in(state.key, _BRANCH), index) for index in range(num)]
    large = isinstance(experiment.data, ImageData) and jax.default_backend() == "cpu"
    strategy = Strategy("map" if large else "vmap")
    resources = strategy.place_resources(states.resources)
    members = strategy.place([experiment] * num, [state._replace(key=key) for key in keys])
    rows: list[list[str]] = []
    steps: list[int] = []
    final: Any = None
    for spec, result in chunks(strategy.advance(), members.experiments, resources, members.states, specs):
        if spec.evaluates:
            final = strategy.gather(result.state.detector, num)
            rows.append([LABELS[int(label)] for label in final.label])
            steps.append(int(np.asarray(result.state.step).ravel()[0]))
    onsets = [int(step) if step >= 0 else None for step in np.asarray(first_onset(final))]
    return {
        "name": name,
        "words": words,
        "num": num,
        "steps": steps,
        "labels": [list(column) for column in zip(*rows, strict=True)],
        "onset_steps": onsets,
        "collapsed": sum(onset is not None for onset in onsets),
        "bad_at_end": sum(label not in ("healthy", "between") for label in rows[-1]),
    }


def without_onset(detector: DetectorState) -> DetectorState:
    """The detector's state with its onset cleared, so that only later onsets count."""
    fresh = init_detector()
    kinds = ("bad_run", "bad_start", "onset_step", "onset_label", "recovered_run", "recovered_start", "recovered_step")
    names = (*kinds, "early_run", "early_start", "early_step", "early_label")
    return detector._replace(**{name: getattr(fresh, name) for name in names})


def _same(states: RunStates, experiment: Experiment, state: TrainState, specs: list[ChunkSpec]) -> dict[str, Any]:
    labels, steps, checked = [], [], {}
    for spec, result in chunks(compiled_chunk, experiment, states.resources, state, specs):
        state, step = result.state, int(result.state.step)
        if spec.evaluates:
            labels.append(LABELS[int(state.detector.label)])
            steps.append(step)
        if step in states.steps and (same := agrees(states, step, state)) is not None:
            checked[step] = same
    onset = int(first_onset(state.detector))
    return {
        "num": 1,
        "steps": steps,
        "labels": [labels],
        "onset_steps": [onset if onset >= 0 else None],
        "collapsed": int(onset >= 0),
        "bad_at_end": int(labels[-1] not in ("healthy", "between")),
        "checked": {str(step): same for step, same in checked.items()},
    }


def judgement(rows: list[dict[str, Any]], horizon: int) -> str:
    """What the branches say, in a sentence; "" where fewer than four had other keys."""
    other = next((row for row in rows if row["name"] == "key"), None)
    if other is None or other.get("num", 0) < _FEWEST:
        return ""
    share = other["collapsed"] / other["num"]
    counted = (
        f"{other['collapsed']} of {other['num']} branches with another key collapse as well within {horizon:,} steps"
    )
    if share >= 0.75:
        return f"It was mostly the state: {counted}."
    if share <= 0.25:
        return f"It was mostly the luck of the run: {counted}."
    return f"State and luck both had a part: {counted}."
