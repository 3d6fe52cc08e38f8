# Settings: what a run is.

# A run: pure functions.

# From a folder to arrays.

# Parts, by room.

__version__: str
__all__: list[str]
