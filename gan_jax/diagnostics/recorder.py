"""The recorder's settings: what a run records about its players during training, which does not change the run."""

from __future__ import annotations

from gan_jax.experiment.component import component, setting

AGES = (1, 2, 4, 8)
"""Ages of the old fakes on which D's accuracy is measured, in numbers of probes."""


@component
class Recorder:
    """Probes of both players inside the compiled chunk: magnitudes, singular values, forgetting, memorisation.

    All probes of a run use the same few examples and latents; `gan_jax.training.probes` lists the probe values. The
    steps between two probes are those of a run without a recorder. Each step also records the length of both players'
    updates relative to their parameters.

    Example:
        >>> Recorder(every_steps=50).num_examples
        64
        >>> Recorder(num_examples=1)
        Traceback (most recent call last):
        ...
        ValueError: Recorder.num_examples is 1, and must be at least 2 (examples of each side in a probe)
    """

    every_steps: int = setting(default=100, at_least=1, doc="steps between probes; each chunk ends with one")
    num_examples: int = setting(default=64, at_least=2, doc="examples of each side in a probe")
    num_iterations: int = setting(default=2, at_least=1, doc="power iterations per probe, from the previous vectors")

    def num_probes(self, num_steps: int) -> int:
        """Number of probes in a chunk: the largest that divides it into equal parts of at least `every_steps` steps.

        Example:
            >>> Recorder(every_steps=100).num_probes(500), Recorder(every_steps=100).num_probes(50)
            (5, 1)
        """
        if num_steps < 1:
            return 0
        return next((n for n in range(num_steps // self.every_steps, 1, -1) if num_steps % n == 0), 1)
