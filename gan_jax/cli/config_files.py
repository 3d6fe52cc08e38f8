"""`gan-jax configs`, `new` and `completion`: list the shipped configs, write a new one, complete them in a shell."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

from gan_jax.cli.console import print_text
from gan_jax.cli.parser import OK, Parser, Settings, UsageError

SHELLS = ("bash", "zsh", "tcsh")


def configs_command(options: argparse.Namespace, settings: Settings) -> int:
    """Prints each config with its summary, cost and figure; `--json` prints all parts of the headers."""
    from gan_jax.experiment.configs import config_header, config_names
    from gan_jax.runs.json_text import json_text

    headers = {name: config_header(name) for name in config_names()}
    if options.json:
        print_text(json_text(headers, indent=2))
        return OK
    lines = []
    for name, header in headers.items():
        lines.append(f"{name}\n    {header['summary']}")
        lines += [f"    {part}: {header[part]}" for part in ("cost", "figure") if part in header]
    print_text("\n".join(lines))
    return OK


def new_command(options: argparse.Namespace, settings: Settings) -> int:
    """Writes NAME.py: the code of a shipped config under a new header.

    Args:
        options: `name` of the new file, and `base`, the config to start from.
        settings: not used.

    Returns:
        The exit code.

    Raises:
        UsageError: if the name cannot be that of a Python module, the file exists, or its folder does not.
    """
    from gan_jax.experiment.configs import config_path
    from gan_jax.runs.files import write_text

    target = Path(options.name).with_suffix(".py")
    if not target.stem.isidentifier() or Path(options.name).suffix not in ("", ".py"):
        raise UsageError(f"{options.name} cannot name a config: use letters, digits and _, such as my_ring")
    if target.exists():
        raise UsageError(f"{target} exists already, and was not changed: choose another name")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"the folder of {target} does not exist: make it first")
    write_text(target, config_text(config_path(options.base).read_text(encoding="utf-8"), options.base, target))
    print_text(f"wrote {target}, a copy of {options.base}: edit it, then run gan-jax train {target}")
    return OK


def config_text(source: str, base: str, target: Path) -> str:
    """The text of a new config: a header to fill in, and the code of an existing config.

    Args:
        source: text of the config to start from.
        base: its name.
        target: file of the new config.

    Returns:
        The text. Its header has the parts that `gan-jax configs` shows.
    """
    header = ast.parse(source).body[0]
    code = "".join(source.splitlines(keepends=True)[header.end_lineno :])
    return (
        f'"""What this experiment is, in one line. It began as a copy of the config {base}.\n\n'
        "Claim: what the experiment should show.\n"
        f"Command: gan-jax train {target}\n"
        "Cost: steps, batch size, time on your machine.\n"
        'Figure: what to look at, and its value.\n"""\n' + code
    )


def completion_command(options: argparse.Namespace, settings: Settings) -> int:
    """Prints the script that makes a shell complete commands, options and names of configs."""
    import shtab

    from gan_jax.cli.arguments import build_parser
    from gan_jax.experiment.configs import config_names

    parser, commands = build_parser("gan-jax")
    for name in ("train", "sweep"):
        _complete_configs(commands[name])
    names = " ".join(config_names())
    preamble = {
        "bash": f'_gan_jax_configs() {{ compgen -W "{names}" -- "$1"; compgen -f -- "$1"; }}',
        "zsh": f"_gan_jax_configs() {{ compadd {names}; _files -g '*.py'; }}",
        "tcsh": "",
    }
    print_text(shtab.complete(parser, shell=options.shell, preamble=preamble[options.shell]))
    return OK


def _complete_configs(command: Parser) -> None:
    for action in command._actions:
        if action.dest == "config":
            action.complete = {"bash": "_gan_jax_configs", "zsh": "_gan_jax_configs"}  # type: ignore[attr-defined]
