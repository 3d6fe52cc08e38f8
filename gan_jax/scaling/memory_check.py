"""Checks that a program fits the memory, from the shapes in its trace, before anything is compiled or allocated.

The program is later compiled from the same trace, so the check costs no second one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend.core import Literal

from gan_jax.experiment.experiment import Experiment
from gan_jax.experiment.settings import replace, walk
from gan_jax.scaling.programs import chunk_program, has_small_networks, init_shapes
from gan_jax.scaling.strategies import device_bytes
from gan_jax.training.chunks import plan
from gan_jax.training.evaluations import LoadedData
from gan_jax.training.state import TrainState

_KEPT = {"dot_general", "conv_general_dilated", "sort"}
"""Operations whose results XLA keeps in memory. Results of elementwise operations may never be written to it."""
_TRIES = 3


class MemoryNeedError(ValueError):
    """The experiment needs more memory than there is."""


def check_training_memory(experiment: Experiment, resources: LoadedData) -> None:
    """Raises an error if an experiment's first chunk cannot fit the memory of the devices.

    Args:
        experiment: the settings.
        resources: its data.

    Raises:
        MemoryNeedError: with what it needs at least, what is free, and a size that fits.
    """
    require_memory(experiment, lambda of: least_bytes(_traced_chunk(of, resources)))


def require_memory(experiment: Experiment, needed: Callable[[Experiment], int]) -> None:
    """Raises an error if a program of an experiment needs more memory than the devices have.

    Args:
        experiment: the settings.
        needed: bytes that the program needs at least, by settings.

    Raises:
        MemoryNeedError: with what it needs at least, what is free, and a size that fits.
    """
    least, free = needed(experiment), free_bytes()
    if least <= free:
        return
    path, value = max(_sizes(experiment), key=lambda size: size[1])
    fits = _fitting_size(experiment, path, value, needed, free)
    remedy = f"{fits:,} would fit" if fits else "make it and other sizes smaller"
    raise MemoryNeedError(
        f"this takes at least {_gib(least)} of memory, and {_gib(free)} are free: {path} is {value:,}; {remedy}"
    )


def state_bytes(experiment: Experiment) -> int:
    """Bytes of a run's state, without computing it."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(_state_shapes(experiment)))


def free_bytes() -> int:
    """The memory of this process's devices together."""
    return sum(map(device_bytes, jax.local_devices()))


def least_bytes(traced: Any) -> int:
    """A lower bound on the bytes that a traced program needs: its arguments, and half of the values alive at one time.

    The other half allows for what XLA does not store: masks take one byte an element, and some values are recomputed.

    Args:
        traced: the result of `jax.jit(...).trace(...)`.

    Returns:
        The bound. XLA's temporaries come on top.

    Example:
        >>> import jax.numpy as jnp
        >>> matrix = jax.ShapeDtypeStruct((100, 100), jnp.float32)
        >>> least_bytes(jax.jit(lambda x: x @ x).trace(matrix))
        60000
    """
    jaxpr = traced.jaxpr.jaxpr
    return sum(map(_bytes, jaxpr.invars)) + _peak(jaxpr) // 2


def _traced_chunk(experiment: Experiment, resources: LoadedData) -> Any:
    program = chunk_program(small=has_small_networks(experiment))
    return program.trace(experiment, resources, _state_shapes(experiment), next(plan(experiment, resources)))


def _state_shapes(experiment: Experiment) -> TrainState:
    return init_shapes(experiment, jax.random.key(0))


def _peak(jaxpr: Any) -> int:
    """The peak of bytes alive at one time, if XLA fuses all elementwise operations.

    A result is alive from the operation that makes it to the last one that reads it, or reads a value fused with it.
    An elementwise operation on one stored result needs no memory of its own.
    """
    source: dict[Any, int] = {}  # for each variable, the equation whose stored result it is computed from
    held: dict[int, int] = {}  # for each equation, the bytes of its results
    last: dict[int, int] = {}  # for each equation, the last one that reads its results
    for index, equation in enumerate(jaxpr.eqns):
        read = {source[part] for part in equation.invars if not isinstance(part, Literal) and part in source}
        last |= dict.fromkeys(read, index)
        results, size = equation.outvars, sum(map(_bytes, equation.outvars))
        if equation.primitive.name == "scan":  # the carry is updated in place; stacked results have one more axis
            pairs = zip(results, next(_jaxprs(equation.params)).outvars, strict=True)
            size = sum(_bytes(result) for result, inner in pairs if len(result.aval.shape) > len(inner.aval.shape))
        elif equation.primitive.name not in _KEPT and len(read) < 2:
            if not read:  # constants and random numbers
                continue
            (only,) = read
            if size >= held[only]:
                source |= dict.fromkeys(results, only)
                continue
        source |= dict.fromkeys(results, index)
        held[index] = size
    last |= {
        source[part]: len(jaxpr.eqns) for part in jaxpr.outvars if not isinstance(part, Literal) and part in source
    }
    ends: dict[int, list[int]] = {}
    for index, end in last.items():
        ends.setdefault(end, []).append(index)
    alive = peak = 0
    for index, equation in enumerate(jaxpr.eqns):
        alive += held.get(index, 0)
        peak = max(peak, alive + max(map(_peak, _jaxprs(equation.params)), default=0))
        alive -= sum(held[done] for done in ends.get(index, ()))
        if index not in last:  # never read
            alive -= held.get(index, 0)
    return peak


def _jaxprs(params: dict[str, Any]) -> Iterator[Any]:
    """The programs inside an operation: bodies of loops, branches, calls."""
    for value in params.values():
        for part in value if isinstance(value, (tuple, list)) else (value,):
            inner = getattr(part, "jaxpr", part)
            if hasattr(inner, "eqns"):
                yield inner


def _bytes(variable: Any) -> int:
    aval = variable.aval
    return math.prod(getattr(aval, "shape", ())) * getattr(getattr(aval, "dtype", None), "itemsize", 0)


def _sizes(experiment: Experiment) -> Iterator[tuple[str, int]]:
    """(path, value) of the integer settings that may determine a size."""
    for place in walk(experiment):
        parts = enumerate(place.value) if isinstance(place.value, tuple) else [(None, place.value)]
        for index, value in parts:
            sized = place.path != "num_steps" and not place.path.endswith("seed")
            if sized and isinstance(value, int) and not isinstance(value, bool):
                yield place.path + ("" if index is None else f".{index}"), value


def _fitting_size(
    experiment: Experiment, path: str, value: int, needed: Callable[[Experiment], int], free: int
) -> int | None:
    """A smaller value of a setting with which the program fits; None if none is found in a few tries."""
    size = value * free / needed(experiment)
    for _ in range(_TRIES):
        size = 2 ** math.floor(math.log2(max(size / 2, 1)))
        for rounded in (size, size - size % experiment.batch_size):
            try:
                if needed(replace(experiment, path, rounded)) <= free / 2:
                    return rounded
            except ValueError:  # it is inconsistent with other settings
                continue
    return None


def _gib(num: float) -> str:
    return f"{num / 2**30:,.3g} GiB" if num < 2**40 else f"{num / 2**40:,.3g} TiB"
