"""Which code and which source a run goes on with, when it is resumed or branched."""

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
    """The code that may be executed to continue or to branch a run: what is allowed, or a config file that is named.

    Args:
        config: that the command names beside the run.
        allowed: by the command's options.
    """
    named = config if config and own_file(config) else None
    return allowed if allowed != NO_CODE else AllowedCode(config=named)


def check_source(record_path: Path, source: Source, config: str | None, allowed: AllowedCode) -> str | None:
    """Compares the code of a run's own components with the source that it was started with.

    Args:
        record_path: of the run or the sweep.
        source: of its record.
        config: that the command names beside the run.
        allowed: by the command's options.

    Returns:
        None if they are equal, or the run has no components of its own; else a line for people.

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
            f"{line}: --config {code.path} goes on with it as it is now, --trust with the source that is kept"
        )
    return f"{line}: it goes on with {code.path}"


def replace_source(folder: Path, config: str) -> Source:
    """Keeps the source that a run goes on with, in place of the one that it was started with, which is set aside.

    Args:
        folder: of the run or the sweep.
        config: whose code is executed from now on.

    Returns:
        What the record says of it.
    """
    source, files = source_of(config)
    if hosts.is_leader():
        set_aside(folder, [folder / "source"])
        keep_source(folder, files)
    return source


def branch_source(
    folder: Path, source: Source, config: str | None, allowed: AllowedCode
) -> tuple[Source, dict[str, bytes]]:
    """The source of a branch: of the config that the command names, else what its parent's folder keeps.

    Args:
        folder: of the parent.
        source: of the parent's record.
        config: that the command names beside the parent.
        allowed: by the command's options.

    Returns:
        (what the branch's record says of it, its files).
    """
    named = config or allowed.config
    if named:
        return source_of(named)
    with contextlib.suppress(ConfigError):
        return source, kept_source(folder, source)
    return {}, {}
