"""Experience replay: old fakes, old generators and old discriminators that are used again in training.

They are kept on the device, in the player's `memory`, which is part of the state: a resumed run equals the
uninterrupted one, bit for bit. The buffers hold samples as D sees them.

A replay of D is a component with

    init(fakes)                     the memory before the first step
    show(memory, fakes, key, step)  (the fakes that D sees, the memory after them)

and one of G, `PastDiscriminators`, gives the parameters of the D that it faces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array

from gan_jax.experiment.component import component, setting

_SHARE = "share of the fakes in D's batch that are old ones"


class Fakes(NamedTuple):
    """The fakes of a whole batch.

    Attributes:
        samples: [batch, *shape].
        generator: variables of the G that made them.
        make: the samples that another G makes of the same latents.
    """

    samples: Array
    generator: Any
    make: Callable[[Any], Array]


@runtime_checkable
class Replay(Protocol):
    """A rule that replaces some of D's fakes by old ones."""

    def init(self, fakes: Fakes) -> Any:
        """The state before the first step."""
        ...

    def show(self, memory: Any, fakes: Fakes, key: Array, step: Array) -> tuple[Array, Any]:
        """The fakes with old ones among them.

        Args:
            memory: the replay's state.
            fakes: of this batch.
            key: of the draw.
            step: of the run.

        Returns:
            (the fakes that D sees [batch, *shape], the new state).
        """
        ...


class Buffer(NamedTuple):
    """Old fakes.

    Attributes:
        samples: [size, *shape].
        num_seen: int32, number of fakes so far.
    """

    samples: Array
    num_seen: Array


@component
class Reservoir:
    """A uniform sample of all fakes of the run so far: each is kept with the same probability.

    References:
        J. S. Vitter, "Random Sampling with a Reservoir", ACM TOMS 1985, algorithm R.
    """

    size: int = setting(default=4096, at_least=1, doc="fakes that are kept")
    share: float = setting(default=0.5, at_least=0, at_most=1, doc=_SHARE)

    def init(self, fakes: Fakes) -> Buffer:
        return _empty(self.size, fakes)

    def show(self, memory: Buffer, fakes: Fakes, key: Array, step: Array) -> tuple[Array, Buffer]:
        key_show, key_keep = jax.random.split(key)
        num = fakes.samples.shape[0]
        number = memory.num_seen + jnp.arange(num)
        drawn = jax.random.randint(key_keep, (num,), 0, number + 1)
        slots = jnp.where(number < self.size, number, drawn)
        return _mixed(memory, fakes.samples, self.share, key_show), _stored(memory, slots, fakes.samples)


@component
class FIFO:
    """The last `size` fakes."""

    size: int = setting(default=4096, at_least=1, doc="fakes that are kept")
    share: float = setting(default=0.5, at_least=0, at_most=1, doc=_SHARE)

    def init(self, fakes: Fakes) -> Buffer:
        return _empty(self.size, fakes)

    def show(self, memory: Buffer, fakes: Fakes, key: Array, step: Array) -> tuple[Array, Buffer]:
        slots = (memory.num_seen + jnp.arange(fakes.samples.shape[0])) % self.size
        return _mixed(memory, fakes.samples, self.share, key), _stored(memory, slots, fakes.samples)


