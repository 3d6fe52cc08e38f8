"""Networks of G and D: components with `init`, `apply` and `check`. D gives raw scores, never probabilities."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
