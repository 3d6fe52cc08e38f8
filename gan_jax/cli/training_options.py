"""Options of the commands that train: `gan-jax train`, `sweep` and `collapsebench`."""

from __future__ import annotations

import argparse
from typing import Any

from gan_jax.cli.code_options import add_cache_option
from gan_jax.cli.option_types import SEED, Number, Whole, path, seeds
from gan_jax.cli.parser import Parser

_TRAIN = """Trains a GAN and judges whether it collapsed.
It writes a folder: metrics.jsonl, samples, checkpoints, verdict.json.

Every setting of the experiment is an option too:
  --discriminator.learning-rate 1e-4   --data.std 0.05   --objective minimax   --generator.network.widths 256,256
  --discriminator.transforms exact-flips --discriminator.transforms.0.rate 0.1
Remedies (docs/remedies.md) follow the config: ring+packing_2, ring+r1+replay_fifo.
`gan-jax train CONFIG --help` lists the settings of a config with their values."""

_SWEEP = """Trains many runs as one compiled program: every arm (a variant of the experiment) with every seed.
It writes a folder: members.csv, metrics, samples, checkpoints.

  gan-jax sweep ring_label_noise
  gan-jax sweep ring --discriminator.transforms exact-flips --grid discriminator.transforms.0.rate 0,0.05 --seeds 20
Settings of the experiment are options, as in `train`, and hold for all arms.
`gan-jax report SWEEP` compares the arms."""

_BENCH = """Trains the games of CollapseBench with a remedy.

Each game is known to collapse with some seeds. The score of a remedy is the share of these collapses that it prevents,
with its 95 % interval; the table also shows sample quality and cost. All games take two to ten minutes for a remedy on
two cores, and longer with unrolling. Games whose data are not found are left out.

  gan-jax collapsebench plain label_noise r3gan
  gan-jax collapsebench my_remedy.py     # it defines remedy(experiment), which returns the changed experiment
Games that are finished in the folder are not trained again. Without a remedy the table of all scores is printed."""

_RESTART = "with --resume: train anew what cannot be continued; the old files are moved to set_aside/"

_DATA = "folder of the data set; `gan-jax data list --data DIR` shows what is found in it"

_EPOCHS = "length in epochs, instead of --num-steps (data sets only)"

_QUIET = "print no progress lines"

_METRICS = "also measure the samples at each evaluation by these: kid,prdc"

_STRATEGIES = (
    "how runs are computed together: map, vmap, pmap-map, pmap-vmap, or auto, which times them (default: auto)"
)

_DEVICES = "number of CPU devices that the runs are divided over (default: one per core)"


def add_train(commands: Any) -> Parser:
    """Adds the parser of `train`, and returns it."""
    train = commands.add_parser("train", help="train a GAN, and judge whether it collapsed", description=_TRAIN)
    train.add_argument(
        "config", nargs="?", type=path, help="a shipped config, or a Python file that defines experiment()"
    )
    train.option("--data", type=path, metavar="DIR", help=_DATA)
    train.option("--seed", type=SEED, help="seed of the run's random key (default: 0)")
    train.option("--arm", metavar="NAME", help="train this arm of the config's sweep, in place of its experiment()")
    train.option("--num-epochs", type=Number(above=0, most=1e6), metavar="N", help=_EPOCHS)
    train.option("--run-dir", type=path, metavar="DIR", help="folder of the run (default: runs/CONFIG-seedN)")
    train.option(
        "--resume", type=path, metavar="RUN", help="continue this run, bit for bit; a larger --num-steps prolongs it"
    )
    train.option("--restart", action="store_true", help=_RESTART)
    train.option(
        "--branch-from",
        type=path,
        metavar="RUN[@STEP]",
        help="start a new run from a checkpoint of RUN (or SWEEP#MEMBER[@STEP]); --seed gives it a new key",
    )
    train.option(
        "--stop-at-collapse",
        action="store_true",
        help="end the run once it has been collapsed for a whole window, or junk after it had formed; one that "
        "collapsed while forming is not given the chance to form later",
    )
    train.option("--metrics", metavar="all|NAME,..", help=_METRICS)
    train.option("--json", action="store_true", help="print the verdict as JSON")
    train.option("--quiet", action="store_true", help=_QUIET)
    train.option(
        "--keep-checkpoints",
        type=Whole(1),
        default=3,
        metavar="N",
        help="number of newest checkpoints kept (default: 3)",
    )
    train.option(
        "--branch-points",
        type=Whole(),
        default=10,
        metavar="N",
        help="number of checkpoints, evenly spaced, that are never deleted (default: 10)",
    )
    train.option(
        "--pictures", type=Whole(), default=24, metavar="N", help="number of sample pictures over the run (default: 24)"
    )
    train.option("--tensorboard", action="store_true", help="also write TensorBoard event files")
    train.option("--data-parallel", action="store_true", help="split each batch over all devices")
    train.option("--devices", type=Whole(1, 4096), metavar="N", help="split each batch over N devices (default: all)")
    _add_host_options(train)
    return train


