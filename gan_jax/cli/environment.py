"""Settings that jax needs before it finds its devices: other processes, devices of a CPU, the compilation cache."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gan_jax.cli.arguments import UsageError, log


def prepare_devices(options: argparse.Namespace) -> None:
    """Sets up what jax needs before it finds its devices: other processes, and the devices of a CPU."""
    if options.command not in ("train", "sweep", "collapsebench"):
        return
    if options.devices is not None and options.devices < 1:
        raise UsageError(f"--devices is {options.devices}, and must be at least 1")
    import jax

    # Members, or the parts of a batch, are dealt out to devices: on a CPU one a core, unless the environment says more.
    deals = options.data_parallel if options.command == "train" else options.strategy not in ("map", "vmap")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if options.devices is not None or (deals and "device_count" not in os.environ.get("XLA_FLAGS", "")):
        jax.config.update("jax_num_cpu_devices", options.devices or cores)
    if options.distributed or any(
        value is not None for value in (options.coordinator, options.num_processes, options.process_id)
    ):
        from gan_jax.scaling import hosts

        hosts.join(options.coordinator, options.num_processes, options.process_id, log)


def leave_other_processes(failed: bool = False) -> None:
    """Tells other processes, if there are any, that this one ends; after an error of communication, hears from them."""
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
    if getattr(options, "no_compilation_cache", False) or options.command in ("report", "watch", "data"):
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
    """The user's folder for compiled programs; None where the system knows no home directory."""
    try:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(root) / "gan_jax" / "programs"
