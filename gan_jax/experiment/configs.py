"""Configs by name or by file: Python files that define `experiment()` and, for a study, `sweep()`.

A config may be followed by remedies: `ring+packing_2`, `ring+r1+replay_fifo`.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from pathlib import Path

import gan_jax
from gan_jax.experiment.component import unknown_name
from gan_jax.experiment.config_code import ConfigCode, ConfigError, execute
from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.remedies import apply_remedy
from gan_jax.experiment.sweep import Sweep

_HEADER_WORD = re.compile(r"([A-Z][a-z]+):(?: |$)")
"""The start of a section of a config's docstring, such as "Cost: "."""


def config_directory() -> Path:
    """The folder of the shipped configs: inside an installed package, or next to it in a checkout."""
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
    file = _leading_file(parts)
    if file or parts[0] in config_names():
        base, rest = (file, parts[file.count("+") + 1 :]) if file else (parts[0], parts[1:])
        remedies = []
        while rest:
            remedies.append(_leading_file(rest) or rest[0])
            rest = rest[remedies[-1].count("+") + 1 :]
        return base, remedies
    folder, slash, name = config.rpartition("/")
    base, *remedies = name.split("+")
    return folder + slash + base, remedies


def _leading_file(parts: Sequence[str]) -> str:
    """The longest start of a string, given as its parts between pluses, that names a file; "" if none does."""
    names = ("+".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((name for name in names if os.path.isfile(name)), "")  # False for a name that no file can have


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
    """A config's name without its folder, with its remedies; the names of its runs start with it.

    Example:
        >>> config_label("studies/mine.py+r1"), config_label("ring+r1")
        ('mine+r1', 'ring+r1')
    """
    base, remedies = split_remedies(config)
    return "+".join([Path(base).stem, *(Path(name).stem if name.endswith(".py") else name for name in remedies)])


def own_file(config: str) -> Path | None:
    """The user's own file in a config: the config itself, or else the first remedy that is a file."""
    if is_file_name(config):
        return config_path(config)
    return next((Path(name) for name in split_remedies(config)[1] if name.endswith(".py")), None)


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
    try:
        return with_remedies(made, split_remedies(config)[1])
    except ConfigError:
        raise
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
        if not Path(name).is_file():
            raise ConfigError(f"no file {name}: give a Python file that defines remedy(experiment), or a remedy's name")
        code = execute(Path(name))
        if not hasattr(code.module, "remedy"):
            raise ConfigError(f"{name} does not define remedy(): add `def remedy(experiment) -> Experiment`")
        experiment = code.call("remedy", experiment)
        if not isinstance(experiment, Experiment):
            raise ConfigError(f"{name}: remedy() returned {type(experiment).__name__}, not an Experiment")
    return experiment


def load_sweep(config: str) -> Sweep | None:
    """The sweep of a config, with the remedies after it in each arm; None if the config defines none.

    Arms that the remedies do not fit (such as a convolutional layer for MLPs) are left out.

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
    code = load_code(config)
    if not hasattr(code.module, "sweep"):
        return None
    made = code.call("sweep")
    if not isinstance(made, Sweep):
        raise ConfigError(f"{code.path}: sweep() returned {type(made).__name__}, not a Sweep")
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
    return _docstring(config).partition("\n")[0]


def config_header(config: str) -> dict[str, str]:
    """The parts of a config's docstring.

    Args:
        config: name of a shipped config, or path of a file.

    Returns:
        "summary", its first line, and the sections "Claim:", "Command:", "Cost:", "Figure:" and the like under these
        names in lower case, each as one line.

    Raises:
        ConfigError: if there is no such config, or it is not a Python file.

    Example:
        >>> header = config_header("ring")
        >>> header["command"], header["cost"]
        ('gan-jax train ring', '10,000 steps of batch 256: about 30 seconds on two cores.')
    """
    summary, _, rest = _docstring(config).partition("\n")
    parts, name = {"summary": summary}, ""
    for line in rest.splitlines():
        begins = _HEADER_WORD.match(line)
        if begins:
            name = begins[1].lower()
        if name:
            parts[name] = f"{parts.get(name, '')} {line[begins.end() :] if begins else line.strip()}".strip()
    return parts


def _docstring(config: str) -> str:
    path = config_path(config)
    try:
        return ast.get_docstring(ast.parse(path.read_bytes())) or ""
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"{path} is not a Python file: {error}") from error
