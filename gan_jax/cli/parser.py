"""The parser of the commands: it reports errors in one line, and separates an experiment's settings from options."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

OK, USAGE, NONFINITE, INTERRUPTED = 0, 2, 3, 130
"""Exit codes; see `gan_jax.cli.main`."""

Settings = list[tuple[str, str]]
"""Overrides of an experiment's settings as typed: (dotted path, text)."""


class UsageError(ValueError):
    """A command line that cannot be understood, or whose options contradict each other."""


class Parser(argparse.ArgumentParser):
    """argparse's parser with errors of one line, and with a table of the options that it knows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.known: dict[str, int] = {}  # how many values each option takes
        kwargs |= {"allow_abbrev": False, "formatter_class": argparse.RawDescriptionHelpFormatter}
        super().__init__(*args, **kwargs)

    def option(self, name: str, **kwargs: Any) -> None:
        self.known[name] = 0 if kwargs.get("action") == "store_true" else kwargs.get("nargs", 1)
        self.add_argument(name, **kwargs)

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        """As argparse's own, but refuses an unknown option and proposes the known one that is most like it."""
        for word in args[0] if args and args[0] is not None else ():
            if word.endswith("=--") and word.startswith("--"):  # argparse would take this -- as the end of the options
                self.error(f"{word.removesuffix('=--')} needs a value")
        options, unknown = super().parse_known_args(*args, **kwargs)
        if unknown:
            name = unknown[0].partition("=")[0]
            near = nearest_option(name, self.known) if name.startswith("-") else None
            self.error(
                f"there is no option {name}; did you mean {near}?" if near else f"unrecognised argument {unknown[0]}"
            )
        return options, unknown

    def error(self, message: str) -> NoReturn:
        # The messages of `option_types` continue a sentence that begins with the option's name.
        message = re.sub(r"^argument (\S+): (is |holds )", r"\1 \2", message)
        raise UsageError(f"{message}; see {self.prog} --help")


def nearest_option(name: str, known: Iterable[str]) -> str | None:
    """The known option that is most like a mistyped one; None if none is similar."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.75)), None)


def split_overrides(arguments: Sequence[str], known: dict[str, int]) -> tuple[list[str], list[tuple[str, str]]]:
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
        if word == "--":
            return [*own, word, *rest], settings
        if not word.startswith("--") or name in known or name == "--help":
            own.append(word)
            for _ in range(known.get(name, 0) if not equals else 0):
                own += rest[:1]
                rest = rest[1:]
            continue
        if not equals:
            if not rest or rest[0].startswith("--"):
                near = nearest_option(name, known)
                raise UsageError(f"{name} needs a value: {name} VALUE" + (f"; or did you mean {near}?" if near else ""))
            value = rest.pop(0)
        settings.append((name.removeprefix("--"), value))
    return own, settings