@component
class ImagePool:
    """A pool of fakes: with probability `swap_probability` a fake is exchanged for an old one, which D sees instead.

    The other fakes are shown unchanged. The published pool takes one image after another; here the images of a batch
    draw different slots, so that none is exchanged for another one of its batch, and the pool must hold a batch.

    References:
        A. Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training", CVPR
            2017, section 2.3; J.-Y. Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial
            Networks", ICCV 2017, section 4: 50 images, probability 1/2.
    """

    size: int = setting(default=4096, at_least=1, doc="fakes in the pool, at least a batch of them")
    swap_probability: float = setting(
        default=0.5, at_least=0, at_most=1, doc="probability of exchanging a fake for an old one"
    )

    def init(self, fakes: Fakes) -> Buffer:
        return _empty(self.size, fakes)

    def show(self, memory: Buffer, fakes: Fakes, key: Array, step: Array) -> tuple[Array, Buffer]:
        key_swap, key_slot = jax.random.split(key)
        samples, num = fakes.samples, fakes.samples.shape[0]
        if num > self.size:
            raise ValueError(f"ImagePool.size is {self.size}, less than a batch of {num}: make it at least that")
        filled = memory.num_seen >= self.size
        swapped = filled & (jax.random.uniform(key_swap, (num,)) < self.swap_probability)
        slots = jax.random.permutation(key_slot, self.size)[:num]
        shown = jnp.where(_column(swapped, samples), memory.samples[slots], samples)
        # While the pool fills, fakes are kept in order; afterwards in the place of the one they are swapped for.
        number = memory.num_seen + jnp.arange(num)
        kept = jnp.where(filled, jnp.where(swapped, slots, self.size), jnp.minimum(number, self.size))
        return shown, _stored(memory, kept, samples)


class Snapshots(NamedTuple):
    """Old parameters.

    Attributes:
        old: variables with a leading axis [num].
        num_seen: int32, number of snapshots so far.
        last_step: int32, the step of the newest one; a step with several updates takes one snapshot.
    """

    old: Any
    num_seen: Array
    last_step: Array


@component
class PastGenerators:
    """D is trained against a mixture of past generators: some of its fakes are made by an old G.

    A snapshot of G is kept every `every_steps` steps, the newest `num` of them. In each step one of them, drawn at
    random, makes `share` of the fakes, from the same latents. With `share=1` and a `window`, an old G takes the
    place of the present one for the first `window` steps of every `every_steps`.

    References:
        A. Nibali, "Mode collapse in GANs", 2017: "substituting in an old discriminator/generator".
    """

    num: int = setting(default=5, at_least=1, doc="snapshots that are kept")
    every_steps: int = setting(default=200, at_least=1, doc="steps between two snapshots")
    share: float = setting(default=0.5, at_least=0, at_most=1, doc=_SHARE)
    window: int | None = setting(
        default=None, at_least=1, doc="steps of each period with old fakes; None takes all of them"
    )

    def validate(self) -> None:
        _check_window(self)

    def init(self, fakes: Fakes) -> Snapshots:
        return _no_snapshots(self.num, _frozen(fakes.generator))

    def show(self, memory: Snapshots, fakes: Fakes, key: Array, step: Array) -> tuple[Array, Snapshots]:
        key_which, key_where = jax.random.split(key)
        num = fakes.samples.shape[0]
        old = fakes.make(jax.lax.stop_gradient(_drawn(memory, self.num, key_which)))
        replaced = jax.random.permutation(key_where, num) < jnp.floor(num * self.share + 1e-4)
        replaced &= _in_window(self, memory, step)
        shown = jnp.where(_column(replaced, fakes.samples), old, fakes.samples)
        return shown, _with_snapshot(self, memory, _frozen(fakes.generator), step)


@component
class PastDiscriminators:
    """An old D takes the place of the present one in G's update, for the first `window` steps of every `every_steps`.

    A snapshot of D is kept every `every_steps` steps, the newest `num` of them; one is drawn at random in each step of
    the window. D itself continues to learn from its own batches.

    References:
        A. Nibali, "Mode collapse in GANs", 2017: "substituting in an old discriminator/generator".
    """

    num: int = setting(default=5, at_least=1, doc="snapshots that are kept")
    every_steps: int = setting(default=200, at_least=1, doc="steps of a period")
    window: int | None = setting(
        default=20, at_least=1, doc="steps of each period against an old D; None takes all of them"
    )

    def validate(self) -> None:
        _check_window(self)

    def init(self, discriminator: Any) -> Snapshots:
        return _no_snapshots(self.num, _frozen(discriminator))

    def opponent(self, memory: Snapshots, discriminator: Any, key: Array, step: Array) -> tuple[Any, Snapshots]:
        """The D that G faces: the present one, or in the window an old one.

        Args:
            memory: the replay's state.
            discriminator: variables of the present D.
            key: of the draw.
            step: of the run.

        Returns:
            (variables of the D that G faces, the new state).
        """
        old = _drawn(memory, self.num, key)
        now = _in_window(self, memory, step)
        # The present D is not frozen: G's gradient may go through it.
        faced = jax.tree.map(lambda o, p: jnp.where(now, o, p), old, discriminator._replace(memory=()))
        snapshots = _with_snapshot(self, memory, _frozen(discriminator), step)
        return faced._replace(memory=discriminator.memory), snapshots


