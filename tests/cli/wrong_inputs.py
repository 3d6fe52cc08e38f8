"""Wrong command lines by chance: every command, every kind of option, every kind of setting.

`python -m tests.cli.wrong_inputs NUM SEED` prints those that are not refused as they should be.
"""

from __future__ import annotations

import contextlib
import functools
import io
import random
import sys
import tempfile
import typing
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.cli.arguments import build_parser
from gan_jax.cli.main import main
from gan_jax.cli.option_types import NewFile, Number, Several, Whole, path, seeds
from gan_jax.experiment.configs import load
from gan_jax.experiment.settings import walk

CONFIGS = ("ring", "digits", "ring_unrolled", "temperatures", "ring+replay_fifo", "ring+packing_2")
NO_NUMBERS = ("x", "", "nan", "inf", "1e400", "1,5", "0x10", "one", "--", "\u00bd", " ", "1" * 5000)
NO_SEEDS = (
    "",
    ",",
    "1-",
    "-3",
    "5-2",
    "a",
    "1,,2",
    "1,1",
    "0",
    "100000000",
    "0-99999999",
    "1.5",
    "4294967296",
    "3-3-3",
)
LARGE = ("99999999999999999999", str(2**31), str(10**12), "-" + "9" * 30)


class Answer(NamedTuple):
    """What a command line got: its exit code or exception, what it said, and what it left behind."""

    code: Any
    said: str
    left: tuple[str, ...]

    def fault(self) -> str:
        """What is wrong with the answer to a wrong input; "" if nothing is."""
        if self.code != 2:
            return f"exit code {self.code}"
        lines = self.said.strip().splitlines()
        if not 1 <= len(lines) <= 2 or "Traceback" in self.said:
            return f"{len(lines)} lines"
        return f"left {', '.join(self.left)}" if self.left else ""


def answer(arguments: list[str], folder: Path) -> Answer:
    """Runs a command line in this process, in a folder."""
    before = {str(file) for file in folder.rglob("*")}
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code: Any = main(arguments)
        except BaseException as error:
            code = f"{type(error).__name__}: {error}"
    after = {str(file) for file in folder.rglob("*")}
    return Answer(code, err.getvalue() + out.getvalue(), tuple(sorted(after - before)))


def wrong_inputs(num: int, seed: int, run: str = "run") -> list[list[str]]:
    """So many different wrong command lines.

    Args:
        num: how many.
        seed: of the choice.
        run: a finished run's folder.
    """
    rng = random.Random(seed)
    kinds = (wrong_option, wrong_setting, wrong_setting, mistyped, without_value, misplaced)
    found: dict[tuple[str, ...], None] = {}
    while len(found) < num:
        found[tuple(rng.choice(kinds)(rng, run))] = None
    return [list(arguments) for arguments in found]


def base(rng: random.Random, run: str) -> tuple[list[str], Any]:
    """A command line that is right so far, and the parser of its command."""
    commands = all_parsers()
    words = rng.choice(list(commands))
    parser, given = commands[words], {"train": ["ring"], "sweep": ["ring"], "diagnose unroll": ["ring"]}
    own = given.get(" ".join(words), [run])
    own = {"list": [], "prepare": ["letters"], "show": ["digits"]}.get(words[-1], own)
    return [*words, *own, *(["--out", "x.npz"] if words == ("sample",) else [])], parser


@functools.cache
def all_parsers() -> dict[tuple[str, ...], Any]:
    """The parsers of all commands by their words."""
    return _parsers(build_parser()[0])


@functools.cache
def places(config: str) -> tuple[Any, ...]:
    """The settings of a config."""
    return tuple(walk(load(config)))


