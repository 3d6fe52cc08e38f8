"""The command line; `main` runs a command in this process."""

from gan_jax.cli.main import main

__all__ = ["main"]