REPLAYS = (Reservoir, FIFO, ImagePool, PastGenerators)


def _empty(size: int, fakes: Fakes) -> Buffer:
    return Buffer(jnp.zeros((size, *fakes.samples.shape[1:]), fakes.samples.dtype), jnp.int32(0))


def _column(mask: Array, samples: Array) -> Array:
    return mask.reshape(-1, *(1,) * (samples.ndim - 1))


def _mixed(memory: Buffer, samples: Array, share: float, key: Array) -> Array:
    """The samples, floor(share * batch) of them replaced by old ones, drawn with replacement, once there are any."""
    key_which, key_where = jax.random.split(key)
    num, size = samples.shape[0], memory.samples.shape[0]
    # 1e-4 as in `transforms.ExactFlips`.
    replaced = jax.random.permutation(key_where, num) < jnp.floor(num * share + 1e-4)
    which = jax.random.randint(key_which, (num,), 0, jnp.maximum(jnp.minimum(memory.num_seen, size), 1))
    replaced &= memory.num_seen > 0
    return jnp.where(_column(replaced, samples), memory.samples[which], samples)


def _stored(memory: Buffer, slots: Array, samples: Array) -> Buffer:
    """The buffer with each sample in its slot: the last one of several for a slot, and none beyond the end."""
    size, num = memory.samples.shape[0], samples.shape[0]
    # A scatter with repeated indices may end in any order: the latest of each slot is found first.
    latest = jnp.full(size, -1).at[slots].max(jnp.arange(num), mode="drop")
    new = jax.lax.stop_gradient(samples)[jnp.maximum(latest, 0)]
    kept = jnp.where(_column(latest >= 0, new), new, memory.samples)
    return Buffer(kept, memory.num_seen + num)


def _frozen(variables: Any) -> Any:
    """Variables without gradient and without the state of the player's remedies."""
    return jax.lax.stop_gradient(variables._replace(memory=()))


def _no_snapshots(num: int, variables: Any) -> Snapshots:
    old = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], num, axis=0), variables)
    return Snapshots(old, jnp.int32(0), jnp.int32(-1))


def _drawn(memory: Snapshots, num: int, key: Array) -> Any:
    which = jax.random.randint(key, (), 0, jnp.clip(memory.num_seen, 1, num))
    return jax.tree.map(lambda leaf: leaf[which], memory.old)


def _in_window(settings: PastGenerators | PastDiscriminators, memory: Snapshots, step: Array) -> Array:
    inside = True if settings.window is None else step % settings.every_steps < settings.window
    return (memory.num_seen > 0) & inside


def _with_snapshot(
    settings: PastGenerators | PastDiscriminators, memory: Snapshots, variables: Any, step: Array
) -> Snapshots:
    now = (step % settings.every_steps == settings.every_steps - 1) & (step != memory.last_step)
    # Out of bounds is dropped: no snapshot in this step.
    slot = jnp.where(now, memory.num_seen % settings.num, settings.num)
    old = jax.tree.map(lambda kept, leaf: kept.at[slot].set(leaf, mode="drop"), memory.old, variables)
    last_step = jnp.where(now, step, memory.last_step).astype(jnp.int32)
    return Snapshots(old, memory.num_seen + now.astype(jnp.int32), last_step)


def _check_window(settings: PastGenerators | PastDiscriminators) -> None:
    if settings.window is not None and settings.window > settings.every_steps:
        name = type(settings).__name__
        raise ValueError(
            f"{name}.window is {settings.window}, longer than the period of {settings.every_steps} steps: lower it, or "
            f"raise {name}.every_steps"
        )
