"""The commands and their options."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from pathlib import Path

from gan_jax.cli.bench import add_bench
from gan_jax.cli.code_options import add_code_options
from gan_jax.cli.config_files import SHELLS
from gan_jax.cli.diagnose_options import add_run_kinds
from gan_jax.cli.evaluate import add_evaluate
from gan_jax.cli.option_types import PICTURE, SEED, NewFile, Number, Several, Whole, path, seeds
from gan_jax.cli.parser import Parser

_TRAIN = """Trains a GAN to a verdict and fills a run folder: metrics.jsonl, samples, checkpoints, verdict.json.

Any setting of the experiment is an option too:
  --discriminator.learning-rate 1e-4   --data.std 0.05   --objective minimax   --generator.network.widths 256,256
  --discriminator.transforms exact-flips --discriminator.transforms.0.rate 0.1
Remedies (docs/remedies.md) follow the config: ring+packing_2, ring+r1+replay_fifo.
`gan-jax train CONFIG --help` lists them with their values."""

_SWEEP = """Trains arms by seeds as one compiled program and fills a folder: members.csv, metrics, samples, checkpoints.

  gan-jax sweep ring_label_noise
  gan-jax sweep ring --discriminator.transforms exact-flips --grid discriminator.transforms.0.rate 0,0.05 --seeds 20
Settings of the experiment are options, as in `train`, for all arms. `gan-jax report SWEEP` compares the arms."""

_BENCH = """Plays the games of CollapseBench with a remedy. Each game is known to collapse with some seeds. The score of
a remedy is the share of these collapses that it prevents, with its 95 % interval; quality and cost stand beside it.

  gan-jax collapsebench plain label_noise r3gan
  gan-jax collapsebench my_remedy.py     # it defines remedy(experiment), which returns the changed experiment
Games that have ended are not played again. Without a remedy the table of all scores is printed."""

_SAMPLE = """Draws samples from a checkpoint's generator. An .npz file holds samples [n, ...] (images in [-1, 1]),
latents, labels (classes by the validated classifier, or the nearest mode of a mixture) and made_of, a JSON text with
the run, step, seed and versions."""

_THRESHOLDS = """Reads the stored evaluations again with other thresholds of the detector, and prints how many runs of
each arm would be called collapsed: one threshold at a time, at 2/3 and 3/2 of its value (windows: half and twice).

  gan-jax thresholds runs/digits_label_noise-sweep
  gan-jax thresholds runs/digits_collapse-seed0 --vary healthy-junk 0.1,0.3 --vary few-classes 3,4
