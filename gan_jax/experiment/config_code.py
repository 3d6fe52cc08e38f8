"""The code of a config file: its source, its execution, and the components that it defines.

Only a config that the user names is executed, or a folder's source that the user trusts: nothing here is called with a
path that a record names.
"""

from __future__ import annotations

import ast
import contextlib
import dis
import hashlib
import importlib
import linecache
import sys
import sysconfig
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from gan_jax.experiment.component import is_component
from gan_jax.experiment.former_names import install_former_names
from gan_jax.experiment.settings import CONFIG_MODULE, OWN, component_name, walk

_executed: dict[str, ConfigCode] = {}


class ConfigError(ValueError):
    """A config that is unknown, cannot be imported, or defines no valid experiment."""


class ConfigCode(NamedTuple):
    """A config file that has been executed.

    Attributes:
        path: the file.
        files: contents by name: the file itself first, then the modules in its folder that it imports.
        module: the executed module.
        beside: the imported modules of its folder, by name.
    """

    path: Path
    files: Mapping[str, bytes]
    module: ModuleType
    beside: Mapping[str, ModuleType]

    def call(self, function: str, *arguments: Any) -> Any:
        """Calls a function of the config.

        Raises:
            ConfigError: for any error in it; the message shows the config's own line.
        """
        with _importing_beside(self.path):
            try:
                return getattr(self.module, function)(*arguments)
            except BaseException as error:
                raise _config_error(self.path, self.files, error, "") from error

    def component(self, name: str) -> type | None:
        """The component with a record's name for it, from this config or a module that it imports; None without one."""
        module, _, own = name.rpartition(":")
        if "<locals>" in own:
            return next((found for found in self._in_use() if component_name(found) == _present_name(name)), None)
        place: Any = self.module if _present_name(name).startswith(f"{OWN}:") else self._imported(module)
        for part in own.split("."):
            place = getattr(place, part, None)
        return place if isinstance(place, type) and is_component(place) else None

    def _imported(self, module: str) -> ModuleType | None:
        return self.beside.get(module) or sys.modules.get(module)

    def _in_use(self) -> Iterator[type]:
        """The classes of the components in the config's experiments, including those defined inside a function."""
        made = [self.call("experiment")] if hasattr(self.module, "experiment") else []
        if hasattr(self.module, "sweep"):
            made += [arm.experiment for arm in self.call("sweep").arms]
        for experiment in made:
            for setting in walk(experiment):
                parts = setting.value if isinstance(setting.value, tuple) else (setting.value,)
                yield from (type(part) for part in parts if is_component(part))


def _present_name(name: str) -> str:
    """A config's own component by position: records of version 0.1.0 name the config by a hash of its path."""
    module, _, own = name.rpartition(":")
    return f"{OWN}:{own}" if module.startswith(CONFIG_MODULE) else name


def execute(path: Path) -> ConfigCode:
    """Executes a config file, once for each content of the file and of the modules in its folder that it imports.

    Raises:
        ConfigError: for any error in it; the message shows the file's own line.
    """
    files = source_files(path)
    digest = hashlib.sha256(repr((str(path.resolve()), sorted(files.items()))).encode()).hexdigest()
    name = f"{CONFIG_MODULE}{path.stem}_{digest[:12]}"
    if name in _executed:
        return _executed[name]
    module = ModuleType(name)
    module.__file__ = str(path)
    names = [_module_name(file) for file in list(files)[1:]]
    for beside in names:  # modules of another config, or from before a file changed
        sys.modules.pop(beside, None)
    sys.modules[name] = module
    install_former_names()
    with _importing_beside(path):
        try:
            linecache.checkcache(str(path))
            exec(compile(files[path.name], str(path), "exec", dont_inherit=True), vars(module))
        except BaseException as error:
            del sys.modules[name]
            raise _config_error(path, files, error, " cannot be imported") from error
        for beside in names:  # modules that a function would import when it is called, perhaps in the middle of a run
            with contextlib.suppress(Exception, SystemExit):
                importlib.import_module(beside)
    found = {beside: sys.modules[beside] for beside in names if beside in sys.modules}
    return _executed.setdefault(name, ConfigCode(path, files, module, found))


@contextlib.contextmanager
def _importing_beside(path: Path) -> Iterator[None]:
    """Lets code import modules from a file's folder, as Python does for a script; no bytecode is written there."""
    folder, wrote = str(path.resolve().parent), sys.dont_write_bytecode
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = wrote
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


# --- Source -----------------------------------------------------------------------------------------------------------


def source_files(path: Path) -> dict[str, bytes]:
    """The contents of a config and of the modules in its folder that it imports, found without executing them.

    Args:
        path: of the config.

    Returns:
        Contents by name relative to the config's folder; the config itself comes first.

    Raises:
        ConfigError: if a file cannot be read.
    """
    found: dict[str, bytes] = {}
    waiting = [path.name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = (path.parent / name).read_bytes()
        except OSError as error:
            raise ConfigError(f"{path.parent / name} cannot be read: {error.strerror or error}") from error
        waiting += sorted(_imports(found[name], name, path.parent))
    return found


def _imports(source: bytes, name: str, folder: Path) -> set[str]:
    """The files in a config's folder that one of them imports, anywhere in its code."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # reported when it is executed
        return set()
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = list(Path(name).parts[: -node.level or None]) if node.level else []
            base = ".".join([*package, *([node.module] if node.module else [])])
            modules |= {base, *(f"{base}.{alias.name}".lstrip(".") for alias in node.names)}
    files: set[str] = set()
    for module in modules:
        parts = module.split(".")
        if _is_installed(parts[0]):
            continue
        for length in range(1, len(parts) + 1):
            file = Path(*parts[:length])
            candidates = (file / "__init__.py", file.with_suffix(".py"))
            files |= {str(found) for found in candidates if (folder / found).is_file()}
    return files


def _is_installed(module: str) -> bool:
    """Whether an installed module has this name, so that a file of this name in a config's folder is not imported."""
    if module in ("", "gan_jax") or module in sys.builtin_module_names:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return file is not None and any(Path(file).is_relative_to(place) for place in sysconfig.get_paths().values())


def _module_name(file: str) -> str:
    parts = Path(file).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# --- Errors -----------------------------------------------------------------------------------------------------------


def _config_error(path: Path, files: Mapping[str, bytes], error: BaseException, what: str) -> BaseException:
    """The error of a config in one line: the original message, and the config's line that raised it."""
    if isinstance(error, KeyboardInterrupt) and not _is_raised(error):
        return error  # Ctrl-C
    words = " ".join(str(error).split())[:400]
    if what or not isinstance(error, (ValueError, TypeError)):
        words = f"{type(error).__name__}: {words}".removesuffix(": ")
    folder = path.resolve().parent
    for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
        file = Path(frame.f_code.co_filename).resolve()
        if file.is_relative_to(folder) and str(file.relative_to(folder)) in files:
            text = linecache.getline(frame.f_code.co_filename, line).strip()[:120]
            place = "" if file.name == path.name else f" of {file.relative_to(folder)}"
            return ConfigError(f"{path}{what}: {words} (line {line}{place}: {text})")
    return ConfigError(f"{path}{what}: {words}")


def _is_raised(error: BaseException) -> bool:
    """Whether an error comes from a statement `raise`, and not from a signal."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and last.tb_frame.f_code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"]
