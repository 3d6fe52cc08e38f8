from . import dynamics as dynamics
from . import evolution as evolution
from . import replay as replay

__all__: list[str]
