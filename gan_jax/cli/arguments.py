"""The commands and their options."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

from gan_jax.cli.bench import add_bench
from gan_jax.cli.code_options import add_cache_option, add_code_options
from gan_jax.cli.config_files import SHELLS
from gan_jax.cli.diagnose_options import add_run_kinds, add_unroll
from gan_jax.cli.evaluate import add_evaluate
from gan_jax.cli.option_types import SEED, NewFile, Number, Whole, path
from gan_jax.cli.parser import Parser
from gan_jax.cli.training_options import add_collapsebench, add_sweep, add_train

_SAMPLE = """Draws samples from the generator of a checkpoint, and writes them as arrays (.npz) or pictures. An .npz
file holds the arrays samples [n, ...] (images in [-1, 1]), latents, labels (the class by the validated classifier, or
the nearest mode of a mixture) and made_of, a JSON text with the run, step, seed and versions."""

_THRESHOLDS = """Judges the stored evaluations again with other thresholds of the detector, and prints how many runs of
each arm would then count as collapsed. One threshold at a time is set to 2/3 and 3/2 of its value (a window: half and
twice).

  gan-jax thresholds runs/digits_label_noise-sweep
  gan-jax thresholds runs/digits_collapse-seed0 --vary healthy-junk 0.1,0.3 --vary few-classes 3,4
Nothing is trained or measured again."""

_RUN = "the folder of a run, or SWEEP#MEMBER"


def build_parser(prog: str | None = None) -> tuple[Parser, dict[str, Parser]]:
    """The parser of `gan-jax`, and the parsers of five commands by name.

    Args:
        prog: name of the program in usage and error messages; found from `sys.argv` if not given.
    """
    as_module = Path(sys.argv[0]).name == "__main__.py"
    prog = prog or ("python -m gan_jax" if as_module else "gan-jax")
    parser = Parser(prog=prog, description="A laboratory for GAN mode collapse on JAX.")
    parser.add_argument("--version", action="version", version=importlib.metadata.version("gan_jax"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    train, sweep = add_train(commands), add_sweep(commands)
    add_collapsebench(commands)
    evaluate = add_evaluate(commands, _RUN)

    sample = commands.add_parser(
        "sample", help="draw samples of a run's generator, as arrays or pictures", description=_SAMPLE
    )
    sample.add_argument("run", type=path, help=_RUN)
    sample.option("--step", type=Whole(), help="step of the checkpoint (default: the newest)")
    sample.option("--num", type=Whole(1), default=64, metavar="N", help="number of samples (default: 64)")
    sample.option("--seed", type=SEED, help="seed of fresh latents (default: the run's own, as in its evaluations)")
    sample.option(
        "--out",
        required=True,
        type=path,
        metavar="FILE",
        help="an .npz file, a .png file, or a folder that gets one picture per sample",
    )
    sample.option("--data", type=path, metavar="DIR", help="folder of the data set, if it has moved (for the labels)")
    add_cache_option(sample)

    diagnose = commands.add_parser(
        "diagnose",
        help="measure why a run collapsed, or did not",
        description="Measures a stored run, prints a table and a sentence, and keeps the result in RUN/diagnosis.\n"
        "`gan-jax diagnose KIND --help` lists the options of a kind. docs/why_it_collapsed.md says what they show.",
    )
    kinds = diagnose.add_subparsers(dest="kind", required=True, metavar="KIND", parser_class=Parser)
    unroll = add_unroll(kinds)
    add_run_kinds(kinds)

    thresholds = commands.add_parser(
        "thresholds", help="judge stored runs again with other thresholds of the detector", description=_THRESHOLDS
    )
    thresholds.add_argument(
        "run", nargs="+", type=path, help="the folder of a run or of a sweep; or several sweeps, read as one"
    )
    thresholds.option(
        "--vary",
        nargs=2,
        action="append",
        metavar=("NAME", "V1,V2"),
        help="vary only this threshold, over these values; may be repeated",
    )
    thresholds.option("--data", type=path, metavar="DIR", help="folder of the data set, if it has moved")
    thresholds.option("--json", action="store_true", help="print the result as JSON")
    add_cache_option(thresholds)

    report = commands.add_parser(
        "report",
        help="write an HTML report of a run or a sweep, of runs compared, or of sweeps joined",
        description="Writes one HTML file. For a run: verdict, samples, curves, diagnoses and settings. For a sweep: "
        "the arms\ncompared by their collapses over time, with tests.",
    )
    report.add_argument(
        "run",
        nargs="+",
        type=path,
        help="the folder of a run or of a sweep; several runs, which are compared; or several sweeps, read as one",
    )
    report.option("--out", type=NewFile(), metavar="FILE", help="file of the report (default: RUN/report.html)")
    report.option(
        "--baseline", metavar="ARM", help="arm of a sweep that the others are tested against (default: the first)"
    )

    watch = commands.add_parser(
        "watch",
        help="show the report of a run in a browser while it trains",
        description="Serves the report of a run or a sweep on localhost, and updates it while the run trains.\n"
        "Ctrl-C ends it.",
    )
    watch.add_argument("run", type=path, help="the folder of a run or of a sweep")
    watch.option(
        "--port", type=Whole(0, 65_535), default=8100, help="port on localhost (default: 8100, or the next free one)"
    )
    watch.option(
        "--every",
        type=Number(least=0.2, most=3600),
        default=5.0,
        metavar="S",
        help="seconds between readings of the folder (default: 5)",
    )

    data = commands.add_parser("data", help="list, prepare and show data sets")
    actions = data.add_subparsers(dest="action", required=True, metavar="list|prepare|show", parser_class=Parser)
    listed = actions.add_parser("list", help="list the data sets that are found, and how to get the others")
    listed.option("--data", type=path, metavar="DIR", help="the folder to search")
    prepare = actions.add_parser("prepare", help="convert or download a data set once, for all later runs")
    prepare.add_argument("name", help="mnist, fashion_mnist, or a name for the IDX files in --from")
    prepare.option(
        "--from", dest="source", type=path, metavar="DIR", help="a folder of IDX files (default: download the data set)"
    )
    prepare.option("--data", type=path, metavar="DIR", help="folder to write to (default: that of tensorflow-datasets)")
    show = actions.add_parser("show", help="write a picture with a grid of examples of a data set")
    show.add_argument("name", help="the name of a data set")
    show.option("--data", type=path, metavar="DIR", help="folder of the data set")
    show.option("--size", type=Whole(1), default=28, help="pixels per side: 16, 28, 32 or 64 (default: 28)")
    show.option("--out", type=NewFile(), metavar="FILE", help="file of the picture (default: NAME.png)")
    add_bench(commands)
    listing = commands.add_parser("configs", help="list the shipped configs: what each shows, its cost, its figure")
    listing.option("--json", action="store_true", help="print the list as JSON")

    new = commands.add_parser("new", help="write a config file to start from")
    new.add_argument("name", type=path, help="name of the new config; my_ring writes my_ring.py")
    new.option(
        "--from", dest="base", default="ring", metavar="CONFIG", help="shipped config to start from (default: ring)"
    )

    completion = commands.add_parser(
        "completion",
        help="print a script that completes commands, options and configs in a shell",
        description='For bash: eval "$(gan-jax completion bash)". Put this line into ~/.bashrc to keep it.',
    )
    completion.add_argument("shell", choices=SHELLS, help="the shell")
    for reader in (train, sweep, evaluate, sample, unroll, thresholds, report, watch):
        add_code_options(reader)
    return parser, {"train": train, "sweep": sweep, "evaluate": evaluate, "report": report, "unroll": unroll}
