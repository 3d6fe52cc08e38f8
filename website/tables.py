"""Pages generated from the code: tables of configs, remedies, metrics and diagnoses, and the command line."""

from __future__ import annotations

import inspect
import os
from collections import defaultdict
from unittest import mock

import gan_jax as gj
from gan_jax.cli.arguments import build_parser
from gan_jax.cli.parser import Parser
from gan_jax.experiment.configs import config_header, config_names
from gan_jax.reports.diagnosis_kinds import RUN_KINDS
from website.reference import page_of, public_names

_WIDTH = "88"
"""Width of the help texts, in characters."""


def pages() -> dict[str, str]:
    """The Markdown of these pages, by path below docs/."""
    return {
        "reference/configs.md": configs(),
        "reference/remedies.md": remedies(),
        "reference/metric-names.md": metrics(),
        "reference/diagnoses.md": diagnoses(),
        "reference/command-line.md": command_line(),
    }


def configs() -> str:
    """A section for each shipped config, from its docstring."""
    parts = [
        "# Configs\n",
        "Each is a Python file with `experiment()` and, for a study, `sweep()`. `gan-jax configs` prints this list, "
        "`gan-jax new NAME` writes one to start from, and every setting of a config is an option of `gan-jax train`.\n",
    ]
    for name in config_names():
        header = config_header(name)
        parts.append(f"## `{name}`\n\n{header.pop('summary')}\n")
        if "command" in header:
            parts.append(f"```\n{header.pop('command')}\n```\n")
        parts += [f"- **{word.capitalize()}**: {text}" for word, text in header.items()]
        parts.append("")
    return "\n".join(parts)


def remedies() -> str:
    """The remedies by name, with the settings of `ring` that each changes."""
    base = gj.load("ring")
    rows = ["| name | family | effect | what it changes in `ring` |", "|---|---|---|---|"]
    for name, remedy in gj.REMEDIES.items():
        try:
            changed = "; ".join(gj.diff(base, gj.apply_remedy(base, name)))
        except ValueError as error:
            changed = f"does not fit `ring`: {error}"
        rows.append(f"| `{name}` | {remedy.family} | {remedy.summary} | {_cell(changed)} |")
    head = (
        "# Remedies by name\n\n`gan-jax train ring+NAME`, `gj.apply_remedy(experiment, NAME)`. Equations, measured "
        "effects and costs are in the [guide](../remedies.md); scores on known collapses in "
        "[CollapseBench](../collapsebench.md).\n\n"
    )
    return head + "\n".join(rows) + "\n"


def metrics() -> str:
    """The public names of `gj.metrics` by module, one line each."""
    return "# Metrics\n\nArrays in, arrays out; all work under `jit`.\n\n" + _by_module("metrics")


def diagnoses() -> str:
    """The kinds of `gan-jax diagnose`, with their options; and the measurements behind them."""
    kinds = commands_of(commands_of(build_parser("gan-jax")[0])["diagnose"])
    parts = [
        "# Diagnoses\n",
        "Each measures a stored run, writes `RUN/diagnosis/KIND.json`, and has a section in the run's report. What "
        "they show is in the guide [Why it collapsed](../why_it_collapsed.md).\n",
    ]
    for kind, line in RUN_KINDS.items():
        parts.append(f"## `{kind}`\n\n{line[0].upper()}{line[1:]}.\n\n```\n{_help(kinds[kind])}\n```\n")
    return "\n".join(parts) + "\n## Measurements of a training state\n\n" + _by_module("diagnostics")


def command_line() -> str:
    """The help of every command."""
    parser, _ = build_parser("gan-jax")
    parts = [f"# Command line\n\n```\n{_help(parser)}\n```\n"]
    for name, command in commands_of(parser).items():
        if name == "diagnose":
            parts.append("## `gan-jax diagnose`\n\nIt has its own page: [diagnoses](diagnoses.md).\n")
            continue
        parts.append(f"## `gan-jax {name}`\n\n```\n{_help(command)}\n```\n")
        for action, inner in commands_of(command).items():
            parts.append(f"### `gan-jax {name} {action}`\n\n```\n{_help(inner)}\n```\n")
    parts.append(
        "## Exit codes\n\n| code | meaning |\n|---|---|\n| 0 | done, whatever the verdict |\n| 2 | the request cannot "
        "be met; a line or two give the reason |\n| 3 | losses or gradients stopped being finite |\n| 4 | another "
        "process of the command ended |\n| 130 | interrupted; `--resume` continues |\n"
    )
    return "\n".join(parts)


def commands_of(parser: Parser) -> dict[str, Parser]:
    """The subcommands of a parser, by name."""
    return {
        name: command
        for action in parser._actions
        if isinstance(action.choices, dict)
        for name, command in action.choices.items()
    }


def _help(parser: Parser) -> str:
    with mock.patch.dict(os.environ, COLUMNS=_WIDTH):
        return parser.format_help().strip()


def _by_module(room: str) -> str:
    rows = defaultdict(list)
    for public in public_names():
        if page_of(public) == room:
            line = (inspect.getdoc(public.value) or "").partition("\n")[0] if callable(public.value) else ""
            rows[public.place.split(".")[-2]].append(f"| [`{public.name}`]({room}.md#{public.name}) | {_cell(line)} |")
    return "\n".join(
        f"### {module.replace('_', ' ').capitalize()}\n\n| name | |\n|---|---|\n" + "\n".join(lines) + "\n"
        for module, lines in rows.items()
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
