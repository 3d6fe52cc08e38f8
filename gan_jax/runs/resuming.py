"""Finds the state from which a run continues: the newest readable one before which no row is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gan_jax.experiment.experiment import Experiment
from gan_jax.runs.checkpoint import CheckpointError, Checkpoints, from_host, stored_steps, to_host
from gan_jax.runs.files import set_aside
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_directory import RunDirectory, RunRecord
from gan_jax.runs.runner import state_template
from gan_jax.scaling import hosts
from gan_jax.scaling.programs import compiled_init
from gan_jax.training.state import TrainState


class Usable(NamedTuple):
    """The state from which a run continues.

    Attributes:
        state: the newest usable state; None if there is none.
        step: the step of its checkpoint; 0 if there is none.
        unreadable: for each newer checkpoint that cannot be read, by step, the reason.
        missing: step of the first evaluation whose row is missing; states after it are not used.
    """

    state: TrainState | None
    step: int
    unreadable: dict[int, str]
    missing: int | None

    @property
    def is_damaged(self) -> bool:
        """Whether anything was found to be wrong."""
        return bool(self.unreadable) or self.missing is not None

    def lines(self, metrics: Path, place: Path | None) -> list[str]:
        """The problems that were found and their consequences, one line each.

        Args:
            metrics: the file of the rows.
            place: the folder that unreadable checkpoints were moved to.

        Returns:
            Lines to log.
        """
        lines = [
            f"{problem}; it was moved to {place}, and the one before it is used" for problem in self.unreadable.values()
        ]
        if self.state is None:
            lines = [f"{problem}; it was moved to {place}" for problem in self.unreadable.values()]
        if self.missing is not None:
            lines.append(
                f"{metrics} lacks the row of step {self.missing}: everything after step {self.step} is computed again"
            )
        return lines


def newest_usable(
    folder: Path, template: TrainState, steps: Sequence[int], first_missing: Callable[[TrainState, int], int | None]
) -> Usable:
    """The newest state that can be read and before which no row is missing. Nothing is written.

    Args:
        folder: the folder of the checkpoints.
        template: the template of the state.
        steps: the steps of the checkpoints to choose from, ascending.
        first_missing: given a state and its step, returns the first evaluation up to it whose row is missing, or None.

    Returns:
        The state, and the problems of newer ones.
    """
    candidates, unreadable, found = list(steps), dict[int, str](), None
    checkpoints = Checkpoints(folder, read_only=True) if candidates else None
    while candidates and checkpoints is not None:
        step = candidates.pop()
        try:
            state = checkpoints.restore(template, step)
        except CheckpointError as error:
            unreadable[step] = str(error)
            continue
        missing = first_missing(state, step)
        if missing is None:
            return Usable(state, step, unreadable, found)
        found = missing
        candidates = [earlier for earlier in candidates if earlier < missing]
    return Usable(None, 0, unreadable, found)


def evaluated_steps(experiment: Experiment, first: int, last: int) -> list[int]:
    """The steps of a run's evaluations, ascending.

    Args:
        experiment: the settings.
        first: step at which the run began.
        last: upper bound of the steps.

    Returns:
        The steps after `first`, up to `last`.
    """
    every = experiment.eval_every_steps
    steps = list(range((first // every + 1) * every, last + 1, every))
    at_end = last == experiment.num_steps and last % every != 0
    return steps + [last] * at_end


def has_all_rows(run: RunDirectory, record: RunRecord) -> bool:
    """Whether metrics.jsonl has a row of every evaluation up to the run's end."""
    expected = evaluated_steps(record.experiment, record.began_at(), record.experiment.num_steps)
    return hosts.from_leader(lambda: set(expected) <= {row["step"] for row in run.read_metrics()})


def resume(run: RunDirectory, record: RunRecord, *, restart: bool = False) -> tuple[TrainState, list[str]]:
    """The state from which a run continues bit for bit, and the problems of newer ones, one line each.

    Rows and pictures after that state are removed from the folder, since the run makes them again; checkpoints that
    cannot be read are set aside. A run that was killed before its first checkpoint starts anew from its key, with the
    same numbers.

    Args:
        run: the folder.
        record: the experiment, seed and data of the run.
        restart: whether a run without a usable state is trained anew; its old files are then set aside.

    Returns:
        (the state, lines to log).

    Raises:
        RunError: if there is no usable state, or (with `restart`) the run is a branch, and its first state is lost.
    """
    template = state_template(record.experiment)
    arrays = to_host(template)

    def read() -> list[str]:
        nonlocal arrays
        arrays, problems = _resume_here(run, record, template, restart)
        return problems

    problems = hosts.from_leader(read)
    return from_host(template, hosts.arrays_from_leader(arrays)), problems


def _resume_here(
    run: RunDirectory, record: RunRecord, template: TrainState, restart: bool
) -> tuple[dict[str, Any], list[str]]:
    experiment, first = record.experiment, record.began_at()
    rows = {row["step"] for row in run.read_metrics()}

    def first_missing(state: TrainState, step: int) -> int | None:
        return next((at for at in evaluated_steps(experiment, first, step) if at not in rows), None)

    usable = newest_usable(run.checkpoints_path, template, _steps_on_plan(run, record), first_missing)
    state, place = usable.state, None
    if state is None:
        begun = usable.is_damaged or max(rows, default=0) > first + experiment.eval_every_steps
        if first > 0 or (begun and not restart):
            raise RunError(_refusal(run, record, usable))
        place = set_aside(run.path, run.written()) if begun else None
        state = compiled_init(experiment, jax.random.key(record.seed))
    elif usable.unreadable:
        place = set_aside(run.path, [run.checkpoints_path / str(step) for step in usable.unreadable])
    checkpoints = Checkpoints(run.checkpoints_path)
    checkpoints.drop_after(usable.step)
    checkpoints.close()
    run.forget_after(usable.step)
    return to_host(state), usable.lines(run.metrics_path, place)


def _steps_on_plan(run: RunDirectory, record: RunRecord) -> list[int]:
    """Steps of the checkpoints before any former end of the run that, now prolonged, it would not evaluate."""
    every, first, last = record.experiment.eval_every_steps, record.began_at(), record.experiment.num_steps
    steps = stored_steps(run.checkpoints_path)
    off_plan = [step for step in steps if step % every and step not in (first, last)]
    return [step for step in steps if not off_plan or step < off_plan[0]]


def _refusal(run: RunDirectory, record: RunRecord, usable: Usable) -> str:
    remedy = f"train anew from step 0 with --restart, which moves the old files to {run.path / 'set_aside'}"
    if record.began_at():
        remedy = f"start the branch again with --branch-from {record.parent}"
    return cannot_continue(f"{run.path}", usable, run.metrics_path, remedy)


def cannot_continue(name: str, usable: Usable, metrics: Path, remedy: str) -> str:
    """The message that a run or sweep cannot be continued: the reason, and on a second line what to do.

    Args:
        name: the name of the run or sweep.
        usable: the result of the search, which has no state.
        metrics: the file of the rows.
        remedy: what to do if the cause cannot be removed.

    Returns:
        The message.
    """
    what = next(iter(usable.unreadable.values()), "it had begun, but its checkpoints are missing")
    if len(usable.unreadable) > 1:
        what = f"none of {len(usable.unreadable)} checkpoints can be used: {what}"
    if usable.missing is not None and not usable.unreadable:
        what = f"{metrics} lacks the row of step {usable.missing}, and there is no checkpoint before it"
    return (
        f"{name} cannot be continued, and nothing was changed: {what}\n"
        f"remove the cause (access rights, another version, an edited optimiser, a lost file), or {remedy}"
    )
