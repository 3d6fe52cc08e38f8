"""Checkpoints: atomic, verified on reading, independent of the number of devices (orbax)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from gan_jax.diagnostics.detector import init_detector
from gan_jax.training.state import TrainState

_log = logging.getLogger(__name__)
_FIRST_NAMES = (("detector.dominant_mode", "detector.heaviest"), ("probe_state.", "looks."))
"""Prefixes of the names of a state's leaves: the present one, and the one in checkpoints since the first version."""


class CheckpointError(ValueError):
    """A checkpoint cannot be written or read; the message names it and gives the reason."""


class Checkpoints:
    """The checkpoints of one run.

    A step is written under a temporary name and renamed when it is complete, so an interrupted write is never read. The
    SHA-256 of the state is stored with it and checked on reading, so a damaged state is not used either.

    Args:
        directory: the folder of the checkpoints; created if absent.
        keep: number of newest checkpoints that are kept.
        keep_every_steps: checkpoints at multiples of this are never deleted, to branch from; None allows deleting all.
        read_only: whether nothing in the folder may be created or removed.
    """

    def __init__(
        self, directory: Path, *, keep: int = 3, keep_every_steps: int | None = None, read_only: bool = False
    ) -> None:
        self.directory = directory
        if not read_only:
            directory.mkdir(parents=True, exist_ok=True)
        with _quiet():
            options = ocp.CheckpointManagerOptions(
                max_to_keep=None if read_only else keep,
                keep_period=keep_every_steps,
                cleanup_tmp_directories=not read_only,
                enable_async_checkpointing=False,
                create=False,
                read_only=read_only,
                multiprocessing_options=_alone(),
            )
            self._manager = ocp.CheckpointManager(directory.absolute(), options=options)

    def steps(self) -> list[int]:
        """Steps with a complete checkpoint, ascending."""
        with _quiet():
            found = {int(step) for step in self._manager.all_steps(read=True)}
        return sorted(step for step in found if (self.directory / str(step)).is_dir())  # a folder "007" is not step 7

    def save(self, state: TrainState, step: int | None = None) -> None:
        """Writes a state, and returns when it is safely on disk.

        Args:
            state: the state of one run, or of several with a leading axis.
            step: step under which it is written; None takes the state's own, which stacked states do not have.

        Raises:
            CheckpointError: if it cannot be written, or is not newer than those there (a rewound run must `drop_after`
                first).
        """
        step, arrays = int(state.step) if step is None else step, to_host(state)
        args = ocp.args.Composite(
            state=ocp.args.StandardSave(arrays),
            meta=ocp.args.JsonSave({"sha256": tree_hash(arrays), "key_impl": str(jax.random.key_impl(state.key))}),
        )
        _ignore_late_answers()
        try:
            with _quiet():
                saved = self._manager.save(step, args=args)
                self._manager.wait_until_finished()
        except Exception as error:  # orbax reports a full disk as OSError, ValueError, ...
            remedy = "free some space, and continue from the checkpoint before it with --resume"
            raise CheckpointError(
                f"{self.directory / str(step)} cannot be written ({_reason(error)}): {remedy}"
            ) from error
        if not saved:
            raise CheckpointError(
                f"step {step} was not saved, since {self.directory} already has steps up to {self.steps()[-1:]}"
            )

    def restore(self, template: TrainState, step: int) -> TrainState:
        """Reads the state of one step. Fields of the detector that an older version did not store get initial values.

        Args:
            template: the shapes and dtypes of the state (of `jax.eval_shape`), or a state.
            step: the step of the checkpoint.

        Raises:
            CheckpointError: if it is absent, damaged, or of another structure.
        """
        if step not in self.steps():
            raise CheckpointError(f"{self.directory} has no checkpoint of step {step}: choose one of {self.steps()}")
        target = to_host(template)
        _ignore_late_answers()
        try:
            with _quiet():
                stored = self._stored_names(step)
                lacking = _lacking(target, stored)
                if other := sorted(stored ^ (set(target) - set(lacking))):
                    raise ValueError(
                        f"its state has another structure (other networks, optimisers or version; {other[0]} is "
                        f"{'not expected' if other[0] in stored else 'missing'})"
                    )
                known = {name: value for name, value in target.items() if name not in lacking}
                args = ocp.args.Composite(state=ocp.args.StandardRestore(known), meta=ocp.args.JsonRestore())
                read = self._manager.restore(step, args=args)
            meta, arrays = dict(read["meta"]), read["state"]
        except Exception as error:  # orbax reports damage as bare Exception, ValueError, KeyError, JSONDecodeError, ...
            raise CheckpointError(f"checkpoint of step {step} cannot be read: {_reason(error)}") from error
        if tree_hash(arrays) != meta.get("sha256"):
            raise CheckpointError(f"checkpoint of step {step} is damaged: its contents do not match their SHA-256")
        _check_generator(meta.get("key_impl"), template)
        return from_host(template, arrays | lacking)

    def _stored_names(self, step: int) -> set[str]:
        # Reads the file itself: orbax's metadata() also opens the arrays, and leaks a coroutine if one is damaged.
        record = json.loads((self.directory / str(step) / "state" / "_METADATA").read_text(encoding="utf-8"))
        return {entry["key_metadata"][0]["key"] for entry in record["tree_metadata"].values()}

    def restore_latest(self, template: TrainState) -> tuple[TrainState | None, list[str]]:
        """The newest checkpoint that can be read, and the problem of each newer one.

        Returns:
            (the state, or None if no checkpoint can be read; messages, newest first).
        """
        problems: list[str] = []
        for step in reversed(self.steps()):
            try:
                return self.restore(template, step), problems
            except CheckpointError as error:
                problems.append(str(error))
        return None, problems

    def drop_after(self, step: int) -> None:
        """Deletes the checkpoints newer than a step, which a rewound run will write again."""
        for later in (s for s in self.steps() if s > step):
            with _quiet():
                self._manager.delete(later)
            # A damaged step may be unknown to the manager, which then leaves its folder behind.
            shutil.rmtree(self.directory / str(later), ignore_errors=True)
        with _quiet():
            self._manager.reload()

    def close(self) -> None:
        with _quiet():
            self._manager.close()


