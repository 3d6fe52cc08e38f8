"""The record of a run, experiment.json: experiment, seed, data, versions; and how it is read and checked."""

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
    """The record of a run. `experiment`, `seed` and `data` determine its numbers; the other fields are information.

    Attributes:
        experiment: the settings; a user's own components are placeholders if their code was not executed.
        seed: the seed of the run's key.
        data: fingerprint of the data set's contents; "" for data made from settings.
        config: name or path that the run was started with.
        location: the folder of the data, as given; None for the default places.
        parent: "RUN@STEP" for a branch.
        environment: versions and device.
        command: the command line.
        keep_every_steps: checkpoints at multiples of this are kept for good.
        first_step: step at which the run began: 0, or for a branch the step of its parent's checkpoint.
        source: the config's file and the modules beside it, with their SHA-256; {} for a shipped config.
        continued: commands that changed the run when they continued it: its length, or its source.
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
        """The step at which the run began. Records of version 0.1.0 store it only in the name of a branch's parent."""
        step = (self.parent or "").rpartition("@")[2]
        return self.first_step or (int(step) if step.isdecimal() else 0)

    def differences(self, other: RunRecord) -> list[str]:
        """The settings, seed and data in which `other` differs, one line each."""
        lines = diff(self.experiment, other.experiment)
        if self.seed != other.seed:
            lines.append(f"seed: {self.seed} -> {other.seed}")
        if self.data != other.data:
            lines.append(f"data contents: {self.data or 'none'} -> {other.data or 'none'}")
        return lines


def parse_record(
    path: Path, parse: Callable[[dict[str, Any], ConfigCode | None], _R], allowed: AllowedCode = NO_CODE
) -> _R:
    """Reads the file of a record; of several processes, the leader reads it for all.

    Args:
        path: the file.
        parse: called with its JSON, and with the code of the user's own components if that may be executed.
        allowed: code that may be executed.

    Returns:
        The result of `parse`.

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
    """Executes the code of a record's own components; None if it has none, or none may be executed.

    Raises:
        ConfigError: as for `folder_code`.
    """
    return parse_record(path, lambda value, code: code, allowed)


def check_unedited(path: Path) -> None:
    """Checks that no field which determines the numbers was changed by hand.

    Raises:
        RunError: if one was; the message names the fields.
    """
    names = edited_fields(hosts.from_leader(lambda: json.loads(path.read_text(encoding="utf-8"))))
    if names:
        raise RunError(
            f"{path} was edited after it was written ({', '.join(names[:4])}), so the run would continue with other "
            "numbers: undo the edit, or start a new run with the change (train --branch-from)"
        )


def require_components(name: object, *parts: Any) -> None:
    """Checks that the components of a record's experiment are real ones, not placeholders.

    Args:
        name: the name of the run or the sweep, for the message.
        *parts: the experiment, or components of it.

    Raises:
        RunError: if the code of a component has not been executed.
    """
    missing = missing_components(parts)
    if missing:
        raise RunError(
            f"{name} has components of its own ({', '.join(missing)}), whose code is not executed unasked: name the "
            "config with --config FILE, or execute the source in the folder with --trust (Python: config=, trust=True)"
        )
