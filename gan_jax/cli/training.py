"""`gan-jax train` and `gan-jax sweep`: from options to a finished folder."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from gan_jax.cli.arguments import NONFINITE, OK, Settings, UsageError, log


def train_command(options: argparse.Namespace, settings: Settings) -> int:
    """Trains, resumes or branches a run, and prints its verdict."""
    from gan_jax.reports.sample_pictures import picture_samples
    from gan_jax.runs import session
    from gan_jax.runs.request import Request
    from gan_jax.runs.runner import HostOptions
    from gan_jax.scaling import hosts

    if options.resume and options.branch_from:
        raise UsageError("--resume continues a run and --branch-from starts another: give one of them")
    if not (options.config or options.resume or options.branch_from):
        from gan_jax.experiment.configs import config_names

        raise UsageError(f"train needs a config, one of {', '.join(config_names())}, or a Python file")
    for name in ("keep_checkpoints", "branch_points", "pictures"):
        least = 1 if name == "keep_checkpoints" else 0
        if getattr(options, name) < least:
            flag = "--" + name.replace("_", "-")
            raise UsageError(f"{flag} is {getattr(options, name)}, and must be at least {least}")
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
    )
    request = Request(
        config=options.config,
        settings=tuple(settings),
        seed=options.seed,
        location=options.data,
        num_epochs=options.num_epochs,
        run_dir=options.run_dir,
        command=shlex.join(["gan-jax", *sys.argv[1:]]),
    )
    if options.resume:
        done = session.resume_training(request, Path(options.resume), host, say=log)
    elif options.branch_from:
        done = session.branch_training(request, options.branch_from, host, say=log)
    else:
        done = session.start_training(request, host, say=log)
    if hosts.is_leader():
        print(json.dumps(done.to_json(), indent=2) if options.json else done.line())
    if done.verdict.get("stopped_at_collapse"):
        log(f"stopped at step {done.verdict['last_step']:,}; gan-jax train --resume {done.path} trains the rest")
    if done.message:
        log(f"gan-jax: {done.message}")
        return NONFINITE
    return OK


def sweep_command(options: argparse.Namespace, settings: Settings) -> int:
    """Runs or resumes a sweep, and prints a line an arm."""
    from gan_jax.experiment.configs import config_names
    from gan_jax.reports.sample_pictures import picture_samples
    from gan_jax.reports.text_tables import arms_table
    from gan_jax.runs import sweep_session
    from gan_jax.runs.request import Request
    from gan_jax.scaling import hosts
    from gan_jax.scaling.strategies import STRATEGIES

    if not (options.config or options.resume):
        raise UsageError(f"sweep needs a config, one of {', '.join(config_names())}, or a Python file")
    if options.resume and (options.config or options.grid or options.seeds or settings):
        raise UsageError("--resume continues a sweep as it is: leave out the config, --grid, --seeds and settings")
    if options.strategy not in (*STRATEGIES, "auto"):
        raise UsageError(f"--strategy is {options.strategy!r}, and must be one of {', '.join(STRATEGIES)}, auto")
    for name, least in (("max_members", 1), ("pictures", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise UsageError(f"--{name.replace('_', '-')} is {value}, and must be at least {least}")
    host = sweep_session.SweepOptions(
        strategy=options.strategy,
        max_members=options.max_members,
        num_pictures=options.pictures,
        progress=not options.quiet,
        stop_at_collapse=options.stop_at_collapse,
        draw=picture_samples,
    )
    if options.resume:
        done = sweep_session.resume_sweep(Path(options.resume), options.data, host, say=log)
    else:
        request = Request(
            config=options.config,
            settings=tuple(settings),
            arms=None if options.arm is None else tuple(options.arm),
            location=options.data,
            num_epochs=options.num_epochs,
            run_dir=options.run_dir,
            command=shlex.join(["gan-jax", *sys.argv[1:]]),
        )
        axes = {path: [word for word in values.split(",") if word] for path, values in options.grid or ()}
        done = sweep_session.start_sweep(request, axes, read_seeds(options.seeds), host, say=log)
    if not hosts.is_leader():
        return OK
    if options.parquet:
        sweep_session.write_parquet(done.path, done.rows)
    print(json.dumps(done.to_json(), indent=2) if options.json else f"{arms_table(done.rows)}\n{done.path}")
    return OK


def read_seeds(text: str | None) -> int | list[int] | None:
    """The seeds typed for `--seeds`: a count "5", a list "0,3,7", a range "11-21" with both ends, or a list of both.

    Args:
        text: what was typed; None if nothing was.

    Returns:
        A count, the seeds, or None.

    Raises:
        UsageError: if it is none of these.

    Example:
        >>> read_seeds("5"), read_seeds("2-4"), read_seeds("0,3,7-9")
        (5, [2, 3, 4], [0, 3, 7, 8, 9])
    """
    if text is None:
        return None
    seeds: list[int] = []
    for word in filter(None, text.split(",")):
        first, dash, last = word.strip().partition("-")
        if not (first.isdecimal() and (not dash or last.isdecimal())):
            raise UsageError(f"--seeds takes a count, seeds or ranges (5, or 0,3,7, or 11-21), and got {text!r}")
        if dash and int(last) < int(first):
            raise UsageError(f"--seeds {word} ends before it begins: a range is FIRST-LAST")
        seeds += range(int(first), int(last) + 1) if dash else [int(first)]
    if not seeds:
        raise UsageError("--seeds is empty: give a count, seeds or ranges (5, or 0,3,7, or 11-21)")
    return seeds if set(text) & {",", "-"} else seeds[0]
