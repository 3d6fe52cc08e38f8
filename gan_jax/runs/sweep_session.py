"""The work of `gan-jax sweep`: starts or resumes a sweep from a request, and fills its folder."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax.experiment.configs import config_label, load, load_sweep
from gan_jax.experiment.sweep import Sweep, grid
from gan_jax.runs.files import replacing, write_json
from gan_jax.runs.folder_code import check_readable, source_of
from gan_jax.runs.folders import RunError, new_folder, new_run_path
from gan_jax.runs.links import refuse_links
from gan_jax.runs.machine import is_same_device
from gan_jax.runs.request import (
    RUNS,
    Request,
    apply_settings,
    check_epochs,
    check_request,
    own_arms,
    steps_per_epoch,
    stored_config,
    warn_of_pixels_only,
    with_num_epochs,
)
from gan_jax.runs.resumed_code import check_source, replace_source
from gan_jax.runs.run_directory import environment
from gan_jax.runs.run_record import check_unedited, require_components
from gan_jax.runs.sweep_directory import SweepDirectory, SweepRecord, flat
from gan_jax.runs.sweep_plan import Library, SweepOptions, check_sweep_memory
from gan_jax.runs.sweep_runner import run_sweep
from gan_jax.scaling import hosts
from gan_jax.scaling.strategies import STRATEGIES


@dataclasses.dataclass(frozen=True)
class SweepDone:
    """A finished sweep: its folder, and one row per member."""

    path: Path
    rows: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        return {"sweep": str(self.path), "members": self.rows}


def make_sweep(
    request: Request, axes: Mapping[str, Sequence[str]], seeds: Sequence[int] | int | None, library: Library
) -> Sweep:
    """The sweep of a request: that of the config, or a grid over the config's experiment.

    Args:
        request: the config, and the settings of all arms.
        axes: values to vary, by the dotted path of the setting.
        seeds: the seeds, or their number; None takes those of the config.
        library: the data sets.

    Returns:
        Arms and seeds.

    Raises:
        ValueError: if nothing varies, or a setting does not fit.
    """
    assert request.config is not None
    own = load_sweep(request.config)
    if request.arms is not None:
        own = own_arms(own, request.arms, request.config)
    if axes or own is None:
        if not axes and seeds is None:
            raise RunError(
                f"{request.config} defines no sweep(): say what to vary with --grid PATH V1,V2,... or --seeds N"
            )
        check_request(request)
        made = grid(load(request.config), axes, 5 if seeds is None else seeds, shared=request.settings)
        for arm in made.arms:
            check_epochs(arm.experiment, request)
    else:
        arms = tuple(arm._replace(experiment=apply_settings(arm.experiment, request)) for arm in own.arms)
        made = Sweep(arms, own.seeds if seeds is None else grid(arms[0].experiment, {}, seeds).seeds)
    if request.num_epochs is not None:
        made = made._replace(arms=tuple(_in_epochs(arm, library, request.num_epochs) for arm in made.arms))
    return made


def _in_epochs(arm: Any, library: Library, num_epochs: float) -> Any:
    return arm._replace(experiment=with_num_epochs(arm.experiment, library.resources(arm.experiment), num_epochs))


def start_sweep(
    request: Request,
    axes: Mapping[str, Sequence[str]],
    seeds: Sequence[int] | int | None,
    options: SweepOptions,
    say: Callable[[str], None],
) -> SweepDone:
    """Runs a new sweep in a new folder.

    Args:
        request: the config, and the settings of all arms.
        axes: values to vary, by the dotted path of the setting.
        seeds: the seeds, or their number; None takes those of the config.
        options: the options of the host.
        say: called with each line of progress.

    Returns:
        The finished sweep.
    """
    say = hosts.leader_only(say)
    library = Library(request.location)
    sweep = make_sweep(request, axes, seeds, library)
    check_sweep_memory(sweep, library, options)
    _check_metrics(sweep, library, options)
    for arm in sweep.arms:
        warn_of_pixels_only(arm.experiment, library.resources(arm.experiment), say)
    lengths = {steps_per_epoch(arm.experiment, library.resources(arm.experiment)) for arm in sweep.arms}
    config = request.config or ""
    source, files = source_of(config)
    record = SweepRecord(
        sweep=sweep,
        data=dict(library.fingerprints),
        steps_per_epoch=lengths.pop() if len(lengths) == 1 else None,
        config=stored_config(config),
        location=str(Path(request.location).resolve()) if request.location else None,
        environment=environment(),
        command=request.command,
        source=source,
        strategy=options.strategy,
        max_members=options.max_members,
    )
    check_readable(request.config or "", record.to_json())

    def choose() -> Path:
        return Path(request.run_dir) if request.run_dir else new_run_path(RUNS, f"{config_label(config)}-sweep")

    members = sweep.members()
    device = record.environment["device"]
    with new_folder(choose, lambda path: SweepDirectory.create(path, record, files)) as path:
        say(f"training {len(sweep.arms)} arms x {len(sweep.seeds)} seeds = {len(members)} runs on {device}, in {path}")
        return _run(path, sweep, library, options, say)


def resume_sweep(path: Path, request: Request, options: SweepOptions, say: Callable[[str], None]) -> SweepDone:
    """Continues a sweep from its newest checkpoints; finished members are not trained again.

    Args:
        path: the sweep's folder.
        request: the folder of the data, if they have moved, and the code that may be executed.
        options: the options of the host.
        say: called with each line of progress.

    Returns:
        The finished sweep.

    Raises:
        RunError: if the folder is not a sweep, its record was edited, or the data have changed.
    """
    say = hosts.leader_only(say)
    directory = SweepDirectory.open(path, request.allowed)
    record = directory.read_record()
    require_components(path, *(arm.experiment for arm in record.sweep.arms))
    check_unedited(directory.record_path)
    hosts.from_leader(lambda: refuse_links(path))
    changed = check_source(directory.record_path, record.source, None, request.allowed)
    library = Library(request.location or record.location)
    for arm in record.sweep.arms:
        library.resources(arm.experiment)
    for name, known in record.data.items():
        if library.fingerprints.get(name) != known:
            raise RunError(
                f"the data of {name} differ from those that {path} was trained on: give the folder of those with --data"
            )
    if changed:
        say(f"gan-jax: {changed}")
        source = replace_source(path, request.allowed.config or "")
        if hosts.is_leader():
            asked = dataclasses.replace(record, source=source, continued=[*record.continued, request.command])
            write_json(directory.record_path, asked.to_json())
    _check_metrics(record.sweep, library, options)
    now, then = environment(), record.environment
    if now["versions"] != then.get("versions") or not is_same_device(then.get("device"), now["device"]):
        say("gan-jax: versions or devices have changed since the sweep began: it continues, but not bit for bit")
    return _run(path, record.sweep, library, _as_asked(options, record, directory), say)


def _check_metrics(sweep: Sweep, library: Library, options: SweepOptions) -> None:
    """Tries the chosen metrics on the data of every arm, before anything is trained or written."""
    if options.metrics is not None and hosts.is_leader():
        for arm in sweep.arms:
            library.measure(arm.experiment, options.metrics)


def _as_asked(options: SweepOptions, record: SweepRecord, directory: SweepDirectory) -> SweepOptions:
    """The options of a resumed sweep: strategy and size of batches as first asked for, if no plan was made yet."""
    if options.strategy != "auto" or hosts.from_leader(directory.plan_path.is_file):
        return options
    if record.strategy not in STRATEGIES:
        return options
    return dataclasses.replace(options, strategy=record.strategy, max_members=options.max_members or record.max_members)


def _run(path: Path, sweep: Sweep, library: Library, options: SweepOptions, say: Callable[[str], None]) -> SweepDone:
    if not hosts.is_leader():
        return SweepDone(path, run_sweep(None, sweep.members(), library, options, say))
    directory = SweepDirectory(path)
    with directory.lock():
        return SweepDone(path, run_sweep(directory, sweep.members(), library, options, say))


def check_parquet() -> None:
    """Checks that the package which writes members.parquet is installed.

    Raises:
        RunError: if pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise RunError("--parquet needs the package pyarrow: pip install pyarrow")


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Writes the rows of all members as Parquet: members.parquet, beside members.csv. Returns its path."""
    import pyarrow
    import pyarrow.parquet

    target = path / "members.parquet"
    with replacing(target) as temporary:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([flat(row) for row in rows]), temporary)
    return target
