"""`--config` and `--trust`: which code a command that reads a folder may execute. Without them it executes none."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from gan_jax.cli.option_types import path
from gan_jax.cli.parser import UsageError

if TYPE_CHECKING:
    from gan_jax.runs.folder_code import AllowedCode


def add_cache_option(parser: Any) -> None:
    """Adds `--no-compilation-cache` to the parser of a command."""
    parser.option(
        "--no-compilation-cache",
        action="store_true",
        help="compile every program anew, and store no compiled programs",
    )


def add_code_options(parser: Any) -> None:
    """Adds `--config` and `--trust` to the parser of a command."""
    parser.option(
        "--config",
        dest="code_config",
        type=path,
        metavar="FILE",
        help="config file to execute, for a folder with components that a user defined",
    )
    parser.option(
        "--trust",
        action="store_true",
        help="execute the source of these components that the folder keeps; only if you know who made it",
    )


def allowed_code(options: argparse.Namespace) -> AllowedCode:
    """The code that the options allow to be executed.

    Raises:
        UsageError: if both are given, or the command reads no folder.
        ConfigError: if there is no such config, even where the folder does not need it.
    """
    from gan_jax.experiment.configs import config_path
    from gan_jax.runs.folder_code import AllowedCode

    if options.code_config and options.trust:
        raise UsageError("--config and --trust both say which code to execute: give only one of them")
    if options.code_config:
        config_path(options.code_config)
    reads_none = options.command in ("train", "sweep") and not (options.resume or getattr(options, "branch_from", None))
    if reads_none and (options.code_config or options.trust):
        raise UsageError(
            f"--config and --trust are for reading an existing folder: to start anew, give "
            f"gan-jax {options.command} CONFIG without them"
        )
    return AllowedCode(options.code_config, options.trust)
