"""`--config` and `--trust`: which code a command that reads a folder may execute. Without them it executes none."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from gan_jax.cli.option_types import path
from gan_jax.cli.parser import UsageError

if TYPE_CHECKING:
    from gan_jax.runs.folder_code import AllowedCode


def add_code_options(parser: Any) -> None:
    """Adds both options to the parser of a command."""
    parser.option(
        "--config",
        dest="code_config",
        type=path,
        metavar="FILE",
        help="a config to execute, for a folder whose components a user defined; shipped ones need none",
    )
    parser.option("--trust", action="store_true", help="execute the config's source that the folder keeps instead")


def allowed_code(options: argparse.Namespace) -> AllowedCode:
    """The code that the options allow to be executed.

    Raises:
        UsageError: if they name two sources, or go with a command that reads no folder.
        ConfigError: if there is no such config, whether the folder needs it or not.
    """
    from gan_jax.experiment.configs import config_path
    from gan_jax.runs.folder_code import AllowedCode

    if options.code_config and options.trust:
        raise UsageError("--config and --trust name two sources of the same code: give one of them")
    if options.code_config:
        config_path(options.code_config)
    reads_none = options.command in ("train", "sweep") and not (options.resume or getattr(options, "branch_from", None))
    if reads_none and (options.code_config or options.trust):
        raise UsageError(
            f"--config and --trust are for folders: start anew with {options.command} CONFIG, without them"
        )
    return AllowedCode(options.code_config, options.trust)
