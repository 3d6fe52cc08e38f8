"""Growth: a run whose networks gain resolution in stages, with one compiled program for each stage.

The networks have the parameters of the last stage from the start, so that the state keeps its structure when a stage
begins: optimisers, averages and checkpoints carry over.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from jax import Array
from jaxtyping import Int

from gan_jax.experiment.component import component, setting
from gan_jax.experiment.schedules import Linear, values_at


@component
class Growth:
    """Stage s begins at step s * stage_steps and fades in its new blocks over `fade_steps`; the last stage never ends.

    References:
        T. Karras, T. Aila, S. Laine, J. Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and
            Variation", ICLR 2018, section 2 and figure 2.

    Example:
        >>> Growth(stage_steps=100, fade_steps=50).stage(250, num_stages=4)
        2
    """

    stage_steps: int = setting(default=1000, at_least=1, doc="steps of each stage but the last")
    fade_steps: float = setting(default=500.0, above=0, doc="steps over which a stage's new blocks are faded in")

    def validate(self) -> None:
        if self.fade_steps > self.stage_steps:
            raise ValueError(
                f"Growth.fade_steps is {self.fade_steps}, longer than a stage of {self.stage_steps} steps: lower it, "
                "or raise stage_steps"
            )

    def stage(self, step: int, num_stages: int) -> int:
        """The stage of a step.

        Example:
            >>> [Growth(stage_steps=100, fade_steps=50).stage(step, 3) for step in (0, 99, 100, 1000)]
            [0, 0, 1, 2]
        """
        return min(step // self.stage_steps, num_stages - 1)

    def grown(self, network: Any, stage: int) -> Any:
        """A network at a stage, with the schedule by which its newest block fades in."""
        begin = float(stage * self.stage_steps)
        fade = 1.0 if stage == 0 else Linear(start=0.0, stop=1.0, duration_steps=self.fade_steps, begin_step=begin)
        return network.at_stage(stage, fade)


def num_stages(experiment: Any) -> int:
    """Stages of an experiment that grows; 1 if it does not."""
    return 1 if experiment.growth is None else experiment.generator.network.num_stages(experiment.data.shape)


def at_stage(experiment: Any, stage: int | None) -> Any:
    """An experiment with its networks at a stage; unchanged if it does not grow, or for None."""
    if experiment.growth is None or stage is None:
        return experiment
    players = {
        name: dataclasses.replace(player, network=experiment.growth.grown(player.network, stage))
        for name, player in (("generator", experiment.generator), ("discriminator", experiment.discriminator))
    }
    return dataclasses.replace(experiment, **players)


def at_step(experiment: Any, step: Int[Array, ""]) -> Any:
    """An experiment whose players' schedules are replaced by their values at a step."""
    players = (experiment.generator, experiment.discriminator)
    generator, discriminator = (values_at(player, step) for player in players)
    return dataclasses.replace(experiment, generator=generator, discriminator=discriminator)
