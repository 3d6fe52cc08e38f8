from . import dynamics as dynamics
from . import replay as replay

__all__: list[str]