def add_sweep(commands: Any) -> Parser:
    """Adds the parser of `sweep`, and returns it."""
    sweep = commands.add_parser("sweep", help="train many runs as one program: arms by seeds", description=_SWEEP)
    sweep.add_argument(
        "config", nargs="?", type=path, help="a config with sweep(), or any config with --grid or --seeds"
    )
    sweep.option(
        "--grid",
        nargs=2,
        action="append",
        metavar=("PATH", "V1,V2"),
        help="values of a setting, an arm for each; if repeated, an arm for each combination",
    )
    sweep.option(
        "--seeds",
        type=seeds,
        metavar="N|I,J-K,..",
        help="number of seeds per arm, or the seeds, such as 11-21 (default: the config's, or 5)",
    )
    sweep.option(
        "--arm", action="append", metavar="NAME", help="run only this arm of the config's sweep; may be repeated"
    )
    sweep.option("--strategy", default="auto", metavar="NAME", help=_STRATEGIES)
    sweep.option("--engine", dest="strategy", default=argparse.SUPPRESS, help=argparse.SUPPRESS)  # its first name
    sweep.option("--devices", type=Whole(1, 4096), metavar="N", help=_DEVICES)
    sweep.option(
        "--max-members", type=Whole(1), metavar="N", help="most runs at once (default: as many as fit into memory)"
    )
    sweep.option("--data", type=path, metavar="DIR", help=_DATA)
    sweep.option("--num-epochs", type=Number(above=0, most=1e6), metavar="N", help=_EPOCHS)
    sweep.option("--run-dir", type=path, metavar="DIR", help="folder of the sweep (default: runs/CONFIG-sweep)")
    sweep.option(
        "--stop-at-collapse",
        action="store_true",
        help="end runs that are computed together once each has been collapsed for a whole window, or junk after it "
        "had formed; runs that collapsed while forming are not given the chance to form later",
    )
    sweep.option("--metrics", metavar="all|NAME,..", help=_METRICS)
    sweep.option("--resume", type=path, metavar="SWEEP", help="continue this sweep from its newest checkpoints")
    sweep.option("--restart", action="store_true", help=_RESTART)
    sweep.option(
        "--pictures", type=Whole(1), default=4, metavar="N", help="number of sample pictures per run (default: 4)"
    )
    sweep.option("--parquet", action="store_true", help="also write members.parquet")
    sweep.option("--json", action="store_true", help="print all rows as JSON")
    sweep.option("--quiet", action="store_true", help=_QUIET)
    _add_host_options(sweep)
    return sweep


def add_collapsebench(commands: Any) -> None:
    """Adds the parser of `collapsebench`."""
    bench = commands.add_parser(
        "collapsebench", help="score a remedy: the share of known collapses that it prevents", description=_BENCH
    )
    bench.add_argument(
        "remedy", nargs="*", type=path, help="names of remedies, or Python files that define remedy(experiment)"
    )
    bench.option("--game", action="append", metavar="NAME", help="train only this game; may be repeated")
    bench.option(
        "--run-dir",
        type=path,
        default="runs/collapsebench",
        metavar="DIR",
        help="folder of the sweeps of all remedies (default: runs/collapsebench)",
    )
    bench.option("--strategy", default="auto", metavar="NAME", help=_STRATEGIES)
    bench.option("--devices", type=Whole(1, 4096), metavar="N", help=_DEVICES)
    bench.option("--data", type=path, metavar="DIR", help="folder of MNIST, which one of the games needs")
    bench.option("--json", action="store_true", help="print the scores as JSON")
    bench.option("--quiet", action="store_true", help=_QUIET)
    bench.set_defaults(distributed=False, coordinator=None, num_processes=None, process_id=None)
    add_cache_option(bench)


def _add_host_options(parser: Parser) -> None:
    add_cache_option(parser)
    parser.option("--coordinator", metavar="HOST:PORT", help="address of process 0, if several processes run this")
    parser.option("--num-processes", type=Whole(1), metavar="N", help="number of processes that run this command")
    parser.option("--process-id", type=Whole(), metavar="I", help="number of this process, from 0")
    parser.option(
        "--distributed",
        action="store_true",
        help="join several processes, found from the environment of SLURM, GKE or Cloud TPU",
    )
