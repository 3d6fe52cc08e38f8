"""The record of a run, experiment.json: what it is a run of, and how the record is read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from gan_jax.experiment.config_code import ConfigCode, ConfigError
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.records import missing_components, read_experiment
from gan_jax.experiment.settings import diff, to_json
from gan_jax.runs.folder_code import NO_CODE, AllowedCode, Source, folder_code
from gan_jax.runs.folders import RunError
from gan_jax.runs.record_hash import edited_fields, field_hashes
from gan_jax.runs.stored_shapes import RUN_RECORD, refuse_damage
from gan_jax.scaling import hosts

_R = TypeVar("_R")


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What a folder is a run of. `experiment`, `seed` and `data` decide the numbers; the rest is for people.

    Attributes:
        experiment: the settings; a user's own components are stand-ins where their code has not been executed.
        seed: of the run's key.
        data: fingerprint of the data set's contents; "" for data made from settings.
        config: name or path that the run was started with.
        location: where the data were read, as given; None for the default places.
        parent: "RUN@STEP" for a branch.
        environment: versions and device.
        command: the command line.
        keep_every_steps: checkpoints at multiples of this are kept for good.
        first_step: where the run began: 0, or the step of its parent that it branched from.
        source: the config's file and the modules beside it, with their SHA-256; {} for a shipped config.
        continued: commands that continued it otherwise than it was started: longer, or with other source.
    """

    experiment: Experiment
    seed: int
    data: str = ""
    config: str = ""
    location: str | None = None
    parent: str | None = None
    environment: dict[str, Any] = dataclasses.field(default_factory=dict)
    command: str = ""
    keep_every_steps: int | None = None
    first_step: int = 0
    source: Source = dataclasses.field(default_factory=dict)
    continued: list[str] = dataclasses.field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        value = {"format": 1, **fields, "experiment": to_json(self.experiment)}
        return {**value, "hashes": field_hashes(value)}

    @classmethod
    def from_json(cls, value: dict[str, Any], code: ConfigCode | None = None) -> RunRecord:
        known = {f.name for f in dataclasses.fields(cls)}
        refuse_damage(value, RUN_RECORD)
        fields = {k: v for k, v in value.items() if k in known}
        return cls(**{**fields, "experiment": read_experiment(value["experiment"], code)})

    def began_at(self) -> int:
        """The step at which the run began. Records of version 0.1.0 have a branch's in its parent's name alone."""
        step = (self.parent or "").rpartition("@")[2]
        return self.first_step or (int(step) if step.isdecimal() else 0)

    def differences(self, other: RunRecord) -> list[str]:
        """What makes `other` a different run: settings, seed, data."""
        lines = diff(self.experiment, other.experiment)
        if self.seed != other.seed:
            lines.append(f"seed: {self.seed} -> {other.seed}")
        if self.data != other.data:
            lines.append(f"data contents: {self.data or 'none'} -> {other.data or 'none'}")
        return lines


def parse_record(
    path: Path, parse: Callable[[dict[str, Any], ConfigCode | None], _R], allowed: AllowedCode = NO_CODE
) -> _R:
    """Reads a record file, which in several processes the leader does for all.

    Args:
        path: the file.
        parse: takes its JSON, and the code of its own components if that may be executed.
        allowed: code that may be executed.

    Returns:
        What `parse` returns.

    Raises:
        RunError: if it cannot be read.
        ConfigError: if the code cannot be executed, or does not define the components.
    """
    try:
        value = hosts.from_leader(lambda: json.loads(path.read_text(encoding="utf-8")))
        return parse(value, folder_code(path.parent, value, allowed))
    except ConfigError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OSError) as error:
        raise RunError(f"{path} cannot be read: {error}") from error


def read_code(path: Path, allowed: AllowedCode) -> ConfigCode | None:
    """The code of the own components of a record file, executed; None if it has none, or none may be executed.

    Raises:
        ConfigError: as `folder_code`.
    """
    return parse_record(path, lambda value, code: code, allowed)


def check_unedited(path: Path) -> None:
    """Refuses a record in which a field that decides the numbers was changed by hand.

    Raises:
        RunError: naming the fields.
    """
    names = edited_fields(hosts.from_leader(lambda: json.loads(path.read_text(encoding="utf-8"))))
    if names:
        raise RunError(
            f"{path} was edited since it was written ({', '.join(names[:4])}): it would go on with other numbers; undo "
            "the edit, or start another run with the change (train --branch-from)"
        )


def require_components(name: object, *parts: Any) -> None:
    """Refuses to use parts of a record's experiment that are stand-ins.

    Args:
        name: of the run or the sweep, for the message.
        *parts: the experiment, or components of it.

    Raises:
        RunError: if the code of a component has not been executed.
    """
    missing = missing_components(parts)
    if missing:
        raise RunError(
            f"{name} has components of its own ({', '.join(missing)}), and no code is executed unasked: name its "
            "config with --config FILE, or execute the source that it keeps with --trust (Python: config=, trust=True)"
        )
