"""Compiled programs that a long process no longer needs."""

from __future__ import annotations

from pathlib import Path

import jax

from gan_jax.scaling.strategies import make_strategy

MOST_MAPS = 20_000
"""Memory maps from which programs are dropped. Linux allows a process 65,530, and a program on a CPU takes hundreds."""


def forget_programs(most_maps: int | None = None) -> bool:
    """Drops all compiled programs if the process has many memory maps; what is needed again compiles again.

    Without it a sweep over dozens of structures ends in "LLVM compilation error: Cannot allocate memory".

    Args:
        most_maps: how many are not many; `MOST_MAPS` if None.

    Returns:
        Whether they were dropped; False where the system does not tell (other than Linux).
    """
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") <= (MOST_MAPS if most_maps is None else most_maps):
        return False
    jax.clear_caches()
    make_strategy.cache_clear()
    return True
