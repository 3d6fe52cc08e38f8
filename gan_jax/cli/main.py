"""The command line: gan-jax train | sweep | collapsebench | evaluate | sample | diagnose | thresholds | report |
watch | data | configs | new | completion | bench.

Exit codes: 0 done, whatever the verdict; 2 the request cannot be met, for the reason that the message gives; 3 the run
stopped because its values were no longer finite; 4 another process of the command has ended; 130 interrupted (what was
saved can be resumed). GAN_JAX_TRACEBACK=1 in the environment shows the traceback behind a message.
"""

from __future__ import annotations

import logging
import os
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from gan_jax.cli import config_files, results, training
from gan_jax.cli.arguments import build_parser
from gan_jax.cli.bench import bench_command
from gan_jax.cli.collapsebench import collapsebench_command
from gan_jax.cli.console import log
from gan_jax.cli.environment import leave_other_processes, prepare_cache, prepare_devices, without_nan_checks
from gan_jax.cli.evaluate import evaluate_command
from gan_jax.cli.parser import INTERRUPTED, OK, USAGE, Parser, Settings, split_overrides
from gan_jax.cli.sample import sample_command
from gan_jax.cli.streams import guard_streams

COMMANDS = {
    "train": training.train_command,
    "sweep": training.sweep_command,
    "collapsebench": collapsebench_command,
    "evaluate": evaluate_command,
    "sample": sample_command,
    "diagnose": results.diagnose_command,
    "thresholds": results.thresholds_command,
    "report": results.report_command,
    "watch": results.watch_command,
    "data": results.data_command,
    "bench": bench_command,
    "configs": config_files.configs_command,
    "new": config_files.new_command,
    "completion": config_files.completion_command,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code.

    An error that a user can mend is reported by a message of one or two lines, without a traceback.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    # If one array of a checkpoint cannot be written, nobody awaits the others, and asyncio would log their tracebacks.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    typed = arguments
    try:
        parser, commands = build_parser()
        settings: Settings = []
        if arguments and arguments[0] in ("train", "sweep"):
            own, settings = split_overrides(arguments[1:], commands[arguments[0]].known)
            if "--help" in own or "-h" in own:
                return _settings_help(commands[arguments[0]], own, settings)
            arguments = [arguments[0], *own]
        if arguments[:2] == ["diagnose", "unroll"]:
            own, settings = split_overrides(arguments[2:], commands["unroll"].known)
            arguments = ["diagnose", "unroll", *own]
        options = parser.parse_args(arguments)
        options.typed = typed
        prepare_devices(options)
        prepare_cache(options)
        with without_nan_checks():
            code = COMMANDS[options.command](options, settings)
        leave_other_processes()
        return code
    except RuntimeError as error:
        leave_other_processes(failed=True)
        if "RESOURCE_EXHAUSTED" not in str(error) or os.environ.get("GAN_JAX_TRACEBACK"):
            raise
        return _refuse(f"out of memory ({_first_line(error)}): use smaller batches or networks, or fewer samples")
    except MemoryError:
        return _refuse("out of memory: use smaller batches or networks, or fewer samples")
    except ValueError as error:
        if os.environ.get("GAN_JAX_TRACEBACK"):
            raise
        return _refuse(str(error))
    except OSError as error:
        if os.environ.get("GAN_JAX_TRACEBACK"):
            raise
        return _refuse(f"{error.filename or 'a file'} cannot be used: {error.strerror or error}")
    except KeyboardInterrupt as error:
        log(f"gan-jax: interrupted{_continuation(arguments, error)}")
        return INTERRUPTED


def _continuation(arguments: Sequence[str], error: KeyboardInterrupt) -> str:
    """How to go on after an interruption, in words; "" if the command writes no folder that can be continued."""
    command = arguments[0] if arguments else ""
    if command == "collapsebench":
        return "; the same command continues it"
    # `gan_jax.runs.folders.Interrupted` has a path. That module imports JAX, which takes longer than `--help` should.
    path = getattr(error, "path", None)
    if path is None or command not in ("train", "sweep"):
        return ""
    return f"; continue with gan-jax {command} --resume {shlex.quote(str(path))}"


def _refuse(message: str) -> int:
    """Logs, in at most two lines, why the request is refused. Returns the exit code."""
    lines = [line for line in message.splitlines() if line.strip()][:2]
    log("gan-jax: " + "\n".join(lines or ["the request cannot be met; GAN_JAX_TRACEBACK=1 shows why"]))
    return USAGE


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _settings_help(parser: Parser, own: list[str], settings: Settings) -> int:
    """Prints the command's help, then the settings of the config that was given, or else the list of all configs."""
    parser.print_help()
    config = parser.parse_args([word for word in own if word not in ("--help", "-h")]).config
    if config is not None:
        from gan_jax.experiment.component import describe, is_component
        from gan_jax.experiment.configs import config_summary, load
        from gan_jax.experiment.settings import override_all, walk

        experiment = override_all(load(config), settings)
        print(f"\nsettings of {config}: {config_summary(config)}")
        for setting in walk(experiment):
            value = setting.value
            shown = type(value).__name__ if is_component(value) else value
            if isinstance(value, tuple):
                shown = ",".join(type(v).__name__ if is_component(v) else str(v) for v in value) or "none"
            takes = describe(setting.field, setting.annotation)
            if setting.path == "data":  # --data is the folder of the data; other data need another config
                print(f"  data: {shown}\n      {setting.field.metadata.get('doc', '')}")
                continue
            flag = "--" + setting.path.replace("_", "-")
            print(f"  {flag} {shown}\n      {setting.field.metadata.get('doc', '')} ({takes})")
    else:
        from gan_jax.experiment.configs import config_names, config_summary

        print("\nconfigs:")
        for name in config_names():
            print(f"  {name:31} {config_summary(name)}")
    return OK


def entry() -> NoReturn:
    """The console script `gan-jax`."""
    guard_streams()
    if sys.argv[1:2] in (["report"], ["watch"]):  # they only draw: leave the accelerator's memory to training
        os.environ["JAX_PLATFORMS"] = "cpu"
    code: int | str | None
    try:
        code = main()
    except SystemExit as ended:  # argparse raises it after --help and --version
        code = ended.code
    sys.exit(_delivered(code))


def _delivered(code: int | str | None) -> int | str | None:
    """The exit code after standard output is flushed; that of a refusal if the output cannot be written."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return _refuse(f"standard output cannot be used: {error.strerror}") if code in (OK, None) else code
    return code


if __name__ == "__main__":
    entry()
