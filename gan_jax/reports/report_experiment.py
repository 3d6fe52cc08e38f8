"""The experiment in a report: its differences from the config, all its settings, and the command that repeats it."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from gan_jax.experiment.configs import load, split_remedies
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.records import read_experiment
from gan_jax.experiment.settings import diff, to_json
from gan_jax.reports.html_parts import render_template
from gan_jax.reports.page import command, html_table, settings_table


def experiment_settings(config: str, made: Experiment) -> Markup:
    """The settings in which an experiment differs from its config as that is today, and all its settings, folded.

    Args:
        config: name or path of the config, remedies after it; "" if there was none.
        made: the experiment of the run, or of an arm.

    Returns:
        HTML.
    """
    return _changes(config, made) + settings_table(made)


def _changes(config: str, made: Experiment) -> Markup:
    name, rows, error = "", [], ""
    if config:
        name, _ = split_remedies(config)
        try:
            base = load(name)
            # A config that is a file is loaded again here, which makes its classes anew: the run's are read by them.
            rows = [_changed_setting(line) for line in diff(base, read_experiment(to_json(made)))]
        except ValueError as problem:
            error = str(problem)
    changed = html_table(["setting", "config", "here"], rows) if rows else ""
    return render_template("changes", config=name, error=error, num_changes=len(rows), table=changed)


def _changed_setting(line: str) -> list[str]:
    path, _, change = line.partition(": ")
    before, _, after = change.partition(" -> ")
    return [path, before, after]


def provenance(record: Any, facts: dict[str, Any]) -> Markup:
    """The command, the device and the versions of a run or a sweep.

    Args:
        record: of a run or a sweep.
        facts: more lines, before the versions; empty ones are left out.
    """
    known = record.environment
    versions = ", ".join(f"{name} {version}" for name, version in known.get("versions", {}).items())
    device = ", ".join(
        part for part in (known.get("device"), f"{known['num_cpus']} CPUs" if "num_cpus" in known else None) if part
    )
    lines = {**facts, "device": device, "versions": versions, "started": known.get("started", "")}
    shown = command(record.command, "run-command") if record.command else Markup()
    rows = [[name, str(value)] for name, value in lines.items() if value not in ("", None)]
    return shown + html_table([], rows)
