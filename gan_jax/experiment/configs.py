"""Configs by name or by file: Python files that define `experiment()` and, for a study, `sweep()`.

A config may be followed by remedies: `ring+packing_2`, `ring+r1+replay_fifo`.
"""

from __future__ import annotations

import ast
from pathlib import Path

import gan_jax
from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.config_code import ConfigCode, ConfigError, execute
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.remedies import apply_remedy
from gan_jax.experiment.sweep import Sweep


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

    A plus in a folder's name, or in that of a file which exists, belongs to the file.

    Example:
        >>> split_remedies("ring+r1+replay_fifo")
        ('ring', ['r1', 'replay_fifo'])
        >>> split_remedies("c++/study.py+r1")
        ('c++/study.py', ['r1'])
    """
    parts = config.split("+")
    for length in range(len(parts), 0, -1):
        file = "+".join(parts[:length])
        if Path(file).is_file():
            return file, parts[length:]
    folder, slash, name = config.rpartition("/")
    base, *remedies = name.split("+")
    return folder + slash + base, remedies


def config_path(config: str) -> Path:
    """The file of a config given by name or by path; remedies after it are ignored.

    Raises:
        ConfigError: if there is no such file, or no such name; the message lists the known names.
    """
    config, _ = split_remedies(config)
    path = Path(config)
    if is_file_name(config):
        if not path.is_file():
            raise ConfigError(f"no config file {config}: give a Python file that defines experiment(), or a name")
        return path
    shipped = config_directory() / f"{config}.py"
    if not shipped.is_file():
        raise ConfigError(unknown_name("no config", config, config_names()))
    return shipped


def is_file_name(config: str) -> bool:
    """Whether a config is given as a file, rather than by the name of a shipped one; remedies after it are ignored."""
    path = Path(split_remedies(config)[0])
    return path.suffix == ".py" or len(path.parts) > 1


def config_label(config: str) -> str:
    """A config's name without its folder, with its remedies: the beginning of the names of its runs.

    Example:
        >>> config_label("studies/mine.py+r1"), config_label("ring+r1")
        ('mine+r1', 'ring+r1')
    """
    base, remedies = split_remedies(config)
    return "+".join([Path(base).stem, *remedies])


def load_code(config: str) -> ConfigCode:
    """The code of a config, executed. This process can then write and read the components that it defines.

    Args:
        config: as `load` takes it.

    Returns:
        Its source and its module.

    Raises:
        ConfigError: if the config is unknown, or its import fails.
    """
    return execute(config_path(config))


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
        gan_jax.experiment.config_code.ConfigError: no config 'rong'; did you mean 'ring'?
    """
    code = load_code(config)
    if not hasattr(code.module, "experiment"):
        raise ConfigError(f"{code.path} does not define experiment(): add `def experiment() -> Experiment`")
    made = code.call("experiment")
    if not isinstance(made, Experiment):
        raise ConfigError(f"{code.path}: experiment() returned {type(made).__name__}, not an Experiment")
    for name in split_remedies(config)[1]:
        try:
            made = apply_remedy(made, name)
        except ValueError as error:
            raise ConfigError(f"{config}: {error}") from error
    return made


def load_sweep(config: str) -> Sweep | None:
    """The sweep of a config; None if the config defines none, or is followed by remedies.

    Args:
        config: the name of a shipped config, or the path of a Python file.

    Returns:
        What the config's `sweep()` returns, or None.

    Raises:
        ConfigError: if the config is unknown, or its `sweep()` fails or returns no `Sweep`.

    Example:
        >>> load_sweep("remedies_ring").arms[0].name
        'plain'
        >>> load_sweep("ring") is None
        True
    """
    code = load_code(config)
    if not hasattr(code.module, "sweep") or split_remedies(config)[1]:
        return None
    made = code.call("sweep")
    if not isinstance(made, Sweep):
        raise ConfigError(f"{code.path}: sweep() returned {type(made).__name__}, not a Sweep")
    return made


def config_summary(config: str) -> str:
    """The first line of a config's docstring."""
    path = config_path(config)
    try:
        return (ast.get_docstring(ast.parse(path.read_bytes())) or "").partition("\n")[0]
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{path} is no Python file: {error}") from error
