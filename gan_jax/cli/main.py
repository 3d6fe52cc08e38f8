"""The command line: gan-jax train | sweep | evaluate | diagnose | report | watch | data.

Exit codes: 0 done, whatever the verdict; 2 what was asked cannot be done, for the reason given in a line or two; 3 the
run stopped at values that are not finite; 4 another process of the command has ended; 130 interrupted (what was saved
can be resumed). GAN_JAX_TRACEBACK=1 in the environment shows the traceback behind a message.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from gan_jax.cli.arguments import Parser, UsageError, build_parser, split_overrides

OK, USAGE, NONFINITE, INTERRUPTED = 0, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code. What a user can mend is said in a line or two, without a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        parser, commands = build_parser()
        settings: list[tuple[str, str]] = []
        if arguments and arguments[0] in ("train", "sweep"):
            own, settings = split_overrides(arguments[1:], commands[arguments[0]].known)
            if "--help" in own or "-h" in own:
                return _settings_help(commands[arguments[0]], own, settings)
            arguments = [arguments[0], *own]
        if arguments[:2] == ["diagnose", "unroll"]:
            own, settings = split_overrides(arguments[2:], commands["unroll"].known)
            arguments = ["diagnose", "unroll", *own]
        options = parser.parse_args(arguments)
        _prepare_devices(options)
        code = _COMMANDS[options.command](options, settings)
        _leave()
        return code
    except RuntimeError:
        _leave(failed=True)
        raise
    except ValueError as error:
        if os.environ.get("GAN_JAX_TRACEBACK"):
            raise
        _say(f"gan-jax: {error}")
        return USAGE
    except OSError as error:
        if os.environ.get("GAN_JAX_TRACEBACK"):
            raise
        _say(f"gan-jax: {error.filename or 'a file'} cannot be used: {error.strerror or error}")
        return USAGE
    except KeyboardInterrupt:
        _say("gan-jax: interrupted; a run continues with gan-jax train --resume RUN")
        return INTERRUPTED


def _train(options: argparse.Namespace, settings: list[tuple[str, str]]) -> int:
    from gan_jax.runs import session
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
    host = session.HostOptions(
        num_pictures=options.pictures,
        keep=options.keep_checkpoints,
        num_branch_points=options.branch_points,
        progress=not options.quiet,
        tensorboard=options.tensorboard,
        data_parallel=options.data_parallel or options.devices is not None,
        num_devices=options.devices,
    )
    request = session.Request(
        config=options.config,
        settings=tuple(settings),
        seed=options.seed,
        location=options.data,
        num_epochs=options.num_epochs,
        run_dir=options.run_dir,
        command=shlex.join(["gan-jax", *sys.argv[1:]]),
    )
    if options.resume:
        done = session.resume_training(request, Path(options.resume), host, say=_say)
    elif options.branch_from:
        done = session.branch_training(request, options.branch_from, host, say=_say)
    else:
        done = session.start_training(request, host, say=_say)
    if hosts.is_leader():
        print(json.dumps(done.to_json(), indent=2) if options.json else done.line())
    if done.message:
        _say(f"gan-jax: {done.message}")
        return NONFINITE
    return OK


def _sweep(options: argparse.Namespace, settings: list[tuple[str, str]]) -> int:
    from gan_jax.experiment.configs import config_names
    from gan_jax.reports.text_tables import arms_table
    from gan_jax.runs import session, sweep_session
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
    )
    if options.resume:
        done = sweep_session.resume_sweep(Path(options.resume), options.data, host, say=_say)
    else:
        request = session.Request(
            config=options.config,
            settings=tuple(settings),
            location=options.data,
            num_epochs=options.num_epochs,
            run_dir=options.run_dir,
            command=shlex.join(["gan-jax", *sys.argv[1:]]),
        )
        axes = {path: [word for word in values.split(",") if word] for path, values in options.grid or ()}
        done = sweep_session.start_sweep(request, axes, _seeds(options.seeds), host, say=_say)
    if not hosts.is_leader():
        return OK
    if options.parquet:
        sweep_session.write_parquet(done.path, done.rows)
    print(json.dumps(done.to_json(), indent=2) if options.json else f"{arms_table(done.rows)}\n{done.path}")
    return OK


def _seeds(text: str | None) -> int | list[int] | None:
    if text is None:
        return None
    words = [_whole(word, "--seeds") for word in text.split(",") if word]
    return words if "," in text else words[0]


def _prepare_devices(options: argparse.Namespace) -> None:
    """What has to be said to jax before it looks for devices: other processes, and devices of a CPU."""
    if options.command not in ("train", "sweep"):
        return
    if options.devices is not None and options.devices < 1:
        raise UsageError(f"--devices is {options.devices}, and must be at least 1")
    import jax

    # Members, or the parts of a batch, are dealt out to devices: on a CPU one a core, unless the environment says more.
    deals = options.data_parallel if options.command == "train" else options.strategy not in ("map", "vmap")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if options.devices is not None or (deals and "device_count" not in os.environ.get("XLA_FLAGS", "")):
        jax.config.update("jax_num_cpu_devices", options.devices or cores)
    if options.distributed or any(
        value is not None for value in (options.coordinator, options.num_processes, options.process_id)
    ):
        from gan_jax.scaling import hosts

        hosts.join(options.coordinator, options.num_processes, options.process_id, _say)


def _leave(failed: bool = False) -> None:
    """Tells other processes, if there are any, that this one ends; after an error of communication, hears from them."""
    if "gan_jax.scaling.hosts" in sys.modules:
        from gan_jax.scaling import hosts

        if failed:
            hosts.wait_for_news()
        else:
            hosts.leave()


def _evaluate(options: argparse.Namespace, settings: list[tuple[str, str]]) -> int:
    from gan_jax.reports.text_tables import evaluation_table
    from gan_jax.runs.evaluation import evaluate_run

    result = evaluate_run(
        Path(options.run),
        step=options.step,
        num_samples=options.num_samples,
        seed=options.seed,
        location=options.data,
        truncation=options.truncation,
    )
    print(json.dumps(result, indent=2) if options.json else evaluation_table(result))
    return OK


def _diagnose(options: argparse.Namespace, settings: list[tuple[str, str]]) -> int:
    for name in (options.out, options.plot):
        if name and not Path(name).absolute().parent.is_dir():
            raise UsageError(f"the folder of {name} does not exist: make it first")
    say = (lambda line: None) if options.json else _say
    kind = importlib.import_module(f"gan_jax.cli.diagnose_{options.kind}")
    report = importlib.import_module(f"gan_jax.reports.diagnosis_{options.kind}")
    options.settings = settings
    result, kept = kind.diagnose(options, say), None
    if options.kind != "unroll":  # which is of a config, and has no folder of a run
        from gan_jax.runs.run_directory import RunDirectory
        from gan_jax.runs.run_states import keep_diagnosis

        result = {"kind": options.kind, "run": options.run, **result}
        kept = keep_diagnosis(RunDirectory(Path(options.run)), options.kind, result)
    if options.out:
        Path(options.out).write_text(json.dumps(result, indent=2) + "\n")
    if options.plot:
        report.figure(result).savefig(options.plot)
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        print(*filter(None, (report.table(result), result["sentence"], kept)), sep="\n")
    return OK


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{option} takes whole numbers with commas, and got {text!r}") from None


def _report(options: argparse.Namespace, settings: list[tuple[str, str]]) -> int:
    import jax

    jax.config.update("jax_platforms", "cpu")  # it draws, and takes no memory from a run on an accelerator
    from gan_jax.reports.report import write_report
    from gan_jax.reports.sweep_report import write_sweep_report

    path, out = Path(options.run), Path(options.out) if options.out else None
    if (path / "sweep.json").is_file():
        print(write_sweep_report(path, out, options.baseline))
    elif options.baseline is not None:
        raise UsageError(f"--baseline is for sweeps, and {path} is none")
    else:
        print(write_report(path, out))
    return OK


def _watch(options: argparse.Namespace, settings: list[tuple[str, str]]) -> int:
    from gan_jax.reports.watch import watch

    if not 0.2 <= options.every <= 3600:
        raise UsageError(f"--every is {options.every}, and must be between 0.2 and 3600 seconds")
    if not 0 <= options.port < 65536:
        raise UsageError(f"--port is {options.port}, and must be between 0 (any that is free) and 65535")
    watch(Path(options.run), port=options.port, every=options.every, log=_say)
    return OK


def _data(options: argparse.Namespace, settings: list[tuple[str, str]]) -> int:
    from gan_jax.data.images import Images, listing, show_grid
    from gan_jax.data.prepared import prepare

    place = Path(options.data) if options.data else None
    if options.action == "list":
        rows = [
            {key: "-" if value is None else str(value) for key, value in row._asdict().items()}
            for row in listing(place)
        ]
        widths = {key: max(len(row[key]) for row in [*rows, {k: k for k in rows[0]}]) for key in rows[0]}
        for row in [{key: key for key in widths}, *rows]:
            print("  ".join(row[key].ljust(width) for key, width in widths.items()).rstrip())
    elif options.action == "prepare":
        source = Path(options.source) if options.source else None
        print(f"{options.name} is ready in {prepare(options.name, source=source, data_dir=place)}")
    else:
        out = Path(options.out or f"{options.name}.png")
        show_grid(Images(name=options.name, image_size=options.size).load(place), out)
        print(out)
    return OK


_COMMANDS = {
    "train": _train,
    "sweep": _sweep,
    "evaluate": _evaluate,
    "diagnose": _diagnose,
    "report": _report,
    "watch": _watch,
    "data": _data,
}


def _settings_help(parser: Parser, own: list[str], settings: list[tuple[str, str]]) -> int:
    """The command's help, and with a config the settings of its experiment."""
    parser.print_help()
    config = next((word for word in own if not word.startswith("-")), None)
    if config is not None:
        from gan_jax.experiment.component import describe, is_component
        from gan_jax.experiment.configs import load_config, summary
        from gan_jax.experiment.settings import override, walk

        experiment = load_config(config)
        for path, value in settings:
            experiment = override(experiment, path, value)
        print(f"\nsettings of {config}: {summary(config)}")
        for setting in walk(experiment):
            value = setting.value
            shown = type(value).__name__ if is_component(value) else value
            if isinstance(value, tuple):
                shown = ",".join(type(v).__name__ if is_component(v) else str(v) for v in value) or "none"
            takes = describe(setting.field, setting.annotation)
            if setting.path == "data":  # its option is the folder of the data; another kind of data is another config
                print(f"  data: {shown}\n      {setting.field.metadata.get('doc', '')}")
                continue
            flag = "--" + setting.path.replace("_", "-")
            print(f"  {flag} {shown}\n      {setting.field.metadata.get('doc', '')} ({takes})")
    else:
        from gan_jax.experiment.configs import config_names, summary

        print("\nconfigs:")
        for name in config_names():
            print(f"  {name:28} {summary(name)}")
    return OK


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def entry() -> NoReturn:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    entry()
