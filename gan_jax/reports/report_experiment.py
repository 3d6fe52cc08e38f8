"""The experiment in a report: its differences from the config, all its settings, and the command that made it."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from gan_jax.experiment.config_code import ConfigError
from gan_jax.experiment.configs import is_file_name, load, split_remedies
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import diff
from gan_jax.reports.html_parts import render_template
from gan_jax.reports.page import command, html_table, settings_table
from gan_jax.runs.folder_code import AllowedCode


def experiment_settings(config: str, made: Experiment, allowed: AllowedCode) -> Markup:
    """The settings in which an experiment differs from the present version of its config; and all settings, folded.

    Args:
        config: name or path of the config, followed by remedies; "" if there was none.
        made: the experiment of the run, or of an arm.
        allowed: code that may be executed; a shipped config always may.

    Returns:
        HTML.
    """
    return _changes(config, made, allowed) + settings_table(made)


def _changes(config: str, made: Experiment, allowed: AllowedCode) -> Markup:
    name, rows, error = "", [], ""
    if config:
        name, _ = split_remedies(config)
        try:
            rows = [_changed_setting(line) for line in diff(_base(name, allowed), made)]
        except ValueError as problem:
            error = str(problem)
    changed = html_table(["setting", "config", "here"], rows) if rows else ""
    return render_template("changes", config=name, error=error, num_changes=len(rows), table=changed)


def _base(config: str, allowed: AllowedCode) -> Experiment:
    """The experiment of a shipped config, or of one that the user names. A path in a record is not followed.

    Raises:
        ValueError: if the config is neither, or cannot be loaded.
    """
    if is_file_name(config) and allowed.config is None:
        raise ConfigError("a config file is executed only if you name it: gan-jax report RUN --config FILE")
    return load(split_remedies(allowed.config)[0] if is_file_name(config) and allowed.config else config)


def _changed_setting(line: str) -> list[str]:
    path, _, change = line.partition(": ")
    before, _, after = change.partition(" -> ")
    return [path, before, after]


def provenance(record: Any, facts: dict[str, Any]) -> Markup:
    """The command, the device and the versions of a run or a sweep.

    Args:
        record: the record of a run or a sweep.
        facts: more lines, shown before the versions; empty ones are left out.
    """
    known = record.environment
    versions = ", ".join(f"{name} {version}" for name, version in known.get("versions", {}).items())
    device = ", ".join(
        part for part in (known.get("device"), f"{known['num_cpus']} CPUs" if "num_cpus" in known else None) if part
    )
    lines = {**facts, "device": device, "versions": versions, "started": known.get("started", "")}
    commands = "\n".join(filter(None, (record.command, *record.continued)))
    shown = command(commands, "run-command") if commands else Markup()
    rows = [[name, str(value)] for name, value in lines.items() if value not in ("", None)]
    return shown + html_table([], rows)
