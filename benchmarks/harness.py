"""What all benchmarks share: the rows and rounds of `gan_jax.bench`, and their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from gan_jax.bench.rounds import mean_and_error, significant
from gan_jax.bench.rounds import median_and_quartiles as spread
from gan_jax.bench.rounds import take_turns as rounds
from gan_jax.bench.rows import SCHEMA, emit, read_rows

__all__ = [
    "SCHEMA",
    "arguments",
    "emit",
    "mean_and_error",
    "picked",
    "read_rows",
    "rounds",
    "significant",
    "spread",
]


def arguments(
    doc: str,
    *,
    rounds: int | None = None,
    seeds: int | None = None,
    cases: str | None = None,
    peers: bool = False,
    pictures: bool = False,
) -> argparse.ArgumentParser:
    """A parser with --out and those of the common arguments that a script takes.

    Args:
        doc: the script's docstring, which --help shows.
        rounds: default of --rounds; None: no such argument.
        seeds: default of --seeds; None: no such argument.
        cases: what the names in --cases are; None: no such argument.
        peers: whether there is --torch-python.
        pictures: whether there is --pictures.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, metavar="FILE", help="file that rows are appended to, as they come")
    if rounds is not None:
        parser.add_argument("--rounds", type=_positive, default=rounds, help=f"timed, at least ({rounds})")
    if seeds is not None:
        parser.add_argument("--seeds", type=_positive, default=seeds, help=f"how many ({seeds})")
    if cases is not None:
        parser.add_argument("--cases", help=f"only these {cases}: by commas, or semicolons where names have commas")
    if peers:
        parser.add_argument("--torch-python", help="a Python that can import torch. None: no PyTorch beside ours")
    if pictures:
        parser.add_argument("--pictures", type=Path, metavar="DIR", help="folder for figures of the study")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"it is {value}, and must be at least 1")
    return value


def picked(parser: argparse.ArgumentParser, text: str | None, known: Iterable[str]) -> list[str]:
    """The names in --cases, all known ones where it is not given; an unknown name ends the program and lists them."""
    names: Sequence[str] = list(known)
    wanted = names if text is None else [text] if text in names else text.split(";" if ";" in text else ",")
    if unknown := [name for name in wanted if name not in names]:
        parser.error(f"--cases: no {', '.join(unknown)}; there are {'; '.join(names)}")
    return list(wanted)
