"""The machine, and what its device does at best."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import subprocess
from typing import Any

import jax

from benchmarks.accelerator.kit import Kit
from gan_jax.bench.ceilings import PRECISIONS, measure_copy, measure_product

PACKAGES = ("torch", "tensorflow_datasets", "array_record", "lifelines", "tensorboardX")
"""Those that may be missing, and whose lack explains that of other rows."""


def machine(kit: Kit) -> None:
    """A row about the machine: devices, driver, memory, flags, packages."""
    kit.measure("accelerator machine", "machine", describe)


def describe() -> dict[str, Any]:
    """What is not in every row already."""
    device = jax.devices()[0]
    stats = device.memory_stats() or {}
    flags = ("JAX_", "XLA_", "NVIDIA_", "CUDA_", "TF_")
    return {
        "backend": jax.default_backend(),
        "devices": [str(each) for each in jax.devices()],
        "driver": _first_line(["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]),
        "platform_version": device.client.platform_version.splitlines()[0],
        "device_memory_mb": round(stats["bytes_limit"] / 1e6) if "bytes_limit" in stats else None,
        "host_memory_mb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e6),
        "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith(flags)},
        "packages": {name: importlib.util.find_spec(name) is not None for name in PACKAGES},
    }


def ceilings(kit: Kit) -> None:
    """Rows about products of matrices by precision, and about copies."""
    sizes = (256,) if kit.small else (8192, 2048)
    for size in sizes:
        for precision in PRECISIONS:
            figures = functools.partial(measure_product, precision, size, repeats=2 if kit.small else 20)
            kit.measure("accelerator ceilings", f"product {precision} {size}", figures, needs=5.0)
    num_bytes = 2**22 if kit.small else 2**31
    kit.measure("accelerator ceilings", f"copy {num_bytes}", functools.partial(measure_copy, num_bytes), needs=5.0)


def _first_line(command: list[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        ended = subprocess.run(command, capture_output=True, text=True, timeout=20)
        return (ended.stdout.strip().splitlines() or [None])[0]
    return None
