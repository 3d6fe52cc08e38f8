"""The name of the processor or accelerator, for the records of runs."""

from __future__ import annotations

import contextlib
import platform
import re
from pathlib import Path

import jax

_MODEL = re.compile(r"^model name[ \t]*:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)


UNNAMED = "cpu (cpu)"
"""What earlier versions recorded for every processor."""


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The model of this machine's processor; its architecture where the system does not tell the model.

    Args:
        cpuinfo: where Linux lists the processors.

    Returns:
        The name, such as "AMD EPYC 7B13 64-Core Processor" or "x86_64".
    """
    with contextlib.suppress(OSError):
        if found := _MODEL.search(cpuinfo.read_text(encoding="utf-8", errors="replace")):
            return found.group(1)
    return platform.processor() or platform.machine()


def device_name() -> str:
    """The first device that JAX computes on and its platform, such as "NVIDIA H100 (gpu)" or "AMD EPYC (cpu)"."""
    device = jax.devices()[0]
    kind = processor_name() if device.platform == "cpu" else device.device_kind
    return f"{kind} ({device.platform})"


def is_same_device(stored: str | None, now: str) -> bool:
    """Whether a stored name of a device may be that of the present one."""
    return stored == now or (stored == UNNAMED and now.endswith("(cpu)"))
