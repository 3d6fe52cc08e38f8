"""A peer of a benchmark: a script of this folder, in a process of its own."""

from __future__ import annotations

from pathlib import Path

from gan_jax.bench.peer import Peer as Process
from gan_jax.bench.peer import PeerError

__all__ = ["Peer", "PeerError"]


class Peer(Process):
    """A process of `gan_jax.bench.peer`, whose script is named relative to this folder."""

    def __init__(self, python: str, script: str | Path, *arguments: object) -> None:
        super().__init__(python, Path(__file__).parent / script, *arguments)
