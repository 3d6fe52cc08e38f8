"""Configs by name or by file: Python files that define `experiment()`, and `sweep()` where they are a study.

A config may be followed by remedies: `ring+packing_2`, `ring+r1+replay_fifo`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import gan_jax
from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.remedies import apply_remedy
from gan_jax.experiment.sweep import Sweep


class ConfigError(ValueError):
    """A config that is unknown, cannot be read, or makes no experiment."""


def config_directory() -> Path:
    """Where the shipped configs are: inside an installed package, beside it in a checkout."""
    package = Path(gan_jax.__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """Names of the shipped configs."""
    return sorted(path.stem for path in config_directory().glob("*.py") if not path.stem.startswith("_"))


def split_remedies(config: str) -> tuple[str, list[str]]:
    """(the config, the remedies after it), of "ring+r1+replay_fifo".

    Example:
        >>> split_remedies("ring+r1+replay_fifo")
        ('ring', ['r1', 'replay_fifo'])
    """
    if Path(config).is_file():  # a file whose name has a plus
        return config, []
    base, *remedies = config.split("+")
    return base, remedies


def config_path(config: str) -> Path:
    """The file of a config given by name or by path, remedies left aside.

    Raises:
        ConfigError: listing the known names.
    """
    config, _ = split_remedies(config)
    path = Path(config)
    if path.suffix == ".py" or len(path.parts) > 1:
        if not path.is_file():
            raise ConfigError(f"no config file {config}: give a Python file that defines experiment(), or a name")
        return path
    shipped = config_directory() / f"{config}.py"
    if not shipped.is_file():
        raise ConfigError(unknown_name("no config", config, config_names()))
    return shipped


def load_module(config: str) -> ModuleType:
    """Imports a config file. Components that it defines can be written to and read from JSON in this process."""
    path = config_path(config)
    # The name tells files of one stem in two folders apart, and stays the same from run to run.
    name = f"gan_jax_config_{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def load(config: str) -> Experiment:
    """The experiment of a config.

    Raises:
        ConfigError: if the config is unknown or makes no experiment; the message is the component's own where a setting
            is wrong.
    """
    module = load_module(config)
    if not hasattr(module, "experiment"):
        raise ConfigError(f"{config_path(config)} defines no experiment(): add `def experiment() -> Experiment`")
    try:
        made = module.experiment()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{config_path(config)}: {error}") from error
    if not isinstance(made, Experiment):
        raise ConfigError(f"{config_path(config)}: experiment() returned {type(made).__name__}, not an Experiment")
    for name in split_remedies(config)[1]:
        try:
            made = apply_remedy(made, name)
        except ValueError as error:
            raise ConfigError(f"{config}: {error}") from error
    return made


def load_sweep(config: str) -> Sweep | None:
    """The sweep of a config; None if it defines none, or if remedies make another experiment of it.

    Raises:
        ConfigError: if the config is unknown, or makes no sweep of it.
    """
    module = load_module(config)
    if not hasattr(module, "sweep") or split_remedies(config)[1]:
        return None
    try:
        made = module.sweep()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{config_path(config)}: {error}") from error
    if not isinstance(made, Sweep):
        raise ConfigError(f"{config_path(config)}: sweep() returned {type(made).__name__}, not a Sweep")
    return made


def config_summary(config: str) -> str:
    """The first line of a config's docstring: what it claims or shows."""
    text = config_path(config).read_text().lstrip()
    return text.strip('"').splitlines()[0].strip('" ') if text.startswith('"""') else ""
