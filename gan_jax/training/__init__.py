"""The training of both players: losses, steps, rollouts, chunks and whole runs, all pure functions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