def _check_generator(stored: str | None, template: TrainState) -> None:
    """Refuses a state whose random numbers come from another generator of JAX than those of this process."""
    own = str(jax.random.key_impl(template.key))
    if stored not in (None, own):
        raise CheckpointError(
            f"its random numbers are those of JAX's generator {stored}, and this process uses {own}: set the "
            f"environment variable JAX_DEFAULT_PRNG_IMPL={stored}"
        )


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _alone() -> ocp.options.MultiprocessingOptions:
    """Options that declare this process to act alone; otherwise orbax waits for all processes at every step."""
    if jax.process_count() == 1:
        return ocp.options.MultiprocessingOptions()
    own = jax.process_index()
    return ocp.options.MultiprocessingOptions(
        primary_host=own, active_processes={own}, barrier_sync_key_prefix=f"process{own}"
    )


def to_host(state: Any) -> Any:
    """A state as a tree of NumPy arrays (or of shapes, for a tree of shapes), with typed keys as their data."""

    def leaf(value: Any) -> Any:
        if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
            if isinstance(value, jax.ShapeDtypeStruct):
                value = jax.eval_shape(jax.random.key_data, value)
            else:
                value = jax.random.key_data(value)
        if isinstance(value, jax.ShapeDtypeStruct):
            return np.zeros(value.shape, value.dtype)
        return np.asarray(value)

    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    # A flat dict by name, since orbax turns named tuples into lists and fails on empty nodes.
    return {stored_name(path): leaf(value) for path, value in leaves}


def stored_name(path: Any) -> str:
    """The name of a leaf of the state in checkpoints, where renamed fields keep their first name.

    Args:
        path: the path of the leaf, as `jax.tree_util` gives it.
    """
    name = jax.tree_util.keystr(path, simple=True, separator=".")
    for now, first in _FIRST_NAMES:
        if name.startswith(now):
            return first + name[len(now) :]
    return name


def from_host(template: Any, arrays: dict[str, Any]) -> Any:
    """The inverse of `to_host`: arrays by name, in the structure of a template, with typed keys restored."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(template)

    def leaf(path: Any, like: Any) -> Any:
        value = arrays[stored_name(path)]
        if jax.dtypes.issubdtype(like.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(jax.numpy.asarray(value), impl=jax.random.key_impl(like))
        return jax.numpy.array(value)

    return jax.tree.unflatten(structure, [leaf(path, like) for path, like in leaves])


def _lacking(target: dict[str, Any], stored: set[str]) -> dict[str, Any]:
    """Initial values of the detector's leaves that a checkpoint of an earlier version does not have.

    Args:
        target: leaves by name, as `to_host` makes them of a template; stacked states have a leading axis.
        stored: names in the checkpoint.

    Returns:
        Leaves by name; {} for a checkpoint that has them all.
    """
    fresh = to_host({"detector": init_detector()})
    return {
        name: np.broadcast_to(value, target[name].shape).copy()
        for name, value in fresh.items()
        if name in target and name not in stored
    }


def tree_hash(arrays: dict[str, Any]) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of arrays."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        value = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{value.dtype}:{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def stored_steps(folder: Path) -> list[int]:
    """Steps of the checkpoints in a folder, ascending; [] if there is no folder. Nothing is written."""
    return Checkpoints(folder, read_only=True).steps() if folder.is_dir() else []


def _ignore_late_answers() -> None:
    """Suppresses tracebacks of reads that end after orbax has closed their event loop, because another read failed."""
    former = sys.unraisablehook
    if getattr(former, "ignores_late_answers", False):
        return

    def hook(raised: Any) -> None:
        if not (isinstance(raised.exc_value, RuntimeError) and str(raised.exc_value) == "Event loop is closed"):
            former(raised)

    hook.ignores_late_answers = True  # type: ignore[attr-defined]
    sys.unraisablehook = hook


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences orbax, which reports damage in pages of log lines; the exceptions say all that matters."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
