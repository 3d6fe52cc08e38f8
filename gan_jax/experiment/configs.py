"""Configs by name or by file: Python files that define `experiment()` and, for a study, `sweep()`.

A config may be followed by remedies: `ring+packing_2`, `ring+r1+replay_fifo`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import gan_jax
from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.remedies import apply_remedy
from gan_jax.experiment.sweep import Sweep


class ConfigError(ValueError):
    """A config that is unknown, cannot be imported, or defines no valid experiment."""


def config_directory() -> Path:
    """The folder of the shipped configs: inside an installed package, or beside it in a checkout."""
    package = Path(gan_jax.__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def config_names() -> list[str]:
    """Names of the shipped configs.

    Returns:
        The names that `load` takes, sorted.

    Example:
        >>> names = config_names()
        >>> "ring" in names, names == sorted(names)
        (True, True)
    """
    return sorted(path.stem for path in config_directory().glob("*.py") if not path.stem.startswith("_"))


def split_remedies(config: str) -> tuple[str, list[str]]:
    """Splits "ring+r1+replay_fifo" into (the config, its remedies).

    Example:
        >>> split_remedies("ring+r1+replay_fifo")
        ('ring', ['r1', 'replay_fifo'])
    """
    if Path(config).is_file():  # a file whose name contains a plus
        return config, []
    base, *remedies = config.split("+")
    return base, remedies


def config_path(config: str) -> Path:
    """The file of a config given by name or by path; remedies after it are ignored.

    Raises:
        ConfigError: if there is no such file, or no such name; the message lists the known names.
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
    """Imports a config file. This process can then write and read the components that it defines.

    Raises:
        ConfigError: if the config is unknown, or its import fails.
    """
    path = config_path(config)
    # The name differs for two files of one stem in two folders, and is the same in every process.
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

    Args:
        config: the name of a shipped config or the path of a Python file, with remedies after it if any
            (`ring+packing_2`).

    Returns:
        What the config's `experiment()` returns, changed by the remedies in order.

    Raises:
        ConfigError: if the config is unknown, its `experiment()` fails, or a remedy is unknown or does not fit; the
            message has the component's own error. It is a `ValueError`.

    Example:
        >>> load("ring").data.num_modes, load("ring+packing_2").discriminator.network.num
        (8, 2)
        >>> load("rong")
        Traceback (most recent call last):
        ...
        gan_jax.experiment.configs.ConfigError: no config 'rong'; did you mean 'ring'?
    """
    module = load_module(config)
    if not hasattr(module, "experiment"):
        raise ConfigError(f"{config_path(config)} does not define experiment(): add `def experiment() -> Experiment`")
    try:
        made = module.experiment()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{config_path(config)}: {error}") from error
    if not isinstance(made, Experiment):
        raise ConfigError(f"{config_path(config)}: experiment() returned {type(made).__name__}, not an Experiment")
    try:
        return with_remedies(made, split_remedies(config)[1])
    except ValueError as error:
        raise ConfigError(f"{config}: {error}") from error


def with_remedies(experiment: Experiment, names: Sequence[str]) -> Experiment:
    """An experiment with remedies, in order.

    Args:
        experiment: the experiment to change.
        names: of `REMEDIES`; or Python files that define `remedy(experiment)`, which returns the changed experiment.

    Returns:
        A new experiment.

    Raises:
        ValueError: for an unknown name, a file without `remedy`, or a remedy that does not fit the experiment's parts.
    """
    for name in names:
        if not name.endswith(".py"):
            experiment = apply_remedy(experiment, name)
            continue
        module = load_module(name)
        if not hasattr(module, "remedy"):
            raise ConfigError(f"{name} does not define remedy(): add `def remedy(experiment) -> Experiment`")
        experiment = module.remedy(experiment)
        if not isinstance(experiment, Experiment):
            raise ConfigError(f"{name}: remedy() returned {type(experiment).__name__}, not an Experiment")
    return experiment


def load_sweep(config: str) -> Sweep | None:
    """The sweep of a config, with the remedies after it in each arm; None if the config defines none.

    Arms that the remedies do not fit (a layer of convolutions in a game of MLPs) are left out.

    Args:
        config: the name of a shipped config, or the path of a Python file; with remedies after it if any.

    Returns:
        What the config's `sweep()` returns, or None.

    Raises:
        ConfigError: if the config is unknown, its `sweep()` fails or returns no `Sweep`, or the remedies are unknown or
            fit no arm.

    Example:
        >>> load_sweep("remedies_ring").arms[0].name
        'plain'
        >>> load_sweep("ring") is None
        True
    """
    module = load_module(config)
    if not hasattr(module, "sweep"):
        return None
    try:
        made = module.sweep()
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{config_path(config)}: {error}") from error
    if not isinstance(made, Sweep):
        raise ConfigError(f"{config_path(config)}: sweep() returned {type(made).__name__}, not a Sweep")
    remedies = split_remedies(config)[1]
    arms, problems = [], []
    for arm in made.arms if remedies else ():
        try:
            arms.append(arm._replace(experiment=with_remedies(arm.experiment, remedies)))
        except ValueError as error:
            problems.append(error)
    if problems and not arms:
        raise ConfigError(f"{config}: {problems[0]}") from problems[0]
    return made._replace(arms=tuple(arms)) if remedies else made


def config_summary(config: str) -> str:
    """The first line of a config's docstring."""
    text = config_path(config).read_text(encoding="utf-8").lstrip()
    return text.strip('"').splitlines()[0].strip('" ') if text.startswith('"""') else ""
