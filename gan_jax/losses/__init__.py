"""Objectives, loss transforms, penalties, auxiliary losses, augmentations and encoders of latents."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
