"""Decides which code and which source a resumed or branched run continues with."""

from __future__ import annotations

import contextlib
from pathlib import Path

from gan_jax.experiment.config_code import ConfigError
from gan_jax.experiment.configs import own_file
from gan_jax.runs.files import set_aside
from gan_jax.runs.folder_code import (
    NO_CODE,
    AllowedCode,
    Source,
    changed_files,
    keep_source,
    kept_source,
    source_of,
)
from gan_jax.runs.folders import RunError
from gan_jax.runs.run_record import read_code
from gan_jax.scaling import hosts


def resume_code(config: str | None, allowed: AllowedCode) -> AllowedCode:
    """The code that may be executed to continue or branch a run: the allowed code, or a config file that is named.

    Args:
        config: the config that the command names beside the run.
        allowed: the code that the command's options allow.
    """
    named = config if config and own_file(config) else None
    return allowed if allowed != NO_CODE else AllowedCode(config=named)


def check_source(record_path: Path, source: Source, config: str | None, allowed: AllowedCode) -> str | None:
    """Compares the code of a run's own components with the source that it was started with.

    Args:
        record_path: the file of the record of a run or a sweep.
        source: the source of its record.
        config: the config that the command names beside the run.
        allowed: the code that the command's options allow.

    Returns:
        None if they are equal, or the run has no components of its own; otherwise a line to log.

    Raises:
        RunError: if they differ, and the user has not said which of them to execute.
    """
    code = read_code(record_path, resume_code(config, allowed))
    changed = changed_files(source, code)
    if not changed or code is None:
        return None
    files, verb = [str(code.path.parent / name) for name in changed], "differs" if len(changed) == 1 else "differ"
    line = f"{', '.join(files)} {verb} from the source that {record_path.parent} was started with"
    if allowed == NO_CODE:
        raise RunError(
            f"{line}: continue with the present file by --config {code.path}, or with the stored source by --trust"
        )
    return f"{line}: the run continues with {code.path}"


def replace_source(folder: Path, config: str) -> Source:
    """Stores the source that a run continues with; the source that it was started with is set aside.

    Args:
        folder: the folder of the run or the sweep.
        config: the config whose code is executed from now on.

    Returns:
        The description of the source for the record.
    """
    source, files = source_of(config)
    if hosts.is_leader():
        set_aside(folder, [folder / "source"])
        keep_source(folder, files)
    return source


def branch_source(
    folder: Path, source: Source, config: str | None, allowed: AllowedCode
) -> tuple[Source, dict[str, bytes]]:
    """The source of a branch: that of the config which the command names, or else the one in its parent's folder.

    Args:
        folder: the folder of the parent.
        source: the source of the parent's record.
        config: the config that the command names beside the parent.
        allowed: the code that the command's options allow.

    Returns:
        (the description of the source for the branch's record, its files).
    """
    named = config or allowed.config
    if named:
        return source_of(named)
    with contextlib.suppress(ConfigError):
        return source, kept_source(folder, source)
    return {}, {}
