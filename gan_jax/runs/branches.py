"""Trains variations from just before a collapse, side by side: did it follow from the state, or from chance?"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array

from gan_jax.data.stacked import ImageData
from gan_jax.diagnostics.detector import LABELS, DetectorState, first_onset, init_detector
from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.experiment import Experiment, Unroll
from gan_jax.experiment.remedies import REMEDIES, apply_remedy
from gan_jax.experiment.schedules import Schedule
from gan_jax.losses.transforms import BernoulliFlips
from gan_jax.runs.folders import RunError
from gan_jax.runs.rows import watched
from gan_jax.runs.run_states import RunStates
from gan_jax.runs.window_replay import agrees, without_recorder, without_recorder_state
from gan_jax.scaling.programs import compiled_chunk
from gan_jax.scaling.strategies import Strategy
from gan_jax.training.chunks import ChunkSpec, chunks, plan
from gan_jax.training.state import Player, TrainState, init

_BRANCH = 0xB7A2
_NEW_D = "new_d"
_FEWEST = 4
_ENDS = ("modes", "modes_held", "effective_classes", "high_quality", "junk")
"""The metrics of the last evaluation that a row keeps, as far as the detector measures them."""


def _slower(experiment: Experiment) -> Experiment:
    def halved(player: Any) -> Any:
        if isinstance(player.learning_rate, Schedule):
            raise ValueError("the learning rate is a schedule, and this branch can only halve a constant")
        return dataclasses.replace(player, learning_rate=player.learning_rate / 2)

    generator, discriminator = map(halved, (experiment.generator, experiment.discriminator))
    return dataclasses.replace(experiment, generator=generator, discriminator=discriminator)


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
    "r1": ("R1 penalty", lambda experiment: apply_remedy(experiment, "r1")),
    _NEW_D: ("a new D", lambda experiment: experiment),
    "packing_2": ("a new D that scores two samples at once", lambda experiment: apply_remedy(experiment, "packing_2")),
}
"""The variations of `all`, by name: a description, and a function that changes the experiment. All but `same` get new
keys. `new_d` is the control for variations that change the shapes of D's parameters, and so start with a new D."""


def _variation(name: str) -> tuple[str, Callable[[Experiment], Experiment]]:
    if name in VARIATIONS:
        return VARIATIONS[name]
    words = REMEDIES[name].summary
    return words[0].lower() + words[1:].rstrip("."), lambda experiment: apply_remedy(experiment, name)


def chosen_variations(text: str) -> list[str]:
    """The variations that `--branch` names: those of `VARIATIONS`, and any remedy.

    Raises:
        RunError: if a name is unknown.
    """
    names = list(VARIATIONS) if text == "all" else [name.replace("-", "_") for name in text.split(",") if name]
    for name in names:
        if name not in VARIATIONS and name not in REMEDIES:
            raise RunError(unknown_name("no variation", name, dict.fromkeys((*VARIATIONS, "all", *REMEDIES))))
    if not names:
        raise RunError(f"--branch is {text!r}, and must be one of {', '.join(VARIATIONS)}, a remedy, or all")
    return names


def branch(states: RunStates, begin: int, horizon: int, name: str, num: int, say: Callable[[str], None]) -> Any:
    """Trains `num` branches of a variation from a checkpoint; `same` is a single one, compared with the run itself.

    Args:
        states: the states of the run.
        begin: step of the checkpoint.
        horizon: step at which the branches end.
        name: the name of the variation.
        num: number of branches.
        say: called with lines of progress.

    Returns:
        A row of JSON: labels at each evaluation, the number of branches that collapsed by the detector's rule, and for
        each branch some metrics of its last evaluation.
    """
    words, change = _variation(name)
    state = without_recorder_state(states.restore(begin))
    try:
        experiment = change(without_recorder(states.experiment))
        start = _start(experiment, state, new_discriminator=name == _NEW_D)
    except ValueError as error:
        return {"name": name, "words": words, "refused": str(error)}
    experiment = dataclasses.replace(experiment, num_steps=horizon)
    specs = list(plan(experiment, states.resources, begin))
    say(f"training branch {name}: {1 if name == 'same' else num} x {horizon - begin:,} steps")
    if name == "same":
        return {"name": name, "words": words, **_same(states, experiment, state, specs)}
    state = state._replace(detector=without_onset(state.detector))
    keys = [jax.random.fold_in(jax.random.fold_in(state.key, _BRANCH), index) for index in range(num)]
    strategy = _strategy(experiment, num)
    resources = strategy.place_resources(states.resources)
    members = strategy.place([experiment] * num, [start(key) for key in keys])
    rows: list[list[str]] = []
    steps: list[int] = []
    final: Any = None
    last: Any = None
    for spec, result in chunks(strategy.advance(), members.experiments, resources, members.states, specs):
        if spec.evaluates:
            assert result.evaluation is not None
            final, last = strategy.gather((result.state.detector, result.evaluation.metrics), num)
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
        "ends": _ends(last, num),
    }


