"""The command line: gan-jax train | evaluate | diagnose | report | data.

Exit codes: 0 done, whatever the verdict; 2 what was asked cannot be done, for the reason given in a line or two; 3 the
run stopped at values that are not finite; 130 interrupted (what was saved can be resumed). GAN_JAX_TRACEBACK=1 in the
environment shows the traceback behind a message.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import logging
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

OK, USAGE, NONFINITE, INTERRUPTED = 0, 2, 3, 130

_TRAIN = """Trains a GAN to a verdict and fills a run folder: metrics.jsonl, samples, checkpoints, verdict.json.

Any setting of the experiment is an option too:
  --discriminator.learning-rate 1e-4   --data.std 0.05   --objective minimax   --generator.network.widths 256,256
  --discriminator.transforms exact-flips --discriminator.transforms.0.rate 0.1
`gan-jax train CONFIG --help` lists them with their values."""

_DIAGNOSE = """For an experiment's own state: the gradient of an unrolled G against central differences in float64,
forward mode against reverse, exact against first order, truncated and implicit (cosine, length), by K; time and memory.
Settings of the experiment are options, as in `train`: --generator.unroll.inner-data fresh"""


class UsageError(ValueError):
    """A command line that asks for something that does not exist."""


class Parser(argparse.ArgumentParser):
    """argparse with errors of one line, and with the options it knows by name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.known: dict[str, bool] = {}
        kwargs |= {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(*args, **kwargs)

    def option(self, name: str, **kwargs: Any) -> None:
        self.known[name] = kwargs.get("action") != "store_true"
        self.add_argument(name, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def build_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser, and those of the commands by name."""
    parser = Parser(prog="gan-jax", description="A laboratory for GAN mode collapse on JAX.")
    parser.add_argument("--version", action="version", version=importlib.metadata.version("gan_jax"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    train = commands.add_parser("train", help="train a GAN to a verdict", description=_TRAIN)
    train.add_argument("config", nargs="?", help="a shipped config, or a Python file that defines experiment()")
    train.option("--data", metavar="DIR", help="where the data set lies: IDX files, or prepared data sets")
    train.option("--seed", type=int, help="of the run's key; 0 if not given")
    train.option("--num-epochs", type=float, metavar="N", help="length in epochs instead of --num-steps (data sets)")
    train.option("--run-dir", metavar="DIR", help="folder of the run; runs/CONFIG-seedN if not given")
    train.option("--resume", metavar="RUN", help="continue this run bit for bit; a larger --num-steps prolongs it")
    train.option("--branch-from", metavar="RUN[@STEP]", help="start from an old state; --seed gives another key")
    train.option("--json", action="store_true", help="print the verdict as JSON")
    train.option("--quiet", action="store_true", help="no progress")
    train.option("--keep-checkpoints", type=int, default=3, metavar="N", help="newest that are kept; 3")
    train.option("--branch-points", type=int, default=10, metavar="N", help="checkpoints kept for good; 10")
    train.option("--pictures", type=int, default=24, metavar="N", help="sample pictures over the run; 24")
    train.option("--tensorboard", action="store_true", help="also write TensorBoard event files")

    evaluate = commands.add_parser("evaluate", help="measure a run's generator again, with any number of samples")
    evaluate.add_argument("run", help="a run folder")
    evaluate.option("--step", type=int, help="of the checkpoint; the newest if not given")
    evaluate.option("--num-samples", type=int, metavar="N", help="samples to draw; as in training if not given")
    evaluate.option("--seed", type=int, help="of fresh latents; the run's own bank if not given")
    evaluate.option("--data", metavar="DIR", help="where the data set lies, if it has moved")
    evaluate.option("--json", action="store_true", help="print the result as JSON")

    diagnose = commands.add_parser("diagnose", help="look into a game")
    kinds = diagnose.add_subparsers(dest="kind", required=True, metavar="unroll", parser_class=Parser)
    unroll = kinds.add_parser(
        "unroll", help="is the unrolled gradient right, which part matters, what does it cost", description=_DIAGNOSE
    )
    unroll.add_argument("config", help="a config, or a run folder, whose newest checkpoint is then the state")
    unroll.option("--data", metavar="DIR", help="where the data set lies")
    unroll.option("--seed", type=int, default=0, help="of the initial state; 0")
    unroll.option("--warm-up", type=int, default=100, metavar="N", help="steps of the plain game before; 100")
    unroll.option("--steps", default="1,5,10", metavar="K,...", help="numbers of unrolled updates; 1,5,10")
    unroll.option("--memory", default="all,step,sqrt", metavar="M,...", help="memory options to time, or none")
    unroll.option("--directions", type=int, default=3, metavar="N", help="to compare derivatives along; 0 for none, 3")
    unroll.option("--rounds", type=int, default=5, metavar="N", help="timed evaluations; 0 to compile only, 5")
    unroll.option("--json", action="store_true", help="print the result as JSON")
    unroll.option("--out", metavar="FILE", help="write the result as JSON here")
    unroll.option("--plot", metavar="FILE", help="write a picture here")

    report = commands.add_parser("report", help="one HTML file: verdict, curves, samples, experiment")
    report.add_argument("run", help="a run folder")
    report.option("--out", metavar="FILE", help="where to write it; RUN/report.html if not given")

    data = commands.add_parser("data", help="list, prepare and show data sets")
    actions = data.add_subparsers(dest="action", required=True, metavar="list|prepare|show", parser_class=Parser)
    listed = actions.add_parser("list", help="which data sets are there, and how to get the others")
    listed.option("--data", metavar="DIR", help="where to look")
    prepare = actions.add_parser("prepare", help="make a data set ready for all later runs")
    prepare.add_argument("name", help="mnist, fashion_mnist, or a name for the IDX files in --from")
    prepare.option("--from", dest="source", metavar="DIR", help="a directory of IDX files; downloads if not given")
    prepare.option("--data", metavar="DIR", help="where to write; tensorflow-datasets' default if not given")
    show = actions.add_parser("show", help="a grid picture of a data set")
    show.add_argument("name", help="a data set")
    show.option("--data", metavar="DIR", help="where it lies")
    show.option("--size", type=int, default=28, help="pixels along a side: 16, 28, 32 or 64")
    show.option("--out", metavar="FILE", help="the picture; NAME.png if not given")
    return parser, {"train": train, "evaluate": evaluate, "report": report, "unroll": unroll}


def split_overrides(arguments: Sequence[str], known: dict[str, bool]) -> tuple[list[str], list[tuple[str, str]]]:
    """Separates the experiment's settings from the command's own options.

    Returns:
        The command's own arguments, and (path, value) of each setting, in order.
    """
    own: list[str] = []
    settings: list[tuple[str, str]] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("--") or name in known or name == "--help":
            own.append(word)
            if known.get(name) and not equals and rest:
                own.append(rest.pop(0))
            continue
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise UsageError(f"{name} needs a value: {name} VALUE")
            value = rest.pop(0)
        settings.append((name.removeprefix("--"), value))
    return own, settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code. What a user can mend is said in a line or two, without a traceback."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        parser, commands = build_parser()
        settings: list[tuple[str, str]] = []
        if arguments and arguments[0] == "train":
            own, settings = split_overrides(arguments[1:], commands["train"].known)
            if "--help" in own or "-h" in own:
                return _train_help(commands["train"], own, settings)
            arguments = ["train", *own]
        if arguments[:2] == ["diagnose", "unroll"]:
            own, settings = split_overrides(arguments[2:], commands["unroll"].known)
            arguments = ["diagnose", "unroll", *own]
        options = parser.parse_args(arguments)
        return _COMMANDS[options.command](options, settings)
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
    from gan_jax.lab import session

    if options.resume and options.branch_from:
        raise UsageError("--resume continues a run and --branch-from starts another: give one of them")
    if not (options.config or options.resume or options.branch_from):
        from gan_jax.lab.configs import config_names

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
    if options.json:
        print(json.dumps(done.to_json(), indent=2))
    else:
        print(done.line())
    if done.message:
        _say(f"gan-jax: {done.message}")
        return NONFINITE
    return OK


def _evaluate(options: argparse.Namespace, settings: list[tuple[str, str]]) -> int:
    from gan_jax.lab.evaluation import evaluate_run, table

    result = evaluate_run(
        Path(options.run),
        step=options.step,
        num_samples=options.num_samples,
        seed=options.seed,
        location=options.data,
    )
    print(json.dumps(result, indent=2) if options.json else table(result))
    return OK


def _diagnose(options: argparse.Namespace, settings: list[tuple[str, str]]) -> int:
    from gan_jax.lab import unrolling
    from gan_jax.lab.session import Request, load_state

    steps = [_whole(text, "--steps") for text in options.steps.split(",")]
    memories = [] if options.memory == "none" else options.memory.split(",")
    for name, least in (("warm_up", 0), ("directions", 0), ("rounds", 0)):
        if getattr(options, name) < least:
            raise UsageError(f"--{name.replace('_', '-')} is {getattr(options, name)}, and must be at least {least}")
    for name in (options.out, options.plot):
        if name and not Path(name).absolute().parent.is_dir():
            raise UsageError(f"the folder of {name} does not exist: make it first")
    request = Request(config=options.config, settings=tuple(settings), seed=options.seed, location=options.data)
    experiment, resources, state = load_state(request)
    if state is None:
        state = unrolling.warm_state(experiment, resources, options.seed, options.warm_up)
    result = unrolling.diagnose_unroll(
        experiment,
        resources,
        state,
        num_steps=steps,
        memories=memories,
        num_directions=options.directions,
        num_rounds=options.rounds,
        say=lambda line: None if options.json else _say(line),
    )
    result = {"config": options.config, "settings": dict(settings), **result}
    if options.out:
        Path(options.out).write_text(json.dumps(result, indent=2) + "\n")
    if options.plot:
        unrolling.plot(result, Path(options.plot))
    print(json.dumps(result, indent=2) if options.json else unrolling.table(result))
    return OK


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{option} takes whole numbers with commas, and got {text!r}") from None


def _report(options: argparse.Namespace, settings: list[tuple[str, str]]) -> int:
    from gan_jax.lab.report import write_report

    print(write_report(Path(options.run), Path(options.out) if options.out else None))
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


_COMMANDS = {"train": _train, "evaluate": _evaluate, "diagnose": _diagnose, "report": _report, "data": _data}


def _train_help(parser: Parser, own: list[str], settings: list[tuple[str, str]]) -> int:
    """The command's help, and with a config the settings of its experiment."""
    parser.print_help()
    config = next((word for word in own if not word.startswith("-")), None)
    if config is not None:
        from gan_jax.component import describe, is_component
        from gan_jax.lab.configs import load_config, summary
        from gan_jax.settings import override, walk

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
        from gan_jax.lab.configs import config_names, summary

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
