"""Options of `gan-jax diagnose KIND RUN`, by kind; each kind is a module `diagnose_KIND`."""

from __future__ import annotations

from typing import Any

from gan_jax.cli.code_options import add_cache_option, add_code_options
from gan_jax.cli.option_types import PICTURE, SEED, NewFile, Several, Whole, path
from gan_jax.cli.parser import Parser
from gan_jax.reports.diagnosis_kinds import RUN_KINDS

_DIAGNOSE = """Checks the gradient of an unrolled generator at a state of the experiment, for several K: against central
differences in float64, forward against reverse mode, and exact against first-order, truncated and implicit estimates
(cosine and length). It also measures time and memory.
Settings of the experiment are options, as in `train`: --generator.unroll.inner-data fresh"""


def add_unroll(kinds: Any) -> Parser:
    """Adds the parser of `diagnose unroll`, and returns it."""
    unroll = kinds.add_parser(
        "unroll", help="check the unrolled gradient, compare its estimates, measure its cost", description=_DIAGNOSE
    )
    unroll.add_argument(
        "config",
        type=path,
        help="a config; or the folder of a run or SWEEP#MEMBER, whose newest checkpoint is then the state",
    )
    unroll.option("--data", type=path, metavar="DIR", help="folder of the data set")
    unroll.option("--seed", type=SEED, default=0, help="seed of the initial state (default: 0)")
    unroll.option(
        "--warm-up",
        type=Whole(),
        default=100,
        metavar="N",
        help="training steps without unrolling before the measurement (default: 100)",
    )
    unroll.option(
        "--steps",
        type=Several(Whole(1, 10_000)),
        default="1,5,10",
        metavar="K,...",
        help="numbers of unrolled updates (default: 1,5,10)",
    )
    unroll.option(
        "--memory",
        type=Several(str),
        default="all,step,sqrt",
        metavar="M,...",
        help="memory options to time, or none (default: all,step,sqrt)",
    )
    unroll.option(
        "--directions",
        type=Whole(0, 1000),
        default=3,
        metavar="N",
        help="directions along which derivatives are compared, 0 skips this (default: 3)",
    )
    unroll.option(
        "--rounds",
        type=Whole(0, 1000),
        default=5,
        metavar="N",
        help="timed evaluations, 0 only compiles (default: 5)",
    )
    add_cache_option(unroll)
    unroll.option("--json", action="store_true", help="print the result as JSON")
    unroll.option("--out", type=NewFile(), metavar="FILE", help="write the result as JSON here")
    unroll.option("--plot", type=PICTURE, metavar="FILE", help="write a picture here")
    return unroll


def add_run_kinds(kinds: Any) -> dict[str, Any]:
    """Adds a parser for each kind. Returns them by kind."""
    parsers = {}
    for kind, line in RUN_KINDS.items():
        parser = kinds.add_parser(kind, help=line, description=line[0].upper() + line[1:] + ".")
        parser.add_argument("run", type=path, help="the folder of a run, or SWEEP#MEMBER")
        add_cache_option(parser)
        parser.option("--data", type=path, metavar="DIR", help="folder of the data set, if it has moved")
        parser.option(
            "--seed",
            type=SEED,
            default=0,
            help="seed of the examples and latents that the diagnosis draws (default: 0)",
        )
        parser.option("--json", action="store_true", help="print the result as JSON")
        parser.option(
            "--out", type=NewFile(), metavar="FILE", help="write the JSON result to FILE as well as to RUN/diagnosis"
        )
        parser.option("--plot", type=PICTURE, metavar="FILE", help="write the picture here (png, svg, pdf)")
        add_code_options(parser)
        parsers[kind] = parser
    for kind in ("landscape", "forgetting", "memorisation", "magnitudes", "game", "support"):
        which = "use checkpoints up to this step" if kind == "forgetting" else "use only the checkpoint of this step"
        other = "; for images, the newest" if kind in ("game", "support") else ""
        parsers[kind].option("--step", type=Whole(), help=f"{which} (default: all checkpoints{other})")
    _add_onset(parsers["onset"])
    parsers["landscape"].option(
        "--film", type=NewFile((".gif",)), metavar="FILE", help="write a GIF of D's surface over training (2-D data)"
    )
    parsers["landscape"].option(
        "--points", type=Whole(2), default=256, metavar="N", help="scans per kind of example (images; default: 256)"
    )
    parsers["memorisation"].option(
        "--points", type=Whole(1), default=2048, metavar="N", help="examples per kind (default: 2048)"
    )
    parsers["game"].option(
        "--values", type=Whole(4, 10_000), default=40, metavar="N", help="number of eigenvalues (default: 40)"
    )
    parsers["support"].option(
        "--samples", type=Whole(100, 100_000), default=10_000, metavar="N", help="samples of G (default: 10,000)"
    )
    return parsers


def _add_onset(parser: Any) -> None:
    parser.option("--step", type=Whole(), help="step to replay around (default: the onset that the detector found)")
    parser.option("--before", type=Whole(1), metavar="N", help="steps to replay before it (default: by the detector)")
    parser.option("--after", type=Whole(1), metavar="N", help="steps to replay after it (default: by the detector)")
    parser.option(
        "--branch",
        metavar="NAME,..",
        help="also train again from a checkpoint before the onset, with a change: same, key, learning_rate, "
        "label_noise, unroll, r1, new_d, packing_2, all of these (all), or any remedy",
    )
    parser.option(
        "--branches", type=Whole(1, 10_000), default=8, metavar="N", help="number of branches per change (default: 8)"
    )
    parser.option(
        "--branch-at",
        type=Whole(),
        metavar="STEP",
        help="branch from the last checkpoint up to STEP (default: the last before the collapse)",
    )
    parser.option(
        "--horizon",
        type=Whole(1),
        metavar="N",
        help="steps of a branch (default: until a window after the onset)",
    )
