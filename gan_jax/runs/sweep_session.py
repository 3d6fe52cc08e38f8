"""What `gan-jax sweep` does: from a request to a folder of results, starting or resuming."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_jax.data.stacked import ImageData
from gan_jax.experiment.configs import load, load_sweep
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.sweep import Sweep, grid
from gan_jax.runs.files import replacing
from gan_jax.runs.folders import RunError, new_folder, new_run_path
from gan_jax.runs.request import (
    RUNS,
    Request,
    apply_settings,
    steps_per_epoch,
    stored_config,
    warn_of_pixels_only,
    with_num_epochs,
)
from gan_jax.runs.run_directory import environment
from gan_jax.runs.sweep_directory import SweepDirectory, SweepRecord, flat
from gan_jax.runs.sweep_plan import Library, SweepOptions
from gan_jax.runs.sweep_runner import run_sweep
from gan_jax.scaling import hosts


@dataclasses.dataclass(frozen=True)
class SweepDone:
    """A finished sweep: its folder, and a row a member."""

    path: Path
    rows: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        return {"sweep": str(self.path), "members": self.rows}


def make_sweep(
    request: Request, axes: Mapping[str, Sequence[str]], seeds: Sequence[int] | int | None, library: Library
) -> Sweep:
    """The sweep that was asked for: the config's own, or a grid over its experiment.

    Args:
        request: the config and settings of all arms.
        axes: values by dotted path.
        seeds: which, or how many; None: the config's own.
        library: of the data sets.

    Returns:
        Arms and seeds.

    Raises:
        ValueError: if it is none, or its settings do not fit.
    """
    assert request.config is not None
    own = load_sweep(request.config)
    if axes or own is None:
        if not axes and seeds is None:
            raise RunError(f"{request.config} defines no sweep(): say what to vary, --grid PATH V1,V2,... or --seeds N")
        made = grid(apply_settings(load(request.config), request), axes, 5 if seeds is None else seeds)
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
        request: the config and settings of all arms.
        axes: values by dotted path.
        seeds: which, or how many; None: the config's own.
        options: of the host.
        say: takes a line for people.

    Returns:
        The finished sweep.
    """
    say = hosts.leader_only(say)
    library = Library(_checked_location(request.location, load(request.config or "")))
    sweep = make_sweep(request, axes, seeds, library)
    for arm in sweep.arms:
        warn_of_pixels_only(arm.experiment, library.resources(arm.experiment), say)
    lengths = {steps_per_epoch(arm.experiment, library.resources(arm.experiment)) for arm in sweep.arms}
    config = request.config or ""
    record = SweepRecord(
        sweep=sweep,
        data=dict(library.fingerprints),
        steps_per_epoch=lengths.pop() if len(lengths) == 1 else None,
        config=stored_config(config),
        location=str(Path(request.location).resolve()) if request.location else None,
        environment=environment(),
        command=request.command,
    )

    def choose() -> Path:
        return Path(request.run_dir) if request.run_dir else new_run_path(RUNS, f"{Path(config).stem}-sweep")

    members = sweep.members()
    device = record.environment["device"]
    with new_folder(choose, lambda path: SweepDirectory.create(path, record)) as path:
        say(f"{len(sweep.arms)} arms x {len(sweep.seeds)} seeds = {len(members)} runs on {device}, in {path}")
        return _run(path, sweep, library, options, say)


def resume_sweep(path: Path, location: str | None, options: SweepOptions, say: Callable[[str], None]) -> SweepDone:
    """Continues a sweep from its newest checkpoints; members that have ended are left alone.

    Args:
        path: the sweep's folder.
        location: of the data, if they have moved.
        options: of the host.
        say: takes a line for people.

    Returns:
        The finished sweep.

    Raises:
        RunError: if the folder is no sweep, or the data are others.
    """
    say = hosts.leader_only(say)
    record = SweepDirectory.open(path).read_record()
    library = Library(location or record.location)
    for arm in record.sweep.arms:
        library.resources(arm.experiment)
    for name, known in record.data.items():
        if library.fingerprints.get(name) != known:
            raise RunError(f"the data of {name} are not those of {path}: their contents differ")
    now = environment()
    if now["versions"] != record.environment.get("versions"):
        say("gan-jax: versions differ from the sweep's first ones: it continues, but not bit for bit")
    return _run(path, record.sweep, library, options, say)


def _run(path: Path, sweep: Sweep, library: Library, options: SweepOptions, say: Callable[[str], None]) -> SweepDone:
    if not hosts.is_leader():
        return SweepDone(path, run_sweep(None, sweep.members(), library, options, say))
    directory = SweepDirectory(path)
    with directory.lock():
        return SweepDone(path, run_sweep(directory, sweep.members(), library, options, say))


def _checked_location(location: str | None, experiment: Experiment) -> str | None:
    if location is not None and isinstance(experiment.data, ImageData) and not Path(location).exists():
        raise RunError(f"--data {location} does not exist: give a directory of IDX files, or leave it out")
    return location


def check_parquet() -> None:
    """Checks that members.parquet can be written at all.

    Raises:
        RunError: if pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise RunError("--parquet needs another package: pip install pyarrow")


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Writes members.parquet beside members.csv."""
    import pyarrow
    import pyarrow.parquet

    target = path / "members.parquet"
    with replacing(target) as temporary:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([flat(row) for row in rows]), temporary)
    return target
