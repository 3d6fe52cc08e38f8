"""Runs a sweep on the side of the host, group by group, batch by batch, chunk by chunk: logs, saves and resumes it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.diagnostics.detector import LABELS, first_onset
from gan_jax.experiment.sweep import Member, groups
from gan_jax.runs.checkpoint import Checkpoints, from_host, stored_steps, to_host
from gan_jax.runs.files import set_aside
from gan_jax.runs.folders import RunError
from gan_jax.runs.progress import TrainingProgress
from gan_jax.runs.resuming import cannot_continue, evaluated_steps, newest_usable
from gan_jax.runs.rows import member_row, metrics_row, signals_rows
from gan_jax.runs.runner import decorate, spaced, stacked_template
from gan_jax.runs.sweep_directory import GroupPlan, SweepDirectory
from gan_jax.runs.sweep_plan import (
    Library,
    StoppedSweepError,
    SweepOptions,
    first_states,
    make_plan,
    make_strategy,
    num_kept,
    num_pictured,
    stored_plans,
    with_convolution,
)
from gan_jax.scaling import hosts
from gan_jax.scaling.program_memory import forget_programs
from gan_jax.scaling.strategies import Strategy
from gan_jax.training.chunks import chunks, plan
from gan_jax.training.state import TrainState


def run_sweep(
    directory: SweepDirectory | None,
    members: Sequence[Member],
    library: Library,
    options: SweepOptions,
    say: Callable[[str], None],
    on_chunk: Callable[[int], None] | None = None,
) -> list[dict[str, Any]]:
    """Trains all members to their ends, starting from the newest states in the folder.

    Args:
        directory: the folder to write to; None on processes that do not write.
        members: the runs.
        library: their data sets.
        options: the options of the host.
        say: called with each line of progress.
        on_chunk: called after every chunk with its step.

    Returns:
        One row per member, as in members.jsonl.
    """
    done: list[dict[str, Any]] = []
    all_groups = groups(members)
    stored = hosts.from_leader(
        lambda: [dataclasses.asdict(made) for made in stored_plans(directory, all_groups, options.restart, say)]
    )
    plans = [GroupPlan(**made) for made in stored]
    for number, group in enumerate(all_groups):
        resources = library.resources(members[group[0]].arm.experiment)
        if number >= len(plans):
            plans.append(make_plan(members, group, resources, options, say))
            if directory is not None:
                directory.write_plans(plans)
        batches = plans[number].batches
        for index, batch in enumerate(batches):
            if len(batches) > 1:
                say(f"training batch {index + 1} of {len(batches)}: members {batch[0]} to {batch[-1]}")
            runner = _BatchRunner(directory, number, index, members, batch, library, plans[number], options, say)
            rows = hosts.from_leader(runner.results)
            done += runner.run(done, on_chunk) if rows is None else rows
        forget_programs()
    if directory is not None and directory.read_members() != sorted(done, key=lambda row: row["member"]):
        directory.write_members(done)  # a batch was trained again after later batches had ended
    return done


class _BatchRunner:
    """Trains one batch of members, from its newest checkpoint to its end."""

    def __init__(
        self,
        directory: SweepDirectory | None,
        group: int,
        number: int,
        members: Sequence[Member],
        batch: list[int],
        library: Library,
        group_plan: GroupPlan,
        options: SweepOptions,
        say: Callable[[str], None],
    ) -> None:
        self.directory, self.group, self.number = directory, group, number
        self.members, self.batch, self.library = members, batch, library
        self.resources = library.resources(members[batch[0]].arm.experiment)
        self.plan, self.options, self.say = group_plan, options, say
        self.experiments = [with_convolution(members[i].arm.experiment, group_plan.convolution) for i in batch]
        self.rows: dict[int, dict[str, Any]] = {}

    def results(self) -> list[dict[str, Any]] | None:
        """The rows of the batch, if it has ended and its metrics are complete; otherwise None."""
        if self.directory is None or (rows := self.directory.read_results(self.group, self.number, self.batch)) is None:
            return None
        ends = np.array([row["last_step"] + (row["verdict"]["outcome"] != "non-finite") for row in rows])
        missing = self._first_missing(ends, int(max(row["last_step"] for row in rows)))
        return rows if missing is None else None

    def _first_missing(self, ends: np.ndarray, step: int) -> int | None:
        """The first evaluation up to a step for which a member lacks a row; member i has rows before `ends[i]` only."""
        assert self.directory is not None
        found = {(row["member"], row["step"]) for row in self.directory.read_metrics()}
        for at in evaluated_steps(self.experiments[0], 0, step):
            if any((member, at) not in found for member, end in zip(self.batch, ends, strict=True) if at < end):
                return at
        return None

    def run(self, done: list[dict[str, Any]], on_chunk: Callable[[int], None] | None) -> list[dict[str, Any]]:
        """Trains the batch, and returns one row per member."""
        first = self.experiments[0]
        strategy = make_strategy(self.options.strategy if self.options.strategy != "auto" else self.plan.strategy)
        states, step, problems = self._restore()
        for problem in problems:
            self.say(f"gan-jax: {problem}")
        if step:
            self._update_rows(_small(states), step >= first.num_steps)
            same = strategy.name == self.plan.strategy and self._num_devices(strategy) == self.plan.num_devices
            note = "" if same else "; the strategy or the devices have changed, so it continues, but not bit for bit"
            self.say(f"resuming {len(self.batch)} members at step {step:,} of {first.num_steps:,}{note}")
        mine = hosts.shard(len(self.batch))
        own_states = jax.tree.map(lambda leaf: leaf[np.array(mine)], states)
        stack = strategy.place([self.experiments[i] for i in mine], own_states)
        broken = np.asarray(states.nonfinite_step) >= 0
        resources = strategy.place_resources(self.resources)
        checkpoints = Checkpoints(self._checkpoints_path(), keep=2) if self.directory is not None else None
        pending: dict[str, list[np.ndarray]] = {}
        with TrainingProgress(first.num_steps, step, enabled=self.options.progress and hosts.is_leader()) as progress:
            advance = strategy.advance(num_kept(first, self.options))
            specs = plan(first, self.resources, step)
            # The first evaluation is always saved, since rows without any checkpoint cannot be continued.
            began, saved = time.monotonic(), -math.inf
            for spec, result in chunks(advance, stack.experiments, resources, stack.states, specs):
                stack = stack._replace(states=jax.block_until_ready(result.state))
                step += spec.length
                host = self._gather(strategy, result._replace(state=_small(result.state)), stack.num)
                progress.update(step, time.monotonic() - began, self._label(host), spec)
                for name, series in host.metrics.items():
                    pending.setdefault(name, []).append(series)
                if host.signals is not None:
                    self._record_signals(host.signals, broken, step - bool(spec.short_count), spec.num_steps)
                failed = (host.state["nonfinite_step"] >= 0) | (first_onset(host.state["detector"]) >= 0)
                stops = self.options.stop_at_collapse and result.evaluation is not None and bool(failed.all())
                ends = stops or step >= first.num_steps
                if result.evaluation is not None:
                    self._record(host, pending, broken, step, progress.steps_per_second, ends)
                    pending = {}
                broken = host.state["nonfinite_step"] >= 0
                self._update_rows(host.state, ends)
                evaluated = result.evaluation is not None
                told = evaluated and not ends and self._is_told_to_stop(step)
                due = told or ends or time.monotonic() - saved >= self.options.checkpoint_seconds
                if evaluated and due:
                    saved = time.monotonic()
                    state = self._gather(strategy, stack.states, stack.num)
                    if checkpoints is not None:
                        self._write_members(done)
                        checkpoints.save(state, step)
                if on_chunk is not None:
                    on_chunk(step)
                if broken.all() or stops:
                    break
                if told:
                    if checkpoints is not None:
                        checkpoints.close()
                    raise StoppedSweepError(
                        f"the sweep was stopped at step {step:,} of {first.num_steps:,}: resume it to train the rest"
                    )
                began = time.monotonic()
        if checkpoints is not None:
            checkpoints.close()
        rows = hosts.from_leader(lambda: [self.rows[i] for i in self.batch])
        if self.directory is not None:
            self._write_members(done)
            self.directory.write_results(self.group, self.number, rows)
        return rows

    def _is_told_to_stop(self, step: int) -> bool:
        asked = self.options.stops
        return asked is not None and hosts.from_leader(lambda: asked(step))

    def _restore(self) -> tuple[TrainState, int, list[str]]:
        """The newest readable states of the members, stacked; their step; and the problems of newer ones."""
        template = stacked_template(self.experiments[0], len(self.batch))
        arrays = None

        def read() -> tuple[bool, int, list[str]]:
            nonlocal arrays
            arrays, step, problems = self._restore_here(template)
            return arrays is not None, step, problems

        found, step, problems = hosts.from_leader(read)
        if found:
            arrays = hosts.arrays_from_leader(to_host(template) if arrays is None else arrays)
            return from_host(template, arrays), step, problems
        first = first_states(self.members, self.batch)
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *first), 0, problems

    def _restore_here(self, template: TrainState) -> tuple[dict[str, Any] | None, int, list[str]]:
        assert self.directory is not None
        path, experiment, place = self._checkpoints_path(), self.experiments[0], None

        def first_missing(states: TrainState, step: int) -> int | None:
            nonfinite = np.asarray(states.nonfinite_step)
            return self._first_missing(np.where(nonfinite < 0, step + 1, nonfinite), step)

        usable = newest_usable(path, template, stored_steps(path), first_missing)
        if usable.state is None:
            steps = [row["step"] for row in self.directory.read_metrics() if row["member"] in self.batch]
            begun = usable.is_damaged or max(steps, default=0) > experiment.eval_every_steps
            if begun and not self.options.restart:
                name = f"{self.directory.path}: members {self.batch[0]} to {self.batch[-1]}"
                remedy = "train these members anew from step 0 with --restart, which moves their checkpoints to "
                remedy += str(self.directory.path / "set_aside")
                raise RunError(cannot_continue(name, usable, self.directory.metrics_path, remedy))
            place = set_aside(self.directory.path, [path.parent]) if begun else None
        elif usable.unreadable:
            place = set_aside(self.directory.path, [path / str(step) for step in usable.unreadable])
        checkpoints = Checkpoints(path)
        checkpoints.drop_after(usable.step)
        checkpoints.close()
        self.directory.forget_after(usable.step, self.batch)
        problems = usable.lines(self.directory.metrics_path, place)
        if usable.state is None:
            return None, 0, problems
        for row in self.directory.read_metrics():
            if row["member"] in self.batch:
                self.rows[row["member"]] = _last_values(row)
        return to_host(usable.state), usable.step, problems

    def _checkpoints_path(self) -> Path:
        assert self.directory is not None
        return self.directory.batch_path(self.group, self.number) / "checkpoints"

    def _num_devices(self, strategy: Strategy) -> int:
        return hosts.num_hosts() * len(strategy.devices)

    def _gather(self, strategy: Strategy, tree: Any, num: int) -> Any:
        """The results of all members of the batch, on the host of every process."""
        return hosts.gather(strategy.gather(tree, num), len(self.batch))

    def _label(self, host: Any) -> str:
        labels, counts = np.unique(host.state["detector"].label, return_counts=True)
        return ", ".join(f"{count} {LABELS[label]}" for label, count in zip(labels, counts, strict=True))

    def _record(
        self,
        host: Any,
        pending: dict[str, list[np.ndarray]],
        broken: np.ndarray,
        step: int,
        speed: float | None,
        ends: bool,
    ) -> None:
        """Writes rows of metrics.jsonl and pictures for the members that were finite before this chunk."""
        assert host.evaluation is not None
        rows = []
        pictured = ends or step % spaced(self.experiments[0], self.options.num_pictures) == 0
        for place, member in enumerate(self.batch):
            if broken[place]:
                continue
            experiment = self.experiments[place]
            own = jax.tree.map(lambda leaf, place=place: leaf[place], host)
            series = {name: [part[place] for part in parts] for name, parts in pending.items()}
            label = LABELS[int(own.state["detector"].label)]
            row = metrics_row(experiment, int(own.state["step"]), own.evaluation, series, label, speed)
            samples = own.evaluation.samples
            if self.options.metrics is not None and self.directory is not None:
                row["samples"] = self.library.measure(experiment, self.options.metrics)(samples)
            rows.append({"member": member, **row})
            self.rows[member] = _last_values(row)
            if pictured and self.directory is not None:
                title = f"{self.members[member].arm.name}, seed {self.members[member].seed}, step {step:,}: {label}"
                source = experiment.data.source(self.resources.dataset)
                path = self.directory.picture_path(member, step)
                decorate(self.options.draw, path, source, samples[: num_pictured(experiment)], title, experiment.data)
        if self.directory is not None:
            self.directory.append_metrics(rows)

    def _record_signals(self, signals: dict[str, np.ndarray], broken: np.ndarray, end: int, num_steps: int) -> None:
        """Writes rows of signals.jsonl for the members that were finite before this chunk; its last probe is `end`."""
        if self.directory is None:
            return
        for place, member in enumerate(self.batch):
            if not broken[place]:
                own = {name: series[place] for name, series in signals.items()}
                rows = signals_rows(own, end, num_steps)
                self.directory.append_signals([{"member": member, **row} for row in rows])

    def _update_rows(self, states: Any, ends: bool) -> None:
        """Updates the row of each member: arm, seed, verdict so far, last metrics."""
        for place, index in enumerate(self.batch):
            state = jax.tree.map(lambda leaf, place=place: leaf[place], states)
            row = self.rows.get(index, {})
            window = float(self.experiments[place].detector.window)
            made = member_row(index, self.members[index], state, window, row.get("last", {}), ends)
            self.rows[index] = made | ({"samples": row["samples"]} if "samples" in row else {})

    def _write_members(self, done: list[dict[str, Any]]) -> None:
        if self.directory is not None:
            self.directory.write_members([*done, *self.rows.values()])


def _last_values(row: dict[str, Any]) -> dict[str, Any]:
    """The values of a row of metrics.jsonl that are part of a member's row."""
    return {"last": row["evaluation"], **({"samples": row["samples"]} if "samples" in row else {})}


def _small(state: TrainState) -> Any:
    """The parts of the state that the host reads after every chunk."""
    return {"detector": state.detector, "step": state.step, "nonfinite_step": state.nonfinite_step}
