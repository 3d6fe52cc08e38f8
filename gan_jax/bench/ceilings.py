"""The best speed of a device: matrix products by precision, and copies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from gan_jax.bench.rounds import median_and_quartiles, take_turns

PRECISIONS = ("float32", "tensorfloat32", "bfloat16")


def measure_product(precision: str, size: int, num_rounds: int = 6, repeats: int = 10) -> dict[str, Any]:
    """The speed of a product of square matrices of random numbers.

    Args:
        precision: one of `PRECISIONS`; the matrices are bfloat16 with "bfloat16", and float32 with the others.
        size: number of rows and columns.
        num_rounds: measured rounds.
        repeats: products in a round, each with the result of the one before.

    Returns:
        "tflops" with quartiles, in 1e12 operations a second, and a description of the product.
    """
    dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    left, right = (jax.random.normal(jax.random.key(i), (size, size), dtype) for i in range(2))
    right = right * jnp.asarray(size**-0.5, dtype)  # so that the numbers stay of order 1

    def chain(left: jax.Array, right: jax.Array) -> jax.Array:
        with jax.default_matmul_precision("float32" if precision == "bfloat16" else precision):
            return jax.lax.fori_loop(0, repeats, lambda _, x: x @ right, left)

    seconds = take_turns({"ours": _timed(jax.jit(chain), left, right)}, num_rounds)["ours"]
    return {
        "size": size,
        "arithmetic": precision,
        **median_and_quartiles("tflops", 2 * size**3 * repeats / seconds / 1e12),
    }


def measure_copy(num_bytes: int, num_rounds: int = 6, repeats: int = 10) -> dict[str, Any]:
    """The speed of reading and writing memory.

    Args:
        num_bytes: size of the array that is read and written.
        num_rounds: measured rounds.
        repeats: passes in a round.

    Returns:
        "gigabytes_per_second" with quartiles, bytes read and written, and the size.
    """
    array = jnp.zeros(num_bytes // 4, jnp.float32)

    def chain(array: jax.Array) -> jax.Array:
        return jax.lax.fori_loop(0, repeats, lambda _, x: x + 1, array)

    seconds = take_turns({"ours": _timed(jax.jit(chain), array)}, num_rounds)["ours"]
    return {"bytes": num_bytes, **median_and_quartiles("gigabytes_per_second", 2 * num_bytes * repeats / seconds / 1e9)}


def measured_ceilings(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The measured ceiling by precision, in 1e12 operations a second, from rows of `measure_product` on this device.

    Args:
        rows: of any kind; others are ignored.

    Returns:
        The largest by precision; {} without such rows.
    """
    device, found = jax.devices()[0].device_kind, dict[str, float]()
    for row in rows:
        if row["case"].startswith("product") and row.get("tflops") and row["device"] == device:
            found[row["arithmetic"]] = max(row["tflops"], found.get(row["arithmetic"], 0.0))
    return found


def quick_ceiling(precision: str) -> float:
    """The ceiling for a single measurement: the speed of one matrix product, of a size that suits the device."""
    size = 2048 if jax.default_backend() == "cpu" else 8192
    return float(measure_product(precision, size, num_rounds=3, repeats=2 if size == 2048 else 10)["tflops"])


def _timed(function: Callable[..., Any], *args: Any) -> Callable[[], float]:
    compiled = function.lower(*args).compile()  # type: ignore[attr-defined]

    def round() -> float:
        began = time.perf_counter()
        jax.block_until_ready(compiled(*args))
        return time.perf_counter() - began

    return round
