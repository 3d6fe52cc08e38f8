"""`gan-jax train` and `gan-jax sweep`: they turn options into a request and print the result."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from gan_jax.cli.code_options import allowed_code
from gan_jax.cli.console import log, print_text
from gan_jax.cli.parser import NONFINITE, OK, Settings, UsageError


def train_command(options: argparse.Namespace, settings: Settings) -> int:
    """Trains, resumes or branches a run, and prints its verdict."""
    from gan_jax.reports.sample_pictures import picture_samples
    from gan_jax.runs import session
    from gan_jax.runs.json_text import json_text
    from gan_jax.runs.request import Request
    from gan_jax.runs.runner import HostOptions
    from gan_jax.scaling import hosts

    if options.resume and options.branch_from:
        raise UsageError("--resume continues a run, and --branch-from starts a new one: give only one of them")
    if options.restart and not options.resume:
        raise UsageError("--restart works only with --resume RUN: leave it out, since a new run starts from step 0")
    if options.arm and (options.resume or options.branch_from):
        raise UsageError("--arm chooses an arm of a config's sweep: leave it out with --resume and --branch-from")
    if not (options.config or options.resume or options.branch_from):
        from gan_jax.experiment.configs import config_names

        raise UsageError(f"train needs a config: a Python file, or one of {', '.join(config_names())}")
    host = HostOptions(
        num_pictures=options.pictures,
        keep=options.keep_checkpoints,
        num_branch_points=options.branch_points,
        progress=not options.quiet,
        tensorboard=options.tensorboard,
        data_parallel=options.data_parallel or options.devices is not None,
        num_devices=options.devices,
        stop_at_collapse=options.stop_at_collapse,
        draw=picture_samples,
        metrics=options.metrics,
    )
    request = Request(
        config=options.config,
        settings=tuple(settings),
        arms=None if options.arm is None else (options.arm,),
        seed=options.seed,
        location=options.data,
        num_epochs=options.num_epochs,
        run_dir=options.run_dir,
        command=shlex.join(["gan-jax", *options.typed]),
        allowed=allowed_code(options),
    )
    if options.resume:
        done = session.resume_training(request, Path(options.resume), host, say=log, restart=options.restart)
    elif options.branch_from:
        done = session.branch_training(request, options.branch_from, host, say=log)
    else:
        done = session.start_training(request, host, say=log)
    if hosts.is_leader():
        print_text(json_text(done.to_json(), indent=2) if options.json else done.line())
    if done.verdict.get("stopped_at_collapse"):
        log(
            f"stopped at step {done.verdict['last_step']:,}, after the collapse; gan-jax train --resume {done.path} "
            "trains the remaining steps"
        )
    if done.message:
        log(f"gan-jax: {done.message}")
        return NONFINITE
    return OK


def sweep_command(options: argparse.Namespace, settings: Settings) -> int:
    """Runs or resumes a sweep, and prints one line per arm."""
    from gan_jax.experiment.configs import config_names
    from gan_jax.reports.sample_pictures import picture_samples
    from gan_jax.reports.text_tables import arms_table
    from gan_jax.runs import sweep_session
    from gan_jax.runs.json_text import json_text
    from gan_jax.runs.request import Request
    from gan_jax.scaling import hosts
    from gan_jax.scaling.strategies import STRATEGIES

    if not (options.config or options.resume):
        raise UsageError(f"sweep needs a config: a Python file, or one of {', '.join(config_names())}")
    if options.resume and (options.config or options.grid or options.arm or options.seeds is not None or settings):
        raise UsageError(
            "--resume continues a sweep unchanged: leave out the config, --grid, --arm, --seeds and settings"
        )
    if options.arm and options.grid:
        raise UsageError("--arm chooses from the arms of the config, and --grid makes new ones: give only one of them")
    if options.strategy not in (*STRATEGIES, "auto"):
        raise UsageError(f"--strategy is {options.strategy!r}, and must be one of {', '.join(STRATEGIES)}, auto")
    if options.restart and not options.resume:
        raise UsageError("--restart works only with --resume SWEEP: leave it out, since a new sweep starts from step 0")
    if options.parquet:
        sweep_session.check_parquet()
    host = sweep_session.SweepOptions(
        strategy=options.strategy,
        max_members=options.max_members,
        num_pictures=options.pictures,
        progress=not options.quiet,
        stop_at_collapse=options.stop_at_collapse,
        draw=picture_samples,
        metrics=options.metrics,
        restart=options.restart,
    )
    request = Request(
        config=options.config,
        settings=tuple(settings),
        arms=None if options.arm is None else tuple(options.arm),
        location=options.data,
        num_epochs=options.num_epochs,
        run_dir=options.run_dir,
        command=shlex.join(["gan-jax", *options.typed]),
        allowed=allowed_code(options),
    )
    if options.resume:
        done = sweep_session.resume_sweep(Path(options.resume), request, host, say=log)
    else:
        axes = grid_axes(options.grid or (), settings)
        done = sweep_session.start_sweep(request, axes, options.seeds, host, say=log)
    if not hosts.is_leader():
        return OK
    if options.parquet:
        sweep_session.write_parquet(done.path, done.rows)
    print_text(json_text(done.to_json(), indent=2) if options.json else f"{arms_table(done.rows)}\n{done.path}")
    return OK


def grid_axes(typed: Sequence[Sequence[str]], settings: Settings) -> dict[str, list[str]]:
    """The values that `--grid` gives to each setting.

    Args:
        typed: (path, values separated by commas) of each `--grid`.
        settings: the settings that were given as options.

    Returns:
        The values by path.

    Raises:
        UsageError: if a value is empty, or a path is set twice.

    Example:
        >>> grid_axes([("data.std", "0.01,0.02")], [])
        {'data.std': ['0.01', '0.02']}
    """
    axes: dict[str, list[str]] = {}
    given = {path.replace("-", "_") for path, _ in settings}
    for name, text in typed:
        path, values = name.replace("-", "_"), [word.strip() for word in text.split(",")]
        if "" in values:
            raise UsageError(f"--grid {name} is {text!r}, and must be values separated by commas")
        if path in axes or path in given:
            raise UsageError(f"{name} is set twice: give it once, either as --{name} for all arms or as --grid {name}")
        axes[path] = values
    return axes
