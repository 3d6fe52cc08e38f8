"""`--config` and `--trust`: which code a command that reads a folder may execute. Without them it executes none."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from gan_jax.cli.option_types import path

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
    """The code that the options allow to be executed."""
    from gan_jax.runs.folder_code import AllowedCode

    return AllowedCode(options.code_config, options.trust)
