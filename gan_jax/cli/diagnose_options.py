"""Options of `gan-jax diagnose RUN`, by kind; each kind is a module `diagnose_KIND`."""

from __future__ import annotations

from typing import Any

from gan_jax.cli.code_options import add_code_options
from gan_jax.cli.option_types import PICTURE, SEED, NewFile, Whole, path
from gan_jax.reports.diagnosis_kinds import RUN_KINDS


def add_run_kinds(kinds: Any) -> dict[str, Any]:
    """Adds a parser for each kind. Returns them by kind."""
    parsers = {}
    for kind, line in RUN_KINDS.items():
        parser = kinds.add_parser(kind, help=line, description=line[0].upper() + line[1:] + ".")
        parser.add_argument("run", type=path, help="the folder of a run, or SWEEP#MEMBER")
        parser.option("--no-compilation-cache", action="store_true", help="compile anew; keep no compiled programs")
        parser.option("--data", type=path, metavar="DIR", help="where the data set lies, if it has moved")
        parser.option("--seed", type=SEED, default=0, help="of what the diagnosis draws itself; 0")
        parser.option("--json", action="store_true", help="print the result as JSON")
        parser.option(
            "--out", type=NewFile(), metavar="FILE", help="write the result as JSON here too; always in RUN/diagnosis"
        )
        parser.option("--plot", type=PICTURE, metavar="FILE", help="write the picture here (png, svg, pdf)")
        add_code_options(parser)
        parsers[kind] = parser
    for kind in ("landscape", "forgetting", "memorisation", "magnitudes", "game", "support"):
        which = "up to this checkpoint" if kind == "forgetting" else "of one checkpoint"
        other = "; of images the newest" if kind in ("game", "support") else ""
        parsers[kind].option("--step", type=Whole(), help=f"{which}; all that are there if not given{other}")
    _add_onset(parsers["onset"])
    parsers["landscape"].option(
        "--film", type=NewFile((".gif",)), metavar="FILE", help="a GIF of the surface over training (2-D data)"
    )
    parsers["landscape"].option(
        "--points", type=Whole(2), default=256, metavar="N", help="scans of each kind (images); 256"
    )
    parsers["memorisation"].option(
        "--points", type=Whole(1), default=2048, metavar="N", help="examples of each kind; 2048"
    )
    parsers["game"].option("--values", type=Whole(4, 10_000), default=40, metavar="N", help="eigenvalues sought; 40")
    parsers["support"].option(
        "--samples", type=Whole(100, 100_000), default=10_000, metavar="N", help="samples of G; 10,000"
    )
    return parsers


def _add_onset(parser: Any) -> None:
    parser.option("--step", type=Whole(), help="centre of the window; the onset that the detector found if not given")
    parser.option(
        "--before", type=Whole(1), metavar="N", help="steps of the window before the evaluation that found it"
    )
    parser.option("--after", type=Whole(1), metavar="N", help="steps of the window after it")
    parser.option(
        "--branch",
        metavar="NAME,..",
        help="train on from before the onset with: same, key, learning_rate, label_noise, unroll, r1, new_d, "
        "packing_2, all of these (all), or any remedy",
    )
    parser.option(
        "--branches", type=Whole(1, 10_000), default=8, metavar="N", help="branches of each kind, side by side; 8"
    )
    parser.option(
        "--branch-at", type=Whole(), metavar="STEP", help="from its last checkpoint; the last before the fall"
    )
    parser.option(
        "--horizon", type=Whole(1), metavar="N", help="steps of a branch; past the onset's window if not given"
    )
