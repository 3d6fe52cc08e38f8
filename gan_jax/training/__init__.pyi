from . import dynamics as dynamics

__all__: list[str]
