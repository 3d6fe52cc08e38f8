"""Schedules: settings that change with the step. A field typed `float | Schedule` takes one instead of a number."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from gan_jax.experiment.component import component, setting


@runtime_checkable
class Schedule(Protocol):
    """A value as a pure function of the step."""

    def __call__(self, step: int | Array) -> Array: ...

    def extremes(self) -> tuple[float, ...]:
        """The smallest and the largest value of the schedule. Both must be valid for the setting that it replaces."""
        ...


@component
class Linear:
    """`start` up to `begin_step`, then a straight line to `stop` over `duration_steps`, then constant.

    Example:
        >>> Linear(start=1.0, stop=0.0, duration_steps=100.0)(jnp.int32(25)).item()
        0.75
    """

    start: float = setting(doc="value at step 0")
    stop: float = setting(doc="value after `begin_step + duration_steps` steps")
    duration_steps: float = setting(above=0, doc="length of the change, in steps")
    begin_step: float = setting(default=0.0, at_least=0, doc="step at which the change begins")

    def __call__(self, step: int | Array) -> Array:
        done = jnp.clip((step - self.begin_step) / self.duration_steps, 0.0, 1.0)
        return self.start + (self.stop - self.start) * done

    def extremes(self) -> tuple[float, ...]:
        return (self.start, self.stop)


@component
class Exponential:
    """start * decay_rate^(step / every_steps), never below `floor`.

    Example:
        >>> Exponential(start=1.0, decay_rate=0.5, every_steps=10.0)(jnp.int32(20)).item()
        0.25
    """

    start: float = setting(doc="value at step 0")
    decay_rate: float = setting(above=0, at_most=1, doc="factor applied once every `every_steps` steps")
    every_steps: float = setting(above=0, doc="steps in which the value is multiplied by `decay_rate` once")
    floor: float = setting(default=0.0, doc="least value")

    def __call__(self, step: int | Array) -> Array:
        return jnp.maximum(self.start * self.decay_rate ** (step / self.every_steps), self.floor)

    def extremes(self) -> tuple[float, ...]:
        return (self.start, self.floor)


@component
class Cosine:
    """`start` up to `begin_step`, then half a cosine to `stop` over `duration_steps`, then constant.

    Example:
        >>> gamma = Cosine(start=1.0, stop=0.0, duration_steps=100.0)
        >>> [round(float(gamma(jnp.int32(step))), 3) for step in (0, 25, 50, 100)]
        [1.0, 0.854, 0.5, 0.0]
    """

    start: float = setting(doc="value at step 0")
    stop: float = setting(doc="value after `begin_step + duration_steps` steps")
    duration_steps: float = setting(above=0, doc="length of the change, in steps")
    begin_step: float = setting(default=0.0, at_least=0, doc="step at which the change begins")

    def __call__(self, step: int | Array) -> Array:
        done = jnp.clip((step - self.begin_step) / self.duration_steps, 0.0, 1.0)
        return self.stop + (self.start - self.stop) * (1 + jnp.cos(jnp.pi * done)) / 2

    def extremes(self) -> tuple[float, ...]:
        return (self.start, self.stop)


@component
class HalfLife:
    """The decay of a moving average whose half-life grows linearly: 2^(-1/h), with h from `start` to `stop` steps.

    With h = 0 the decay is 0: the average is the last value.

    Example:
        >>> decay = HalfLife(start=0.0, stop=100.0, duration_steps=1000.0)
        >>> [round(float(decay(jnp.int32(step))), 4) for step in (0, 10, 1000)]
        [0.0, 0.5, 0.9931]
    """

    start: float = setting(at_least=0, doc="half-life at step 0, in steps")
    stop: float = setting(at_least=0, doc="half-life after `duration_steps` steps, in steps")
    duration_steps: float = setting(above=0, doc="length of the change, in steps")

    def __call__(self, step: int | Array) -> Array:
        return jnp.exp2(-1.0 / jnp.maximum(Linear(self.start, self.stop, self.duration_steps)(step), _NO_STEPS))

    def extremes(self) -> tuple[float, ...]:
        return tuple(2.0 ** (-1.0 / max(steps, _NO_STEPS)) for steps in (self.start, self.stop))


# Stands for a half-life of 0 in a division.
_NO_STEPS = 1e-3

SCHEDULES = (Linear, Exponential, Cosine, HalfLife)


def value_at(
    setting_value: float | Float[Array, ""] | Schedule, step: int | Int[Array, ""]
) -> float | Float[Array, ""]:
    """The value of a setting that may be a schedule."""
    return setting_value(step) if isinstance(setting_value, Schedule) else setting_value


def values_at(settings: Any, step: int | Int[Array, ""]) -> Any:
    """Settings with each schedule in them replaced by its value.

    Args:
        settings: any pytree of components.
        step: int32 scalar, steps done.

    Returns:
        The same tree without schedules.

    Example:
        >>> from gan_jax.losses.gradient_penalties import R1
        >>> float(values_at(R1(weight=Linear(0.0, 10.0, 100.0)), jnp.int32(50)).weight)
        5.0
    """
    return jax.tree.map(lambda leaf: value_at(leaf, step), settings, is_leaf=lambda leaf: isinstance(leaf, Schedule))
