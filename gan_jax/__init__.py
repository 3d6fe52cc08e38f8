"""A laboratory for GAN mode collapse on JAX. `__init__.pyi` lists all public names and the modules that define them.

    import jax, gan_jax as gj

    experiment = gj.load("ring")                               # or gj.Experiment(...)
    data = gj.load_data(experiment)                            # () for mixtures
    result = jax.jit(gj.train)(experiment, data, jax.random.key(0))
    print(result.verdict.sentence())

A name is imported when it is first used, so that importing the package costs nothing and starts no backend.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