def _ends(metrics: Any, num: int) -> list[dict[str, float]]:
    """For each branch the metrics of `_ENDS`, under the mode of batch norm that the detector watches.

    Args:
        metrics: of an evaluation, by mode; fields have a leading axis of branches.
        num: number of branches.
    """
    own = watched(metrics)
    fields = {name: np.asarray(getattr(own, name)) for name in _ENDS if hasattr(own, name)}
    return [{name: float(values[index]) for name, values in fields.items()} for index in range(num)]


def _strategy(experiment: Experiment, num: int) -> Strategy:
    """Branches at once; on a CPU, those of image data one after another. They are divided over devices, if several."""
    large = isinstance(experiment.data, ImageData) and jax.default_backend() == "cpu"
    name = "map" if large else "vmap"
    return Strategy(f"pmap-{name}" if jax.local_device_count() > 1 and num > 1 else name)


def _start(experiment: Experiment, state: TrainState, *, new_discriminator: bool) -> Callable[[Array], TrainState]:
    """Returns a function from a key to a branch's first state: the run's state, with a new D if its parameters change.

    A memory (of replay, of a penalty) that the run does not have starts empty.

    Raises:
        ValueError: if the variation changes anything else in the state.
    """
    template = jax.eval_shape(init, experiment, state.key)
    new_discriminator |= not _same_shapes(_trained(template.discriminator), _trained(state.discriminator))
    rest = template._replace(generator=state.generator, discriminator=state.discriminator)
    if not _same_shapes((_trained(template.generator), rest), (_trained(state.generator), state)):
        raise ValueError("it changes G's parameters or the measurements, so it cannot start from a state of the run")

    def start(key: Array) -> TrainState:
        fresh = jax.jit(init)(experiment, key)
        generator = _continued(fresh.generator, state.generator)
        if new_discriminator:
            return state._replace(key=key, generator=generator, discriminator=fresh.discriminator)
        discriminator = _continued(fresh.discriminator, state.discriminator)
        return state._replace(key=key, generator=generator, discriminator=discriminator)

    return start


def _trained(player: Player) -> Player:
    return player._replace(variables=player.variables._replace(memory=()))


def _continued(fresh: Player, own: Player) -> Player:
    """The player, with a fresh memory if its present one does not fit."""
    if _same_shapes(fresh, own):
        return own
    return own._replace(variables=own.variables._replace(memory=fresh.variables.memory))


def _same_shapes(first: Any, second: Any) -> bool:
    first, second = (
        [(path, leaf.shape, leaf.dtype) for path, leaf in jax.tree.leaves_with_path(tree)] for tree in (first, second)
    )
    return first == second


def without_onset(detector: DetectorState) -> DetectorState:
    """The detector's state with its onset cleared, so that only later onsets count."""
    fresh = init_detector()
    kinds = ("bad_run", "bad_start", "onset_step", "onset_label", "recovered_run", "recovered_start", "recovered_step")
    names = (*kinds, "early_run", "early_start", "early_step", "early_label")
    return detector._replace(**{name: getattr(fresh, name) for name in names})


def _same(states: RunStates, experiment: Experiment, state: TrainState, specs: list[ChunkSpec]) -> dict[str, Any]:
    labels, steps, checked, last = [], [], {}, None
    for spec, result in chunks(compiled_chunk, experiment, states.resources, state, specs):
        state, step = result.state, int(result.state.step)
        if spec.evaluates:
            labels.append(LABELS[int(state.detector.label)])
            steps.append(step)
            assert result.evaluation is not None
            last = jax.tree.map(lambda leaf: np.asarray(leaf)[None], result.evaluation.metrics)
        if step in states.steps and (same := agrees(states, step, state)) is not None:
            checked[step] = same
    onset = int(first_onset(state.detector))
    return {
        "num": 1,
        "steps": steps,
        "labels": [labels],
        "onset_steps": [onset if onset >= 0 else None],
        "collapsed": int(onset >= 0),
        "ends": _ends(last, 1),
        "checked": {str(step): same for step, same in checked.items()},
    }


def judgement(rows: list[dict[str, Any]], horizon: int) -> str:
    """The conclusion from the branches in one sentence; "" if fewer than four had another key."""
    other = next((row for row in rows if row["name"] == "key"), None)
    if other is None or other.get("num", 0) < _FEWEST:
        return ""
    share = other["collapsed"] / other["num"]
    counted = f"{other['collapsed']} of {other['num']} branches with another key also collapse within {horizon:,} steps"
    if share >= 0.75:
        return f"The collapse follows mostly from the state: {counted}."
    if share <= 0.25:
        return f"The collapse was mostly chance: {counted}."
    return f"The collapse came partly from the state and partly from chance: {counted}."
