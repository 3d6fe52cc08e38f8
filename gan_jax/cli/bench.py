"""`gan-jax bench`: measures how fast this machine trains, unrolls, sweeps and evaluates; a JSON row per measurement."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gan_jax.cli.option_types import Several, Whole, path
from gan_jax.cli.parser import OK, Parser, Settings, UsageError

BENCH_KINDS = ("step", "unroll", "sweep", "compile", "metrics", "checkpoint", "diagnostics")
_ABOUT = """Measures speed, and prints one JSON row per case; docs/performance.md says what the keys mean.

  gan-jax bench step --case ring,dcgan28 --precision bfloat16 --out rows.jsonl
  gan-jax bench unroll --inner-steps 10 --memory sqrt
  gan-jax bench sweep --members 300 --strategy vmap
  gan-jax bench compare before.jsonl after.jsonl     rows of the same cases
  gan-jax bench compare ../before . --case ring      the steps of two checkouts, in turns"""


def add_bench(commands: argparse._SubParsersAction[Parser]) -> None:
    """Adds the command and its options."""
    bench = commands.add_parser("bench", help="measure how fast this machine is", description=_ABOUT)
    bench.add_argument("kind", metavar="KIND", help=f"{', '.join(BENCH_KINDS)}, or compare")
    bench.add_argument(
        "sides", nargs="*", type=path, metavar="A B", help="for compare: two files of rows, or checkouts"
    )
    bench.option(
        "--case", type=Several(str), metavar="NAME,..", help="ring, mlp, dcgan28, dcgan32, dcgan64 (default: ring)"
    )
    bench.option("--batch-size", type=Whole(1), metavar="N", help="batch size (default: that of the case)")
    bench.option(
        "--precision",
        default="float32",
        metavar="NAME",
        help="float32, tensorfloat32 or bfloat16 (default: float32)",
    )
    bench.option("--steps", type=Whole(1), metavar="N", help="training steps per round (default: by the case)")
    bench.option("--rounds", type=Whole(1), default=6, metavar="N", help="timed rounds, without warm-up (default: 6)")
    bench.option(
        "--inner-steps", type=Whole(), default=5, metavar="K", help="for unroll: unrolled updates (default: 5)"
    )
    bench.option(
        "--memory",
        default="step",
        metavar="NAME",
        help="for unroll: what the forward pass stores for the reverse pass (default: step)",
    )
    bench.option("--members", type=Whole(1), default=30, metavar="N", help="for sweep: number of runs (default: 30)")
    bench.option("--strategy", default="vmap", metavar="NAME", help="for sweep: strategy (default: vmap)")
    bench.option("--out", type=path, metavar="FILE", help="file that the rows are appended to")


def bench_command(options: argparse.Namespace, settings: Settings) -> int:
    """Measures the cases, and prints one row for each."""
    from gan_jax.bench.rows import emit

    out = Path(options.out) if options.out else None
    if options.kind == "compare":
        for case, figures in _compared(options):
            emit("bench compare", case, figures, out)
        return OK
    if options.kind not in BENCH_KINDS:
        from gan_jax.experiment.component import unknown_name

        raise UsageError(unknown_name("bench: no kind", options.kind, (*BENCH_KINDS, "compare")))
    if options.sides:
        raise UsageError(f"bench {options.kind} takes no files, and got {options.sides[0]}: name cases with --case")
    from gan_jax.bench.kinds import Sizes, measure_kind

    given = {name: getattr(options, name) for name in Sizes._fields}
    for case in options.case or ["ring"]:
        name = f"K={options.inner_steps}" if options.kind == "unroll" else case
        emit(f"bench {options.kind}", name, measure_kind(options.kind, case, Sizes(**given)), out)
    return OK


def _compared(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    from gan_jax.bench.comparison import STEPS, compare_checkouts, compare_rows

    if len(options.sides) != 2:
        raise UsageError("bench compare takes two files of rows, or the folders of two checkouts")
    first, second = map(Path, options.sides)
    for side in (first, second):
        if not side.exists():
            raise UsageError(f"{side} does not exist: give a file of rows, or the folder of a checkout")
    if first.is_dir() and second.is_dir():
        return compare_checkouts(first, second, options.case or list(STEPS), options.rounds)
    return compare_rows(first, second)
