"""The recorder's settings: what a run notes about its players while it goes on. It changes no number of the run."""

from __future__ import annotations

from gan_jax.experiment.component import component, setting

AGES = (1, 2, 4, 8)
"""How many looks ago the old fakes were made on which D is tried again."""


@component
class Recorder:
    """Looks at both players inside the compiled chunk: magnitudes, singular values, forgetting, memorisation.

    Each look is of a few examples that stay the same, and of the fakes that G makes of fixed latents;
    `gan_jax.training.probes` says what it notes. The steps between two looks run as without a recorder; each adds to
    the metrics how long both updates were, relative to the parameters.
    """

    every_steps: int = setting(default=100, at_least=1, doc="steps between looks; a chunk ends with one in any case")
    num_examples: int = setting(default=64, at_least=2, doc="examples of each side that a look is of")
    num_iterations: int = setting(default=2, at_least=1, doc="rounds of power iteration a look, from the last vectors")

    def num_probes(self, num_steps: int) -> int:
        """Looks in a chunk of so many steps: as many as divide it into equal parts of `every_steps` or more.

        Example:
            >>> Recorder(every_steps=100).num_probes(500), Recorder(every_steps=100).num_probes(50)
            (5, 1)
        """
        if num_steps < 1:
            return 0
        return next((n for n in range(num_steps // self.every_steps, 1, -1) if num_steps % n == 0), 1)
