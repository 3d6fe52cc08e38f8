"""The work of `gan-jax train`: starts, resumes or branches a run from a request, and gives its verdict."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from gan_jax.experiment.configs import config_label, load
from gan_jax.experiment.experiment import Experiment
from gan_jax.metrics.sample_evaluation import make_measure
from gan_jax.runs.branching import branch_place, branch_state, split_step
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.files import write_json
from gan_jax.runs.finished_run import Done
from gan_jax.runs.folder_code import check_readable, source_of
from gan_jax.runs.folders import RunError, new_folder, new_run_path
from gan_jax.runs.links import refuse_links
from gan_jax.runs.machine import is_same_device
from gan_jax.runs.request import (
    RUNS,
    Request,
    apply_settings,
    prepare_data,
    requested_experiment,
    stored_config,
    warn_of_pixels_only,
)
from gan_jax.runs.resumed_code import branch_source, check_source, replace_source, resume_code
from gan_jax.runs.resuming import has_all_rows, resume
from gan_jax.runs.run_directory import RunDirectory, environment
from gan_jax.runs.run_record import RunRecord, check_unedited, require_components
from gan_jax.runs.runner import (
    HostOptions,
    Measure,
    RunResult,
    read_verdict,
    same_shapes,
    spaced,
    state_template,
    train_run,
)
from gan_jax.runs.stored_run import open_run
from gan_jax.runs.tensorboard import check_tensorboard
from gan_jax.scaling import hosts
from gan_jax.scaling.data_parallel import check_split, make_parallel_chunk, replicate
from gan_jax.scaling.programs import compiled_chunk, compiled_init
from gan_jax.training.chunks import Advance
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.state import TrainState


def start_training(request: Request, host: HostOptions, say: Callable[[str], None]) -> Done:
    """Trains a config from its first step in a new folder.

    Args:
        request: the request, which names a config.
        host: options of the host.
        say: called with each line of progress.

    Returns:
        The finished run.
    """
    assert request.config is not None
    say = hosts.leader_only(say)
    experiment, resources, data = prepare_data(requested_experiment(request), request)
    advance, resources, spread = _advance(host, experiment, resources)
    measure = _measure(host, experiment, resources)
    warn_of_pixels_only(experiment, resources, say)
    seed = request.seed or 0
    arms = "".join(f"-{re.sub(r'[^-+.=A-Za-z0-9]+', '_', arm)}" for arm in request.arms or ())
    name = f"{config_label(request.config)}{arms}-seed{seed}"
    source, files = source_of(request.config)
    record = dataclasses.replace(_record(request, experiment, seed, data, host), source=source)
    check_readable(request.config, record.to_json())
    state = compiled_init(experiment, jax.random.key(seed))

    def choose() -> Path:
        return Path(request.run_dir) if request.run_dir else new_run_path(RUNS, name)

    with new_folder(choose, lambda path: RunDirectory.create(path, record, files)) as path:
        say(f"training {name}: {experiment.num_steps:,} steps on {record.environment['device']}{spread}, in {path}")
        return _train(RunDirectory(path), record, resources, state, host, advance, measure)


def _advance(host: HostOptions, experiment: Experiment, resources: LoadedData) -> tuple[Advance, LoadedData, str]:
    """The function that computes a chunk on one or several devices, the resources placed there, and a note to log.

    Raises:
        ValueError: if a batch does not divide evenly over the devices, or a package is missing.
    """
    if host.tensorboard:
        check_tensorboard()
    if not host.data_parallel and hosts.num_hosts() == 1:
        return compiled_chunk, resources, ""
    devices = jax.devices()
    if host.num_devices is not None and hosts.num_hosts() == 1:
        if host.num_devices > len(devices):
            raise RunError(
                f"--devices is {host.num_devices}, but JAX has {len(devices)} devices: give at most that, or run the "
                "command in a new process, since JAX sets the number of CPU devices once"
            )
        devices = devices[: host.num_devices]
    check_split(experiment, resources, len(devices))
    processes = f" of {hosts.num_hosts()} processes" if hosts.num_hosts() > 1 else ""
    spread = f" x {len(devices)}{processes}, each with a shard of every batch"
    return make_parallel_chunk(devices), replicate(resources, devices), spread


def load_state(request: Request) -> tuple[Experiment, LoadedData, TrainState | None]:
    """The experiment, data and newest state of a stored run; for a config, the state is None.

    Raises:
        RunError: if the run has no checkpoint that can be read, or its state does not fit the request's settings.
    """
    assert request.config is not None
    folder, _, number = request.config.rpartition("#")
    stored = (Path(request.config) / "experiment.json").is_file() or (number.isdigit() and Path(folder).is_dir())
    if not stored:
        experiment, resources, _ = prepare_data(apply_settings(load(request.config), request), request)
        return experiment, resources, None
    run = open_run(request.config, request.allowed)
    experiment, resources, _ = prepare_data(apply_settings(run.experiment, request), request, run.record.location)
    if not same_shapes(state_template(run.experiment), state_template(experiment)):
        raise RunError(
            f"the settings do not fit the state of {run.name}: leave its networks and optimisers as they are"
        )
    return experiment, resources, run.restore_latest()[0]


def resume_training(
    request: Request, path: Path, host: HostOptions, say: Callable[[str], None], *, restart: bool = False
) -> Done:
    """Continues a run bit for bit. Settings may be given again; only a larger `num_steps` may differ.

    Args:
        request: the settings that are given again, and the code that may be executed for the run's own components.
        path: the run's folder.
        host: options of the host.
        say: called with each line of progress.
        restart: whether a run that cannot be continued is trained anew; its old files are then set aside.

    Returns:
        The finished run.

    Raises:
        RunError: if the folder holds another experiment, was edited or cannot be continued, or the data have changed.
    """
    say = hosts.leader_only(say)
    run = RunDirectory.open(path, resume_code(request.config, request.allowed))
    record = run.read_record()
    require_components(path, record.experiment)
    check_unedited(run.record_path)
    hosts.from_leader(lambda: refuse_links(path))
    changed = check_source(run.record_path, record.source, request.config, request.allowed)
    base = load(request.config) if request.config else record.experiment
    experiment, resources, data = prepare_data(apply_settings(base, request), request, record.location)
    asked = dataclasses.replace(
        record,
        experiment=experiment,
        data=data,
        seed=record.seed if request.seed is None else request.seed,
    )
    lines = record.differences(asked)
    longer = experiment.num_steps > record.experiment.num_steps
    if not (lines == [] or (longer and [line.split(":")[0] for line in lines] == ["num_steps"])):
        raise RunError(
            f"{path} is a run of another experiment ({'; '.join(lines[:4])}): "
            "resume it without these settings, or start a new run with --branch-from"
        )
    # Keep the components' classes from the code that the record was read with.
    asked = dataclasses.replace(
        asked, experiment=dataclasses.replace(record.experiment, num_steps=experiment.num_steps)
    )
    advance, resources, spread = _advance(host, experiment, resources)
    measure = _measure(host, experiment, resources)
    with _lock(run):
        finished = read_verdict(run)
        if finished is not None and finished["last_step"] >= experiment.num_steps and has_all_rows(run, asked):
            say(f"{path} is finished already; a larger --num-steps prolongs it")
            return Done(path, finished, finished["message"])
        state, problems = resume(run, asked, restart=restart)
        if changed:
            say(f"gan-jax: {changed}")
            named = request.allowed.config or request.config or ""
            asked = dataclasses.replace(asked, source=replace_source(path, named))
        if longer or changed or (finished or {}).get("stopped_at_collapse"):
            asked = dataclasses.replace(asked, continued=[*record.continued, request.command])
            if hosts.is_leader():
                write_json(run.record_path, asked.to_json())
        now, known = _environment(host), record.environment
        same = all(now[what] == known.get(what, 1) for what in ("versions", "batch_devices"))
        if not (same and is_same_device(known.get("device"), now["device"])):
            say("gan-jax: versions or devices have changed since the run began: it continues, but not bit for bit")
        for problem in problems:
            say(f"gan-jax: {problem}")
        say(f"resuming {path} at step {int(state.step):,} of {experiment.num_steps:,}{spread}")
        return _done(run, train_run(run, asked, resources, state, host, advance=advance, measure=measure))


def branch_training(request: Request, parent: str, host: HostOptions, say: Callable[[str], None]) -> Done:
    """Starts a new run from a stored state, with other settings or another key.

    Args:
        request: settings that the branch changes.
        parent: "RUN", "RUN@STEP" or "SWEEP#MEMBER@STEP".
        host: options of the host.
        say: called with each line of progress.

    Returns:
        The finished branch.

    Raises:
        RunError: if there is no such state, or it does not fit the branch.
    """
    say = hosts.leader_only(say)
    name, step_text = split_step(parent)
    source = open_run(name, resume_code(request.config, request.allowed))
    old = source.record
    base = load(request.config) if request.config else source.experiment
    experiment, resources, data = prepare_data(apply_settings(base, request), request, old.location)
    record = _record(request, experiment, old.seed if request.seed is None else request.seed, data, host)
    record = dataclasses.replace(record, config=record.config or old.config, location=record.location or old.location)
    state = branch_state(source, int(step_text) if step_text else None, record, request.seed is not None)
    step = int(state.step)
    if step >= experiment.num_steps:
        raise RunError(
            f"{name}@{step} is already at or after the last of {experiment.num_steps} steps: give a larger --num-steps"
        )
    advance, resources, spread = _advance(host, experiment, resources)
    measure = _measure(host, experiment, resources)
    kept, files = branch_source(source.directory.root, old.source, request.config, request.allowed)
    record = dataclasses.replace(record, parent=f"{name}@{step}", first_step=step, source=kept)

    def choose() -> Path:
        return Path(request.run_dir) if request.run_dir else new_run_path(*branch_place(source, step))

    def save(run: RunDirectory) -> None:
        checkpoints = Checkpoints(run.checkpoints_path)  # to resume from after a kill before the first own checkpoint
        checkpoints.save(state)
        checkpoints.close()

    changes = "; ".join(old.differences(record)) or "nothing changed"
    with new_folder(choose, lambda path: RunDirectory.create(path, record, files, save)) as path:
        say(f"branching {name} at step {step:,} into {path}: {changes}{spread}")
        return _train(RunDirectory(path), record, resources, state, host, advance, measure)


def _record(request: Request, experiment: Experiment, seed: int, data: str, host: HostOptions) -> RunRecord:
    return RunRecord(
        experiment=experiment,
        seed=seed,
        data=data,
        config=stored_config(request.config or ""),
        location=str(Path(request.location).resolve()) if request.location else None,
        environment=_environment(host),
        command=request.command,
        keep_every_steps=spaced(experiment, host.num_branch_points),
    )


def _measure(host: HostOptions, experiment: Experiment, resources: LoadedData) -> Measure | None:
    if host.metrics is None or not hosts.is_leader():
        return None
    return make_measure(experiment.data, resources.dataset, host.metrics, experiment.detector.num_samples)


def _environment(host: HostOptions) -> dict[str, Any]:
    several = host.data_parallel or hosts.num_hosts() > 1
    return {**environment(), "batch_devices": (host.num_devices or jax.device_count()) if several else 1}


def _lock(run: RunDirectory) -> contextlib.AbstractContextManager[None]:
    return run.lock() if hosts.is_leader() else contextlib.nullcontext()


def _train(
    run: RunDirectory,
    record: RunRecord,
    resources: LoadedData,
    state: TrainState,
    host: HostOptions,
    advance: Advance,
    measure: Measure | None,
) -> Done:
    with _lock(run):
        return _done(run, train_run(run, record, resources, state, host, advance=advance, measure=measure))


def _done(run: RunDirectory, result: RunResult) -> Done:
    return Done(run.path, result.record, result.message)