Nothing is trained or measured again."""

_RESTART = "with --resume: start over what cannot be continued; what is there is kept in set_aside/"

_RUN = "the folder of a run, or SWEEP#MEMBER"

_DIAGNOSE = """For an experiment's own state: the gradient of an unrolled G against central differences in float64,
forward mode against reverse, exact against first order, truncated and implicit (cosine, length), by K; time and memory.
Settings of the experiment are options, as in `train`: --generator.unroll.inner-data fresh"""


def build_parser(prog: str | None = None) -> tuple[Parser, dict[str, Parser]]:
    """The parser, and those of the commands by name; `prog` is the program's name in its texts."""
    as_module = Path(sys.argv[0]).name == "__main__.py"
    prog = prog or ("python -m gan_jax" if as_module else "gan-jax")
    parser = Parser(prog=prog, description="A laboratory for GAN mode collapse on JAX.")
    parser.add_argument("--version", action="version", version=importlib.metadata.version("gan_jax"))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    train = commands.add_parser("train", help="train a GAN to a verdict", description=_TRAIN)
    train.add_argument(
        "config", nargs="?", type=path, help="a shipped config, or a Python file that defines experiment()"
    )
    train.option("--data", type=path, metavar="DIR", help="where the data set lies: IDX files, or prepared data sets")
    train.option("--seed", type=SEED, help="of the run's key; 0 if not given")
    train.option(
        "--num-epochs",
        type=Number(above=0, most=1e6),
        metavar="N",
        help="length in epochs instead of --num-steps (data sets)",
    )
    train.option("--run-dir", type=path, metavar="DIR", help="folder of the run; runs/CONFIG-seedN if not given")
    train.option(
        "--resume", type=path, metavar="RUN", help="continue this run bit for bit; a larger --num-steps prolongs it"
    )
    train.option("--restart", action="store_true", help=_RESTART)
    train.option(
        "--branch-from",
        type=path,
        metavar="RUN[@STEP]",
        help="start from an old state (also SWEEP#MEMBER[@STEP]); --seed: new key",
    )
    train.option("--stop-at-collapse", action="store_true", help="end the run once it has collapsed for a window")
    train.option("--metrics", metavar="all|NAME,..", help="also measure samples by these at evaluations: kid,prdc")
    train.option("--json", action="store_true", help="print the verdict as JSON")
    train.option("--quiet", action="store_true", help="no progress")
    train.option("--keep-checkpoints", type=Whole(1), default=3, metavar="N", help="newest that are kept; 3")
    train.option("--branch-points", type=Whole(), default=10, metavar="N", help="checkpoints kept for good; 10")
    train.option("--pictures", type=Whole(), default=24, metavar="N", help="sample pictures over the run; 24")
    train.option("--tensorboard", action="store_true", help="also write TensorBoard event files")
    train.option("--data-parallel", action="store_true", help="split each batch over all devices")
    train.option("--devices", type=Whole(1, 4096), metavar="N", help="how many of them; all if not given")
    _add_host_options(train)

    sweep = commands.add_parser("sweep", help="many runs as one program: arms by seeds", description=_SWEEP)
    sweep.add_argument(
        "config", nargs="?", type=path, help="a config with sweep(), or any config with --grid or --seeds"
    )
    sweep.option("--grid", nargs=2, action="append", metavar=("PATH", "V1,V2"), help="vary a setting; may be repeated")
    sweep.option(
        "--seeds", type=seeds, metavar="N|I,J-K,..", help="runs an arm, or which seeds: 11-21; the config's, or 5"
    )
    strategies = "map, vmap, pmap-map, pmap-vmap, or auto, which measures them"
    sweep.option("--arm", action="append", metavar="NAME", help="one arm of the config's sweep; may be repeated")
    sweep.option("--strategy", default="auto", metavar="NAME", help=strategies)
    sweep.option("--engine", dest="strategy", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # its first name
    sweep.option("--devices", type=Whole(1, 4096), metavar="N", help="CPU devices to deal the runs out to; one a core")
    sweep.option(
        "--max-members", type=Whole(1), metavar="N", help="run at most so many at once; as many as fit the memory"
    )
    sweep.option("--data", type=path, metavar="DIR", help="where the data set lies: IDX files, or prepared data sets")
    sweep.option(
        "--num-epochs",
        type=Number(above=0, most=1e6),
        metavar="N",
        help="length in epochs instead of --num-steps (data sets)",
    )
    sweep.option("--run-dir", type=path, metavar="DIR", help="folder of the sweep; runs/CONFIG-sweep if not given")
    sweep.option("--stop-at-collapse", action="store_true", help="end runs that go together once all have collapsed")
    sweep.option("--resume", type=path, metavar="SWEEP", help="continue this sweep from its newest checkpoints")
    sweep.option("--restart", action="store_true", help=_RESTART)
    sweep.option("--pictures", type=Whole(1), default=4, metavar="N", help="sample pictures of each run; 4")
    sweep.option("--parquet", action="store_true", help="also write members.parquet")
    sweep.option("--json", action="store_true", help="print all rows as JSON")
    sweep.option("--quiet", action="store_true", help="no progress")
    _add_host_options(sweep)

    bench = commands.add_parser(
        "collapsebench", help="how many known collapses a remedy prevents, with intervals", description=_BENCH
    )
    bench.add_argument(
        "remedy", nargs="*", type=path, help="names of remedies, or Python files that define remedy(experiment)"
    )
    bench.option("--game", action="append", metavar="NAME", help="play this game only; may be repeated")
    bench.option(
        "--run-dir", type=path, default="runs/collapsebench", metavar="DIR", help="folder of all remedies' sweeps"
    )
    bench.option("--strategy", default="auto", metavar="NAME", help=strategies)
    bench.option("--devices", type=Whole(1, 4096), metavar="N", help="CPU devices to deal the runs out to; one a core")
    bench.option("--data", type=path, metavar="DIR", help="where the data sets lie")
    bench.option("--json", action="store_true", help="print the scores as JSON")
    bench.option("--quiet", action="store_true", help="no progress")
    bench.set_defaults(distributed=False, coordinator=None, num_processes=None, process_id=None)
    _add_cache_option(bench)

    evaluate = add_evaluate(commands, _RUN)

    sample = commands.add_parser(
        "sample", help="samples of a run's generator as arrays or pictures", description=_SAMPLE
    )
    sample.add_argument("run", type=path, help=_RUN)
    sample.option("--step", type=Whole(), help="of the checkpoint; the newest if not given")
    sample.option("--num", type=Whole(1), default=64, metavar="N", help="how many samples; 64")
    sample.option("--seed", type=SEED, help="of fresh latents; the run's own bank if not given")
    sample.option(
        "--out", required=True, type=path, metavar="FILE", help="an .npz, a .png, or a folder for a picture a sample"
    )
    sample.option("--data", type=path, metavar="DIR", help="where the data set lies, if it has moved (for labels)")
    _add_cache_option(sample)

    diagnose = commands.add_parser("diagnose", help="measurements that explain a run")
    kinds = diagnose.add_subparsers(dest="kind", required=True, metavar="KIND", parser_class=Parser)
    unroll = kinds.add_parser(
        "unroll", help="is the unrolled gradient right, which part matters, what does it cost", description=_DIAGNOSE
    )
    unroll.add_argument(
        "config",
        type=path,
        help="a config; or a run's folder or SWEEP#MEMBER, whose newest checkpoint is then the state",
    )
    unroll.option("--data", type=path, metavar="DIR", help="where the data set lies")
    unroll.option("--seed", type=SEED, default=0, help="of the initial state; 0")
    unroll.option("--warm-up", type=Whole(), default=100, metavar="N", help="steps of the plain game before; 100")
    unroll.option(
        "--steps",
        type=Several(Whole(1, 10_000)),
        default="1,5,10",
        metavar="K,...",
        help="numbers of unrolled updates; 1,5,10",
    )
    unroll.option(
        "--memory", type=Several(str), default="all,step,sqrt", metavar="M,...", help="memory options to time, or none"
    )
    unroll.option(
        "--directions", type=Whole(0, 1000), default=3, metavar="N", help="to compare derivatives along; 0 for none, 3"
    )
    unroll.option(
        "--rounds", type=Whole(0, 1000), default=5, metavar="N", help="timed evaluations; 0 to compile only, 5"
    )
    _add_cache_option(unroll)
    unroll.option("--json", action="store_true", help="print the result as JSON")
    unroll.option("--out", type=NewFile(), metavar="FILE", help="write the result as JSON here")
    unroll.option("--plot", type=PICTURE, metavar="FILE", help="write a picture here")
    add_run_kinds(kinds)

    thresholds = commands.add_parser(
        "thresholds", help="the verdicts again, by other thresholds of the detector", description=_THRESHOLDS
    )
    thresholds.add_argument(
        "run", nargs="+", type=path, help="the folder of a run or of a sweep; or several sweeps, read as one"
    )
    thresholds.option(
        "--vary", nargs=2, action="append", metavar=("NAME", "V1,V2"), help="a threshold's values; may be repeated"
    )
    thresholds.option("--data", type=path, metavar="DIR", help="where the data set lies, if it has moved")
    thresholds.option("--json", action="store_true", help="print the result as JSON")
    _add_cache_option(thresholds)

    report = commands.add_parser(
        "report", help="one HTML file on a run or a sweep, on several runs compared, or several sweeps as one"
    )
    report.add_argument(
        "run",
        nargs="+",
        type=path,
        help="the folder of a run, or of a sweep; several runs, which are compared; or several sweeps, read as one",
    )
    report.option("--out", type=NewFile(), metavar="FILE", help="where to write it; RUN/report.html if not given")
    report.option("--baseline", metavar="ARM", help="of a sweep: the arm that the others are tested against; the first")

    watch = commands.add_parser("watch", help="the report of a run while it goes on, in a browser")
    watch.add_argument("run", type=path, help="the folder of a run, or of a sweep")
    watch.option("--port", type=Whole(0, 65_535), default=8100, help="on localhost; 8100, or the next that is free")
    watch.option(
        "--every",
        type=Number(least=0.2, most=3600),
        default=5.0,
        metavar="S",
        help="seconds between readings of the folder; 5",
    )

    data = commands.add_parser("data", help="list, prepare and show data sets")
    actions = data.add_subparsers(dest="action", required=True, metavar="list|prepare|show", parser_class=Parser)
    listed = actions.add_parser("list", help="which data sets are there, and how to get the others")
    listed.option("--data", type=path, metavar="DIR", help="the folder to list")
    prepare = actions.add_parser("prepare", help="make a data set ready for all later runs")
    prepare.add_argument("name", help="mnist, fashion_mnist, or a name for the IDX files in --from")
    prepare.option(
        "--from", dest="source", type=path, metavar="DIR", help="a directory of IDX files; downloads if not given"
    )
    prepare.option("--data", type=path, metavar="DIR", help="where to write; tensorflow-datasets' default if not given")
    show = actions.add_parser("show", help="a grid picture of a data set")
    show.add_argument("name", help="a data set")
    show.option("--data", type=path, metavar="DIR", help="where it lies")
    show.option("--size", type=Whole(1), default=28, help="pixels along a side: 16, 28, 32 or 64")
    show.option("--out", type=NewFile(), metavar="FILE", help="the picture; NAME.png if not given")
    add_bench(commands)
    listing = commands.add_parser("configs", help="list the shipped configs, with a line, cost and figure of each")
    listing.option("--json", action="store_true", help="print them as JSON")

    new = commands.add_parser("new", help="write a config to start from")
    new.add_argument("name", type=path, help="of the file, such as my_ring, which writes my_ring.py")
    new.option("--from", dest="base", default="ring", metavar="CONFIG", help="the shipped config to start from; ring")

    completion = commands.add_parser(
        "completion",
        help="print a script that completes commands, options and configs in a shell",
        description='For bash: eval "$(gan-jax completion bash)", in ~/.bashrc to keep it.',
    )
    completion.add_argument("shell", choices=SHELLS, help="the shell")
    for reader in (train, sweep, evaluate, sample, unroll, thresholds, report, watch):
        add_code_options(reader)
    return parser, {"train": train, "sweep": sweep, "evaluate": evaluate, "report": report, "unroll": unroll}


def _add_cache_option(parser: Parser) -> None:
    parser.option("--no-compilation-cache", action="store_true", help="compile anew; do not keep compiled programs")


def _add_host_options(parser: Parser) -> None:
    _add_cache_option(parser)
    parser.option("--coordinator", metavar="HOST:PORT", help="of process 0, when several processes run this command")
    parser.option("--num-processes", type=Whole(1), metavar="N", help="how many processes run it")
    parser.option("--process-id", type=Whole(), metavar="I", help="which of them this is, from 0")
    parser.option(
        "--distributed",
        action="store_true",
        help="several processes, found from the environment of SLURM, GKE or Cloud TPU",
    )
