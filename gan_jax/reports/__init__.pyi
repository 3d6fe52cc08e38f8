from . import plot as plot

__all__: list[str]
