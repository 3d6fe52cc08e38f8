"""Compiled programs that a long process no longer needs."""

from __future__ import annotations

from pathlib import Path

import jax

from gan_jax.scaling.strategies import make_strategy

MOST_MAPS = 20_000
"""Number of memory maps above which programs are dropped. Linux allows 65,530; a CPU program takes hundreds."""


def forget_programs(most_maps: int | None = None) -> bool:
    """Drops all compiled programs if the process has many memory maps; programs in use are then compiled again.

    Without it a sweep over dozens of structures ends in "LLVM compilation error: Cannot allocate memory".

    Args:
        most_maps: number of memory maps above which programs are dropped; None takes `MOST_MAPS`.

    Returns:
        Whether they were dropped; False on systems other than Linux, which do not report the number.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists() or maps.read_bytes().count(b"\n") <= (MOST_MAPS if most_maps is None else most_maps):
        return False
    jax.clear_caches()
    make_strategy.cache_clear()
    return True
