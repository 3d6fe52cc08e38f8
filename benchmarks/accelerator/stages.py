"""The stages by name."""

from benchmarks.accelerator.device import ceilings, machine
from benchmarks.accelerator.smoke import smoke
from benchmarks.accelerator.speed import peers, settings, steps, sweeps, unrolled
from benchmarks.accelerator.studies import digits, mnist64, remedies

__all__ = [
    "ceilings",
    "digits",
    "machine",
    "mnist64",
    "peers",
    "remedies",
    "settings",
    "smoke",
    "steps",
    "sweeps",
    "unrolled",
]
