"""Settings that JAX needs before it starts: other processes, the number of CPU devices, the compilation cache."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from gan_jax.cli.console import log
from gan_jax.cli.parser import UsageError


def prepare_devices(options: argparse.Namespace) -> None:
    """Joins the other processes, sets the number of CPU devices, and makes JAX find its devices.

    Raises:
        UsageError: if JAX finds no device, or fewer than `--devices`.
    """
    if options.command in ("train", "sweep", "collapsebench"):
        _prepare_training(options)
    elif options.command == "diagnose" and getattr(options, "branch", None) is not None:
        _divide_over_cpu_devices(None)
    if options.command not in ("report", "watch", "data", "configs", "new", "completion"):
        _find_devices()


def _prepare_training(options: argparse.Namespace) -> None:
    # Members, or the parts of a batch, are divided over devices.
    deals = options.data_parallel if options.command == "train" else options.strategy not in ("map", "vmap")
    if options.devices is not None or deals:
        _divide_over_cpu_devices(options.devices)
    if options.distributed or any(
        value is not None for value in (options.coordinator, options.num_processes, options.process_id)
    ):
        from gan_jax.scaling import hosts

        hosts.join(options.coordinator, options.num_processes, options.process_id, log)


def _divide_over_cpu_devices(num: int | None) -> None:
    """Sets the number of CPU devices; by default one per core, unless XLA_FLAGS has another number.

    Raises:
        UsageError: if JAX has started already, with fewer.
    """
    import jax

    if num is None and "device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        jax.config.update("jax_num_cpu_devices", num or cores)
    except RuntimeError:  # an earlier command in this process has started JAX, whose devices cannot change
        started = jax.local_device_count()
        if num is not None and num > started:
            raise UsageError(
                f"--devices is {num}, but JAX has started with {started} in this process: give at most {started}, or "
                "run the command in a new process"
            ) from None


def _find_devices() -> None:
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        asked = jax.config.jax_platforms  # type: ignore[attr-defined]
        reason = (str(error).strip().splitlines() or ["no plugin of jax for it is installed"])[0]
        reason = reason.partition(" (set JAX_PLATFORMS")[0].rstrip(".")
        raise UsageError(
            f"JAX finds no device{f' for JAX_PLATFORMS={asked}' if asked else ''} ({reason}): unset JAX_PLATFORMS to "
            "use the devices of this machine, or set JAX_PLATFORMS=cpu"
        ) from error


@contextlib.contextmanager
def without_nan_checks() -> Iterator[None]:
    """Disables JAX_DEBUG_NANS and JAX_DEBUG_INFS for a command.

    They check all results of a program, in which an undefined metric is NaN (the KL of no samples). A run stops by
    itself when a player is no longer finite.
    """
    names = ("JAX_DEBUG_NANS", "JAX_DEBUG_INFS")
    if "jax" not in sys.modules and not any(name in os.environ for name in names):
        yield
        return
    import jax

    flags = [name for name in names if getattr(jax.config, name.lower())]
    if flags:
        log(
            f"gan-jax: {' and '.join(flags)} is off in this command, since an undefined metric is NaN (the KL of no "
            "samples); a run stops by itself when weights are no longer finite, and names the step"
        )
    with jax.debug_nans(False), jax.debug_infs(False):
        yield


def leave_other_processes(failed: bool = False) -> None:
    """Tells the other processes, if any, that this one ends; after a failed transfer, waits for their messages."""
    if "gan_jax.scaling.hosts" in sys.modules:
        from gan_jax.scaling import hosts

        if failed:
            hosts.wait_for_news()
        else:
            hosts.leave()


def prepare_cache(options: argparse.Namespace) -> None:
    """Keeps compiled programs in the user's cache directory, so that the second start of the same program is fast.

    JAX's own settings (JAX_COMPILATION_CACHE_DIR, JAX_ENABLE_COMPILATION_CACHE) have the last word, and
    `--no-compilation-cache` turns it off. The numbers of a run do not depend on it.
    """
    if getattr(options, "no_compilation_cache", False) or options.command in ("report", "watch", "data", "bench"):
        return
    if os.environ.get("JAX_COMPILATION_CACHE_DIR") or os.environ.get("JAX_ENABLE_COMPILATION_CACHE"):
        return
    folder = cache_folder()
    if folder is None:
        return
    import jax

    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def cache_folder() -> Path | None:
    """The user's folder for compiled programs; None if the system has no home directory."""
    try:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(root) / "gan_jax" / "programs"
