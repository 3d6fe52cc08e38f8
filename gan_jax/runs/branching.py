"""Starts a new run from a stored state of another one."""

from __future__ import annotations

from pathlib import Path

import jax

from gan_jax.runs.checkpoint import from_host, to_host
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_record import RunRecord
from gan_jax.runs.runner import same_shapes, state_template
from gan_jax.runs.stored_run import StoredRun
from gan_jax.scaling import hosts
from gan_jax.training.state import TrainState


def split_step(parent: str) -> tuple[str, str]:
    """Splits "RUN@STEP" at its last @ into the run and the step; the step is "" for the name of an existing run.

    Raises:
        RunError: if the text after the @ is not a step.
    """
    name, at, step = parent.rpartition("@")
    if at and step.isdecimal() and (Path(name.partition("#")[0]).is_dir() or not Path(parent).is_dir()):
        return name, step
    if at and not Path(parent.partition("#")[0]).is_dir():
        raise RunError(f"--branch-from takes RUN@STEP, and {step!r} is not a step: give a whole number")
    return parent, ""


def branch_state(parent: StoredRun, step: int | None, record: RunRecord, new_key: bool) -> TrainState:
    """A stored state of a run, to be trained under another experiment with the same shapes.

    Args:
        parent: the run to branch from.
        step: the step of the checkpoint; None takes the newest.
        record: the record of the branch. Its experiment may differ in anything that does not change the state's shapes.
        new_key: whether the branch takes the key of its own seed, rather than the key in the state.

    Returns:
        The state.

    Raises:
        RunError: if the parent has no such checkpoint, or its state does not fit the experiment.
    """
    template = state_template(parent.experiment)
    if not same_shapes(template, state_template(record.experiment)):
        raise RunError(
            f"the state of {parent.name} does not fit the branch's networks or optimisers; leave these as they are: "
            + "; ".join(parent.record.differences(record)[:4])
        )

    arrays = to_host(template)

    def read() -> None:
        nonlocal arrays
        if not parent.steps:
            raise RunError(f"{parent.name} has no checkpoint to branch from: let it train to its first evaluation")
        arrays = to_host(parent.restore(parent.steps[-1] if step is None else step))

    hosts.from_leader(read)
    state = from_host(template, hosts.arrays_from_leader(arrays))
    return state._replace(key=jax.random.key(record.seed)) if new_key else state


def branch_place(source: StoredRun, step: int) -> tuple[Path, str]:
    """Default (folder, name) of a branch: beside its parent, or beside the sweep of which its parent is a member."""
    path = source.directory.path
    if source.member is None:
        return path.parent, f"{path.name}-branch{step}"
    sweep = path.parents[1]
    return sweep.parent, f"{sweep.name}-member{source.member}-branch{step}"
