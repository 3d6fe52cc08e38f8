"""What a run or a sweep is of, in its report: what it changes in its config, all settings, and how to do it again."""

from __future__ import annotations

import html
from typing import Any

from gan_jax.experiment.configs import load, split_remedies
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.records import read_experiment
from gan_jax.experiment.settings import diff, to_json
from gan_jax.reports.page import command, settings_table, table


def experiment(config: str, made: Experiment) -> str:
    """What sets an experiment apart from its config as that is today, and all its settings folded away."""
    return _changes(config, made) + settings_table(made)


def _changes(config: str, made: Experiment) -> str:
    if not config:
        return "<p>It was made without a config.</p>"
    name, _ = split_remedies(config)
    shown = f"<code>{html.escape(name)}</code>"
    try:
        base = load(name)
        # A config that is a file is loaded again here, which makes its classes anew: the run's are read by them.
        lines = diff(base, read_experiment(to_json(made)))
    except ValueError as error:
        return f"<p>What it changes in {shown} cannot be told: {html.escape(str(error))}</p>"
    if not lines:
        return f"<p>The config {shown} as it is, nothing changed.</p>"
    rows = []
    for line in lines:
        path, _, change = line.partition(": ")
        before, _, after = change.partition(" -> ")
        rows.append([path, before, after])
    count = "One setting differs" if len(rows) == 1 else f"{len(rows)} settings differ"
    return f"<p>{count} from the config {shown}:</p>" + table(["setting", "config", "here"], rows)


def provenance(record: Any, facts: dict[str, Any]) -> str:
    """The command, and what it was run with.

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
    said = command(record.command, "run-command") if record.command else ""
    rows = [[name, str(value)] for name, value in lines.items() if value not in ("", None)]
    return said + table([], rows)
