"""Types of the commands' options: whole numbers, numbers, lists of them, and paths, each checked as it is parsed."""

from __future__ import annotations

import math
import reprlib
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.data.places import PlaceError, expanded

_LARGEST = 2**31 - 1
_MOST_SEEDS = 100_000


class Whole(NamedTuple):
    """A whole number within bounds.

    Attributes:
        least: lower bound.
        most: upper bound; the default is the largest 32-bit integer, the type of steps and counts.

    Example:
        >>> Whole(least=1)("12")
        12
        >>> Whole(least=1)("0")
        Traceback (most recent call last):
        ...
        argparse.ArgumentTypeError: is 0, and must be at least 1
    """

    least: int = 0
    most: int = _LARGEST

    def __call__(self, text: str) -> int:
        try:
            value = int(text)
        except ValueError:  # also for thousands of digits
            raise ArgumentTypeError(f"is {_short(text)}, and must be a whole number") from None
        return _within(value, self.least, self.most, _LARGEST)


class Number(NamedTuple):
    """A finite number within bounds.

    Attributes:
        least: lower bound.
        most: upper bound; infinity means no bound.
        above: strict lower bound.

    Example:
        >>> Number(above=0.0)("1e-3")
        0.001
        >>> Number()("nan")
        Traceback (most recent call last):
        ...
        argparse.ArgumentTypeError: is nan, and must be a finite number
    """

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf

    def __call__(self, text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ArgumentTypeError(f"is {_short(text)}, and must be a number") from None
        if not math.isfinite(value):
            raise ArgumentTypeError(f"is {value}, and must be a finite number")
        if value <= self.above:
            raise ArgumentTypeError(f"is {value}, and must be above {self.above:g}")
        return _within(value, self.least, self.most, math.inf)


class Several(NamedTuple):
    """A list of values, separated by commas.

    Attributes:
        part: parses one value.

    Example:
        >>> Several(Whole(least=1))("1,5,10")
        [1, 5, 10]
    """

    part: Any  # a function of a text; a NamedTuple with __call__ is one, which mypy does not see

    def __call__(self, text: str) -> list[Any]:
        words = [word.strip() for word in text.split(",")]
        if "" in words:
            raise ArgumentTypeError(f"is {_short(text)}, and must be values separated by commas")
        return [self.part(word) for word in words]


SEED = Whole(most=2**32 - 1)


def path(text: str) -> str:
    """A file or folder, with `~` for the home folder. Also RUN@STEP, SWEEP#MEMBER, and a config with its remedies.

    Args:
        text: the text as typed.

    Returns:
        The path as typed, with the home folder in place of `~`.

    Raises:
        ArgumentTypeError: if the text is empty, or the home folder is not known.
    """
    if not text.strip() or "\0" in text:
        raise ArgumentTypeError(f"is {_short(text)}, and must be the name of a file or a folder")
    try:
        return expanded(text)
    except PlaceError as error:
        raise ArgumentTypeError(f"is wrong: {error}") from None


class NewFile(NamedTuple):
    """A file to be written, in a folder that exists.

    Attributes:
        endings: endings that its name may have; () allows any.
    """

    endings: tuple[str, ...] = ()

    def __call__(self, text: str) -> str:
        name = path(text)
        if self.endings and not name.lower().endswith(self.endings):
            raise ArgumentTypeError(f"is {name}, and must end in {' or '.join(self.endings)}")
        if not Path(name).absolute().parent.is_dir():
            raise ArgumentTypeError(f"is {name}, and the folder of {name} does not exist: make it first")
        if Path(name).is_dir():
            raise ArgumentTypeError(f"is {name}, which is a folder: give the name of a file")
        return name


PICTURE = NewFile((".png", ".svg", ".pdf"))


def seeds(text: str) -> int | list[int]:
    """A count "5", a list "0,3,7", a range "11-21" with both ends, or a list of both.

    Args:
        text: the text as typed.

    Returns:
        The count, or the seeds.

    Raises:
        ArgumentTypeError: if the text has another form, or there are more seeds than a sweep may have.

    Example:
        >>> seeds("5"), seeds("2-4"), seeds("0,3,7-9")
        (5, [2, 3, 4], [0, 3, 7, 8, 9])
    """
    ranges: list[range] = []
    for word in text.split(","):
        first, dash, last = word.strip().partition("-")
        if not (first.isdecimal() and (not dash or last.isdecimal())):
            raise ArgumentTypeError(
                f"is {_short(text)}, and must be a count, seeds or ranges (5, or 0,3,7, or 11-21), without spaces"
            )
        begin = SEED(first)
        end = SEED(last) if dash else begin
        if end < begin:
            raise ArgumentTypeError(f"is {_short(text)}: {word} ends before it begins; write a range as FIRST-LAST")
        ranges.append(range(begin, end + 1))
    count = len(ranges) == 1 and "-" not in text
    num = ranges[0].start if count else sum(map(len, ranges))
    if not 1 <= num <= _MOST_SEEDS:
        raise ArgumentTypeError(f"is {_short(text)}: these are {num:,} seeds, and a sweep takes 1 to {_MOST_SEEDS:,}")
    return ranges[0].start if count else [seed for part in ranges for seed in part]


def _short(text: str) -> str:
    return reprlib.repr(text)


def _within(value: Any, least: Any, most: Any, no_bound: Any) -> Any:
    if least <= value <= most:
        return value
    if most < no_bound:
        raise ArgumentTypeError(f"is {value}, and must be between {least:,} and {most:,}")
    raise ArgumentTypeError(
        f"is {value}, and must be at " + (f"least {least:,}" if value < least else f"most {most:,}")
    )
