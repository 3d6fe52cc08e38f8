"""The source of the config that a folder keeps, and the code that may be executed to read the folder.

A folder may come from a stranger. No code in it, and no code elsewhere that its record names, is executed unless the
user names a config or trusts the folder. Otherwise a user's own components are placeholders, which can be shown.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from gan_jax.experiment.config_code import ConfigCode, ConfigError, execute, source_files
from gan_jax.experiment.configs import config_path, own_file, split_remedies
from gan_jax.experiment.records import own_components
from gan_jax.experiment.settings import OWN

Source = dict[str, Any]
"""The source entry of a record: {"config": name of the file, "files": SHA-256 by name}; {} for a shipped config."""


@dataclasses.dataclass(frozen=True)
class AllowedCode:
    """The code that may be executed to read a folder.

    Attributes:
        config: a config that the user names; it defines the components.
        trust: whether the source that the folder keeps may be executed.
    """

    config: str | None = None
    trust: bool = False


NO_CODE = AllowedCode()


def source_of(config: str) -> tuple[Source, dict[str, bytes]]:
    """(the source entry of a record, the files to store); both are empty for a shipped config.

    Args:
        config: the config as given to train or sweep; it has been imported.
    """
    path = own_file(config)
    if path is None:
        return {}, {}
    files = source_files(path)
    return {"config": path.name, "files": _hashes(files)}, files


def keep_source(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files of a config's source into a folder, under `source/`."""
    for name, content in files.items():
        file = folder / "source" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def kept_source(folder: Path, source: Source) -> dict[str, bytes]:
    """The source files that a folder keeps, as bytes; none of them is executed.

    Args:
        folder: the folder of the run or the sweep.
        source: the source of its record.

    Returns:
        Contents by name.

    Raises:
        ConfigError: if a file is missing, leads outside the folder, or has changed since the run began.
    """
    inside = folder.resolve() / "source"  # if this were a link, files would resolve to another place
    found: dict[str, bytes] = {}
    for name, known in dict(source.get("files", {})).items():
        file = inside / str(name)
        if PurePosixPath(name).is_absolute() or not file.resolve().is_relative_to(inside) or not file.is_file():
            raise ConfigError(f"{folder} has no source file {name}: name the config with --config FILE")
        found[name] = file.read_bytes()
        if hashlib.sha256(found[name]).hexdigest() != known:
            raise ConfigError(f"{file} has been changed since the run began: name the config with --config FILE")
    return found


def folder_code(folder: Path, record: Mapping[str, Any], allowed: AllowedCode) -> ConfigCode | None:
    """Executes the code of a record's own components; None if it has none, or none may be executed.

    Args:
        folder: the folder of the run or the sweep.
        record: content of its record's JSON.
        allowed: the code that may be executed.

    Returns:
        The code, which defines every component of the record.

    Raises:
        ConfigError: if there is no such code, it cannot be imported, or it does not define the components.
    """
    names = {name for name, _ in own_components(dict(record))}
    if not names or allowed == NO_CODE:
        return None
    code = own_code(allowed.config) if allowed.config else _trusted_code(folder, record)
    for name in sorted(names):
        if code.component(name) is None:
            raise ConfigError(
                f"{code.path} does not define the component {name.rpartition(':')[2]} that {folder} uses: "
                "name the right config with --config FILE"
            )
    return code


def own_code(config: str) -> ConfigCode:
    """Executes the user's file that a config names, or the shipped config, and returns its code."""
    return execute(own_file(config) or config_path(config))


def check_readable(config: str, record: Mapping[str, Any]) -> None:
    """Checks, before anything is written, that the source of the config defines all components of the record.

    Args:
        config: the config as given to train or sweep.
        record: content of the record's JSON.

    Raises:
        ConfigError: if it lacks one; the message names the component.
    """
    others = [
        Path(name) for name in split_remedies(config)[1] if name.endswith(".py") and Path(name) != own_file(config)
    ]
    for name, _ in own_components(dict(record)):
        is_of_another = name.startswith(f"{OWN}:") and any(execute(other).component(name) for other in others)
        if is_of_another or own_code(config).component(name) is None:
            raise ConfigError(
                f"{config}: a reader of the run could not find the component {name.rpartition(':')[2]} again: define "
                "it at the top level of the config or of a module that it imports, and only there"
            )


def _trusted_code(folder: Path, record: Mapping[str, Any]) -> ConfigCode:
    source = record.get("source")
    if source:
        files = kept_source(folder, source)
        if source["config"] not in files:
            raise ConfigError(f"{folder} has no source file {source['config']}: name the config with --config FILE")
        return execute(folder / "source" / source["config"])
    # A record of version 0.1.0 stores only the path of the config, and the folder has no copy of it.
    path = Path(split_remedies(str(record.get("config")))[0])
    if path.suffix != ".py" or not path.is_file():
        raise ConfigError(f"{folder} has no source of its config: name the config with --config FILE")
    return execute(path)


def changed_files(source: Source, code: ConfigCode | None) -> list[str]:
    """Names of the files in which the code differs from the source of a record; [] if one of them is unknown."""
    if code is None or not source:
        return []
    known, now = dict(source["files"]), _hashes(code.files)
    # The config may have been renamed since.
    known[code.path.name] = known.pop(source["config"], None)
    return sorted(name for name in known.keys() | now.keys() if known.get(name) != now.get(name))


def _hashes(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