def _parsers(parser: Any, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    inner = [action.choices for action in parser._actions if isinstance(action.choices, dict)]
    if not inner:
        return {words: parser}
    return {k: v for name, part in inner[0].items() for k, v in _parsers(part, (*words, name)).items()}


def wrong_option(rng: random.Random, run: str) -> list[str]:
    """An option of the command with a value that it cannot take."""
    words, parser = base(rng, run)
    options = [action for action in parser._actions if action.option_strings and _no_values(rng, action.type)]
    if not options:
        return [*words, "--bogus", "1"]
    action = rng.choice(options)
    name, value = action.option_strings[0], rng.choice(_no_values(rng, action.type))
    return [*words, f"{name}={value}"] if rng.random() < 0.5 else [*words, name, value]


def _no_values(rng: random.Random, kind: Any) -> tuple[str, ...]:
    if isinstance(kind, Whole):
        return (*NO_NUMBERS, "1.5", "1e3", str(kind.least - 1), str(kind.most + 1), "9" * 25)
    if isinstance(kind, Number):
        below = kind.above if kind.above > kind.least else kind.least - 1
        return (*NO_NUMBERS, "-inf", str(below), str(kind.most + 1 if kind.most < 1e300 else "1e999"))
    if isinstance(kind, Several):
        return ("", ",", "1,,2", *_no_values(rng, kind.part)) if isinstance(kind.part, Whole) else ("", ",", "1,,2")
    if kind is seeds:
        return NO_SEEDS
    if isinstance(kind, NewFile):
        return ("", "nowhere/x.png", ".", "a\0b", "~nobody_at_all/x.gif", *(("x.xyz",) if kind.endings else ()))
    return ("", " ", "a\0b", "~nobody_at_all/x") if kind is path else ()


def wrong_setting(rng: random.Random, run: str) -> list[str]:
    """A setting of an experiment with a value that it cannot take, beside some that are right."""
    config = rng.choice(CONFIGS)
    place = rng.choice([place for place in places(config) if _no_setting(place)])
    value = rng.choice(_no_setting(place))
    name = "--" + place.path.replace("_", rng.choice("_-"))
    command = rng.choice((["train", config], ["sweep", config, "--seeds", "2"], ["diagnose", "unroll", config]))
    right = ["--generator.learning-rate", "0.01"] if rng.random() < 0.3 else []
    if command[0] == "sweep" and rng.random() < 0.5:
        return [*command, *right, "--grid", name.removeprefix("--"), value]
    return [*command, *right, f"{name}={value}"]


def _no_setting(place: Any) -> tuple[str, ...]:
    kinds = {place.annotation, *typing.get_args(place.annotation)}
    if place.path == "data":  # on the command line the folder of the data
        return ()
    if isinstance(place.value, tuple) and any(isinstance(part, (int, float)) for part in place.value):
        return ("nan", "1,nan", "x", "1,inf", LARGE[0], "8,-1")
    bounds = dict(place.field.metadata.get("bounds", {}))
    outside = [str(int(bounds["at least"]) - 1)] if "at least" in bounds else []
    outside += [str(bounds["above"])] if "above" in bounds else []
    outside += [str(bounds["at most"] + 1)] if "at most" in bounds else []
    if bool in kinds:
        return ("maybe", "2", "nan", "")
    if int in kinds:
        return (*outside, "nan", "1.5", "inf", "many", "", *LARGE)
    if float in kinds:
        return (*outside, "nan", "inf", "-inf", "many", "", "1e999")
    if str in kinds:
        return ()
    return ("nonsense", "1", "nan")  # for a tuple of components the empty text is none of them


def mistyped(rng: random.Random, run: str) -> list[str]:
    """The name of an option or of a setting with a slip, or cut short."""
    words, parser = base(rng, run)
    names = [name for name in parser.known if len(name) > 6]
    if words[0] in ("train", "sweep") and rng.random() < 0.5:
        names = ["--" + place.path for place in places(words[1]) if len(place.path) > 6]
    if not names:
        return [*words, "--hlep"]
    name = rng.choice(names)
    place = rng.randrange(3, len(name) - 1)
    slips = (name[:place] + name[place + 1 :], name[:place] + "q" + name[place:], name[:-1], name[: max(place, 4)])
    slip = next((slip for slip in rng.sample(slips, 4) if slip not in parser.known and slip not in names), name + "q")
    return [*words, slip, "3"]


def without_value(rng: random.Random, run: str) -> list[str]:
    """An option at the end without its value."""
    words, parser = base(rng, run)
    names = [name for name, num in parser.known.items() if num]
    return [*words, rng.choice(names)] if names else [*words, "--"[:1] + "q"]


def misplaced(rng: random.Random, run: str) -> list[str]:
    """Configs, runs and commands that are not there, and options that do not go together."""
    words, _ = base(rng, run)
    return rng.choice(
        [
            [words[0] + "q", *words[1:]],
            [*words, "extra", "words", "--bogus"],
            ["train", "rnig"],
            ["train", "ring+r2d2"],
            ["train", "nowhere/my.py"],
            ["train", ""],
            ["train"],
            [],
            ["diagnose", "everything", run],
            ["data", "burn"],
            ["data", "list", "--data", "nowhere"],
            ["data", "show", "letters", "--data", "nowhere"],
            ["data", "show", "digits", "--size", str(rng.choice([0, 1, 27, 29, 1000]))],
            ["data", "prepare", "letters", "--from", "nowhere"],
            ["data", "prepare", "Up-Per", "--from", "."],
            ["train", "--resume", run, "--branch-from", run],
            ["train", "--resume", "nowhere"],
            ["train", "--branch-from", f"{run}@{rng.choice(['last', '-1', '1.5', '', '99999999999999999999'])}"],
            ["train", "--branch-from", "nowhere@3"],
            ["train", "ring", "--num-steps", "4", "--num-epochs", "1"],
            ["train", "ring", "--num-epochs", "1"],
            ["train", "ring", "--data", "."],
            ["train", "digits", "--batch-size", str(rng.randrange(2000, 5000))],
            ["train", "ring", "--detector.num-samples", str(rng.randrange(1, 8))],
            ["train", "ring", "--process-id", "0"],
            ["train", "ring", "--coordinator", "here"],
            ["sweep", "ring"],
            ["sweep", "ring", "--seeds", "2", "--strategy", "magic"],
            ["sweep", "ring", "--grid", "data.std", rng.choice(["", ",", "0.1,", "0.1,0.1", "0.1,nan", "x"])],
            ["sweep", "ring", "--grid", "data.std", "0.1", "--grid", "data.std", "0.2"],
            ["sweep", "ring", "--grid", "data.std", "0.1", "--data.std", "0.2"],
            ["sweep", "--resume", run],
            ["sweep", "--resume", run, "--seeds", "2"],
            ["evaluate", f"{run}#0"],
            ["evaluate", run, "--step", "3"],
            ["evaluate", run, "--num-samples", "1"],
            ["sample", run, "--out", rng.choice(["x.jpeg", "nowhere/x.npz", "pictures"])],
            ["thresholds", run, "--vary", "healthy-share", rng.choice(["", ",", "nan", "x", "2", "0.5,,0.6"])],
            ["thresholds", run, "--vary", rng.choice(["num-samples", "rule", "healthy"]), "3"],
            ["diagnose", rng.choice(["landscape", "game", "memorisation"]), run, "--step", "3"],
            ["diagnose", "onset", run, "--branch", rng.choice(["", ",", "luck", "same,luck"])],
            ["diagnose", "unroll", "ring", "--memory", rng.choice(["", "much", "all,much"])],
            ["report", run, "--baseline", "plain"],
            ["report", run, run],
            ["watch", "nowhere"],
        ]
    )


def table(found: dict[tuple[str, ...], Answer]) -> str:
    """The command lines with a fault, a line each."""
    rows = [
        f"{of.fault():30} gan-jax {' '.join(map(repr, arguments))[:150]}\n{'':30} {of.said.strip()[-200:]}"
        for arguments, of in found.items()
        if of.fault()
    ]
    return "\n".join([*rows, f"{len(found)} wrong inputs, {len(rows)} not refused as they should be"])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        small = ["--num-steps", "4", "--eval-every-steps", "2", "--detector.num-samples", "64", "--quiet"]
        answer(["train", "ring", "--run-dir", "run", *small], place)
        print(table({tuple(a): answer(a, place) for a in wrong_inputs(int(sys.argv[1]), int(sys.argv[2]))}))
