"""The precision of an experiment: the arithmetic with which its programs are traced.

Scores, losses, statistics and optimisers are float32 in every precision. A backend's own default is never used: on a
GPU or TPU it would round the factors of a float32 product to 10 or 7 bits.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import jax

from gan_jax.experiment.component import is_component
from gan_jax.experiment.experiment import Experiment

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_PRODUCTS = {"float32": "float32", "tensorfloat32": "tensorfloat32", "bfloat16": "float32"}
"""By precision, that of products of float32 factors."""


def in_precision(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """A function of an experiment whose matrix products are traced in the experiment's precision.

    Args:
        function: its first argument is the experiment.

    Returns:
        The same function.
    """

    @functools.wraps(function)
    def traced(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        experiment = cast("Experiment", args[0] if args else kwargs["experiment"])
        with jax.default_matmul_precision(_PRODUCTS[experiment.precision]):
            return function(*args, **kwargs)

    return traced


def with_compute_dtype(experiment: Experiment) -> Experiment:
    """The experiment with networks that compute in its precision: all of their layers in bfloat16, for "bfloat16".

    Args:
        experiment: the settings; leaves may be traced.

    Returns:
        The experiment with `compute_dtype` set in its networks for "bfloat16"; unchanged for other precisions.

    Example:
        >>> from gan_jax.experiment.examples import tiny_ring
        >>> with_compute_dtype(tiny_ring(precision="bfloat16")).generator.network.compute_dtype
        'bfloat16'
    """
    return experiment if experiment.precision != "bfloat16" else _narrow(experiment)


def _narrow(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_narrow, value))
    if not is_component(value):
        return value
    own = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    made = {name: "bfloat16" if name == "compute_dtype" else _narrow(part) for name, part in own.items()}
    changed = {name: part for name, part in made.items() if part is not own[name]}
    return dataclasses.replace(value, **changed) if changed else value
